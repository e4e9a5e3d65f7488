#pragma once
// What is asked of the data once: for each class that has images the sum of x and of vech(x x'),
// and the latter over all classes, where x are an image's lowest cosine coefficients, clipped to a
// norm and divided by it. Integers: what is added up cannot depend on the order, and what is
// released has no last digits of a floating-point number.

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/data/dataset.hpp"
#include "iotsl/moments/cosine.hpp"
#include "iotsl/moments/integer_noise.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// How a record becomes integers: `bound` is the norm that none exceeds.
struct QueryScale {
  std::int64_t bound = 0;
  std::uint64_t variance = 0;  ///< of the noise; 0: none

  /// Units per 1 of x and of vech(x x'). The query (x, vech(x x'), vech(x x')) has a norm of at
  /// most sqrt 3 where |x| <= 1, because |vech(x x')| = |x|^2.
  double unit() const { return static_cast<double>(bound) / scalar_math::sqrt(3.0); }
  double sigma() const { return scalar_math::sqrt(static_cast<double>(variance)); }
};

/// For a query that spends `mu`: a standard deviation of about 2^25 units. Without noise as fine.
inline QueryScale query_scale(bool noise, double mu) {
  constexpr double fine = 0x1p25;
  if (!noise) return {static_cast<std::int64_t>(fine), 0};
  const double bound = scalar_math::floor(mu * fine);
  return {static_cast<std::int64_t>(bound), noise_variance(bound, mu)};
}
inline QueryScale moments_scale(const Settings& s) {
  return query_scale(s.noise, budget(s).moments);
}

/// v as an integer, toward zero, so that no norm grows. 0 for NaN and what no record can have.
inline std::int64_t truncated(double v) {
  return scalar_math::abs(v) < 0x1p52 ? static_cast<std::int64_t>(v) : 0;
}

/// Whether 64-bit arithmetic says that the squares of all values are at most bound^2; bound below
/// 2^31.
inline bool within_norm(std::span<const std::int64_t> values, std::int64_t bound,
                        std::uint64_t squares = 0) {
  const std::uint64_t most = static_cast<std::uint64_t>(bound) * static_cast<std::uint64_t>(bound);
  for (const std::int64_t v : values) {
    if (v > bound || v < -bound) return false;
    squares += static_cast<std::uint64_t>(v * v);
    if (squares > most) return false;  // before it can wrap: both terms are below 2^63
  }
  return squares <= most;
}

/// One record's part: x, then vech(x x'), rows of the lower triangle, off-diagonals times sqrt 2.
class RecordQuery {
 public:
  RecordQuery(const QueryScale& scale, Index coefs)
      : scale_(scale),
        coefs_(coefs),
        values_(static_cast<std::size_t>(coefs + coefs * (coefs + 1) / 2)) {}

  /// The integers of a record with these coefficients, clipped to `norm`; all 0 where they are not
  /// finite or, against all expectation, above the bound.
  std::span<const std::int64_t> operator()(std::span<double> x, double norm) {
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double length = scalar_math::sqrt(squares);
    // Just below 1, so that rounding cannot take a record above the bound.
    const double factor = (1 - 0x1p-40) / (length > norm ? length : norm);
    const double unit = scale_.unit(), root2 = scalar_math::sqrt(2.0);
    for (double& v : x) v *= factor;
    auto at = values_.begin();
    for (const double v : x) *at++ = truncated(v * unit);
    for (Index i = 0; i < coefs_; ++i) {
      const double row = x[static_cast<std::size_t>(i)] * unit, off = row * root2;
      for (Index j = 0; j < i; ++j) *at++ = truncated(off * x[static_cast<std::size_t>(j)]);
      *at++ = truncated(row * x[static_cast<std::size_t>(i)]);
    }
    if (!(length < 1e150) || !good()) std::fill(values_.begin(), values_.end(), 0);
    return values_;
  }

 private:
  /// The squared norm of (x, vech, vech), in 64 bits.
  bool good() const {
    const auto pairs = std::span(values_).subspan(static_cast<std::size_t>(coefs_));
    if (!within_norm(values_, scale_.bound)) return false;
    std::uint64_t first = 0;  // at most bound^2, as just checked
    for (const std::int64_t v : values_) first += static_cast<std::uint64_t>(v * v);
    return within_norm(pairs, scale_.bound, first);
  }

  QueryScale scale_;
  Index coefs_;
  std::vector<std::int64_t> values_;
};

/// Sample numbers by class.
inline std::vector<std::vector<Index>> by_class(const data::Dataset& set,
                                                std::span<const Index> samples) {
  std::vector<std::vector<Index>> out(static_cast<std::size_t>(set.classes));
  for (const Index i : samples) {
    if (i < 0 || i >= set.size())
      fail("moments: sample ", i, " of ", set.name, ", which has ", set.size());
    out[set.labels[static_cast<std::size_t>(i)]].push_back(i);
  }
  return out;
}

/// The exact sums: for each class that has samples, ascending, x and vech(x x'); then the vech of
/// all classes. moment_count() integers, which no noise protects yet.
inline std::vector<std::int64_t> class_sums(const data::Dataset& set,
                                            std::span<const Index> samples, const Settings& s) {
  const ImageSpec images{set.channels, set.height, set.width, set.classes};
  const CoefShape shape = coef_shape(s, images);
  const CosineTransform transform(shape, images);
  std::vector<std::vector<Index>> held = by_class(set, samples);
  std::erase_if(held, [](const auto& own) { return own.empty(); });
  const Index classes = static_cast<Index>(held.size()), each = shape.size() + shape.pairs();
  std::vector<std::int64_t> out(static_cast<std::size_t>(moment_count(shape, classes)));
  parallel_for(classes, [&](Index c) {
    RecordQuery query(moments_scale(s), shape.size());
    std::vector<double> x(static_cast<std::size_t>(shape.size()));
    std::int64_t* sums = out.data() + c * each;
    for (const Index i : held[static_cast<std::size_t>(c)]) {
      transform.forward(set.sample(i), x);
      for (const std::int64_t v : query(x, clip_norm(s, images))) *sums++ += v;
      sums -= each;
    }
  });
  std::int64_t* pooled = out.data() + classes * each;
  for (Index c = 0; c < classes; ++c)
    for (Index i = 0; i < shape.pairs(); ++i)
      pooled[i] += out[static_cast<std::size_t>(c * each + shape.size() + i)];
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
