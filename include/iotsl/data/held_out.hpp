#pragma once
// A part of each class that training does not see: not even another copy of its images.

#include <algorithm>
#include <span>
#include <string_view>

#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// The samples with these numbers in groups of the same pixels: each group ascending, the groups in
/// the order of their first samples.
inline std::vector<std::vector<Index>> group_equal_images(const Dataset& set,
                                                          std::span<const Index> samples) {
  const auto pixels = [&](Index i) {
    const auto bytes = set.sample(i);
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  std::vector<Index> order(samples.begin(), samples.end());
  std::sort(order.begin(), order.end(), [&](Index a, Index b) {
    const int difference = pixels(a).compare(pixels(b));
    return difference != 0 ? difference < 0 : a < b;
  });
  std::vector<std::vector<Index>> out;
  for (const Index i : order) {
    if (out.empty() || pixels(out.back().front()) != pixels(i)) out.emplace_back();
    out.back().push_back(i);
  }
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.front() < b.front(); });
  return out;
}

/// Sample numbers of a set in two parts, both ascending, without an image in common.
struct HeldOutSplit {
  std::vector<Index> train, held_out;
};

/// Holds `count_of(n)` of the n different images of each class out, at most n, every copy of each;
/// drawn by `random`, from a place of its own for each class. An image that is in several classes
/// goes where the class of its first sample puts it. `samples` are numbers in `set`.
template <class CountOf>
HeldOutSplit hold_out(const Dataset& set, std::span<const Index> samples, const Random& random,
                      const CountOf& count_of) {
  using Group = std::vector<Index>;
  std::vector<std::vector<Group>> classes(static_cast<std::size_t>(set.classes));
  for (Group& group : group_equal_images(set, samples)) {
    const auto label = set.labels[static_cast<std::size_t>(group.front())];
    classes[label].push_back(std::move(group));
  }
  HeldOutSplit out;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    std::vector<Group>& images = classes[label];
    shuffle_values(std::span(images), random, static_cast<std::uint64_t>(label) << 32);
    const auto held = static_cast<std::size_t>(count_of(static_cast<Index>(images.size())));
    for (std::size_t i = 0; i < images.size(); ++i) {
      std::vector<Index>& part = i < held ? out.held_out : out.train;
      part.insert(part.end(), images[i].begin(), images[i].end());
    }
  }
  std::sort(out.train.begin(), out.train.end());
  std::sort(out.held_out.begin(), out.held_out.end());
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
