#pragma once
// The head: multinomial logistic regression by a few full-batch steps of gradient descent with
// momentum, each on a noised sum of clipped gradients (Song, Chaudhuri, Sarwate 2013; Abadi et al.
// 2016, without sampling). A record's gradient is the outer product of its error vector and its
// input; both are integers, so that the gradient's norm is at most the product of their bounds.

#include "iotsl/kernels/gemm/gemm.hpp"
#include "iotsl/moments/head_input.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// Error vectors as integers: `error_bound` units are the clip. `factor` multiplies the sums where
/// the noise would otherwise be too few units.
struct HeadScale {
  Index error_bound = 1024;
  std::int64_t factor = 1;
  std::uint64_t variance = 0;  ///< of the noise on each sum of a step; 0: none

  /// A record's gradient has at most this norm.
  std::int64_t bound() const { return std::int64_t{error_bound} * input_bound * factor; }
};

inline HeadScale head_scale(const Settings& s) {
  HeadScale out;
  if (!s.noise) return out;
  const double mu = step_mu(s);
  const double most = scalar_math::floor(max_sigma * mu * (1 - 1e-9) / input_bound);
  if (most < 1) fail("moments: a step of the head has mu ", mu, ", which integers cannot show");
  out.error_bound = std::min<Index>(out.error_bound, static_cast<Index>(std::min(most, 1e6)));
  while (static_cast<double>(out.bound()) < min_sigma * mu) out.factor *= 2;
  out.variance = noise_variance(static_cast<double>(out.bound()), mu);
  return out;
}

/// Inputs of all samples and the rows of their classes.
struct HeadData {
  Index inputs = 0, rows = 0;
  std::vector<std::int16_t> values;  ///< [N, inputs]
  std::vector<std::int32_t> labels;  ///< [N], in [0, rows)

  Index size() const { return static_cast<Index>(labels.size()); }
};

/// `row_of`[label]: the row of each class that is held.
inline HeadData head_data(const data::Dataset& set, std::span<const Index> samples,
                          const HeadInput& input, std::span<const Index> row_of, Index rows) {
  HeadData out{input.size(), rows, {}, {}};
  out.values.resize(samples.size() * static_cast<std::size_t>(out.inputs));
  for (const Index i : samples)
    out.labels.push_back(
        static_cast<std::int32_t>(row_of[set.labels[static_cast<std::size_t>(i)]]));
  constexpr Index grain = 32;
  parallel_chunks(out.size(), grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      input(set.sample(samples[static_cast<std::size_t>(i)]),
            std::span(out.values)
                .subspan(static_cast<std::size_t>(i * out.inputs),
                         static_cast<std::size_t>(out.inputs)));
  });
  return out;
}

/// softmax(logits) in place.
inline void softmax(std::span<double> logits) {
  double most = logits[0], sum = 0;
  for (const double v : logits) most = std::max(most, v);
  for (double& v : logits) sum += v = scalar_math::exp(v - most);
  for (double& v : logits) v /= sum;
}

/// The error vector softmax(logits) - one_hot(label), clipped to norm `clip`, in integers of norm
/// at most `bound`. All 0 where it is not finite.
inline void integer_error(std::span<double> logits, std::int32_t label, double clip, Index bound,
                          float* out) {
  softmax(logits);
  logits[static_cast<std::size_t>(label)] -= 1;
  double squares = 0;
  for (const double v : logits) squares += v * v;
  const double norm = scalar_math::sqrt(squares);
  const double scale = (1 - 0x1p-40) * static_cast<double>(bound) / (norm > clip ? norm : clip);
  std::int64_t integer_squares = 0;
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const std::int64_t integer = truncated(logits[c] * scale);
    integer_squares += integer * integer;
    out[c] = static_cast<float>(integer);
  }
  if (!(norm < 2) || integer_squares > std::int64_t{bound} * bound)
    std::fill_n(out, logits.size(), 0.0F);
}

/// The exact sums [rows, inputs] of all records' clipped gradients at `weights` [rows, inputs].
inline std::vector<std::int64_t> gradient_sums(const HeadData& data, std::span<const float> weights,
                                               double clip, const HeadScale& scale) {
  // A block's sums are integers below 32 * 1024 * 512 = 2^24: exact in float, in any order.
  constexpr Index block = 32;
  static_assert(block * 1024 * input_value_bound <= Index{1} << 24);
  const Index rows = data.rows, inputs = data.inputs;
  const auto numbers = static_cast<std::size_t>(rows * inputs);
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(threads()));
  parallel_chunks(data.size(), block, [&](Index begin, Index end) {
    std::vector<std::int64_t>& own = sums[static_cast<std::size_t>(worker_index())];
    own.resize(numbers);
    const Index count = end - begin;
    std::vector<float> x(static_cast<std::size_t>(count * inputs));
    const std::int16_t* from = data.values.data() + begin * inputs;
    for (std::size_t j = 0; j < x.size(); ++j) x[j] = static_cast<float>(from[j]);
    std::vector<float> logits(static_cast<std::size_t>(count * rows)), errors(logits.size());
    kernels::gemm<float>(false, true, count, rows, inputs, x.data(), weights.data(), logits.data());
    std::vector<double> own_logits(static_cast<std::size_t>(rows));
    for (Index i = 0; i < count; ++i) {
      for (Index c = 0; c < rows; ++c)
        own_logits[static_cast<std::size_t>(c)] =
            static_cast<double>(logits[static_cast<std::size_t>(i * rows + c)]) / input_bound;
      integer_error(own_logits, data.labels[static_cast<std::size_t>(begin + i)], clip,
                    scale.error_bound, errors.data() + i * rows);
    }
    std::vector<float> gradient(numbers);
    kernels::gemm<float>(true, false, rows, inputs, count, errors.data(), x.data(),
                         gradient.data());
    for (std::size_t j = 0; j < numbers; ++j) own[j] += static_cast<std::int64_t>(gradient[j]);
  });
  std::vector<std::int64_t> out(numbers);
  for (const auto& own : sums)
    for (std::size_t j = 0; j < own.size(); ++j) out[j] += own[j] * scale.factor;
  return out;
}

/// Weights, momentum and the mean of the last third: made of noised sums alone.
struct HeadDescent {
  std::vector<float> weights;
  std::vector<double> momentum, total;  ///< total: of the weights of the last third of the steps

  explicit HeadDescent(std::size_t numbers = 0)
      : weights(numbers), momentum(numbers), total(numbers) {}

  /// Step `step` of s.head_steps with the noised sums of a device of `records`.
  void update(std::span<const std::int64_t> sums, Index step, Index records, const Settings& s,
              const HeadScale& scale) {
    const double unit = s.head_clip / static_cast<double>(scale.bound()) /
                        static_cast<double>(std::max<Index>(1, records));
    const bool last_third = step >= first_averaged(s);
    for (std::size_t j = 0; j < weights.size(); ++j) {
      momentum[j] = s.head_momentum * momentum[j] + unit * static_cast<double>(sums[j]);
      weights[j] = static_cast<float>(static_cast<double>(weights[j]) - s.head_rate * momentum[j]);
      if (last_third) total[j] += static_cast<double>(weights[j]);
    }
  }
  std::vector<float> mean(const Settings& s) const {
    std::vector<float> out;
    const auto steps = static_cast<double>(s.head_steps - first_averaged(s));
    for (const double v : total) out.push_back(static_cast<float>(v / steps));
    return out;
  }

 private:
  static Index first_averaged(const Settings& s) { return s.head_steps * 2 / 3; }
};

}  // namespace moments
IOTSL_NAMESPACE_END
