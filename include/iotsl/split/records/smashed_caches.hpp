#pragma once
// What a run of method cache keeps of its devices.

#include <optional>

#include "iotsl/data/loader.hpp"
#include "iotsl/split/halves/wire_sizes.hpp"
#include "iotsl/split/protocol/server_actions.hpp"
#include "iotsl/split/records/preparation_record.hpp"
#include "iotsl/split/records/smashed_cache.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

inline constexpr const char* cache_folder = "cache";

/// The caches of a run's devices, and which samples a batch of theirs has: a device goes over its
/// samples in an order that the server knows as well (data::epoch_order), an epoch a round.
class SmashedCaches {
 public:
  /// Keeps nothing.
  SmashedCaches() = default;
  /// `run`: the run folder, empty for memory. `shape`: of a smashed sample [1, ...].
  SmashedCaches(std::string run, Index devices, std::uint64_t seed, Index batch,
                const WireSizes& sizes, Shape shape)
      : run_(std::move(run)),
        seed_(seed),
        batch_(batch),
        sample_bytes_(sizes.format.smashed_bytes(1, sizes.smashed_values)),
        format_(sizes.format),
        shape_(std::move(shape)),
        caches_(static_cast<std::size_t>(devices)) {}

  bool keeps_samples() const { return !caches_.empty(); }

  /// Takes up what a run that goes on has of its devices.
  Result<void> take_up() {
    for (std::size_t device = 0; device < caches_.size() && !run_.empty(); ++device) {
      if (!file_exists(path_of(device))) continue;
      const Result<std::uint64_t> samples =
          SmashedCache::samples_of(path_of(device), sample_bytes_);
      if (!samples) return samples.failure();
      const Result<void> opened = open(device, *samples, "");
      if (!opened) return opened;
    }
    return {};
  }
  /// Of a device with so many samples, before its first batch; again it does nothing.
  Result<void> open(std::size_t device, std::uint64_t samples, std::string_view name) {
    if (caches_[device].samples() == samples) return {};
    if (!run_.empty()) {
      const Result<void> made = create_folders(join_path(run_, cache_folder));
      if (!made) return made;
    }
    Result<SmashedCache> cache =
        SmashedCache::open(run_.empty() ? "" : path_of(device), samples, sample_bytes_, name);
    if (!cache) return cache.failure();
    caches_[device] = std::move(cache).value();
    return {};
  }
  /// The device, where every sample of it is here.
  std::optional<CachedDevice> known(std::size_t device) const {
    const SmashedCache& cache = caches_[device];
    if (cache.samples() == 0 || !cache.complete()) return std::nullopt;
    return CachedDevice{cache.name(), cache.samples()};
  }

  /// Batch number `batch` of a device's epoch in `round`, as it arrived.
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
    return {format_.decode_smashed(rows.content, shape), std::move(rows.labels)};
  }
  Result<void> commit(std::size_t device, bool complete) {
    return caches_[device].commit(complete);
  }

 private:
  std::string path_of(std::size_t device) const {
    return join_path(join_path(run_, cache_folder), device_file_name(device, ".cache"));
  }
  std::span<const Index> places(std::size_t device, Index round, Index batch) {
    if (!drawn_ || drawn_->device != device || drawn_->round != round) {
      const auto samples = static_cast<Index>(caches_[device].samples());
      drawn_ =
          Order{device, round, data::epoch_order(samples, seed_, static_cast<Index>(device), round),
                data::batch_ranges(samples, batch_)};
    }
    const data::BatchRange& range = drawn_->ranges.at(static_cast<std::size_t>(batch));
    return std::span<const Index>(drawn_->places)
        .subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
  }

  struct Order {
    std::size_t device;
    Index round;
    std::vector<Index> places;
    std::vector<data::BatchRange> ranges;
  };

  std::string run_;
  std::uint64_t seed_ = 0;
  Index batch_ = 0;
  std::uint64_t sample_bytes_ = 0;
  net::WireFormat format_;
  Shape shape_;
  std::vector<SmashedCache> caches_;
  std::optional<Order> drawn_;  // of the last batch
};

}  // namespace split
IOTSL_NAMESPACE_END
