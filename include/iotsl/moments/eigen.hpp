#pragma once
// Eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to a tridiagonal one,
// then implicit QL steps (Bowdler, Martin, Reinsch, Wilkinson, "The QR and QL algorithms for
// symmetric matrices", Numerische Mathematik 11, 1968).

#include <span>
#include <vector>

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// vectors[k * size + i]: component i of the eigenvector of values[k]; in no particular order.
struct Eigensystem {
  std::vector<double> values, vectors;
};

namespace detail {

/// d: diagonal, e[i]: between i - 1 and i, q: rows are the orthogonal basis.
class Tridiagonal {
 public:
  Tridiagonal(std::vector<double> matrix, Index size)
      : n_(size),
        a_(std::move(matrix)),
        d_(static_cast<std::size_t>(size)),
        e_(static_cast<std::size_t>(size) + 1),
        q_(static_cast<std::size_t>(size * size)) {
    for (Index i = 0; i < n_; ++i) q(i, i) = 1;
    for (Index k = 0; k + 2 < n_; ++k) reflect(k);
    for (Index i = 0; i < n_; ++i) {
      d(i) = a(i, i);
      if (i > 0) e(i) = a(i, i - 1);
    }
  }

  /// Off-diagonals to 0 by QL steps with Wilkinson's shifts. Thirty per value are never needed.
  Eigensystem solve() {
    for (Index l = 0; l < n_; ++l)
      for (int step = 0; step < 60; ++step) {
        Index m = l;
        while (m + 1 < n_ && !negligible(m + 1)) ++m;
        if (m == l) break;
        ql_step(l, m);
      }
    return {std::move(d_), std::move(q_)};
  }

 private:
  double& a(Index i, Index j) { return a_[static_cast<std::size_t>(i * n_ + j)]; }
  double& q(Index i, Index j) { return q_[static_cast<std::size_t>(i * n_ + j)]; }
  double& d(Index i) { return d_[static_cast<std::size_t>(i)]; }
  double& e(Index i) { return e_[static_cast<std::size_t>(i)]; }
  static double hypotenuse(double x, double y) {
    // Covariances are far from where squares overflow.
    return scalar_math::sqrt(x * x + y * y);
  }
  bool negligible(Index i) {
    const double scale = scalar_math::abs(d(i - 1)) + scalar_math::abs(d(i));
    return scalar_math::abs(e(i)) <= 0x1p-53 * scale;
  }

  /// Zeroes column k below the first off-diagonal: A <- H A H, Q <- H Q, H = I - 2 v v'.
  void reflect(Index k) {
    double below = 0;
    for (Index i = k + 1; i < n_; ++i) below += a(i, k) * a(i, k);
    const double norm = scalar_math::sqrt(below);
    if (norm == 0) return;
    std::vector<double> v(static_cast<std::size_t>(n_)), p(static_cast<std::size_t>(n_));
    for (Index i = k + 1; i < n_; ++i) v[static_cast<std::size_t>(i)] = a(i, k);
    double& first = v[static_cast<std::size_t>(k + 1)];
    first += first < 0 ? -norm : norm;
    double squares = 0;
    for (const double x : v) squares += x * x;
    const double scale = 1 / scalar_math::sqrt(squares);
    for (double& x : v) x *= scale;
    double inner = 0;
    for (Index i = k; i < n_; ++i) {
      double sum = 0;
      for (Index j = k + 1; j < n_; ++j) sum += a(i, j) * v[static_cast<std::size_t>(j)];
      p[static_cast<std::size_t>(i)] = sum;
      inner += sum * v[static_cast<std::size_t>(i)];
    }
    for (Index i = k; i < n_; ++i)
      p[static_cast<std::size_t>(i)] -= inner * v[static_cast<std::size_t>(i)];
    for (Index i = k; i < n_; ++i)
      for (Index j = k; j < n_; ++j)
        a(i, j) -= 2 * (v[static_cast<std::size_t>(i)] * p[static_cast<std::size_t>(j)] +
                        p[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(j)]);
    apply_to_basis(v, k + 1);
  }
  void apply_to_basis(const std::vector<double>& v, Index first) {
    std::vector<double> sums(static_cast<std::size_t>(n_));
    for (Index i = first; i < n_; ++i)
      for (Index j = 0; j < n_; ++j)
        sums[static_cast<std::size_t>(j)] += v[static_cast<std::size_t>(i)] * q(i, j);
    for (Index i = first; i < n_; ++i)
      for (Index j = 0; j < n_; ++j)
        q(i, j) -= 2 * v[static_cast<std::size_t>(i)] * sums[static_cast<std::size_t>(j)];
  }

  /// One step on rows l to m, between which no off-diagonal is 0.
  void ql_step(Index l, Index m) {
    double g = (d(l + 1) - d(l)) / (2 * e(l + 1));
    const double r0 = hypotenuse(g, 1);
    g = d(m) - d(l) + e(l + 1) / (g + (g < 0 ? -r0 : r0));
    double s = 1, c = 1, p = 0;
    for (Index i = m - 1; i >= l; --i) {
      const double f = s * e(i + 1), b = c * e(i + 1);
      const double r = hypotenuse(f, g);
      if (i + 2 <= m) e(i + 2) = r;
      if (r == 0) {  // a split has been found
        d(i + 1) -= p;
        return;
      }
      s = f / r;
      c = g / r;
      g = d(i + 1) - p;
      const double t = (d(i) - g) * s + 2 * c * b;
      p = s * t;
      d(i + 1) = g + p;
      g = c * t - b;
      for (Index j = 0; j < n_; ++j) {
        const double upper = q(i + 1, j), lower = q(i, j);
        q(i + 1, j) = s * lower + c * upper;
        q(i, j) = c * lower - s * upper;
      }
    }
    d(l) -= p;
    e(l + 1) = g;
  }

  Index n_;
  std::vector<double> a_, d_, e_, q_;
};

}  // namespace detail

/// Of the symmetric matrix [size, size], about 9 size^3 operations.
inline Eigensystem eigensystem(std::vector<double> matrix, Index size) {
  return detail::Tridiagonal(std::move(matrix), size).solve();
}

}  // namespace moments
IOTSL_NAMESPACE_END
