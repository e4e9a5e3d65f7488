#pragma once
// A device's samples in disjoint shards, one for each critic, and balanced batches from them. Which
// sample is in which shard follows from labels and order alone, so it is public.

#include "iotsl/core/random.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// The classes that have samples, ascending.
IOTSL_SMALL inline std::vector<std::int32_t> held_classes(const data::Dataset& set,
                                                          std::span<const Index> samples) {
  std::vector<std::int32_t> out;
  const std::vector<std::uint64_t> counts = data::count_labels(set, samples);
  for (std::size_t label = 0; label < counts.size(); ++label)
    if (counts[label] > 0) out.push_back(static_cast<std::int32_t>(label));
  return out;
}

/// `count` labels, each of `classes` as likely as the others, whatever they have of samples.
IOTSL_SMALL inline std::vector<std::int32_t> uniform_labels(std::span<const std::int32_t> classes,
                                                            Index count, const Random& random) {
  std::vector<std::int32_t> out;
  for (Index i = 0; i < count; ++i)
    out.push_back(classes[static_cast<std::size_t>(
        random.below(static_cast<std::uint64_t>(i), classes.size()))]);
  return out;
}

class Shards {
 public:
  /// Deals the samples out class by class, so that sizes differ by one at most, and so do a class's
  /// samples in two shards. Raises an Error where a shard would be empty.
  IOTSL_SMALL Shards(const data::Dataset& set, std::span<const Index> samples, Index count)
      : shards_(static_cast<std::size_t>(count)) {
    if (count < 1 || static_cast<Index>(samples.size()) < count)
      fail("shards: ", samples.size(), " samples for ", count, " shards; expected one for each");
    std::size_t dealt = 0;
    for (const std::int32_t label : held_classes(set, samples)) {
      const std::size_t first = dealt;
      for (const Index i : samples) {
        if (set.labels[static_cast<std::size_t>(i)] != label) continue;
        std::vector<Class>& classes = shards_[dealt % shards_.size()];
        if (dealt - first < shards_.size()) classes.push_back({});
        classes.back().samples.push_back(i);
        ++dealt;
      }
    }
  }

  Index count() const { return static_cast<Index>(shards_.size()); }
  /// All samples of a shard, ordered by label.
  std::vector<Index> samples(Index shard) const {
    std::vector<Index> out;
    for (const Class& c : shards_[static_cast<std::size_t>(shard)])
      out.insert(out.end(), c.samples.begin(), c.samples.end());
    return out;
  }
  /// Samples of a shard, with replacement: first a class, each of the shard's as likely as the
  /// others, then one of its samples.
  IOTSL_SMALL std::vector<Index> draw(Index shard, Index batch, const Random& random) const {
    const std::vector<Class>& classes = shards_[static_cast<std::size_t>(shard)];
    std::vector<Index> out;
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(batch); ++i) {
      const std::vector<Index>& of =
          classes[static_cast<std::size_t>(random.below(2 * i, classes.size()))].samples;
      out.push_back(of[static_cast<std::size_t>(random.below(2 * i + 1, of.size()))]);
    }
    return out;
  }

 private:
  struct Class {
    std::vector<Index> samples;
  };
  std::vector<std::vector<Class>> shards_;
};

}  // namespace gan
IOTSL_NAMESPACE_END
