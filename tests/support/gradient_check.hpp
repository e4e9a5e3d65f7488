#pragma once
// Gradient checks of order one and two, in double, along one random direction: the derivative of
// <f(x), u> along v must be the central difference of it (Griewank, Walther 2008, section 3.1; the
// check applied to its own gradient gives the second order).

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "iotsl/autograd/grad.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "support/double_instances.hpp"

namespace check {

using iotsl::Index;
using iotsl::Shape;
using iotsl::Tensor;
using Tensors = std::vector<Tensor<double>>;

/// Standard normal numbers; the same for the same shape and seed.
inline Tensor<double> normal(const Shape& shape, std::uint64_t seed) {
  Tensor<double> out = Tensor<double>::uninitialized(shape);
  const iotsl::Random random(seed, iotsl::Stream::user);
  double* to = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i) to[i] = random.normal(static_cast<std::uint64_t>(i));
  return out;
}
/// Uniform in [0.5, 2).
inline Tensor<double> positive(const Shape& shape, std::uint64_t seed) {
  Tensor<double> out = Tensor<double>::uninitialized(shape);
  const iotsl::Random random(seed, iotsl::Stream::user);
  double* to = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i)
    to[i] = 0.5 + 1.5 * random.uniform(static_cast<std::uint64_t>(i));
  return out;
}
/// All different by at least 0.1 and away from 0 by 0.05: no step of a check crosses a kink.
inline Tensor<double> apart(const Shape& shape, std::uint64_t seed) {
  Tensor<double> out = Tensor<double>::uninitialized(shape);
  const iotsl::Random random(seed, iotsl::Stream::user);
  double* to = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i)
    to[i] = 0.1 * static_cast<double>(i - out.size() / 2) + 0.05;
  for (Index i = out.size() - 1; i > 0; --i) {
    const auto at = static_cast<std::uint64_t>(i);
    std::swap(to[i], to[random.below(at, at + 1)]);
  }
  return out;
}

inline double dot(const Tensor<double>& a, const Tensor<double>& b) {
  REQUIRE(a.shape() == b.shape());
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data()[i] * b.data()[i];
  return sum;
}
inline double dot(const Tensors& a, const Tensors& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += dot(a[i], b[i]);
  return sum;
}

/// x + step * v, as fresh leaves.
inline Tensors moved(const Tensors& x, const Tensors& v, double step) {
  Tensors out;
  for (std::size_t i = 0; i < x.size(); ++i) {
    out.push_back(x[i].clone());
    double* values = out[i].mutable_data();
    for (Index k = 0; k < x[i].size(); ++k) values[k] += step * v[i].data()[k];
    out[i].set_requires_grad();
  }
  return out;
}
inline Tensors like(const Tensors& tensors, std::uint64_t seed) {
  Tensors out;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    out.push_back(normal(tensors[i].shape(), seed + i));
  return out;
}

/// Fourth-order central difference of phi at 0: accurate to about 1e-10 relative at this step.
template <class Phi>
double slope_at_zero(const Phi& phi) {
  const double h = 1e-3;
  return (8 * (phi(h) - phi(-h)) - (phi(2 * h) - phi(-2 * h))) / (12 * h);
}

/// Gradients of <f(x), u> with respect to every x.
template <class F>
Tensors gradients(const F& f, const Tensors& x, const Tensor<double>& u, bool create_graph) {
  return iotsl::grad<double>({f(x)}, x, {u}, {.create_graph = create_graph});
}

/// Checks d<f(x), u>/dx along a random direction. `f` takes a vector of tensors.
template <class F>
void gradient_check_first(const F& f, const Tensors& at, double tolerance = 1e-7) {
  const Tensors v = like(at, 101);
  const Tensors x = moved(at, v, 0);
  const Tensor<double> u = normal(f(x).shape(), 102);
  const double expected = slope_at_zero([&](double t) { return dot(f(moved(at, v, t)), u); });
  for (bool create_graph : {false, true}) {
    CAPTURE(create_graph);
    const Tensors grads = gradients(f, x, u, create_graph);
    REQUIRE(grads.size() == x.size());
    for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(grads[i].shape() == x[i].shape());
    CHECK(dot(grads, v) == doctest::Approx(expected).epsilon(tolerance));
  }
}

/// Checks the gradient of sum_i <grad_i, w_i> with respect to x and u along a random direction.
template <class F>
void gradient_check_second(const F& f, const Tensors& at, double tolerance = 1e-7) {
  const Tensors w = like(at, 201);
  Tensors all = at;
  all.push_back(normal(f(moved(at, w, 0)).shape(), 202));
  // The last argument is the seed of the first order.
  const auto first_order = [&](const Tensors& leaves) {
    const Tensors x(leaves.begin(), leaves.end() - 1);
    return gradients(f, x, leaves.back(), true);
  };
  const Tensors v = like(all, 203);
  const double expected =
      slope_at_zero([&](double t) { return dot(first_order(moved(all, v, t)), w); });

  const Tensors leaves = moved(all, v, 0);
  const Tensors grads = first_order(leaves);
  Tensors outputs, seeds;
  for (std::size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].requires_grad()) continue;
    outputs.push_back(grads[i]);
    seeds.push_back(w[i]);
  }
  REQUIRE(!outputs.empty());
  const Tensors seconds = iotsl::grad<double>(outputs, leaves, seeds);
  CHECK(dot(seconds, v) == doctest::Approx(expected).epsilon(tolerance));
}

/// Order one and two.
template <class F>
void gradient_check(const F& f, const Tensors& at, double tolerance = 1e-7) {
  gradient_check_first(f, at, tolerance);
  gradient_check_second(f, at, tolerance);
}

}  // namespace check
