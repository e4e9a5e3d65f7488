#pragma once
// A lower bound on epsilon from one run with many canaries: Steinke, Nasr and Jagielski, "Privacy
// auditing with one (1) training run", NeurIPS 2023, corollary 5.4 as in their appendix D.

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// The chance, at most, that an (epsilon, delta)-private mechanism lets somebody be right `correct`
/// times or more in `guesses` guesses about `canaries` fair coins, the others left out:
/// P(B >= v) + 2 m delta max_{1 <= i <= v} P(v > B >= v - i) / i, B binomial of r trials with
/// chance e^epsilon / (1 + e^epsilon).
inline double one_run_chance(Index canaries, Index guesses, Index correct, double epsilon,
                             double delta) {
  using namespace scalar_math;
  if (correct < 0 || correct > guesses || guesses > canaries)
    fail("one-run audit: ", correct, " of ", guesses, " guesses about ", canaries,
         " canaries; expected no more than there are");
  // log P(B = k) = log C(r, k) + k log q + (r - k) log(1 - q).
  const double log_q = -log1p(exp(-epsilon)), log_other = log_q - epsilon;
  std::vector<double> chance;
  double log_choose = 0;
  for (Index k = 0; k <= guesses; ++k) {
    chance.push_back(exp(log_choose + static_cast<double>(k) * log_q +
                         static_cast<double>(guesses - k) * log_other));
    log_choose += log(static_cast<double>(guesses - k) / static_cast<double>(k + 1));
  }
  const auto at = chance.begin() + static_cast<std::ptrdiff_t>(correct);
  const double beta = std::accumulate(at, chance.end(), 0.0);
  double alpha = 0, below = 0;
  for (Index i = 1; i <= correct; ++i) {
    below += chance[static_cast<std::size_t>(correct - i)];
    alpha = std::max(alpha, below / static_cast<double>(i));
  }
  return std::min(1.0, beta + 2 * static_cast<double>(canaries) * delta * alpha);
}

/// The largest epsilon that so many correct guesses rule out with chance of error `error`; 0 where
/// they rule out none.
inline double one_run_epsilon(Index canaries, Index guesses, Index correct, double delta,
                              double error) {
  double low = 0, high = 50;
  if (one_run_chance(canaries, guesses, correct, 0, delta) > error) return 0;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (one_run_chance(canaries, guesses, correct, middle, delta) <= error ? low : high) = middle;
  }
  return low;
}

struct OneRunBound {
  double epsilon = 0;
  Index guesses = 0, correct = 0;  ///< of the number of guesses that shows most
};

/// Guesses "in" for the highest scores and "out" for as many of the lowest. `scores` must not
/// depend on who is in but through what was released. With 95 % confidence: the numbers of guesses
/// are fixed beforehand, and each has its part of the 5 % (Bonferroni).
inline OneRunBound one_run_bound(std::span<const double> scores, std::span<const std::uint8_t> in,
                                 double delta) {
  const auto m = static_cast<Index>(scores.size());
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  constexpr Index parts[] = {50, 20, 10, 5, 2, 1};
  OneRunBound out;
  for (const Index part : parts) {
    const Index half = m / part / 2;
    Index correct = 0;
    for (Index k = 0; k < half; ++k) {
      correct += in[order[static_cast<std::size_t>(k)]] == 0;
      correct += in[order[static_cast<std::size_t>(m - 1 - k)]] != 0;
    }
    const double epsilon =
        one_run_epsilon(m, 2 * half, correct, delta, 0.05 / static_cast<double>(std::size(parts)));
    if (out.guesses == 0 || epsilon > out.epsilon) out = {epsilon, 2 * half, correct};
  }
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
