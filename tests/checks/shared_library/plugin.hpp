#pragma once
// What the two shared objects of the check agree on.

#include "iotsl/iotsl.hpp"

/// Layers that are made elsewhere than the net they go into, and a walk that begins elsewhere.
struct Plugin {
  iotsl::AnyLayer<float> (*make_layer)();
  iotsl::AnyLayer<float> (*make_relu)();
  void (*walk)(const iotsl::Tensor<float>& loss);
};
