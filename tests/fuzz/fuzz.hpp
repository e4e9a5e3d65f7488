#pragma once
// What every fuzz target is: a function over bytes that ends the program, by an exception, where a
// reader does what it must not. The same functions run under libFuzzer (libfuzzer_main.cpp) and in
// the tests (replay_test.cpp).

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "iotsl/core/bytes.hpp"
#include "iotsl/core/error.hpp"
#include "iotsl/core/files/file.hpp"

namespace iotsl::fuzz {

using Bytes = std::vector<std::uint8_t>;

/// What one target reads, and where it begins.
struct Target {
  const char* name;
  /// Longest input: what a reader costs grows with it, so that it is as small as the format allows.
  std::size_t max_bytes;
  /// Throws where a property does not hold; a refused input is no fault.
  void (*run)(ByteSpan input);
  /// Valid inputs, made by the project's own writers.
  std::vector<Bytes> (*seeds)();
};

/// The targets of this program, in no order.
inline std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}
/// Enters targets while the program starts.
struct Registration {
  Registration(std::initializer_list<Target> added) { targets().insert(targets().end(), added); }
};

/// A property that does not hold.
struct Broken : std::logic_error {
  using std::logic_error::logic_error;
};
template <class... Parts>
void require(bool good, const Parts&... what) {
  if (!good) throw Broken(concat(what...));
}
/// The value of what must not fail; its own words where it does.
template <class V>
V expect(Result<V> result, const char* what) {
  if (!result) throw Broken(concat(what, ": ", result.failure().message));
  return std::move(result).value();
}

/// Takes fields off the front of an input; zeros beyond its end.
class Fields {
 public:
  explicit Fields(ByteSpan input) : rest_(input) {}
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t out = rest_[0];
    rest_ = rest_.subspan(1);
    return out;
  }
  std::uint16_t word() {
    const std::uint8_t low = byte();
    return static_cast<std::uint16_t>(low | byte() << 8);
  }
  ByteSpan bytes(std::size_t most) {
    const ByteSpan out = rest_.first(std::min(most, rest_.size()));
    rest_ = rest_.subspan(out.size());
    return out;
  }
  ByteSpan rest() const { return rest_; }

 private:
  ByteSpan rest_;
};

/// A file in memory under a path of its own, for readers that take a path. Given other content, it
/// keeps its path.
class MemoryFile {
 public:
  MemoryFile() : file_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    require(file_ >= 0, "cannot make a file in memory");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(file_); }

  const std::string& fill(ByteSpan content) {
    require(::ftruncate(file_, 0) == 0 && ::lseek(file_, 0, SEEK_SET) == 0 &&
                iotsl::detail::write_all(file_, content),
            "cannot fill a file in memory");
    return path_;
  }

 private:
  int file_;
  std::string path_ = concat("/proc/self/fd/", file_);
};

inline Bytes bytes_from(std::string_view text) { return Bytes(text.begin(), text.end()); }
inline Bytes joined(ByteSpan first, ByteSpan second) {
  Bytes out(first.begin(), first.end());
  out.insert(out.end(), second.begin(), second.end());
  return out;
}
/// One byte in front, as targets take a choice.
inline Bytes chosen(std::uint8_t choice, ByteSpan rest) { return joined({&choice, 1}, rest); }
inline bool same_bytes(ByteSpan a, ByteSpan b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace iotsl::fuzz
