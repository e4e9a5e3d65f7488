#pragma once
// Payload fields in little-endian order. A message lists its fields once, in a static function
// `fields(self, codec)`; ByteWriter turns them into bytes and ByteReader back, so that the two
// directions cannot drift apart. Every length is checked against a limit and against the bytes
// that are left before anything is allocated.

#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/core/hash.hpp"
#include "iotsl/core/named_enum.hpp"
#include "iotsl/core/text.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

using Bytes = std::vector<std::uint8_t>;

/// Largest count, cost or position in a message: what every JSON reader keeps, and far from any
/// overflow of a sum.
inline constexpr std::uint64_t max_count = std::uint64_t{1} << 53;

template <class V>
concept WireNumber = (std::is_arithmetic_v<V> || std::is_enum_v<V>)&&!std::is_same_v<V, bool>;

/// Appends fields to a byte buffer.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  template <WireNumber V>
  void number(const V& value) {
    raw(&value, sizeof value);
  }
  /// An integer that travels as a smaller type.
  template <std::integral Wire, std::integral V>
  void number_as(const V& value) {
    if (!std::in_range<Wire>(value))
      fail("codec: ", value, " does not fit into ", sizeof(Wire), " bytes");
    number(static_cast<Wire>(value));
  }
  /// A number up to max_count.
  void count(std::uint64_t value) {
    if (value > max_count) fail("codec: count ", value, ", expected at most ", max_count);
    number(value);
  }
  void boolean(const bool& value) { number(static_cast<std::uint8_t>(value ? 1 : 0)); }
  /// Length as u16, then the bytes. The reader refuses what is not printable: names go to
  /// terminals.
  void string(std::string_view text, std::size_t limit) {
    if (text.size() > limit) fail("codec: text of ", text.size(), " bytes, limit ", limit);
    number(static_cast<std::uint16_t>(text.size()));
    raw(text.data(), text.size());
  }
  /// Words for a person.
  void words(std::string_view text, std::size_t limit) { string(text, limit); }
  /// The name of a value, as a string. The reader tells whether it knows the name.
  template <NamedEnum E>
  bool name(const E& value, std::size_t limit) {
    string(to_string(value), limit);
    return true;
  }
  void digest(const Sha256Digest& value) { raw(value.data(), value.size()); }
  /// Count as u32, then the elements.
  template <WireNumber V>
  void array(const std::vector<V>& values, std::size_t limit) {
    if (values.size() > limit) fail("codec: ", values.size(), " elements, limit ", limit);
    number(static_cast<std::uint32_t>(values.size()));
    raw(values.data(), values.size() * sizeof(V));
  }
  /// Count as u32, then the fields of each element.
  template <class Item>
  void list(const std::vector<Item>& items, std::size_t limit) {
    if (items.size() > limit) fail("codec: ", items.size(), " items, limit ", limit);
    number(static_cast<std::uint32_t>(items.size()));
    for (const Item& item : items) Item::fields(item, *this);
  }
  /// Length as u64, then the bytes. The reader gives a view into the payload.
  void block(ByteSpan bytes) {
    number(std::uint64_t{bytes.size()});
    raw(bytes.data(), bytes.size());
  }
  /// The last field of a message: all that follows, as a view.
  void rest(ByteSpan bytes) { raw(bytes.data(), bytes.size()); }

  /// Whether fields follow that a message of an earlier version of the protocol lacks.
  bool goes_on(bool wanted) const { return wanted; }

  void require(bool good, const char* why) {
    if (!good) fail("codec: ", why);
  }

  void raw(const void* data, std::size_t bytes) {
    if (bytes == 0) return;
    const auto* first = static_cast<const std::uint8_t*>(data);
    out_.insert(out_.end(), first, first + bytes);
  }

 private:
  Bytes& out_;
};

/// Reads fields. The first failure sticks; later reads leave their targets alone, and `finish`
/// reports it with the offset. A payload must be used up exactly.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan data) : data_(data) {}

  template <WireNumber V>
  void number(V& value) {
    if (const std::uint8_t* p = take(sizeof value)) std::memcpy(&value, p, sizeof value);
  }
  template <std::integral Wire, std::integral V>
  void number_as(V& value) {
    Wire read = 0;
    number(read);
    if (ok()) value = static_cast<V>(read);
  }
  void count(std::uint64_t& value) {
    std::uint64_t read = value;
    number(read);
    if (read > max_count) return set_failure("count ", read, ", expected at most ", max_count);
    value = read;
  }
  void boolean(bool& value) {
    std::uint8_t byte = 0;
    number(byte);
    if (byte > 1) set_failure("flag is neither 0 nor 1");
    value = byte == 1;
  }
  void string(std::string& text, std::size_t limit) {
    std::uint16_t length = 0;
    number(length);
    if (length > limit) return set_failure("text is longer than its limit");
    if (const std::uint8_t* p = take(length)) text.assign(reinterpret_cast<const char*>(p), length);
    if (ok() && !is_printable(text)) set_failure("text has a control character or is no UTF-8");
  }
  /// Made printable, since nothing but a person reads it.
  void words(std::string& text, std::size_t limit) {
    std::uint16_t length = 0;
    number(length);
    if (length > limit) return set_failure("text is longer than its limit");
    if (const std::uint8_t* p = take(length))
      text = make_printable({reinterpret_cast<const char*>(p), length});
  }
  template <NamedEnum E>
  bool name(E& value, std::size_t limit) {
    std::string text;
    string(text, limit);
    const std::optional<E> found = find_named<E>(text);
    if (found) value = *found;
    return found.has_value();
  }
  void digest(Sha256Digest& value) {
    if (const std::uint8_t* p = take(value.size())) std::memcpy(value.data(), p, value.size());
  }
  template <WireNumber V>
  void array(std::vector<V>& values, std::size_t limit) {
    const std::size_t count = read_count(limit);
    const std::uint8_t* p = take(count * sizeof(V));
    if (p == nullptr) return;
    values.resize(count);
    if (count != 0) std::memcpy(values.data(), p, count * sizeof(V));
  }
  template <class Item>
  void list(std::vector<Item>& items, std::size_t limit) {
    const std::size_t count = read_count(limit);
    items.clear();
    for (std::size_t i = 0; i < count && ok(); ++i) {
      // An item takes at least one byte, so a count larger than what is left cannot be honest.
      if (left() == 0) return set_failure("list is shorter than its count");
      items.emplace_back();
      Item::fields(items.back(), *this);
    }
  }
  void block(ByteSpan& bytes) {
    std::uint64_t length = 0;
    number(length);
    if (length > left()) return set_failure("ends too early");
    bytes = data_.subspan(at_, static_cast<std::size_t>(length));
    at_ += static_cast<std::size_t>(length);
  }
  void rest(ByteSpan& bytes) {
    if (!ok()) return;
    bytes = data_.subspan(at_);
    at_ = data_.size();
  }

  bool goes_on(bool) const { return ok() && left() > 0; }

  bool ok() const { return why_.empty(); }
  std::size_t left() const { return data_.size() - at_; }
  std::size_t offset() const { return at_; }

  /// Fails where a field that was read is out of range; ByteWriter raises an Error there.
  void require(bool good, const char* why) {
    if (!good) set_failure(why);
  }
  /// Marks the payload as wrong at the current offset; the first mark counts.
  template <class... Parts>
  void set_failure(const Parts&... why) {
    if (why_.empty()) why_ = concat(why...);
  }

  /// Failure where a field was wrong or bytes are left over.
  Result<void> finish(std::string_view what) const {
    if (!ok())
      return failure(ErrorCode::network, what, ": offset ", at_, " of ", data_.size(), ": ", why_);
    if (at_ != data_.size())
      return failure(ErrorCode::network, what, ": ", data_.size() - at_,
                     " bytes follow the end at ", at_);
    return {};
  }

 private:
  std::size_t read_count(std::size_t limit) {
    std::uint32_t count = 0;
    number(count);
    if (count <= limit) return count;
    set_failure("more elements than the limit");
    return 0;
  }
  const std::uint8_t* take(std::size_t bytes) {
    if (!ok()) return nullptr;
    if (bytes > left()) {
      set_failure("ends too early");
      return nullptr;
    }
    const std::uint8_t* p = data_.data() + at_;
    at_ += bytes;
    return p;
  }

  ByteSpan data_;
  std::size_t at_ = 0;
  std::string why_;
};

/// The payload of a message.
template <class M>
Bytes encode(const M& message) {
  Bytes out;
  ByteWriter writer(out);
  M::fields(message, writer);
  return out;
}

/// The message in a payload; fails on short, long or out-of-range content.
template <class M>
Result<M> decode(ByteSpan payload) {
  M message;
  ByteReader reader(payload);
  M::fields(message, reader);
  const Result<void> end = reader.finish(M::name);
  if (!end) return end.failure();
  return message;
}

}  // namespace net
IOTSL_NAMESPACE_END
