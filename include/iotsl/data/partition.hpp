#pragma once
// How a training set is spread over devices. Every kind of partition is first a table of counts
// (devices x classes); then the samples of each class, in random order, are dealt out along it. So
// no sample can appear twice.

#include "iotsl/data/dataset.hpp"
#include "iotsl/data/partition/class_blocks.hpp"
#include "iotsl/data/partition/dirichlet.hpp"
#include "iotsl/data/partition/random_table.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// The samples of each device, ascending, and their numbers per class.
struct Partition {
  std::vector<std::vector<Index>> devices;
  CountTable counts;
  Index unused = 0;
  Index redraws = 0;  ///< tables drawn before, which did not do: a class was on no device
};

namespace detail {

/// Equal shares of all samples in random order.
inline Result<DrawnTable> draw_iid(const PartitionSpec& spec, const std::vector<Label>& labels,
                                   const std::vector<Index>& available, Index devices,
                                   std::uint64_t seed) {
  const Random random(seed, Stream::partition, iid_step);
  std::uint64_t first = 0;
  // Up to devices - 1 samples are left over: the only ones of a class may be among them.
  return draw_until_covered(spec, available, 100, [&] {
    std::vector<Label> order = labels;
    shuffle_values(std::span(order), random, first);
    first += order.size();
    CountTable out = empty_table(devices, static_cast<Index>(available.size()));
    const std::size_t share = order.size() / out.size();
    for (std::size_t d = 0; d < out.size(); ++d)
      for (std::size_t i = d * share; i < (d + 1) * share; ++i) ++out[d][order[i]];
    return out;
  });
}

/// The table of table:FILE, which may leave classes out: that is what its author wants.
inline Result<DrawnTable> given_table(const PartitionSpec& spec, Index devices, Index classes) {
  if (static_cast<Index>(spec.table.size()) != devices)
    return bad_partition(spec, "has ", spec.table.size(), " rows, expected one for each of ",
                         devices, " devices");
  for (std::size_t d = 0; d < spec.table.size(); ++d)
    if (static_cast<Index>(spec.table[d].size()) != classes)
      return bad_partition(spec, "row ", d + 1, " has ", spec.table[d].size(),
                           " columns, expected one for each of ", classes, " classes");
  return DrawnTable{spec.table, 0};
}

inline Result<DrawnTable> draw_table(const PartitionSpec& spec, const std::vector<Label>& labels,
                                     const std::vector<Index>& available, Index devices,
                                     std::uint64_t seed) {
  switch (spec.kind) {
    case PartitionSpec::Kind::classes:
    case PartitionSpec::Kind::classes_random:
      return draw_class_blocks(spec, available, devices, seed);
    case PartitionSpec::Kind::random:
      return draw_random_table(spec, available, devices);
    case PartitionSpec::Kind::dirichlet:
      return draw_dirichlet(spec, available, devices, seed);
    case PartitionSpec::Kind::table:
      return given_table(spec, devices, static_cast<Index>(available.size()));
    case PartitionSpec::Kind::iid:
      break;
  }
  return draw_iid(spec, labels, available, devices, seed);
}

/// Whether the table can be dealt from what there is, and leaves no device without samples.
inline Result<void> check_counts(const PartitionSpec& spec, const CountTable& counts,
                                 const std::vector<Index>& available) {
  for (std::size_t d = 0; d < counts.size(); ++d)
    if (row_sum(counts[d]) == 0) return bad_partition(spec, "device ", d, " gets no sample");
  for (std::size_t c = 0; c < available.size(); ++c) {
    Index wanted = 0;
    for (const auto& row : counts) wanted += row[c];
    if (wanted > available[c])
      return bad_partition(spec, "the devices together need ", wanted, " samples of class ", c,
                           ", the set has ", available[c]);
  }
  return {};
}

}  // namespace detail

/// Spreads the samples with these labels over `devices` devices. `limit` > 0 is --limit-train: the
/// partition is drawn at full size, then every count is scaled by min(1, limit / total), rounded
/// down, at least 1. No class of the set is left without a device, except by table:FILE. A failure
/// names the option.
inline Result<Partition> make_partition(const PartitionSpec& spec, const std::vector<Label>& labels,
                                        Index classes, Index devices, std::uint64_t seed,
                                        Index limit = 0) {
  const auto count = static_cast<Index>(labels.size());
  if (devices < 1 || devices > count)
    return failure(ErrorCode::usage, "--devices ", devices, ": expected 1 to ", count,
                   ", the number of training samples");
  if (limit < 0)
    return failure(ErrorCode::usage, "--limit-train ", limit, ": must not be negative");
  const std::vector<Index> available = class_counts(labels, classes);
  Result<detail::DrawnTable> drawn = detail::draw_table(spec, labels, available, devices, seed);
  if (!drawn) return drawn.failure();
  CountTable& counts = drawn->counts;
  if (auto checked = detail::check_counts(spec, counts, available); !checked)
    return checked.failure();
  if (limit > 0) scale_counts(counts, limit);

  std::vector<std::vector<Index>> by_class(available.size());
  for (std::size_t i = 0; i < labels.size(); ++i)
    by_class[labels[i]].push_back(static_cast<Index>(i));
  Partition out;
  out.devices.resize(counts.size());
  for (std::size_t c = 0; c < by_class.size(); ++c) {
    shuffle_values(
        std::span(by_class[c]),
        Random(seed, Stream::partition, detail::deal_step + static_cast<std::uint32_t>(c)));
    auto next = by_class[c].begin();
    for (std::size_t d = 0; d < out.devices.size(); ++d) {
      const auto end = next + static_cast<std::ptrdiff_t>(counts[d][c]);
      out.devices[d].insert(out.devices[d].end(), next, end);
      next = end;
    }
  }
  out.unused = count;
  for (auto& device : out.devices) {
    std::sort(device.begin(), device.end());
    out.unused -= static_cast<Index>(device.size());
  }
  out.counts = std::move(counts);
  out.redraws = drawn->redraws;
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
