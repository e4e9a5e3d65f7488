#pragma once
// Rehearsal on the server (Robins 1995): smashed samples of the other devices' turns are trained on
// again with every batch, so that the back does not forget them. The plain rival of the generative
// replay that the paper cites (Qu et al.).

#include <algorithm>
#include <span>
#include <vector>

#include "iotsl/core/random.hpp"
#include "iotsl/core/tensor.hpp"
#include "iotsl/split/halves/state_part.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Smashed samples with their labels, an equal part of the memory for each device. A device's part
/// is a reservoir (Vitter 1985, algorithm R) over the samples of its present or last turn: every
/// one of them is kept with the same probability, and what is replayed is never older than a round,
/// since old smashed samples are those of an old front.
class ReplayMemory {
 public:
  static constexpr std::uint64_t limit_bytes = std::uint64_t{2} << 30;

  struct Samples {
    Tensor<float> smashed;  ///< [n, ...]; undefined where there are none
    std::vector<std::int32_t> labels;
  };

  /// A memory that keeps nothing.
  ReplayMemory() = default;

  /// Whether a memory of `capacity` samples of the shape of `sample` [1, ...] has a place for each
  /// device and is not too large. 0: there is none.
  static Result<void> check(Index capacity, Index devices, const Shape& sample) {
    if (capacity == 0) return {};
    if (capacity < devices)
      return failure(ErrorCode::usage, "--replay ", capacity, ": expected at least one sample for ",
                     "each of ", devices, " devices");
    const std::uint64_t each = sizeof(float) * static_cast<std::uint64_t>(sample.elements() + 1);
    if (static_cast<std::uint64_t>(capacity) > limit_bytes / each)
      return failure(ErrorCode::usage, "--replay ", capacity, ": a smashed sample takes ", each,
                     " bytes; expected at most ", limit_bytes / each, " samples, ",
                     limit_bytes >> 20, " MiB");
    return {};
  }

  /// At most `capacity` samples, which check() accepts. `seed` of the run.
  static Result<ReplayMemory> create(Index capacity, Index devices, const Shape& sample,
                                     std::uint64_t seed) {
    const Result<void> good = check(capacity, devices, sample);
    if (!good) return good.failure();
    if (capacity == 0) return ReplayMemory();
    ReplayMemory out;
    out.share_ = capacity / devices;
    out.seed_ = seed;
    Shape shape{out.share_ * devices};
    for (int d = 1; d < sample.rank(); ++d) shape.push_back(sample[d]);
    out.values_ = Tensor<float>::zeros(shape);
    out.labels_.resize(static_cast<std::size_t>(out.share_ * devices));
    out.seen_.resize(static_cast<std::size_t>(devices));
    out.held_.resize(static_cast<std::size_t>(devices));
    return out;
  }

  bool keeps_samples() const { return share_ > 0; }
  /// Samples held of one device.
  Index held(std::size_t device) const { return static_cast<Index>(held_[device]); }

  /// The device begins a turn: its samples are replaced as new ones come. A second call before the
  /// turn's first step changes nothing.
  void begin_turn(std::size_t device) {
    if (keeps_samples()) seen_[device] = 0;
  }

  /// `count` samples of all devices but this one, each drawn from everything that is held of them;
  /// none as long as nothing is. A function of the run's seed, the step and what is held.
  Samples draw(std::size_t device, Index count, std::uint64_t step) const {
    Samples out;
    Index others = 0;
    for (std::size_t d = 0; d < held_.size(); ++d)
      if (d != device) others += held(d);
    if (others == 0) return out;
    Shape shape{count};
    for (int d = 1; d < values_.rank(); ++d) shape.push_back(values_.shape()[d]);
    out.smashed = Tensor<float>::uninitialized(shape);
    const Random random(seed_, Stream::replay_draw, static_cast<std::uint32_t>(step));
    const Index size = sample_size();
    float* smashed = out.smashed.mutable_data();
    for (Index i = 0; i < count; ++i) {
      auto left = static_cast<Index>(
          random.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(others)));
      std::size_t d = device == 0 ? 1 : 0;
      while (left >= held(d)) {
        left -= held(d);
        d += d + 1 == device ? 2 : 1;
      }
      const Index place = static_cast<Index>(d) * share_ + left;
      std::copy_n(values_.data() + place * size, size, smashed + i * size);
      out.labels.push_back(labels_[static_cast<std::size_t>(place)]);
    }
    return out;
  }

  /// Looks at a batch [n, ...] of the device's turn number `turn`, and keeps some of it.
  void keep(std::size_t device, std::uint64_t turn, const Tensor<float>& smashed,
            std::span<const std::int32_t> labels) {
    if (!keeps_samples()) return;
    const Random random(seed_, Stream::replay_keep, static_cast<std::uint32_t>(turn));
    const Index size = sample_size();
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const std::uint64_t number = seen_[device]++;
      const auto share = static_cast<std::uint64_t>(share_);
      const std::uint64_t at = number < share ? number : random.below(number, number + 1);
      if (at >= share) continue;
      held_[device] = std::max(held_[device], at + 1);
      const Index place = static_cast<Index>(device) * share_ + static_cast<Index>(at);
      std::copy_n(smashed.data() + static_cast<Index>(i) * size, size,
                  values_.mutable_data() + place * size);
      labels_[static_cast<std::size_t>(place)] = labels[i];
    }
  }

  /// All of it, for barriers.
  std::vector<StatePart> parts() {
    if (!keeps_samples()) return {};
    const auto part = [](const char* name, auto* data, std::size_t count) {
      return StatePart{name, reinterpret_cast<std::uint8_t*>(data), count * sizeof(*data)};
    };
    return {
        part("replay/smashed", values_.mutable_data(), static_cast<std::size_t>(values_.size())),
        part("replay/labels", labels_.data(), labels_.size()),
        part("replay/seen", seen_.data(), seen_.size()),
        part("replay/held", held_.data(), held_.size())};
  }

 private:
  Index sample_size() const { return values_.size() / values_.shape()[0]; }

  Index share_ = 0;  // places of each device, one after the other
  std::uint64_t seed_ = 0;
  Tensor<float> values_;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint64_t> seen_,
      held_;  // of each device: samples of its turn so far; places used
};

}  // namespace split
IOTSL_NAMESPACE_END
