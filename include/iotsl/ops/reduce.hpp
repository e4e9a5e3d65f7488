#pragma once
// Sum and broadcast: a pair, each the other's gradient. And the largest value, which has none.

#include <initializer_list>

#include "iotsl/autograd/grad.hpp"
#include "iotsl/kernels/reduce/reduce.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape);
template <class T>
Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape);
template <class T>
Tensor<T> reshape(const Tensor<T>& x, const Shape& shape);
template <class T>
Tensor<T> scale(Tensor<T> x, std::type_identity_t<T> factor);

namespace detail {

using Extents = std::array<Index, 4>;

/// Strides of a dense tensor that is read under a larger shape: 0 where it is repeated.
inline Extents broadcast_strides(const Shape& from) {
  const Extents extents = from.padded();
  Extents strides{};
  Index stride = 1;
  for (std::size_t d = 4; d-- > 0;) {
    strides[d] = extents[d] == 1 ? 0 : stride;
    stride *= extents[d];
  }
  return strides;
}

/// True if `from` can be repeated to become `to`.
inline bool can_broadcast(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank()) return false;
  const Extents a = from.padded(), b = to.padded();
  for (std::size_t d = 0; d < 4; ++d)
    if (a[d] != b[d] && a[d] != 1) return false;
  return true;
}

/// The shape that both can be repeated to, as in NumPy.
inline Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  const Extents ea = a.padded(), eb = b.padded();
  Shape out;
  for (int d = 0; d < rank; ++d) {
    const auto at = static_cast<std::size_t>(max_dims - rank + d);
    if (ea[at] != eb[at] && ea[at] != 1 && eb[at] != 1)
      fail(op, ": shapes ", a, " and ", b, " do not broadcast");
    out.push_back(ea[at] == 1 ? eb[at] : ea[at]);
  }
  return out;
}

template <class T>
void broadcast_to_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = sum_to(gy, node.input(0)->output_shape());
}
template <class T>
void sum_to_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = broadcast_to(gy, node.input(0)->output_shape());
}
template <class T>
inline constexpr OpInfo<T> broadcast_to_op{"broadcast_to", &broadcast_to_vjp<T>};
template <class T>
inline constexpr OpInfo<T> sum_to_op{"sum_to", &sum_to_vjp<T>};

}  // namespace detail

/// Repeats `x` to `shape`, aligned at the last dimension as in NumPy. Gradient: sum_to. Raises an
/// Error where an extent of x is neither 1 nor the one asked for.
template <class T>
Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (!detail::can_broadcast(x.shape(), shape))
    fail("broadcast_to: ", x.shape(), " cannot be repeated to ", shape);
  Tensor<T> y = Tensor<T>::uninitialized(shape);
  kernels::broadcast(shape.padded().data(), x.data(), detail::broadcast_strides(x.shape()).data(),
                     y.mutable_data());
  record(detail::broadcast_to_op<T>, y, x);
  return y;
}

/// Sums `x` to `shape`, which must be able to repeat to x's shape: the adjoint of broadcast_to.
template <class T>
Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (!detail::can_broadcast(shape, x.shape()))
    fail("sum_to: ", x.shape(), " cannot be summed to ", shape);
  const auto from = x.shape().padded(), to = shape.padded();
  unsigned mask = 0;
  for (std::size_t d = 0; d < 4; ++d)
    if (from[d] != to[d]) mask |= 1u << d;
  Tensor<T> y = Tensor<T>::uninitialized(shape);
  kernels::reduce_sum(from.data(), mask, x.data(), y.mutable_data());
  record(detail::sum_to_op<T>, y, x);
  return y;
}

/// Sum over `dims` (negative counts from the end); with `keepdim` they stay with extent 1.
template <class T>
Tensor<T> sum(const Tensor<T>& x, std::initializer_list<int> dims, bool keepdim = false) {
  Shape kept = x.shape();
  std::array<bool, max_dims> summed{};
  for (int dim : dims) {
    const int d = dim < 0 ? dim + x.rank() : dim;
    if (d < 0 || d >= x.rank()) fail("sum: ", x.shape(), " has no dimension ", dim);
    if (std::exchange(summed[static_cast<std::size_t>(d)], true))
      fail("sum: dimension ", dim, " is named twice");
    kept.set(d, 1);
  }
  Tensor<T> y = sum_to(x, kept);
  if (keepdim) return y;
  Shape dropped;
  for (int d = 0; d < x.rank(); ++d)
    if (!summed[static_cast<std::size_t>(d)]) dropped.push_back(x.shape()[d]);
  return reshape(y, dropped);
}

/// Sum over all elements, a scalar.
template <class T>
Tensor<T> sum(const Tensor<T>& x) {
  return sum_to(x, Shape{});
}

/// Mean over `dims`; over each image of an empty batch an empty result. Raises an Error for a mean
/// of no elements.
template <class T>
Tensor<T> mean(const Tensor<T>& x, std::initializer_list<int> dims, bool keepdim = false) {
  Tensor<T> total = sum(x, dims, keepdim);
  if (x.size() == 0) {
    if (total.size() != 0) fail("mean: ", x.shape(), " has no elements");
    return total;
  }
  const T factor = static_cast<T>(total.size()) / static_cast<T>(x.size());
  return scale(std::move(total), factor);
}

/// Mean over all elements, a scalar.
template <class T>
Tensor<T> mean(const Tensor<T>& x) {
  if (x.size() == 0) fail("mean: ", x.shape(), " has no elements");
  return scale(sum(x), T(1) / static_cast<T>(x.size()));
}

/// Where the largest of `count` > 0 values stands, the first of equals.
template <class T>
Index argmax(const T* values, Index count) {
  const auto is_below = [](T a, T b) { return a < b || (b != b && a == a); };
  return std::max_element(values, values + count, is_below) - values;
}

/// Where the largest of each row of x [N,M] stands, the first of equals: N numbers below M. Of
/// logits, the class that a net predicts.
template <class T>
std::vector<Index> argmax(const Tensor<T>& x) {
  if (x.rank() != 2 || x.extent(1) == 0) fail("argmax: ", x.shape(), ", expected [N,M] with M > 0");
  const Index m = x.extent(1);
  std::vector<Index> out(static_cast<std::size_t>(x.extent(0)));
  const T* row = x.data();
  for (Index& place : out) {
    place = argmax(row, m);
    row += m;
  }
  return out;
}

IOTSL_FLOAT(Tensor<float> broadcast_to(const Tensor<float>&, const Shape&))
IOTSL_FLOAT(Tensor<float> sum_to(const Tensor<float>&, const Shape&))
IOTSL_FLOAT(Tensor<float> sum(const Tensor<float>&, std::initializer_list<int>, bool))
IOTSL_FLOAT(Tensor<float> mean(const Tensor<float>&, std::initializer_list<int>, bool))
IOTSL_FLOAT(std::vector<Index> argmax(const Tensor<float>&))

IOTSL_NAMESPACE_END
