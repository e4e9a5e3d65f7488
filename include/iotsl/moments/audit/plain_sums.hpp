#pragma once
// The three queries of a moments training once more, as README.md states them: plain loops that
// share no line with what they audit. Of the settings only the values are used.

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/data/dataset.hpp"
#include "iotsl/moments/settings.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments::plain {

/// Lowest cosine coefficients of an image with values in [0,1], clipped to norm R and divided by
/// it.
inline std::vector<double> clipped_coefs(const data::Dataset& set, Index image, const Settings& s) {
  using namespace scalar_math;
  Index side = s.side;
  while (side > 1 && set.channels * side * side > s.max_coefs) side -= 1;
  const double pi = 3.14159265358979323846;
  const auto h = static_cast<double>(set.height), w = static_cast<double>(set.width);
  const std::span<const std::uint8_t> pixels = set.sample(image);
  std::vector<double> out;
  double squares = 0;
  for (Index c = 0; c < set.channels; ++c)
    for (Index k = 0; k < side; ++k) {
      std::vector<double> column(static_cast<std::size_t>(set.width));
      for (Index y = 0; y < set.height; ++y) {
        const double wave = cos(pi * static_cast<double>((2 * y + 1) * k) / (2 * h));
        for (Index x = 0; x < set.width; ++x)
          column[static_cast<std::size_t>(x)] +=
              wave * pixels[static_cast<std::size_t>((c * set.height + y) * set.width + x)] / 255.0;
      }
      for (Index l = 0; l < side; ++l) {
        double sum = 0;
        for (Index x = 0; x < set.width; ++x)
          sum += column[static_cast<std::size_t>(x)] *
                 cos(pi * static_cast<double>((2 * x + 1) * l) / (2 * w));
        sum *= sqrt((k == 0 ? 1 : 2) / h) * sqrt((l == 0 ? 1 : 2) / w);
        out.push_back(sum);
        squares += sum * sum;
      }
    }
  const double norm = s.norm * sqrt(static_cast<double>(set.channels) * h * w);
  const double length = sqrt(squares);
  for (double& v : out) v /= length > norm ? length : norm;
  return out;
}

/// Histograms of oriented gradients (4x4 cells, 8 signed directions, 2x2 cells a block, each
/// block b as b / sqrt(|b|^2 + 1)) and means of 2x2 pixels, together of norm 1. 28x28 pixels.
inline std::vector<double> unit_features(const data::Dataset& set, Index image) {
  using namespace scalar_math;
  const std::span<const std::uint8_t> pixels = set.sample(image);
  const auto at = [&](Index c, Index y, Index x) {
    return pixels[static_cast<std::size_t>((c * 28 + y) * 28 + x)] / 255.0;
  };
  double cell[7][7][8] = {};
  for (Index y = 0; y < 28; ++y)
    for (Index x = 0; x < 28; ++x) {
      double gx = 0, gy = 0;
      for (Index c = 0; c < set.channels; ++c) {
        const double dx =
            at(c, y, std::min<Index>(x + 1, 27)) - at(c, y, std::max<Index>(x - 1, 0));
        const double dy =
            at(c, std::min<Index>(y + 1, 27), x) - at(c, std::max<Index>(y - 1, 0), x);
        if (dx * dx + dy * dy > gx * gx + gy * gy) gx = dx, gy = dy;
      }
      double turn = atan2(gy, gx) / 0.78539816339744830962;  // in eighths, -4 to 4
      if (turn < 0) turn += 8;
      const auto bin = static_cast<Index>(turn);
      const double share = turn - static_cast<double>(bin), length = sqrt(gx * gx + gy * gy);
      cell[y / 4][x / 4][bin % 8] += length * (1 - share);
      cell[y / 4][x / 4][(bin + 1) % 8] += length * share;
    }
  std::vector<double> out;
  for (Index y = 0; y < 6; ++y)
    for (Index x = 0; x < 6; ++x) {
      double squares = 1;
      for (Index k = 0; k < 32; ++k) {
        const double v = cell[y + k / 16][x + k / 8 % 2][k % 8];
        squares += v * v;
      }
      for (Index k = 0; k < 32; ++k)
        out.push_back(cell[y + k / 16][x + k / 8 % 2][k % 8] / sqrt(squares));
    }
  for (Index c = 0; c < set.channels; ++c)
    for (Index y = 0; y < 28; y += 2)
      for (Index x = 0; x < 28; x += 2)
        out.push_back((at(c, y, x) + at(c, y, x + 1) + at(c, y + 1, x) + at(c, y + 1, x + 1)) / 4);
  double squares = 0;
  for (const double v : out) squares += v * v;
  if (squares > 0)
    for (double& v : out) v /= sqrt(squares);
  return out;
}

/// Toward zero.
inline double whole(double v) { return static_cast<double>(static_cast<std::int64_t>(v)); }

inline double dot(std::span<const double> a, std::span<const double> b) {
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out += a[i] * b[i];
  return out;
}

/// One vector for every image of a set.
template <class Make>
std::vector<std::vector<double>> of_all(const data::Dataset& set, const Make& make) {
  std::vector<std::vector<double>> out(static_cast<std::size_t>(set.size()));
  parallel_for(set.size(), [&](Index i) { out[static_cast<std::size_t>(i)] = make(i); });
  return out;
}

/// What records add to the sums of a query, in the units of a release whose records have norm
/// `bound` at most. Of each record: add() to sums, inner products with sums and with others.
class Moments {
 public:
  Moments(const data::Dataset& set, const Settings& s, double bound)
      : set_(set),
        unit_(bound / scalar_math::sqrt(3.0)),
        coefs_(of_all(set, [&](Index i) { return clipped_coefs(set, i, s); })) {}

  std::size_t numbers() const {
    const std::size_t d = coefs_[0].size(), pairs = d * (d + 1) / 2;
    return static_cast<std::size_t>(set_.classes) * (d + pairs) + pairs;
  }
  void add(Index i, double times, std::span<double> sums) const {
    each(i, [&](std::size_t at, double v) { sums[at] += times * v; });
  }
  double dot(Index i, std::span<const double> sums) const {
    double out = 0;
    each(i, [&](std::size_t at, double v) { out += v * sums[at]; });
    return out;
  }
  /// |vech(xx')' vech(yy')| = (x'y)^2, for the class and for all.
  double product(Index i, Index j) const {
    const double xy = plain::dot(coefs_[index(i)], coefs_[index(j)]);
    const bool same = set_.labels[index(i)] == set_.labels[index(j)];
    return unit_ * unit_ * (same ? xy + 2 * xy * xy : xy * xy);
  }

 private:
  static std::size_t index(Index i) { return static_cast<std::size_t>(i); }
  /// visit(place in the sums, integer).
  template <class Visit>
  void each(Index i, const Visit& visit) const {
    const std::vector<double>& x = coefs_[index(i)];
    const std::size_t d = x.size(), pairs = d * (d + 1) / 2;
    const std::size_t own = set_.labels[index(i)] * (d + pairs);
    const std::size_t all = static_cast<std::size_t>(set_.classes) * (d + pairs);
    for (std::size_t k = 0; k < d; ++k) visit(own + k, whole(x[k] * unit_));
    std::size_t pair = 0;
    for (std::size_t k = 0; k < d; ++k)
      for (std::size_t l = 0; l <= k; ++l, ++pair) {
        const double v = whole(x[k] * x[l] * (k == l ? 1.0 : 1.41421356237309504880) * unit_);
        visit(own + d + pair, v);
        visit(all + pair, v);
      }
  }

  const data::Dataset& set_;
  double unit_;
  std::vector<std::vector<double>> coefs_;
};

class Centre {
 public:
  Centre(const data::Dataset& set, double bound)
      : values_(of_all(set, [&](Index i) {
          std::vector<double> out = unit_features(set, i);
          for (double& v : out) v = whole(v * bound);
          return out;
        })) {}

  std::size_t numbers() const { return values_[0].size(); }
  void add(Index i, double times, std::span<double> sums) const {
    const std::vector<double>& own = values_[static_cast<std::size_t>(i)];
    for (std::size_t j = 0; j < own.size(); ++j) sums[j] += times * own[j];
  }
  double dot(Index i, std::span<const double> sums) const {
    return plain::dot(values_[static_cast<std::size_t>(i)], sums);
  }
  double product(Index i, Index j) const {
    return plain::dot(values_[static_cast<std::size_t>(i)], values_[static_cast<std::size_t>(j)]);
  }

 private:
  std::vector<std::vector<double>> values_;
};

/// The mean of the features that a release of their noised sums has: 15 bits of fraction.
inline std::vector<double> released_centre(std::span<const std::int64_t> sums, double bound,
                                           double records) {
  std::vector<double> out;
  for (const std::int64_t v : sums) {
    const double mean = static_cast<double>(v) / bound / records * 32768;
    out.push_back(scalar_math::floor(std::clamp(mean, -32767.0, 32767.0) + 0.5) / 32768);
  }
  return out;
}

/// Gradients of logistic regression: (softmax(Wx) - label) clipped to norm `head_clip`, times x,
/// the features less their centre and a constant, scaled to norm 1, no value above 1/4, in 2048ths.
class Head {
 public:
  Head(const data::Dataset& set, const Settings& s, std::span<const double> centre)
      : set_(set), settings_(s), inputs_(of_all(set, [&](Index i) {
          std::vector<double> x = unit_features(set, i);
          for (std::size_t j = 0; j < x.size(); ++j) x[j] -= centre[j];
          x.push_back(s.head_constant);
          const double norm = scalar_math::sqrt(plain::dot(x, x));
          for (double& v : x) v = whole(std::clamp(v / norm * 2048, -512.0, 512.0)) / 2048;
          return x;
        })) {
    likeness_ = of_all(set_, [&](Index i) {
      std::vector<double> out;
      for (Index j = 0; j <= i; ++j)
        out.push_back(
            plain::dot(inputs_[static_cast<std::size_t>(i)], inputs_[static_cast<std::size_t>(j)]));
      return out;
    });
    weights_.resize(numbers());
    momentum_.resize(numbers());
  }

  std::size_t numbers() const { return static_cast<std::size_t>(set_.classes) * inputs_[0].size(); }
  const std::vector<float>& weights() const { return weights_; }

  /// To be called before a step's sums are looked at; `bound`: of its records.
  void begin_step(double bound) {
    errors_ = of_all(set_, [&](Index i) { return error(i, bound); });
  }
  /// What the device does with a step's noised sums.
  void end_step(std::span<const std::int64_t> sums, double bound, double records) {
    for (std::size_t j = 0; j < weights_.size(); ++j) {
      momentum_[j] = settings_.head_momentum * momentum_[j] +
                     settings_.head_clip * static_cast<double>(sums[j]) / bound / records;
      weights_[j] =
          static_cast<float>(static_cast<double>(weights_[j]) - settings_.head_rate * momentum_[j]);
    }
  }

  void add(Index i, double times, std::span<double> sums) const {
    const std::vector<double>& x = inputs_[static_cast<std::size_t>(i)];
    auto at = sums.begin();
    for (const double e : errors_[static_cast<std::size_t>(i)])
      for (const double v : x) *at++ += times * e * v;
  }
  double dot(Index i, std::span<const double> sums) const {
    const std::vector<double>& x = inputs_[static_cast<std::size_t>(i)];
    double out = 0;
    std::size_t row = 0;
    for (const double e : errors_[static_cast<std::size_t>(i)])
      out += e * plain::dot(x, sums.subspan(x.size() * row++));
    return out;
  }
  double product(Index i, Index j) const {
    return plain::dot(errors_[static_cast<std::size_t>(i)], errors_[static_cast<std::size_t>(j)]) *
           likeness_[static_cast<std::size_t>(std::max(i, j))]
                    [static_cast<std::size_t>(std::min(i, j))];
  }

 private:
  /// [classes], of norm `bound` at most.
  std::vector<double> error(Index i, double bound) const {
    using namespace scalar_math;
    const std::vector<double>& x = inputs_[static_cast<std::size_t>(i)];
    std::vector<double> out;
    double most = -1e300, sum = 0;
    for (std::size_t row = 0; row < weights_.size(); row += x.size()) {
      double logit = 0;
      for (std::size_t j = 0; j < x.size(); ++j)
        logit += x[j] * static_cast<double>(weights_[row + j]);
      out.push_back(logit);
      most = std::max(most, logit);
    }
    for (double& v : out) sum += v = exp(v - most);
    for (double& v : out) v /= sum;
    out[set_.labels[static_cast<std::size_t>(i)]] -= 1;
    const double norm = sqrt(plain::dot(out, out));
    for (double& v : out) v *= bound / std::max(norm, settings_.head_clip);
    return out;
  }

  const data::Dataset& set_;
  Settings settings_;
  std::vector<std::vector<double>> inputs_, errors_;
  std::vector<float> weights_;
  std::vector<double> momentum_;
  std::vector<std::vector<double>> likeness_;  ///< x_i' x_j, lower triangle
};

}  // namespace moments::plain
IOTSL_NAMESPACE_END
