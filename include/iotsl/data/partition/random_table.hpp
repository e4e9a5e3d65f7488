#pragma once
// random:A|B|C: tables in which classes and their sizes are random (the paper's section V-H, Fig.
// 14).

#include "iotsl/data/partition/draw.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {
namespace detail {

inline constexpr Index random_min_classes = 3, random_max_classes = 8;
inline constexpr Index random_min_samples = 100, random_max_samples = 1200;

/// 3 to 8 classes per device with 100 to 1200 samples each.
inline CountTable random_table(Index devices, Index classes, DrawnNumbers& numbers) {
  CountTable out = empty_table(devices, classes);
  for (auto& row : out) {
    const Index wanted = numbers.between(std::min(random_min_classes, classes),
                                         std::min(random_max_classes, classes));
    // The first `wanted` of a random order of the classes.
    std::vector<std::size_t> order(row.size());
    for (std::size_t c = 0; c < order.size(); ++c) order[c] = c;
    for (std::size_t i = 0; i < static_cast<std::size_t>(wanted); ++i) {
      std::swap(order[i], order[i + numbers.below(order.size() - i)]);
      row[order[i]] = numbers.between(random_min_samples, random_max_samples);
    }
  }
  return out;
}

/// The paper does not give its tables; ours are the first draws of the seeds 1, 2 and 3 that leave
/// no class without a device. Where the devices together want more of a class than there is, all of
/// them get proportionally less of it.
inline Result<DrawnTable> draw_random_table(const PartitionSpec& spec,
                                            const std::vector<Index>& available, Index devices) {
  DrawnNumbers numbers(Random(spec.draw, Stream::partition, random_step));
  const auto classes = static_cast<Index>(available.size());
  Result<DrawnTable> out = draw_until_covered(
      spec, available, 1000, [&] { return random_table(devices, classes, numbers); });
  if (!out) return out;
  for (std::size_t c = 0; c < available.size(); ++c) {
    Index wanted = 0;
    for (const auto& row : out->counts) wanted += row[c];
    if (wanted <= available[c]) continue;
    for (auto& row : out->counts) {
      if (row[c] == 0) continue;
      row[c] = row[c] * available[c] / wanted;
      if (row[c] == 0)
        return bad_partition(spec, "class ", c, " has ", available[c], " samples, too few for ",
                             devices, " devices");
    }
  }
  return out;
}

}  // namespace detail
}  // namespace data
IOTSL_NAMESPACE_END
