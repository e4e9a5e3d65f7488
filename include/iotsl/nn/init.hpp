#pragma once
// Initial weights, a function of (seed, tensor number) alone.

#include "iotsl/core/random.hpp"
#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/tensor.hpp"

IOTSL_NAMESPACE_BEGIN

/// Fills `tensor` with N(0, deviation^2). `tensor_number` is its place in the whole model, so that
/// a cut changes no value.
template <class T>
void fill_normal(Tensor<T>& tensor, double deviation, std::uint64_t seed,
                 std::uint32_t tensor_number) {
  const Random random(seed, Stream::initial_weights, tensor_number);
  T* values = tensor.mutable_data();
  for (Index i = 0; i < tensor.size(); ++i)
    values[i] = static_cast<T>(deviation * random.normal(static_cast<std::uint64_t>(i)));
}

/// Fills `tensor` with uniform numbers in [-bound, bound).
template <class T>
void fill_uniform(Tensor<T>& tensor, double bound, std::uint64_t seed,
                  std::uint32_t tensor_number) {
  const Random random(seed, Stream::initial_weights, tensor_number);
  T* values = tensor.mutable_data();
  for (Index i = 0; i < tensor.size(); ++i)
    values[i] = static_cast<T>(bound * (2 * random.uniform(static_cast<std::uint64_t>(i)) - 1));
}

/// Uniform numbers in +-1/sqrt(fan_in), as PyTorch's layers begin: `weight` has the tensor's
/// number, `bias` the next. fan_in is what one extent of the weight's first dimension holds.
template <class T>
void fill_uniform_fan_in(Tensor<T>& weight, Tensor<T>& bias, std::uint64_t seed,
                         std::uint32_t tensor_number) {
  if (weight.rank() < 1) fail("fill_uniform_fan_in: weight ", weight.shape(), " has no fan-in");
  const Index fan_in = weight.shape()[0] == 0 ? 0 : weight.size() / weight.shape()[0];
  if (fan_in == 0 && bias.size() > 0)
    fail("fill_uniform_fan_in: weight ", weight.shape(), " has no values, the bias ", bias.shape());
  const double bound = 1 / scalar_math::sqrt(static_cast<double>(fan_in));
  fill_uniform(weight, bound, seed, tensor_number);
  fill_uniform(bias, bound, seed, tensor_number + 1);
}

/// Kaiming normal with fan-out (He et al. 2015), gain of ReLU: weight [K,C,R,S] gets deviation
/// sqrt(2 / (K R S)).
template <class T>
void kaiming_normal_fan_out(Tensor<T>& weight, std::uint64_t seed, std::uint32_t tensor_number) {
  const Shape& s = weight.shape();
  if (s.rank() != 4) fail("kaiming_normal_fan_out: weight ", s, "; expected [K,C,R,S]");
  const double fan_out = static_cast<double>(s[0] * s[2] * s[3]);
  fill_normal(weight, scalar_math::sqrt(2.0 / fan_out), seed, tensor_number);
}

IOTSL_NAMESPACE_END
