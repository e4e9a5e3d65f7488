#include "iotsl/moments/eigen.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "iotsl/core/random.hpp"

namespace eigen_test {

using namespace iotsl;
using moments::eigensystem;
using moments::Eigensystem;

TEST_CASE("eigenvalues of the second difference") {
  // 2 on the diagonal, -1 beside it: 2 - 2 cos(pi k / (n + 1)).
  for (const Index n : {1, 2, 3, 10, 101}) {
    std::vector<double> matrix(static_cast<std::size_t>(n * n));
    for (Index i = 0; i < n; ++i) {
      matrix[static_cast<std::size_t>(i * n + i)] = 2;
      if (i > 0)
        matrix[static_cast<std::size_t>(i * n + i - 1)] =
            matrix[static_cast<std::size_t>((i - 1) * n + i)] = -1;
    }
    Eigensystem system = eigensystem(matrix, n);
    std::sort(system.values.begin(), system.values.end());
    for (Index k = 1; k <= n; ++k)
      CHECK(system.values[static_cast<std::size_t>(k - 1)] ==
            doctest::Approx(2 - 2 * std::cos(3.141592653589793 * static_cast<double>(k) /
                                             static_cast<double>(n + 1)))
                .epsilon(1e-12));
  }
}

TEST_CASE("random matrices, of full and low rank: A = V' diag(values) V, V orthonormal") {
  const Random random(1, Stream::user, 0);
  std::uint64_t at = 0;
  for (const Index n : {2, 5, 40}) {
    for (const Index rank : {Index{0}, Index{1}, n / 2, n}) {
      CAPTURE(n);
      CAPTURE(rank);
      std::vector<double> a(static_cast<std::size_t>(n * n));
      for (Index r = 0; r < rank; ++r) {
        std::vector<double> v;
        for (Index i = 0; i < n; ++i) v.push_back(random.normal(at++));
        for (Index i = 0; i < n; ++i)
          for (Index j = 0; j < n; ++j)
            a[static_cast<std::size_t>(i * n + j)] += (r % 2 == 0 ? 1 : -1) *
                                                      v[static_cast<std::size_t>(i)] *
                                                      v[static_cast<std::size_t>(j)];
      }
      const Eigensystem s = eigensystem(a, n);
      double worst = 0, skew = 0;
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) {
          double sum = 0, product = 0;
          for (Index k = 0; k < n; ++k) {
            sum += s.values[static_cast<std::size_t>(k)] *
                   s.vectors[static_cast<std::size_t>(k * n + i)] *
                   s.vectors[static_cast<std::size_t>(k * n + j)];
            product += s.vectors[static_cast<std::size_t>(i * n + k)] *
                       s.vectors[static_cast<std::size_t>(j * n + k)];
          }
          worst = std::max(worst, std::abs(sum - a[static_cast<std::size_t>(i * n + j)]));
          skew = std::max(skew, std::abs(product - (i == j)));
        }
      CHECK(worst < 1e-11);
      CHECK(skew < 1e-12);
    }
  }
}

}  // namespace eigen_test
