#pragma once
// Rows of a table, chosen by label, and its adjoint: a pair, each the other's gradient.

#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/labels.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> embedding(const Tensor<T>& weight, std::span<const std::int32_t> labels);
template <class T>
Tensor<T> scatter_add(const Tensor<T>& x, std::span<const std::int32_t> labels, Index rows);

namespace detail {

template <class T>
void embedding_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = scatter_add(gy, kept_labels(node, node.template attributes<std::size_t>()),
                      input_shape(node, 0)[0]);
}
template <class T>
void scatter_add_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = embedding(gy, kept_labels(node, node.template attributes<std::size_t>()));
}
template <class T>
inline constexpr OpInfo<T> embedding_op{"embedding", &embedding_vjp<T>};
template <class T>
inline constexpr OpInfo<T> scatter_add_op{"scatter_add", &scatter_add_vjp<T>};

}  // namespace detail

/// y[i] = weight[labels[i]]: weight [M,D] and N labels in [0, M) give [N,D]. Gradient: scatter_add.
/// Raises an Error that names the first label out of range.
template <class T>
Tensor<T> embedding(const Tensor<T>& weight, std::span<const std::int32_t> labels) {
  if (weight.rank() != 2) fail("embedding: expects weight [M,D], given ", weight.shape());
  const Index rows = weight.shape()[0], width = weight.shape()[1];
  detail::check_labels("embedding", labels, rows);
  Tensor<T> y = Tensor<T>::uninitialized(Shape{static_cast<Index>(labels.size()), width});
  T* to = y.mutable_data();
  for (std::size_t i = 0; i < labels.size(); ++i)
    std::copy_n(weight.data() + labels[i] * width, width, to + static_cast<Index>(i) * width);
  if (Node<T>* node = record(detail::embedding_op<T>, y, weight)) {
    node->set_attributes(labels.size());
    node->save_bytes(detail::keep_labels(labels));
  }
  return y;
}

/// y[m] = the sum of the rows of x whose label is m: x [N,D] gives [rows,D]. Gradient: embedding.
template <class T>
Tensor<T> scatter_add(const Tensor<T>& x, std::span<const std::int32_t> labels, Index rows) {
  if (x.rank() != 2 || x.shape()[0] != static_cast<Index>(labels.size()))
    fail("scatter_add: ", labels.size(), " labels expect x [", labels.size(), ",D], given ",
         x.shape());
  detail::check_labels("scatter_add", labels, rows);
  const Index width = x.shape()[1];
  Tensor<T> y = Tensor<T>::zeros(Shape{rows, width});
  T* to = y.mutable_data();
  for (std::size_t i = 0; i < labels.size(); ++i)
    kernels::axpy(width, T(1), x.data() + static_cast<Index>(i) * width, to + labels[i] * width);
  if (Node<T>* node = record(detail::scatter_add_op<T>, y, x)) {
    node->set_attributes(labels.size());
    node->save_bytes(detail::keep_labels(labels));
  }
  return y;
}

IOTSL_FLOAT(Tensor<float> embedding(const Tensor<float>&, std::span<const std::int32_t>))
IOTSL_FLOAT(Tensor<float> scatter_add(const Tensor<float>&, std::span<const std::int32_t>, Index))

IOTSL_NAMESPACE_END
