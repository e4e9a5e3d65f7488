// Gives a tensor to another unit, take_tensor.cpp; the two link where their settings are the same.
#include "iotsl/core/tensor.hpp"

float first_value(const iotsl::Tensor<float>& x);

int main() { return first_value(iotsl::Tensor<float>::full({1}, 2.0F)) == 2.0F ? 0 : 1; }
