// What another project does with the library: a tensor, a convolution, a gradient. Prints the
// kernels' target and a sum that every target gives; other.cpp is a second unit with the same
// headers.
#include <cmath>
#include <cstdio>

#ifdef CONSUMER_HEADER
#include CONSUMER_HEADER
#else
#include "iotsl/iotsl.hpp"
#endif

float sum_of_gradient(const iotsl::Tensor<float>& x, const iotsl::Tensor<float>& weight);

int main() {
  using namespace iotsl;
  const auto x = Tensor<float>::full({1, 1, 6, 6}, 0.5F);
  auto weight = Tensor<float>::full({3, 1, 3, 3}, 2.0F);
  weight.set_requires_grad(true);
  const float gradient = sum_of_gradient(x, weight);
  // The loss is the sum of 3 * 4 * 4 outputs; each of its 27 weights meets 16 pixels of 0.5.
  std::printf("%s threads %d gradient %g version %s\n", simd::name(simd::active_target()),
              threads(), static_cast<double>(gradient), IOTSL_VERSION_STRING);
  return std::fabs(gradient - 27 * 16 * 0.5F) < 1e-3F ? 0 : 1;
}
