#pragma once
// Batches of one device's samples in an order that is a function of (seed, device, round), so that
// a retry after a broken connection computes the same bytes.

#include <vector>

#include "iotsl/data/batch.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// A random order of 0 ... count-1.
inline std::vector<Index> epoch_order(Index count, std::uint64_t seed, Index device, Index round) {
  if (device < 0 || device >> 24 != 0 || round < 0 || round >> 31 != 0 || count >> 32 != 0)
    fail("epoch_order: device ", device, ", round ", round, ", ", count, " samples");
  std::vector<Index> order = count_up(count);
  const Random random(seed, Stream::shuffle, static_cast<std::uint32_t>(round));
  shuffle_values(std::span(order), random, static_cast<std::uint64_t>(device) << 32);
  return order;
}

/// Places [begin, end) of one batch in an epoch's order.
struct BatchRange {
  Index begin = 0;
  Index end = 0;
  Index size() const { return end - begin; }
};

/// Cuts an epoch of `count` samples into batches. A last batch of one sample joins the one before,
/// because batch normalisation has no variance of one sample; so a batch has at most batch + 1.
inline std::vector<BatchRange> batch_ranges(Index count, Index batch) {
  if (batch < 1) fail("batch_ranges: batch of ", batch, " samples, expected at least 1");
  std::vector<BatchRange> out;
  for (Index begin = 0; begin < count; begin += batch)
    out.push_back({begin, std::min(begin + batch, count)});
  if (batch > 1 && out.size() > 1 && out.back().size() == 1) {
    out.pop_back();
    out.back().end = count;
  }
  return out;
}

/// The batches of some samples of a set, epoch after epoch.
class Loader {
 public:
  /// `samples` are numbers in `set`, which must outlive the loader.
  Loader(const Dataset& set, std::vector<Index> samples, Index batch)
      : set_(&set),
        samples_(std::move(samples)),
        ranges_(batch_ranges(static_cast<Index>(samples_.size()), batch)) {
    order_ = samples_;
  }
  /// All samples of the set.
  Loader(const Dataset& set, Index batch) : Loader(set, count_up(set.size()), batch) {}
  Loader(Dataset&&, std::vector<Index>, Index) = delete;  // the set would be gone
  Loader(Dataset&&, Index) = delete;

  /// Draws the order of a device's epoch. Before the first call the samples are in their own order.
  void start_epoch(std::uint64_t seed, Index device, Index round) {
    const std::vector<Index> order = epoch_order(samples(), seed, device, round);
    for (std::size_t i = 0; i < order.size(); ++i)
      order_[i] = samples_[static_cast<std::size_t>(order[i])];
  }

  Index samples() const { return static_cast<Index>(samples_.size()); }
  Index batches() const { return static_cast<Index>(ranges_.size()); }
  Index batch_size(Index b) const { return range(b).size(); }
  /// Numbers, in the set, of the samples of batch b.
  std::span<const Index> batch(Index b) const {
    const BatchRange& r = range(b);
    return std::span(order_).subspan(static_cast<std::size_t>(r.begin),
                                     static_cast<std::size_t>(r.size()));
  }
  /// Batch b, of batch_size(b) samples.
  Batch fetch(Index b) const { return fetch_batch(*set_, batch(b)); }

 private:
  const BatchRange& range(Index b) const {
    if (b < 0 || b >= batches()) fail("loader: batch ", b, " of ", batches());
    return ranges_[static_cast<std::size_t>(b)];
  }

  const Dataset* set_;
  std::vector<Index> samples_;
  std::vector<Index> order_;
  std::vector<BatchRange> ranges_;
};

/// The batches of one epoch after another, each epoch in an order of its own. Step s, from 0, has
/// batch s % loader.batches() of epoch s / loader.batches(), so that a sequence may begin anywhere.
class BatchSequence {
 public:
  /// Draws the orders of `device`'s epochs, from `first_epoch` on, in `loader`, which must outlive
  /// the sequence and is nobody else's meanwhile.
  BatchSequence(Loader& loader, std::uint64_t seed, Index device, Index first_epoch)
      : loader_(&loader), seed_(seed), device_(device), first_epoch_(first_epoch) {}

  /// How many epochs lie behind a step.
  std::size_t epoch(std::uint64_t step) const { return static_cast<std::size_t>(step / batches()); }
  Batch fetch(std::uint64_t step) {
    const auto wanted = static_cast<Index>(epoch(step));
    if (wanted != drawn_) loader_->start_epoch(seed_, device_, first_epoch_ + wanted);
    drawn_ = wanted;
    return loader_->fetch(static_cast<Index>(step % batches()));
  }

 private:
  std::uint64_t batches() const { return static_cast<std::uint64_t>(loader_->batches()); }

  Loader* loader_;
  std::uint64_t seed_;
  Index device_, first_epoch_;
  Index drawn_ = -1;  // the epoch whose order the loader has; -1: none
};

}  // namespace data
IOTSL_NAMESPACE_END
