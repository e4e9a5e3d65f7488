#pragma once
// The smashed samples of a device whose front never changes: each is sent once, and the server
// trains on it as often as it likes. A file mapped into memory, so that what is held is the
// system's to decide; without a run folder it is memory.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <span>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/hash.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// One device's smashed samples as they arrived, in the form of the wire, with their labels.
///
/// File: header of 128 bytes, the samples by their place among the device's own, the labels as
/// int32. It has its whole size from the beginning.
class SmashedCache {
 public:
  SmashedCache() = default;
  SmashedCache(SmashedCache&& other) noexcept { swap(other); }
  SmashedCache& operator=(SmashedCache&& other) noexcept {
    swap(other);
    return *this;
  }
  ~SmashedCache() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }

  /// Bytes of a cache of `samples` of `sample_bytes` each.
  static std::uint64_t file_bytes(std::uint64_t samples, std::uint64_t sample_bytes) {
    return header_bytes + samples * (sample_bytes + label_bytes);
  }

  /// An empty cache of a device `name` with place for `samples`, more than none. `path`: empty for
  /// memory. The file appears under its name when it is whole.
  static Result<SmashedCache> create(const std::string& path, std::uint64_t samples,
                                     std::uint64_t sample_bytes, std::string_view name) {
    SmashedCache out;
    out.path_ = path;
    out.header_ = {.samples = samples, .sample_bytes = sample_bytes};
    std::copy_n(name.data(), std::min(name.size(), sizeof out.header_.name), out.header_.name);
    const Result<void> sized = out.set_size(file_bytes(samples, sample_bytes));
    if (!sized) return sized.failure();
    const Result<void> made = path.empty() ? out.take_memory() : out.make_file();
    if (!made) return made.failure();
    return out;
  }

  /// The cache at `path` of samples of `sample_bytes`, as an earlier start has left it.
  static Result<SmashedCache> load(const std::string& path, std::uint64_t sample_bytes) {
    SmashedCache out;
    out.path_ = path;
    const iotsl::detail::Descriptor file(iotsl::detail::open_retrying(path, O_RDWR));
    if (!file.ok()) return iotsl::detail::file_failure(ErrorCode::data, path, "cannot open", errno);
    const Result<std::uint64_t> found = file_size(path);
    if (!found) return found.failure();
    const auto wrong = [&] {
      return failure(ErrorCode::data, path, ": is no cache of smashed samples of ", sample_bytes,
                     " bytes, or was cut short: it has ", *found, " bytes");
    };
    if (*found < header_bytes) return wrong();
    Result<void> done = out.set_size(*found);
    if (done) done = out.map(file.get());
    if (!done) return done.failure();
    const Header wanted;
    Header& header = out.header_;
    std::memcpy(&header, out.data_, sizeof header);
    if (header.magic != wanted.magic || header.version != wanted.version || header.samples == 0 ||
        header.samples > *found || header.sample_bytes != sample_bytes ||
        file_bytes(header.samples, sample_bytes) != *found)
      return wrong();
    if (out.complete() && header.hash != out.content_hash())
      return failure(ErrorCode::data, path,
                     ": is damaged: its content does not have the hash that it was closed with");
    return out;
  }

  /// Whether every sample is there.
  bool complete() const { return header_.complete != 0; }
  std::uint64_t samples() const { return header_.samples; }
  /// Of the device, as it was when the cache was made.
  std::string name() const {
    const char* const first = header_.name;
    return std::string(first, std::find(first, first + sizeof header_.name, '\0'));
  }

  /// `content` [places.size(), sample_bytes] and labels of the samples at `places`.
  void put(std::span<const Index> places, ByteSpan content, std::span<const std::int32_t> labels) {
    if (content.size() != places.size() * sample_bytes() || labels.size() != places.size())
      fail("smashed cache: ", content.size(), " bytes and ", labels.size(), " labels for ",
           places.size(), " samples of ", sample_bytes(), " bytes");
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::memcpy(sample(places[i]), content.data() + i * sample_bytes(), sample_bytes());
      std::memcpy(label(places[i]), &labels[i], label_bytes);
    }
  }

  struct Batch {
    std::vector<std::uint8_t> content;
    std::vector<std::int32_t> labels;
  };
  Batch take(std::span<const Index> places) const {
    Batch out;
    out.content.resize(places.size() * sample_bytes());
    out.labels.resize(places.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::memcpy(out.content.data() + i * sample_bytes(), sample(places[i]), sample_bytes());
      std::memcpy(&out.labels[i], label(places[i]), label_bytes);
    }
    return out;
  }

  /// All that was put lies on the disk.
  Result<void> sync() {
    if (!path_.empty() && ::msync(data_, size_, MS_SYNC) != 0)
      return iotsl::detail::file_failure(ErrorCode::other, path_, "cannot write", errno);
    return {};
  }
  /// Every sample was put: from now on the cache is complete(), on the disk once the samples are.
  Result<void> close() {
    const Result<void> there = sync();
    if (!there) return there;
    header_.hash = content_hash();
    header_.complete = 1;
    write_header();
    return sync();
  }

 private:
  static constexpr std::size_t header_bytes = 128, label_bytes = sizeof(std::int32_t);
  struct Header {
    std::uint64_t magic = 0x6568636163736973;  ///< "siscache", as the file begins
    std::uint64_t version = 1, samples = 0, sample_bytes = 0;
    std::uint64_t complete = 0, hash = 0;  ///< XXH64 of what follows, once all of it is there
    char name[64] = {};                    ///< of the device; ends at a 0 or with the field
    std::uint64_t unused[2] = {};
  };
  static_assert(sizeof(Header) == header_bytes);

  Result<void> set_size(std::uint64_t bytes) {
    constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();
    if (bytes > static_cast<std::uint64_t>(most))
      return failure(ErrorCode::other, path_, ": ", bytes,
                     " bytes of smashed samples, more than this machine can map");
    size_ = static_cast<std::size_t>(bytes);
    return {};
  }
  Result<void> take_memory() {
    void* const memory =
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return failure(ErrorCode::other, "no memory for ", size_, " bytes of smashed samples");
    data_ = static_cast<std::uint8_t*>(memory);
    write_header();
    return {};
  }
  Result<void> map(int file) {
    void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
      return iotsl::detail::file_failure(ErrorCode::other, path_, "cannot map into memory", errno);
    data_ = static_cast<std::uint8_t*>(memory);
    return {};
  }
  Result<void> make_file() {
    const std::string temporary = path_ + ".tmp";
    Result<void> made = fill_new_file(temporary);
    if (made && ::rename(temporary.c_str(), path_.c_str()) != 0)
      made = iotsl::detail::file_failure(ErrorCode::other, path_,
                                         "cannot rename the new file to it", errno);
    if (!made) {
      ::unlink(temporary.c_str());
      return made;
    }
    return iotsl::detail::sync_folder(iotsl::detail::parent_folder(path_));
  }
  Result<void> fill_new_file(const std::string& path) {
    const iotsl::detail::Descriptor file(
        iotsl::detail::open_retrying(path, O_RDWR | O_CREAT | O_TRUNC, 0666));
    if (!file.ok())
      return iotsl::detail::file_failure(ErrorCode::other, path, "cannot create", errno);
    // Writing into a mapped file whose disk is full would kill the process.
    const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(size_));
    if (error != 0)
      return failure(ErrorCode::other, path_, ": cannot reserve ", size_,
                     " bytes: ", std::strerror(error));
    const Result<void> mapped = map(file.get());
    if (!mapped) return mapped;
    write_header();
    return sync();
  }

  void write_header() { std::memcpy(data_, &header_, sizeof header_); }
  std::size_t sample_bytes() const { return static_cast<std::size_t>(header_.sample_bytes); }
  std::uint8_t* sample(Index place) const {
    return data_ + header_bytes + at(place) * sample_bytes();
  }
  std::uint8_t* label(Index place) const {
    const auto all = static_cast<std::size_t>(samples());
    return data_ + header_bytes + all * sample_bytes() + at(place) * label_bytes;
  }
  std::size_t at(Index place) const {
    if (place < 0 || static_cast<std::uint64_t>(place) >= samples())
      fail("smashed cache: place ", place, " of ", samples());
    return static_cast<std::size_t>(place);
  }
  std::uint64_t content_hash() const {
    return XxHash64().update(ByteSpan(data_ + header_bytes, size_ - header_bytes)).digest();
  }
  void swap(SmashedCache& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(header_, other.header_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  std::string path_;
  Header header_;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
