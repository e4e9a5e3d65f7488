#ifdef CONSUMER_HEADER
#include CONSUMER_HEADER
#else
#include "iotsl/iotsl.hpp"
#endif

float sum_of_gradient(const iotsl::Tensor<float>& x, const iotsl::Tensor<float>& weight);

float sum_of_gradient(const iotsl::Tensor<float>& x, const iotsl::Tensor<float>& weight) {
  using namespace iotsl;
  const auto loss = sum(conv2d(x, weight, Tensor<float>(), {}));
  return sum(grad(loss, weight)).item();
}
