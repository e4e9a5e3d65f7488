#pragma once
// dirichlet:ALPHA: label skew by proportions drawn from a Dirichlet distribution.

#include <cmath>

#include "iotsl/data/partition/draw.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {
namespace detail {

inline constexpr Index dirichlet_min_samples = 10;

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
/// Every sample is given away, and so every class.
inline Result<DrawnTable> draw_dirichlet(const PartitionSpec& spec,
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
    if (enough) return DrawnTable{std::move(out), static_cast<Index>(draw)};
  }
  return bad_partition(spec, "none of ", draws, " draws gives each of ", devices, " devices ",
                       dirichlet_min_samples, " samples; fewer devices or a larger ALPHA do");
}

}  // namespace detail
}  // namespace data
IOTSL_NAMESPACE_END
