#pragma once
// Labels as operations take them: checked, kept in the graph, and as rows with a one.

#include <span>

#include "iotsl/autograd/node.hpp"
#include "iotsl/core/tensor.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

/// Raises an Error in the name of `op` that names the first label outside [0, rows).
inline void check_labels(const char* op, std::span<const std::int32_t> labels, Index rows) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= rows)
      fail(op, ": label ", labels[i], " at position ", i, "; expected 0 to ", rows - 1);
}
inline Buffer keep_labels(std::span<const std::int32_t> labels) {
  Buffer kept(labels.size_bytes());
  std::copy(labels.begin(), labels.end(), reinterpret_cast<std::int32_t*>(kept.data()));
  return kept;
}
template <class T>
std::span<const std::int32_t> kept_labels(const Node<T>& node, std::size_t count) {
  return {reinterpret_cast<const std::int32_t*>(node.saved_bytes().data()), count};
}

}  // namespace detail

/// Rows of zeros with a one at each label: N labels in [0, classes) give [N,classes]. Raises an
/// Error that names the first label out of range.
template <class T>
Tensor<T> one_hot(std::span<const std::int32_t> labels, Index classes) {
  detail::check_labels("one_hot", labels, classes);
  Tensor<T> y = Tensor<T>::zeros({static_cast<Index>(labels.size()), classes});
  T* row = y.mutable_data();
  for (const std::int32_t label : labels) {
    row[label] = T(1);
    row += classes;
  }
  return y;
}

IOTSL_NAMESPACE_END
