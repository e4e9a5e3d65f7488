#pragma once
// Ridge regression on Gram matrices: who of many similar canaries is in a sum?

#include <vector>

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/threads/parallel.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// The weights w that minimise |y - sum_i w_i q_i|^2 + ridge |w|^2, from inner products alone.
class Ridge {
 public:
  explicit Ridge(std::size_t count) : products_(count * count), targets_(count) {}

  /// <q_i, q_j>, j <= i.
  double& product(Index i, Index j) { return products_[at(i, j)]; }
  /// <q_i, y>.
  double& target(Index i) { return targets_[static_cast<std::size_t>(i)]; }

  /// By Cholesky's factors of (products + ridge I).
  std::vector<double> solution(double ridge) const {
    std::vector<double> l = products_, w = targets_;
    const auto n = static_cast<Index>(w.size());
    for (Index k = 0; k < n; ++k) {
      const double pivot = scalar_math::sqrt(l[at(k, k)] + ridge);
      l[at(k, k)] = pivot;
      for (Index i = k + 1; i < n; ++i) l[at(i, k)] /= pivot;
      parallel_for(n - k - 1, [&](Index row) {
        const Index i = k + 1 + row;
        const double own = l[at(i, k)];
        for (Index j = k + 1; j <= i; ++j) l[at(i, j)] -= own * l[at(j, k)];
      });
    }
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < i; ++j) w[index(i)] -= l[at(i, j)] * w[index(j)];
      w[index(i)] /= l[at(i, i)];
    }
    for (Index i = n - 1; i >= 0; --i) {
      for (Index j = i + 1; j < n; ++j) w[index(i)] -= l[at(j, i)] * w[index(j)];
      w[index(i)] /= l[at(i, i)];
    }
    return w;
  }

 private:
  static std::size_t index(Index i) { return static_cast<std::size_t>(i); }
  std::size_t at(Index i, Index j) const { return index(i) * targets_.size() + index(j); }

  std::vector<double> products_, targets_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
