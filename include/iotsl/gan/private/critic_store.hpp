#pragma once
// Critics on the disk between their turns, so that a device needs the memory of one however many
// there are. Each has two places in the file: while a training goes on it writes to the one that
// the last saved state does not need, so a training that was killed finds the critics of that
// state.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/hash.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

class CriticStore {
 public:
  /// Where a critic is: what a saved state remembers.
  struct Place {
    std::uint32_t number = 0;    ///< 1 or 2; 0: not written yet
    std::uint32_t checksum = 0;  ///< of what is there
  };

  /// `path`: readable for its owner alone, since critics have seen the samples without noise;
  /// empty: a file without a name, which ends with the program. `floats` of one critic.
  IOTSL_SMALL CriticStore(std::string path, Index critics, std::size_t floats)
      : path_(std::move(path)),
        place_bytes_(header_bytes + sizeof(float) * floats),
        now_(static_cast<std::size_t>(critics)),
        saved_(now_) {}

  bool has_name() const { return !path_.empty(); }
  bool holds(Index critic) const { return now_[index(critic)].number != 0; }

  /// Writes a critic's tensors and its number of updates.
  IOTSL_SMALL Result<void> write(Index critic, const std::vector<NamedTensor<float>>& state,
                                 std::uint64_t updates) {
    if (const Result<void> open = this->open(); !open) return open;
    const std::uint32_t number = saved_[index(critic)].number == 1 ? 2 : 1;
    std::uint8_t header[header_bytes];
    store_le(header, updates);
    std::uint32_t sum = crc32c(ByteSpan(header));
    std::uint64_t at = offset(critic, number);
    if (const Result<void> done = write_at(at, ByteSpan(header)); !done) return done;
    at += header_bytes;
    for (const NamedTensor<float>& t : state) {
      const ByteSpan bytes = bytes_of_tensor(t);
      sum = crc32c(bytes, sum);
      if (const Result<void> done = write_at(at, bytes); !done) return done;
      at += bytes.size();
    }
    now_[index(critic)] = {number, sum};
    return {};
  }

  /// Reads what write() wrote; the number of updates.
  IOTSL_SMALL Result<std::uint64_t> read(Index critic,
                                         const std::vector<NamedTensor<float>>& state) {
    if (const Result<void> open = this->open(); !open) return open.failure();
    const Place place = now_[index(critic)];
    std::uint8_t header[header_bytes];
    std::uint64_t at = offset(critic, place.number);
    bool whole = read_at(at, header, header_bytes);
    std::uint32_t sum = crc32c(ByteSpan(header));
    at += header_bytes;
    for (std::size_t i = 0; i < state.size() && whole; ++i) {
      Tensor<float> values = state[i].tensor;
      const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(values.size());
      whole = read_at(at, values.mutable_data(), bytes);
      sum = crc32c(bytes_of_tensor(state[i]), sum);
      at += bytes;
    }
    if (!whole || sum != place.checksum)
      return failure(ErrorCode::data, path_, ": critic ", critic,
                     " is damaged, or that of another state of the training");
    return load_le<std::uint64_t>(header);
  }

  /// Before the state that names the places is written.
  Result<void> sync() {
    if (file_.ok() && ::fsync(file_.get()) != 0)
      return iotsl::detail::file_failure(ErrorCode::other, path_, "cannot sync", errno);
    return {};
  }
  std::span<const Place> places() const { return now_; }
  /// After it was: what is written from now on spares these places.
  void saved() { saved_ = now_; }
  /// Takes over the places of a saved state.
  IOTSL_SMALL void restore(std::span<const Place> places) {
    std::copy(places.begin(), places.end(), now_.begin());
    saved_ = now_;
  }

 private:
  static constexpr std::size_t header_bytes = 8;

  static std::size_t index(Index critic) { return static_cast<std::size_t>(critic); }
  static ByteSpan bytes_of_tensor(const NamedTensor<float>& t) {
    return iotsl::bytes_of(t.tensor.data(), static_cast<std::size_t>(t.tensor.size()));
  }
  std::uint64_t offset(Index critic, std::uint32_t number) const {
    return (2 * static_cast<std::uint64_t>(critic) + number - 1) * place_bytes_;
  }

  IOTSL_SMALL Result<void> open() {
    if (file_.ok()) return {};
    if (has_name()) {
      file_ =
          iotsl::detail::Descriptor(iotsl::detail::open_retrying(path_, O_RDWR | O_CREAT, 0600));
    } else {
      const char* folder = std::getenv("TMPDIR");
      std::string name =
          join_path(folder != nullptr && *folder != 0 ? folder : "/tmp", "iotsl-critics-XXXXXX");
      file_ = iotsl::detail::Descriptor(::mkstemp(name.data()));
      if (file_.ok()) ::unlink(name.c_str());
    }
    if (!file_.ok())
      return iotsl::detail::file_failure(
          ErrorCode::other, has_name() ? path_ : "file of the critics", "cannot open", errno);
    if (!has_name()) return {};
    // The states that name places in it must not outlive it.
    const Result<void> named = iotsl::detail::sync_folder(iotsl::detail::parent_folder(path_));
    if (!named) file_ = iotsl::detail::Descriptor(-1);
    return named;
  }
  IOTSL_SMALL Result<void> write_at(std::uint64_t at, ByteSpan bytes) {
    while (!bytes.empty()) {
      const ssize_t done =
          ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0)
        return iotsl::detail::file_failure(ErrorCode::other, path_, "cannot write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(done));
      at += static_cast<std::uint64_t>(done);
    }
    return {};
  }
  bool read_at(std::uint64_t at, void* to, std::size_t bytes) {
    auto* next = static_cast<std::uint8_t*>(to);
    while (bytes > 0) {
      const ssize_t got = ::pread(file_.get(), next, bytes, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      next += got;
      bytes -= static_cast<std::size_t>(got);
      at += static_cast<std::uint64_t>(got);
    }
    return true;
  }

  std::string path_;
  std::uint64_t place_bytes_;
  std::vector<Place> now_, saved_;
  iotsl::detail::Descriptor file_{-1};
};

}  // namespace gan
IOTSL_NAMESPACE_END
