#pragma once
// One call of an operation on the inputs of a golden file, and how the file writes common
// attributes.

#include "golden/golden_case.hpp"
#include "iotsl/ops/conv.hpp"

namespace golden {

/// What one run of an operation has read and written.
template <class T>
struct Call {
  struct Input {
    Names names;  // all names that the file may use for it, "0" among them
    Tensor<T> tensor;
  };
  struct Output {
    std::string name;
    Tensor<T> tensor;
  };

  explicit Call(Case& of) : file(of) {}

  /// The next differentiable input, under its position or one of `names`.
  Tensor<T> input(const Names& names) {
    Tensor<T> tensor = optional(names);
    if (!tensor.defined()) fail("tensor 'input.", names.front(), "' is missing");
    return tensor;
  }
  Tensor<T> optional(Names names) {
    names.push_back(std::to_string(next_++));
    const std::string found = file.first_of(prefixed("input.", names));
    if (found.empty()) return {};
    Tensor<T> tensor = file.tensor<T>(found);
    tensor.set_requires_grad();
    inputs.push_back({names, tensor});
    return tensor;
  }
  /// An input without a gradient.
  Tensor<T> constant(const Names& names) { return file.tensor<T>(constant_name(names)); }
  std::string constant_name(const Names& names) {
    const std::string found = file.first_of(prefixed("input.", names));
    return found.empty() ? "input." + names.front() : found;
  }

  static Names prefixed(const std::string& prefix, const Names& names) {
    Names out;
    for (const std::string& name : names) out.push_back(prefix + name);
    return out;
  }

  Case& file;
  std::vector<Input> inputs;
  std::vector<Output> further_outputs;  // not differentiated; compared where the file has them

 private:
  int next_ = 0;
};

inline const Names x_names{"x", "input", "self", "a"};
inline const Names weight_names{"weight", "w"};
inline const Names bias_names{"bias", "b"};

inline iotsl::Conv2dOptions conv_options(Case& file) {
  const auto stride = file.pair({"stride", "strides"}, {1, 1});
  const auto pad = file.pair({"padding", "pad"}, {0, 0});
  const auto dilation = file.pair({"dilation"}, {1, 1});
  file.only("padding_mode", "zeros");
  return {.stride_h = stride.h,
          .stride_w = stride.w,
          .pad_h = pad.h,
          .pad_w = pad.w,
          .dilation_h = dilation.h,
          .dilation_w = dilation.w,
          .groups = file.integer({"groups"}, 1)};
}

inline Shape shape_attribute(Case& file, const Names& names) {
  if (file.attribute(names) == nullptr) fail("attribute '", names.front(), "' is missing");
  Shape shape;
  for (Index extent : file.integers(names)) shape.push_back(extent < 0 ? 0 : extent);
  return shape;
}

}  // namespace golden
