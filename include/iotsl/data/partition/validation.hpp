#pragma once
// The validation part: samples of the training set that train nobody, by which a run chooses. They
// are drawn before the partition; the server holds them.

#include "iotsl/data/partition.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// A partition, and what was set aside before it was drawn.
struct PartitionWithValidation {
  Partition partition;
  std::vector<Index> validation;  ///< ascending
};

namespace detail {

/// Of each class that part, rounded, in random order: at least one sample, and not the last one of
/// a class; none of a class with a single sample.
inline std::vector<std::vector<Index>> draw_validation(const std::vector<Label>& labels,
                                                       Index classes, double part,
                                                       std::uint64_t seed) {
  std::vector<std::vector<Index>> out(static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < labels.size(); ++i) out[labels[i]].push_back(static_cast<Index>(i));
  for (std::size_t c = 0; c < out.size(); ++c) {
    const Random random(seed, Stream::partition, validation_step + static_cast<std::uint32_t>(c));
    shuffle_values(std::span(out[c]), random);
    const auto size = static_cast<Index>(out[c].size());
    const auto wanted = static_cast<Index>(part * static_cast<double>(size) + 0.5);
    const Index count = size < 2 ? 0 : std::clamp<Index>(wanted, 1, size - 1);
    out[c].resize(static_cast<std::size_t>(count));
  }
  return out;
}

/// What the server keeps of `drawn`: classes that some device holds, and of these so much that it
/// is `part` of all samples in use, as --limit-train and partitions that leave samples out make
/// them few. At least one of a class.
inline std::vector<Index> thin_validation(const std::vector<std::vector<Index>>& drawn,
                                          const CountTable& counts, double part) {
  double held = 0, there = 0;
  std::vector<bool> is_held(drawn.size(), false);
  for (const auto& row : counts)
    for (std::size_t c = 0; c < row.size(); ++c) {
      held += static_cast<double>(row[c]);
      if (row[c] > 0) is_held[c] = true;
    }
  for (std::size_t c = 0; c < drawn.size(); ++c)
    if (is_held[c]) there += static_cast<double>(drawn[c].size());
  const double share = there > 0 ? std::min(1.0, held * part / (1 - part) / there) : 0.0;
  std::vector<Index> out;
  for (std::size_t c = 0; c < drawn.size(); ++c) {
    if (!is_held[c] || drawn[c].empty()) continue;
    const auto count =
        static_cast<std::ptrdiff_t>(share * static_cast<double>(drawn[c].size()) + 0.5);
    out.insert(out.end(), drawn[c].begin(), drawn[c].begin() + std::max<std::ptrdiff_t>(1, count));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace detail

/// The largest fraction of each class that can be set aside.
inline constexpr double most_validation = 0.9;

/// make_partition() of what is left once the fraction `validation` of each class is set aside; 0:
/// of everything. A failure names the option.
inline Result<PartitionWithValidation> partition_with_validation(const PartitionSpec& spec,
                                                                 const std::vector<Label>& labels,
                                                                 Index classes, Index devices,
                                                                 std::uint64_t seed, Index limit,
                                                                 double validation) {
  if (!(validation >= 0 && validation <= most_validation))
    return failure(ErrorCode::usage, "--validation ", validation, ": expected 0 to ",
                   most_validation);
  if (validation == 0) {
    Result<Partition> all = make_partition(spec, labels, classes, devices, seed, limit);
    if (!all) return all.failure();
    return PartitionWithValidation{std::move(all).value(), {}};
  }
  const auto drawn = detail::draw_validation(labels, classes, validation, seed);
  std::vector<bool> aside(labels.size(), false);
  for (const auto& of_class : drawn)
    for (const Index i : of_class) aside[static_cast<std::size_t>(i)] = true;
  std::vector<Index> rest;  // numbers in the whole set
  std::vector<Label> rest_labels;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (!aside[i]) {
      rest.push_back(static_cast<Index>(i));
      rest_labels.push_back(labels[i]);
    }
  Result<Partition> made = make_partition(spec, rest_labels, classes, devices, seed, limit);
  if (!made)
    return failure(made.failure().code, made.failure().message, " (--validation ", validation,
                   " has set ", labels.size() - rest.size(), " of ", labels.size(),
                   " samples aside)");
  PartitionWithValidation out{std::move(made).value(), {}};
  for (auto& device : out.partition.devices)
    for (Index& i : device) i = rest[static_cast<std::size_t>(i)];
  out.validation = detail::thin_validation(drawn, out.partition.counts, validation);
  out.partition.unused += static_cast<Index>(labels.size() - rest.size() - out.validation.size());
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
