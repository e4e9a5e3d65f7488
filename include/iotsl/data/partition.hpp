#pragma once
// How a training set is spread over devices: iid, classes:C, random:A|B|C, dirichlet:ALPHA,
// table:FILE. Every kind is first a table of counts (devices x classes); then the samples of each
// class, in random order, are dealt out along it. So no sample can appear twice.

#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "iotsl/core/file.hpp"
#include "iotsl/data/count_table.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// A parsed --partition.
struct PartitionSpec {
  enum class Kind { iid, classes, random, dirichlet, table };
  Kind kind = Kind::iid;
  std::string text = "iid";  ///< as given, for messages and the manifest
  Index classes = 0;         ///< classes:C
  std::uint64_t draw = 0;    ///< random: 1, 2, 3 for A, B, C
  double alpha = 0;          ///< dirichlet:ALPHA
  CountTable table;          ///< table:FILE, one row per device
};

/// The samples of each device, ascending, and their numbers per class.
struct Partition {
  std::vector<std::vector<Index>> devices;
  CountTable counts;
  Index unused = 0;
};

namespace detail {

// Each purpose has its own step of the partition's random stream.
enum PartitionStep : std::uint32_t {
  deal_step = 0,  // and one more per class
  iid_step = 1u << 16,
  classes_step,
  random_step,
  dirichlet_step,  // and one more per draw
};

inline constexpr Index random_min_classes = 3, random_max_classes = 8;
inline constexpr Index random_min_samples = 100, random_max_samples = 1200;
inline constexpr Index dirichlet_min_samples = 10;

template <class... Parts>
IOTSL_COLD Failure bad_partition(const PartitionSpec& spec, const Parts&... parts) {
  return failure(ErrorCode::usage, "--partition ", spec.text, ": ", parts...);
}

inline Index row_sum(const std::vector<Index>& row) {
  Index sum = 0;
  for (const Index v : row) sum += v;
  return sum;
}

inline CountTable empty_table(Index devices, Index classes) {
  return CountTable(static_cast<std::size_t>(devices),
                    std::vector<Index>(static_cast<std::size_t>(classes), 0));
}

/// Equal shares of all samples in random order.
inline CountTable iid_counts(const std::vector<Label>& labels, Index classes, Index devices,
                             std::uint64_t seed) {
  std::vector<Label> order = labels;
  shuffle_values(std::span(order), Random(seed, Stream::partition, iid_step));
  CountTable out = empty_table(devices, classes);
  const std::size_t share = order.size() / out.size();
  for (std::size_t d = 0; d < out.size(); ++d)
    for (std::size_t i = d * share; i < (d + 1) * share; ++i) ++out[d][order[i]];
  return out;
}

/// Which classes each device gets: `per_device` different ones, each class on at most
/// ceil(per_device * devices / classes) devices. Dealing the classes round and round always gives
/// such a table; exchanges between two devices then make it random and keep both properties.
inline std::vector<std::vector<bool>> assign_classes(Index per_device, Index devices, Index classes,
                                                     std::uint64_t seed) {
  const Random random(seed, Stream::partition, classes_step);
  std::uint64_t next = 0;
  const auto below = [&](Index bound) {
    return static_cast<std::size_t>(random.below(next++, static_cast<std::uint64_t>(bound)));
  };
  const auto m = static_cast<std::size_t>(classes);
  std::vector<std::size_t> names(m);
  for (std::size_t c = 0; c < m; ++c) names[c] = c;
  for (std::size_t i = m; i > 1; --i) std::swap(names[i - 1], names[below(static_cast<Index>(i))]);

  std::vector<std::vector<bool>> owns(static_cast<std::size_t>(devices),
                                      std::vector<bool>(m, false));
  std::size_t dealt = 0;
  for (auto& device : owns)
    for (Index i = 0; i < per_device; ++i) device[names[dealt++ % m]] = true;

  for (Index swap = 0; swap < 20 * devices * classes; ++swap) {
    auto& a = owns[below(devices)];
    auto& b = owns[below(devices)];
    const std::size_t x = below(classes);
    const std::size_t y = below(classes);
    if (!a[x] || a[y] || b[x] || !b[y]) continue;
    a[x] = b[y] = false;
    a[y] = b[x] = true;
  }
  return owns;
}

/// classes:C: every class is cut into as many equal blocks as there are devices.
inline Result<CountTable> class_counts_table(const PartitionSpec& spec,
                                             const std::vector<Index>& available, Index devices,
                                             std::uint64_t seed) {
  const auto classes = static_cast<Index>(available.size());
  if (spec.classes > classes) return bad_partition(spec, "the set has only ", classes, " classes");
  const auto owns = assign_classes(spec.classes, devices, classes, seed);
  CountTable out = empty_table(devices, classes);
  for (std::size_t d = 0; d < out.size(); ++d)
    for (std::size_t c = 0; c < available.size(); ++c) {
      if (!owns[d][c]) continue;
      out[d][c] = available[c] / devices;
      if (out[d][c] == 0)
        return bad_partition(spec, "class ", c, " has ", available[c],
                             " samples, too few to cut into ", devices, " blocks");
    }
  return out;
}

/// random:A|B|C: 3 to 8 classes per device with 100 to 1200 samples each. The paper does not give
/// its tables; ours are the draws of the seeds 1, 2 and 3. Where the devices together want more of
/// a class than there is, all of them get proportionally less of it.
inline Result<CountTable> random_counts(const PartitionSpec& spec,
                                        const std::vector<Index>& available, Index devices) {
  const Random random(spec.draw, Stream::partition, random_step);
  std::uint64_t next = 0;
  const auto between = [&](Index low, Index high) {
    return low +
           static_cast<Index>(random.below(next++, static_cast<std::uint64_t>(high - low + 1)));
  };
  const auto classes = static_cast<Index>(available.size());
  CountTable out = empty_table(devices, classes);
  for (auto& row : out) {
    const Index wanted =
        between(std::min(random_min_classes, classes), std::min(random_max_classes, classes));
    // The first `wanted` of a random order of the classes.
    std::vector<std::size_t> order(available.size());
    for (std::size_t c = 0; c < order.size(); ++c) order[c] = c;
    for (Index i = 0; i < wanted; ++i) {
      std::swap(order[static_cast<std::size_t>(i)],
                order[static_cast<std::size_t>(between(i, classes - 1))]);
      row[order[static_cast<std::size_t>(i)]] = between(random_min_samples, random_max_samples);
    }
  }
  for (std::size_t c = 0; c < available.size(); ++c) {
    Index wanted = 0;
    for (const auto& row : out) wanted += row[c];
    if (wanted <= available[c]) continue;
    for (auto& row : out) {
      if (row[c] == 0) continue;
      row[c] = row[c] * available[c] / wanted;
      if (row[c] == 0)
        return bad_partition(spec, "class ", c, " has ", available[c], " samples, too few for ",
                             devices, " devices");
    }
  }
  return out;
}

/// Logarithm of a Gamma(alpha) number (Marsaglia and Tsang 2000; alpha < 1 by the boost
/// Gamma(alpha + 1) * U^(1/alpha)). Uses the numbers `first` to `first` + 255 of `random`.
inline double log_gamma_number(double alpha, const Random& random, std::uint64_t first) {
  const double boosted = alpha < 1 ? alpha + 1 : alpha;
  const double d = boosted - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  double log_value = std::log(d);
  for (std::uint64_t attempt = 0; attempt < 64; ++attempt) {
    const double x = random.normal(first + 2 * attempt);
    const double v = 1.0 + c * x;
    const double u = 1.0 - random.uniform(first + 128 + attempt);
    if (v <= 0 || std::log(u) >= 0.5 * x * x + d - d * v * v * v + 3.0 * d * std::log(v)) continue;
    log_value += 3.0 * std::log(v);  // accepted in more than 95 % of the attempts
    break;
  }
  if (alpha < 1) log_value += std::log(1.0 - random.uniform(first + 255)) / alpha;
  return log_value;
}

/// dirichlet:ALPHA: the samples of every class are spread by proportions ~ Dir(ALPHA) over the
/// devices (Yurochkin et al. 2019), drawn again until every device has 10 samples (Li et al. 2022).
inline Result<CountTable> dirichlet_counts(const PartitionSpec& spec,
                                           const std::vector<Index>& available, Index devices,
                                           std::uint64_t seed) {
  const auto k = static_cast<std::size_t>(devices);
  constexpr std::uint64_t draws = 1000;
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    const Random random(seed, Stream::partition, dirichlet_step + static_cast<std::uint32_t>(draw));
    CountTable out = empty_table(devices, static_cast<Index>(available.size()));
    for (std::size_t c = 0; c < available.size(); ++c) {
      std::vector<double> share(k);
      double largest = 0;
      for (std::size_t d = 0; d < k; ++d) {
        share[d] = log_gamma_number(spec.alpha, random, (c * k + d) * 256);
        if (d == 0 || share[d] > largest) largest = share[d];
      }
      double sum = 0;
      for (double& s : share) sum += s = std::exp(s - largest);
      // Cutting at the rounded running sum gives away every sample.
      double running = 0;
      Index given = 0;
      for (std::size_t d = 0; d < k; ++d) {
        running += share[d] / sum;
        const Index end =
            d + 1 == k
                ? available[c]
                : std::min(available[c], static_cast<Index>(std::floor(
                                             running * static_cast<double>(available[c]) + 0.5)));
        out[d][c] = end - given;
        given = end;
      }
    }
    bool enough = true;
    for (const auto& row : out) enough &= row_sum(row) >= dirichlet_min_samples;
    if (enough) return out;
  }
  return bad_partition(spec, "none of ", draws, " draws gives each of ", devices, " devices ",
                       dirichlet_min_samples, " samples; fewer devices or a larger ALPHA do");
}

inline Result<CountTable> partition_counts(const PartitionSpec& spec,
                                           const std::vector<Label>& labels,
                                           const std::vector<Index>& available, Index devices,
                                           std::uint64_t seed) {
  const auto classes = static_cast<Index>(available.size());
  switch (spec.kind) {
    case PartitionSpec::Kind::classes:
      return class_counts_table(spec, available, devices, seed);
    case PartitionSpec::Kind::random:
      return random_counts(spec, available, devices);
    case PartitionSpec::Kind::dirichlet:
      return dirichlet_counts(spec, available, devices, seed);
    case PartitionSpec::Kind::table:
      if (static_cast<Index>(spec.table.size()) != devices)
        return bad_partition(spec, "has ", spec.table.size(), " rows, expected one for each of ",
                             devices, " devices");
      for (std::size_t d = 0; d < spec.table.size(); ++d)
        if (static_cast<Index>(spec.table[d].size()) != classes)
          return bad_partition(spec, "row ", d + 1, " has ", spec.table[d].size(),
                               " columns, expected one for each of ", classes, " classes");
      return spec.table;
    case PartitionSpec::Kind::iid:
      break;
  }
  return iid_counts(labels, classes, devices, seed);
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

/// Reads the text of --partition; table:FILE reads the file. A failure names the option.
inline Result<PartitionSpec> parse_partition(std::string_view text) {
  PartitionSpec spec;
  spec.text = text;
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view value = colon == text.npos ? "" : text.substr(colon + 1);
  const char* end = value.data() + value.size();
  if (text == "iid") return spec;
  if (kind == "classes") {
    spec.kind = PartitionSpec::Kind::classes;
    const auto [stop, status] = std::from_chars(value.data(), end, spec.classes);
    if (status != std::errc() || stop != end || spec.classes < 1)
      return detail::bad_partition(spec,
                                   "expected classes:C with C classes per device, at least 1");
    return spec;
  }
  if (kind == "random") {
    spec.kind = PartitionSpec::Kind::random;
    if (value != "A" && value != "B" && value != "C")
      return detail::bad_partition(spec, "expected random:A, random:B or random:C");
    spec.draw = static_cast<std::uint64_t>(value[0] - 'A' + 1);
    return spec;
  }
  if (kind == "dirichlet") {
    spec.kind = PartitionSpec::Kind::dirichlet;
    const auto [stop, status] = std::from_chars(value.data(), end, spec.alpha);
    if (status != std::errc() || stop != end || !(spec.alpha >= 1e-3 && spec.alpha <= 1e6))
      return detail::bad_partition(spec,
                                   "expected dirichlet:ALPHA with ALPHA from 0.001 to 1000000");
    return spec;
  }
  if (kind == "table" && !value.empty()) {
    spec.kind = PartitionSpec::Kind::table;
    const std::string path(value);
    auto content = read_text_file(path, std::uint64_t{1} << 20);
    if (!content)
      return failure(ErrorCode::data, "--partition ", text, ": ", content.failure().message);
    auto table = parse_count_table(*content);
    if (!table)
      return failure(ErrorCode::data, "--partition ", text, ": ", table.failure().message);
    spec.table = std::move(*table);
    return spec;
  }
  return detail::bad_partition(
      spec, "expected iid, classes:C, random:A|B|C, dirichlet:ALPHA or table:FILE");
}

/// Spreads the samples with these labels over `devices` devices. `limit` > 0 is --limit-train: the
/// partition is drawn at full size, then every count is scaled by min(1, limit / total), rounded
/// down, at least 1. A failure names the option.
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
  auto counts = detail::partition_counts(spec, labels, available, devices, seed);
  if (!counts) return counts.failure();
  if (auto checked = detail::check_counts(spec, *counts, available); !checked)
    return checked.failure();
  if (limit > 0) scale_counts(*counts, limit);

  std::vector<std::vector<Index>> by_class(available.size());
  for (std::size_t i = 0; i < labels.size(); ++i)
    by_class[labels[i]].push_back(static_cast<Index>(i));
  Partition out;
  out.devices.resize(counts->size());
  for (std::size_t c = 0; c < by_class.size(); ++c) {
    shuffle_values(
        std::span(by_class[c]),
        Random(seed, Stream::partition, detail::deal_step + static_cast<std::uint32_t>(c)));
    auto next = by_class[c].begin();
    for (std::size_t d = 0; d < out.devices.size(); ++d) {
      const auto end = next + (*counts)[d][c];
      out.devices[d].insert(out.devices[d].end(), next, end);
      next = end;
    }
  }
  out.unused = count;
  for (auto& device : out.devices) {
    std::sort(device.begin(), device.end());
    out.unused -= static_cast<Index>(device.size());
  }
  out.counts = std::move(*counts);
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
