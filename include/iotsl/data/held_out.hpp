#pragma once
// A part of each class that training does not see.

#include <algorithm>
#include <span>

#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// Sample numbers of a set in two parts, both ascending.
struct HeldOutSplit {
  std::vector<Index> train, held_out;
};

/// Holds `count_of(n)` of the n samples of each class out, at most n; drawn by `random`, from a
/// place of its own for each class. `samples` are numbers in `set`.
template <class CountOf>
HeldOutSplit hold_out(const Dataset& set, std::span<const Index> samples, const Random& random,
                      const CountOf& count_of) {
  std::vector<std::vector<Index>> classes(static_cast<std::size_t>(set.classes));
  for (const Index i : samples) classes[set.labels[static_cast<std::size_t>(i)]].push_back(i);
  HeldOutSplit out;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    std::vector<Index>& members = classes[label];
    shuffle_values(std::span(members), random, static_cast<std::uint64_t>(label) << 32);
    const auto border = members.begin() + count_of(static_cast<Index>(members.size()));
    out.held_out.insert(out.held_out.end(), members.begin(), border);
    out.train.insert(out.train.end(), border, members.end());
  }
  std::sort(out.train.begin(), out.train.end());
  std::sort(out.held_out.begin(), out.held_out.end());
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
