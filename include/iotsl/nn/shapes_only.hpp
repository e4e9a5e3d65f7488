#pragma once
// Layers without values, to count what a net costs however large it is.

#include <utility>

#include "iotsl/core/tensor.hpp"

IOTSL_NAMESPACE_BEGIN

/// While one lives, the layers that this thread makes have shapes but no values, which must not be
/// touched.
class ShapesOnly {
 public:
  ShapesOnly() : before_(std::exchange(active_, true)) {}
  ShapesOnly(const ShapesOnly&) = delete;
  ~ShapesOnly() { active_ = before_; }
  static bool active() { return active_; }

 private:
  static inline thread_local bool active_ = false;
  bool before_;
};

namespace detail {
/// A parameter or buffer of a new layer, every value of which is `value`.
template <class T>
Tensor<T> layer_tensor(const Shape& shape, T value = T(0)) {
  return ShapesOnly::active() ? Tensor<T>::borrow(shape, nullptr) : Tensor<T>::full(shape, value);
}
}  // namespace detail

IOTSL_NAMESPACE_END
