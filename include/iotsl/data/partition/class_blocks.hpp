#pragma once
// Partitions by whole classes (the paper's section V-F): every class is cut into as many equal
// blocks as there are devices, and each device gets a block of each of its C classes.

#include "iotsl/data/partition/draw.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {
namespace detail {

/// [device][class]: who holds which class.
using Ownership = std::vector<std::vector<bool>>;

/// Which classes each device gets: `per_device` different ones, each class on at most
/// ceil(per_device * devices / classes) devices. Dealing the classes round and round always gives
/// such a table; exchanges between two devices then make it random and keep both properties.
inline Ownership assign_classes(Index per_device, Index devices, Index classes,
                                std::uint64_t seed) {
  DrawnNumbers numbers(Random(seed, Stream::partition, classes_step));
  const auto k = static_cast<std::size_t>(devices), m = static_cast<std::size_t>(classes);
  std::vector<std::size_t> names(m);
  for (std::size_t c = 0; c < m; ++c) names[c] = c;
  for (std::size_t i = m; i > 1; --i) std::swap(names[i - 1], names[numbers.below(i)]);

  Ownership owns(k, std::vector<bool>(m, false));
  std::size_t dealt = 0;
  for (auto& device : owns)
    for (Index i = 0; i < per_device; ++i) device[names[dealt++ % m]] = true;

  for (Index swap = 0; swap < 20 * devices * classes; ++swap) {
    auto& a = owns[numbers.below(k)];
    auto& b = owns[numbers.below(k)];
    const std::size_t x = numbers.below(m);
    const std::size_t y = numbers.below(m);
    if (!a[x] || a[y] || b[x] || !b[y]) continue;
    a[x] = b[y] = false;
    a[y] = b[x] = true;
  }
  return owns;
}

/// As assign_classes(), but each device draws its classes without looking at the others: a class
/// may be on any number of devices, on none, too.
inline Ownership draw_classes(Index per_device, Index devices, Index classes,
                              DrawnNumbers& numbers) {
  const auto m = static_cast<std::size_t>(classes);
  Ownership owns(static_cast<std::size_t>(devices), std::vector<bool>(m, false));
  std::vector<std::size_t> order(m);
  for (auto& device : owns) {
    for (std::size_t c = 0; c < m; ++c) order[c] = c;
    for (std::size_t i = 0; i < static_cast<std::size_t>(per_device); ++i) {
      std::swap(order[i], order[i + numbers.below(m - i)]);
      device[order[i]] = true;
    }
  }
  return owns;
}

inline CountTable count_blocks(const Ownership& owns, const std::vector<Index>& available) {
  const auto devices = static_cast<Index>(owns.size());
  CountTable out = empty_table(devices, static_cast<Index>(available.size()));
  for (std::size_t d = 0; d < out.size(); ++d)
    for (std::size_t c = 0; c < available.size(); ++c)
      if (owns[d][c]) out[d][c] = available[c] / devices;
  return out;
}

/// classes:C and classes-random:C.
inline Result<DrawnTable> draw_class_blocks(const PartitionSpec& spec,
                                            const std::vector<Index>& available, Index devices,
                                            std::uint64_t seed) {
  const auto classes = static_cast<Index>(available.size());
  if (spec.classes > classes) return bad_partition(spec, "the set has only ", classes, " classes");
  for (std::size_t c = 0; c < available.size(); ++c)
    if (available[c] < devices)
      return bad_partition(spec, "class ", c, " has ", available[c],
                           " samples, too few to cut into ", devices, " blocks");
  DrawnNumbers numbers(Random(seed, Stream::partition, classes_random_step));
  const bool balanced = spec.kind == PartitionSpec::Kind::classes;
  // The balanced table holds all classes or cannot. Two classes for each of five devices, drawn
  // freely, are all ten in one of 1627 draws.
  const bool possible = spec.classes * devices >= classes;
  return draw_until_covered(spec, available, balanced || !possible ? 1 : 20000, [&] {
    return count_blocks(balanced ? assign_classes(spec.classes, devices, classes, seed)
                                 : draw_classes(spec.classes, devices, classes, numbers),
                        available);
  });
}

}  // namespace detail
}  // namespace data
IOTSL_NAMESPACE_END
