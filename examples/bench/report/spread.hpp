#pragma once
// What is kept of many measurements of one thing, and when two such summaries differ.

#include <algorithm>
#include <cmath>
#include <vector>

#include "iotsl/core/json/fields.hpp"

namespace iotsl::bench {

/// Seconds of one run: a quarter of the samples lies below `lower_quartile`, a quarter above
/// `upper_quartile`.
struct Spread {
  double median = 0, lower_quartile = 0, upper_quartile = 0, least = 0;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("median", self.median);
    f("lower_quartile", self.lower_quartile);
    f("upper_quartile", self.upper_quartile);
    f("least", self.least);
  }
  friend bool operator==(const Spread&, const Spread&) = default;
};

/// The value below which the part `part` (0 to 1) of the samples lies, by linear interpolation
/// between its neighbours. `sorted` has at least one.
inline double quantile(const std::vector<double>& sorted, double part) {
  const double place = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - std::floor(place)) * (sorted[above] - sorted[below]);
}

/// Of at least one sample; raises an Error where there is none.
inline Spread summarize(std::vector<double> samples) {
  if (samples.empty()) fail("summarize: no samples");
  std::sort(samples.begin(), samples.end());
  return {quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75),
          samples.front()};
}

enum class Verdict { same, faster, slower };
inline constexpr NamedValue<Verdict> verdict_names[] = {
    {Verdict::same, "same"}, {Verdict::faster, "faster"}, {Verdict::slower, "slower"}};
constexpr const auto& names_of(Verdict) { return verdict_names; }

/// Whether `now` is faster or slower than `before` beyond the spread of both: their middle halves
/// do not touch.
inline Verdict judge(const Spread& before, const Spread& now) {
  if (now.upper_quartile < before.lower_quartile) return Verdict::faster;
  if (now.lower_quartile > before.upper_quartile) return Verdict::slower;
  return Verdict::same;
}

}  // namespace iotsl::bench
