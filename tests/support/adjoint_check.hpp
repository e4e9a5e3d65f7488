#pragma once
// Adjoint identity of a linear map: <A x, y> = <x, A^T y>, exact up to rounding.

#include "support/gradient_check.hpp"

namespace check {

/// `forward` maps x's shape to y's, `adjoint` back.
template <class Forward, class Adjoint>
void adjoint_check(const Forward& forward, const Adjoint& adjoint, const Shape& x_shape,
                   const Shape& y_shape) {
  const Tensor<double> x = normal(x_shape, 301), y = normal(y_shape, 302);
  const Tensor<double> ax = forward(x), aty = adjoint(y);
  REQUIRE(ax.shape() == y_shape);
  REQUIRE(aty.shape() == x_shape);
  CHECK(dot(ax, y) == doctest::Approx(dot(x, aty)).epsilon(1e-12));
}

/// The error text of a call that must fail; empty where it does not.
template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const iotsl::Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace check
