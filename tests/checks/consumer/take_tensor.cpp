#include "iotsl/core/tensor.hpp"

float first_value(const iotsl::Tensor<float>& x);

float first_value(const iotsl::Tensor<float>& x) { return x.item(); }
