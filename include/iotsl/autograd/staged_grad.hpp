#pragma once
// Gradients in two parts, for somebody who waits for some of them: those of a few inputs first.

#include "iotsl/autograd/grad.hpp"

IOTSL_NAMESPACE_BEGIN

/// What grad({output}, {first..., rest...}) gives, bit for bit, in two calls. Between them the
/// gradients of the operations in between are kept, and no other gradient of this graph may be
/// asked for. first() takes the time of the operations between `output` and `first` only.
template <class T>
class StagedGrad {
 public:
  /// `output` has one element; all of `first` and `rest` require a gradient.
  StagedGrad(const Tensor<T>& output, std::vector<Tensor<T>> first, std::vector<Tensor<T>> rest)
      : output_(output), walk_(false, false), first_(std::move(first)), rest_(std::move(rest)) {
    walk_.add_output(output_, Tensor<T>(), 0);
    for (const auto* part : {&first_, &rest_})
      for (const Tensor<T>& input : *part) {
        if (!input.requires_grad())
          fail("staged grad: an input ", input.shape(), " does not require a gradient");
        if (walk_.reaches(input.node())) walk_.add_target(input.node());
      }
  }

  /// Of `first`, one per input and of its shape.
  std::vector<Tensor<T>> first() {
    std::vector<Node<T>*> nodes;
    for (const Tensor<T>& input : first_)
      if (walk_.reaches(input.node())) nodes.push_back(input.node());
    walk_.run_first(nodes);
    return walk_.gradients_of(first_);
  }
  /// Of `rest`, after first().
  std::vector<Tensor<T>> rest() {
    walk_.run_rest();
    return walk_.gradients_of(rest_);
  }

 private:
  Tensor<T> output_;  // holds the graph
  detail::GradWalk<T> walk_;
  std::vector<Tensor<T>> first_, rest_;
};

IOTSL_NAMESPACE_END
