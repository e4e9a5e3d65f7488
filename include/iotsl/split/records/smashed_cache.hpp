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
#include <span>

#include "iotsl/core/file.hpp"
#include "iotsl/core/hash.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// One device's smashed samples as they arrived, in the form of the wire, with their labels.
///
/// File: header of 128 bytes (magic, version, samples, bytes of a sample, whether all are there and
/// XXH64 of them then, the device's name), the samples by their place among the device's own, the
/// labels as int32.
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

  /// Samples of `sample_bytes` each that a file has place for.
  static Result<std::uint64_t> samples_of(const std::string& path, std::uint64_t sample_bytes) {
    const Result<std::uint64_t> size = file_size(path);
    if (!size) return size.failure();
    const std::uint64_t each = sample_bytes + label_bytes;
    if (*size < header_bytes + each || (*size - header_bytes) % each != 0)
      return failure(ErrorCode::data, path, ": ", *size,
                     " bytes are no whole number of samples of ", each);
    return (*size - header_bytes) / each;
  }

  /// `samples` above 0. `path`: empty for memory. A file of the same sizes is taken up; of any
  /// other, refused.
  static Result<SmashedCache> open(const std::string& path, std::uint64_t samples,
                                   std::uint64_t sample_bytes, std::string_view name) {
    SmashedCache out;
    out.path_ = path;
    out.samples_ = samples;
    out.sample_bytes_ = sample_bytes;
    out.size_ = static_cast<std::size_t>(header_bytes + samples * (sample_bytes + label_bytes));
    const bool taken_up = !path.empty() && file_exists(path);
    const Result<void> mapped = out.map(taken_up);
    if (!mapped) return mapped.failure();
    Header wanted{.samples = samples, .sample_bytes = sample_bytes};
    std::copy_n(name.data(), std::min(name.size(), sizeof wanted.name), wanted.name);
    Header& header = out.header();
    if (!taken_up) {
      header = wanted;
    } else if (header.magic != wanted.magic || header.version != wanted.version ||
               header.samples != samples || header.sample_bytes != sample_bytes) {
      return failure(ErrorCode::data, path, ": is no cache of ", samples, " smashed samples of ",
                     sample_bytes, " bytes");
    } else if (header.complete != 0 && header.hash != out.content_hash()) {
      return failure(ErrorCode::data, path,
                     ": is damaged: its content does not have the hash that it was closed with");
    }
    return out;
  }

  /// Whether every sample is there.
  bool complete() const { return header().complete != 0; }
  std::uint64_t samples() const { return samples_; }
  /// Of the device, as it was when the file was made.
  std::string name() const {
    const char* const first = header().name;
    return std::string(first, std::find(first, first + sizeof header().name, '\0'));
  }

  /// `content` [places.size(), sample_bytes] and labels of the samples at `places`.
  void put(std::span<const Index> places, ByteSpan content, std::span<const std::int32_t> labels) {
    if (content.size() != places.size() * sample_bytes_ || labels.size() != places.size())
      fail("smashed cache: ", content.size(), " bytes and ", labels.size(), " labels for ",
           places.size(), " samples of ", sample_bytes_, " bytes");
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::memcpy(sample(places[i]), content.data() + i * sample_bytes_, sample_bytes_);
      std::memcpy(label(places[i]), &labels[i], label_bytes);
    }
  }

  struct Batch {
    std::vector<std::uint8_t> content;
    std::vector<std::int32_t> labels;
  };
  Batch take(std::span<const Index> places) const {
    Batch out;
    out.content.resize(places.size() * sample_bytes_);
    out.labels.resize(places.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::memcpy(out.content.data() + i * sample_bytes_, sample(places[i]), sample_bytes_);
      std::memcpy(&out.labels[i], label(places[i]), label_bytes);
    }
    return out;
  }

  /// All that was put is on the disk; `complete`: and nothing is missing.
  Result<void> commit(bool complete) {
    if (complete) {
      header().hash = content_hash();
      header().complete = 1;
    }
    if (!path_.empty() && ::msync(data_, size_, MS_SYNC) != 0)
      return detail::file_failure(ErrorCode::other, path_, "cannot write", errno);
    return {};
  }

 private:
  static constexpr std::size_t header_bytes = 128, label_bytes = sizeof(std::int32_t);
  struct Header {
    std::uint64_t magic = 0x6568636163726964;  ///< "dircache", as the file begins
    std::uint64_t version = 1, samples = 0, sample_bytes = 0, complete = 0, hash = 0;
    char name[64] = {};  ///< ends at a 0 or with the field
    std::uint64_t unused[2] = {};
  };
  static_assert(sizeof(Header) == header_bytes);

  Result<void> map(bool taken_up) {
    if (path_.empty()) {
      data_ = mapped(
          ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      if (data_ == nullptr)
        return failure(ErrorCode::other, "no memory for ", size_, " bytes of smashed samples");
      return {};
    }
    const detail::Descriptor file(
        detail::open_retrying(path_, O_RDWR | (taken_up ? 0 : O_CREAT | O_EXCL), 0666));
    if (file.get() < 0) return detail::file_failure(ErrorCode::other, path_, "cannot open", errno);
    if (taken_up) {
      const Result<std::uint64_t> found = file_size(path_);
      if (!found) return found.failure();
      if (*found != size_)
        return failure(ErrorCode::data, path_, ": has ", *found, " bytes, expected ", size_);
    } else if (const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(size_));
               error != 0) {
      // Reserved at once: writing into a mapped file whose disk is full kills the process.
      ::unlink(path_.c_str());
      return failure(ErrorCode::other, path_, ": cannot reserve ", size_,
                     " bytes: ", std::strerror(error));
    }
    data_ = mapped(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
    if (data_ == nullptr)
      return detail::file_failure(ErrorCode::other, path_, "cannot map into memory", errno);
    return {};
  }
  static std::uint8_t* mapped(void* address) {
    return address == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(address);
  }

  Header& header() const { return *reinterpret_cast<Header*>(data_); }
  std::uint8_t* sample(Index place) const {
    check(place);
    return data_ + header_bytes + static_cast<std::size_t>(place) * sample_bytes_;
  }
  std::uint8_t* label(Index place) const {
    check(place);
    return data_ + header_bytes + samples_ * sample_bytes_ +
           static_cast<std::size_t>(place) * label_bytes;
  }
  void check(Index place) const {
    if (place < 0 || static_cast<std::uint64_t>(place) >= samples_)
      fail("smashed cache: place ", place, " of ", samples_);
  }
  std::uint64_t content_hash() const {
    XxHash64 hash;
    hash.update(ByteSpan(data_ + header_bytes, size_ - header_bytes));
    return hash.digest();
  }
  void swap(SmashedCache& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(samples_, other.samples_);
    std::swap(sample_bytes_, other.sample_bytes_);
  }

  std::string path_;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t samples_ = 0, sample_bytes_ = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
