#pragma once
// What a run of method cache keeps of its devices.

#include <optional>

#include "iotsl/data/loader.hpp"
#include "iotsl/split/halves/wire_sizes.hpp"
#include "iotsl/split/protocol/server/server_actions.hpp"
#include "iotsl/split/records/preparation_record.hpp"
#include "iotsl/split/records/run_config.hpp"
#include "iotsl/split/records/smashed_cache.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

inline constexpr const char* cache_folder = "cache";

/// Bytes that the smashed samples of devices with so many each take.
inline std::uint64_t cache_bytes(const WireSizes& sizes,
                                 const std::vector<std::uint64_t>& samples) {
  std::uint64_t sum = 0;
  for (const std::uint64_t n : samples)
    sum += SmashedCache::file_bytes(n, sizes.format.smashed_bytes(1, sizes.smashed_values));
  return sum;
}
/// Whether that is within --cache-limit.
inline Result<void> check_cache_limit(double limit_gib, std::uint64_t bytes) {
  if (static_cast<double>(bytes) <= limit_gib * 0x1p30) return {};
  return failure(ErrorCode::usage, "--cache-limit ", limit_gib,
                 " GiB: the smashed samples of all devices take ", (bytes >> 20) + 1, " MiB");
}

/// The caches of a run's devices, and which samples a batch of theirs has: a device goes over its
/// samples in an order that the server knows as well (data::epoch_order), an epoch a round.
///
/// A barrier's samples are synced before it is written, and a cache is closed behind the barrier
/// that its device's turn ends with: the samples of a cache that is complete are in the books.
class SmashedCaches {
 public:
  /// Keeps nothing.
  SmashedCaches() = default;
  /// Of a run of method cache. `shape`: of a smashed sample [1, ...].
  SmashedCaches(const RunConfig& config, const WireSizes& sizes, Shape shape)
      : run_(config.out),
        seed_(config.seed),
        batch_(config.training.batch),
        limit_gib_(config.cache_limit_gib),
        sizes_(sizes),
        shape_(std::move(shape)),
        caches_(static_cast<std::size_t>(config.devices)) {}

  bool keeps_samples() const { return !caches_.empty(); }

  /// Takes the files of a run off the disk, whose turns need them no more.
  static void remove(const RunConfig& config) {
    const std::string folder = join_path(config.out, cache_folder);
    for (std::size_t device = 0; device < static_cast<std::size_t>(config.devices); ++device)
      ::unlink(join_path(folder, device_file_name(device, ".cache")).c_str());
    ::rmdir(folder.c_str());
  }

  /// Takes up what an earlier start has left of its devices, where the run goes on at `start`.
  Result<void> take_up(const BarrierRecord& start) {
    for (std::size_t device = 0; device < caches_.size() && !run_.empty(); ++device) {
      const Result<bool> there = look_for_file(path_of(device));
      if (!there) return there.failure();
      if (!*there) continue;
      Result<SmashedCache> cache = SmashedCache::load(path_of(device), sample_bytes());
      if (!cache) return cache.failure();
      caches_[device] = std::move(cache).value();
    }
    const TurnReport& turn = start.report;
    const bool closes = keeps_samples() && start.turn_complete() && !turn.cached;
    return closes ? close(turn.device) : Result<void>{};
  }

  /// Whether caches of devices with at least so many samples are within the limit and have room on
  /// the disk.
  Result<void> check_room(const std::vector<std::uint64_t>& samples) const {
    std::vector<std::uint64_t> missing;
    for (std::size_t device = 0; device < samples.size(); ++device)
      if (caches_[device].samples() == 0) missing.push_back(samples[device]);
    const Result<void> good = check_cache_limit(limit_gib_, cache_bytes(sizes_, samples));
    if (!good || run_.empty()) return good;
    return iotsl::detail::check_free_space(run_, join_path(run_, cache_folder),
                                           cache_bytes(sizes_, missing));
  }
  /// Makes the caches that are not there yet, of devices with so many samples and these names: all
  /// of them or none.
  Result<void> reserve(const std::vector<std::uint64_t>& samples,
                       const std::vector<std::string>& names) {
    Result<void> done = check_room(samples);
    if (done && !run_.empty()) done = create_folders(join_path(run_, cache_folder));
    std::vector<std::size_t> made;
    for (std::size_t device = 0; done && device < caches_.size(); ++device)
      done = make(device, samples[device], names[device], made);
    if (done) return done;
    for (const std::size_t device : made) {
      caches_[device] = {};
      if (!run_.empty()) ::unlink(path_of(device).c_str());
    }
    return done;
  }

  /// The device, where every sample of it is here.
  std::optional<CachedDevice> known(std::size_t device) const {
    const SmashedCache& cache = caches_[device];
    if (!cache.complete()) return std::nullopt;
    return CachedDevice{cache.name(), cache.samples()};
  }

  /// Batch number `batch` of a device's epoch in `round`, as it arrived; of the size that the
  /// order gives it.
  void keep(std::size_t device, Index round, Index batch, ByteSpan content,
            std::span<const std::int32_t> labels) {
    caches_[device].put(places(device, round, batch), content, labels);
  }
  struct Batch {
    Tensor<float> smashed;
    std::vector<std::int32_t> labels;
  };
  Batch take(std::size_t device, Index round, Index batch) {
    SmashedCache::Batch rows = caches_[device].take(places(device, round, batch));
    Shape shape{static_cast<Index>(rows.labels.size())};
    for (int d = 1; d < shape_.rank(); ++d) shape.push_back(shape_[d]);
    return {sizes_.format.decode_smashed(rows.content, shape), std::move(rows.labels)};
  }

  /// What was kept of the device lies on the disk.
  Result<void> sync(std::size_t device) { return caches_[device].sync(); }
  /// A turn of the device is in the books to its end: every sample of it is here.
  Result<void> close(std::size_t device) {
    return caches_[device].complete() ? Result<void>{} : caches_[device].close();
  }

 private:
  std::uint64_t sample_bytes() const {
    return sizes_.format.smashed_bytes(1, sizes_.smashed_values);
  }
  std::string path_of(std::size_t device) const {
    return join_path(join_path(run_, cache_folder), device_file_name(device, ".cache"));
  }
  Result<void> make(std::size_t device, std::uint64_t samples, const std::string& name,
                    std::vector<std::size_t>& made) {
    const std::string path = run_.empty() ? std::string() : path_of(device);
    if (caches_[device].samples() == samples) return {};
    if (caches_[device].samples() != 0)
      return failure(ErrorCode::data, path, ": is of ", caches_[device].samples(),
                     " samples, the device has ", samples);
    Result<SmashedCache> cache = SmashedCache::create(path, samples, sample_bytes(), name);
    if (!cache) return cache.failure();
    caches_[device] = std::move(cache).value();
    made.push_back(device);
    return {};
  }
  std::span<const Index> places(std::size_t device, Index round, Index batch) {
    if (!drawn_ || drawn_->device != device || drawn_->round != round) {
      const auto samples = static_cast<Index>(caches_[device].samples());
      drawn_ =
          Order{device, round, data::epoch_order(samples, seed_, static_cast<Index>(device), round),
                data::batch_ranges(samples, batch_)};
    }
    const data::BatchRange& range = drawn_->ranges[static_cast<std::size_t>(batch)];
    return std::span<const Index>(drawn_->places)
        .subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
  }

  struct Order {
    std::size_t device;
    Index round;
    std::vector<Index> places;
    std::vector<data::BatchRange> ranges;
  };

  std::string run_;  // folder; empty: the caches are memory
  std::uint64_t seed_ = 0;
  Index batch_ = 0;
  double limit_gib_ = 0;
  WireSizes sizes_;
  Shape shape_;
  std::vector<SmashedCache> caches_;  // of each device; of none of its samples until reserve()
  std::optional<Order> drawn_;        // of the last batch
};

/// The files of a run whose front has begun to be trained. The barrier before that, to which a run
/// goes back where the one behind it is damaged, needs them: they go with the next barrier.
class OldCaches {
 public:
  void keep() { are_kept_ = true; }
  /// Another barrier is on the disk, or the run is over.
  void let_go(const RunConfig& config) {
    if (are_kept_) SmashedCaches::remove(config);
    are_kept_ = false;
  }

 private:
  bool are_kept_ = false;
};

}  // namespace split
IOTSL_NAMESPACE_END
