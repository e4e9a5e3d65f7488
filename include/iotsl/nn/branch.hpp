#pragma once
// Layers that hold other layers side by side: nets that branch.

#include "iotsl/nn/sequential.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/view.hpp"

IOTSL_NAMESPACE_BEGIN

/// body(x) + projection(x), after ResNet (He et al. 2015); an empty projection gives x itself. The
/// state of the body has its layers' names, that of the projection stands under `downsample.`, as
/// in torchvision: `layer1.0.conv1.weight`, `layer1.0.downsample.0.weight`. The activation after
/// the sum is a layer of its own.
template <class T>
struct Residual {
  static constexpr const char* type = "residual";
  Sequential<T> body, projection;

  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    Tensor<T> y = body.forward(x, mode);
    return add(y, projection.forward(std::move(x), mode));
  }
  Result<Shape> output_shape(const Shape& x, Index most_values = Shape::max_elements) const {
    const Result<Shape> y = body.output_shape(x, most_values);
    if (!y) return y;
    const Result<Shape> beside = projection.output_shape(x, most_values);
    if (beside && !(*beside == *y))
      return failure(ErrorCode::usage, "residual: x ", x, " gives ", *y, " through the body and ",
                     *beside, " beside it; expected the same");
    return beside;
  }
  LayerCost cost(const Shape& x) const {
    LayerCost out = body.cost(x);
    out += projection.cost(x);
    const Shape y = output_shape(x).value();
    out += {0, detail::elements_per_sample(y), detail::activation_bytes(y)};
    return out;
  }
  void visit_fields(LayerFields<T>& f) {
    f.layers("body", body);
    f.layers("projection", projection, "downsample.");
  }
  void visit_state(StateList<T>& list) {
    body.visit_state(list);
    const std::string outer = list.prefix;
    list.prefix += "downsample.";
    projection.visit_state(list);
    list.prefix = outer;
  }
  void initialize(std::uint64_t seed, std::uint32_t first) {
    body.initialize(seed, first);
    projection.initialize(seed, first + body.leaves());
  }
  void set_place(std::uint32_t first) {
    body.set_place(first);
    projection.set_place(first + body.leaves());
  }
  std::uint32_t leaves() const { return body.leaves() + projection.leaves(); }
};

/// Gives x to every layer of `branches` and joins what they give along dimension 1, the channels,
/// in their order. A branch is any layer, such as a Sequential; its name stands before its state's.
template <class T>
struct Concat {
  static constexpr const char* type = "concat";
  Sequential<T> branches;

  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    std::vector<Tensor<T>> parts;
    for (const NamedLayer<T>& branch : branches.layers())
      parts.push_back(branch.layer.forward(x, mode));
    return concat(parts, 1);
  }
  Result<Shape> output_shape(const Shape& x, Index most_values = Shape::max_elements) const {
    std::vector<Shape> parts;
    for (const NamedLayer<T>& branch : branches.layers()) {
      const Result<Shape> y = branch.output_shape(x, most_values);
      if (!y) return y;
      parts.push_back(*y);
    }
    return concat_shape(parts, 1);
  }
  LayerCost cost(const Shape& x) const {
    LayerCost out;
    for (const NamedLayer<T>& branch : branches.layers()) out += branch.cost(x);
    out.activation_bytes += detail::activation_bytes(output_shape(x).value());
    return out;
  }
  void visit_fields(LayerFields<T>& f) { f.layers("branches", branches); }
  void visit_state(StateList<T>& list) { branches.visit_state(list); }
  void initialize(std::uint64_t seed, std::uint32_t first) { branches.initialize(seed, first); }
  void set_place(std::uint32_t first) { branches.set_place(first); }
  std::uint32_t leaves() const { return branches.leaves(); }
};

IOTSL_NAMESPACE_END
