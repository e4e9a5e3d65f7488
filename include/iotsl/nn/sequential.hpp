#pragma once
// A chain of named layers. Names are given once and do not change with a cut.

#include <vector>

#include "iotsl/core/text.hpp"
#include "iotsl/nn/layer.hpp"

IOTSL_NAMESPACE_BEGIN

/// Any types of layer one after the other; itself a layer of other chains.
template <class T>
class Sequential {
 public:
  using Scalar = T;
  static constexpr const char* type = "sequential";
  Sequential() = default;

  /// Any type that is a LayerOf<T> (nn/layer.hpp). Its state gets its memory, and its place in the
  /// whole net its number.
  template <class L>
  void add(std::string name, L layer) {
    static_assert(
        LayerOf<L, T>,
        "a layer has `static constexpr const char* type`, and Tensor<T> forward(Tensor<T>) "
        "or forward(Tensor<T>, const ForwardMode&)");
    add(std::move(name), AnyLayer<T>(std::move(layer)));
  }
  void add(std::string name, AnyLayer<T> layer) {
    append(std::move(name), std::move(layer));
    allocate_state<T>(layers_.back().layer);
  }
  /// The same without memory; allocate() gives it.
  void append(std::string name, AnyLayer<T> layer) {
    if (find(name) != nullptr) fail("sequential: two layers are named '", name, "'");
    if (!is_utf8(name)) fail("sequential: a layer's name is not UTF-8, as files have them");
    layer.set_place(leaves());
    layers_.push_back({std::move(name), std::move(layer)});
  }
  void allocate() { allocate_state<T>(*this); }

  std::size_t size() const { return layers_.size(); }
  const NamedLayer<T>& operator[](std::size_t i) const { return layers_[i]; }
  const std::vector<NamedLayer<T>>& layers() const { return layers_; }
  /// The layer of that name in this chain, or null.
  const NamedLayer<T>* find(std::string_view name) const {
    for (const NamedLayer<T>& named : layers_)
      if (named.name == name) return &named;
    return nullptr;
  }

  /// Initial weights, a function of the seed and each layer's number, which counts the layers that
  /// hold no others, depth first; call it on the whole model.
  void initialize(std::uint64_t seed, std::uint32_t first = 0) {
    for (NamedLayer<T>& named : layers_) {
      named.layer.initialize(seed, first);
      first += named.layer.leaves();
    }
  }

  /// Runs all layers. Intermediate values that nobody else holds are overwritten where possible.
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) const {
    for (std::size_t i = 0, taken = 0; i < layers_.size(); i += 1 + taken)
      x = layers_[i].layer.forward_through(std::move(x), mode,
                                           {layers_.data() + i + 1, layers_.size() - i - 1}, taken);
    return x;
  }
  /// Runs all layers in the mode of train() or eval(), without numbers for dropout's step.
  Tensor<T> forward(Tensor<T> x) const {
    return forward(std::move(x), ForwardMode{.training = training_});
  }
  /// Runs all layers in evaluation mode, whatever the chain's own, and records no graph: parameters
  /// and running statistics stay as they are.
  Tensor<T> predict(Tensor<T> x) const {
    const NoRecord no_record;
    return forward(std::move(x), {});
  }
  void train() { training_ = true; }
  void eval() { training_ = false; }

  /// Layers [begin, end) of this chain; they share their parameters with it and keep their numbers.
  Sequential slice(std::size_t begin, std::size_t end) const {
    if (begin > end || end > size())
      fail("sequential: layers [", begin, ", ", end, ") of ", size());
    Sequential part;
    part.training_ = training_;
    part.layers_.assign(layers_.begin() + static_cast<std::ptrdiff_t>(begin),
                        layers_.begin() + static_cast<std::ptrdiff_t>(end));
    return part;
  }

  /// The chain with `make(layer)` in place of each of its layers of type L; it shares the others.
  template <class L, class Make>
  Sequential replaced(const Make& make) const {
    Sequential out = *this;
    for (NamedLayer<T>& named : out.layers_)
      if (const L* layer = named.layer.template get_if<L>())
        named.layer = AnyLayer<T>(make(*layer));
    return out;
  }

  /// A failure where a layer does not take what the one before gives, or gives more than
  /// `most_values` values; it names the layer.
  Result<Shape> output_shape(const Shape& x, Index most_values = Shape::max_elements) const {
    Result<Shape> y = x;
    for (const NamedLayer<T>& named : layers_)
      if (y) y = named.output_shape(*y, most_values);
    return y;
  }
  /// Of all layers together; raises an Error where output_shape() fails.
  LayerCost cost(Shape x) const {
    LayerCost out;
    for (const NamedLayer<T>& named : layers_) {
      out += named.cost(x);
      x = named.output_shape(x).value();
    }
    return out;
  }

  /// Shows every parameter, buffer and counter, in order.
  void visit_state(StateList<T>& list) const {
    const std::string outer = list.prefix;
    for (const NamedLayer<T>& named : layers_) {
      list.prefix = outer + named.name + ".";
      named.layer.visit_state(list);
    }
    list.prefix = outer;
  }
  /// What the optimiser trains, in order.
  std::vector<NamedTensor<T>> parameters() const { return collect_state(*this).parameters; }
  /// What travels with the parameters: running statistics.
  std::vector<NamedTensor<T>> buffers() const { return collect_state(*this).buffers; }
  std::vector<NamedCounter> counters() const { return collect_state(*this).counters; }

  // As a layer of another chain.
  void visit_fields(LayerFields<T>& f) { f.layers("layers", *this); }
  void set_place(std::uint32_t first) {
    for (NamedLayer<T>& named : layers_) {
      named.layer.set_place(first);
      first += named.layer.leaves();
    }
  }
  std::uint32_t leaves() const {
    std::uint32_t out = 0;
    for (const NamedLayer<T>& named : layers_) out += named.layer.leaves();
    return out;
  }

 private:
  std::vector<NamedLayer<T>> layers_;
  bool training_ = true;
};

IOTSL_FLOAT(class Sequential<float>)

IOTSL_NAMESPACE_END
