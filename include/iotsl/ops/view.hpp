#pragma once
// Views and rearrangements: reshape, slice and pad (a pair), concat, transpose.

#include "iotsl/ops/elementwise.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> slice(const Tensor<T>& x, int dim, Index begin, Index end);
template <class T>
Tensor<T> pad(const Tensor<T>& x, int dim, Index before, Index after);
template <class T>
Tensor<T> transpose(const Tensor<T>& x);

namespace detail {

/// A tensor seen as [outer, extent, inner] around one dimension.
struct DimView {
  int dim;
  Index outer = 1, extent, inner = 1;

  DimView(const char* op, const Shape& shape, int wanted)
      : dim(wanted < 0 ? wanted + shape.rank() : wanted) {
    if (dim < 0 || dim >= shape.rank()) fail(op, ": ", shape, " has no dimension ", wanted);
    extent = shape[dim];
    for (int d = 0; d < dim; ++d) outer *= shape[d];
    for (int d = dim + 1; d < shape.rank(); ++d) inner *= shape[d];
  }
};

/// Copies `outer` rows of `row` values each between two row strides.
template <class T>
void copy_rows(Index outer, Index row, const T* from, Index from_stride, T* to, Index to_stride) {
  for (Index i = 0; i < outer; ++i) std::copy_n(from + i * from_stride, row, to + i * to_stride);
}

struct SliceAttributes {
  int dim;
  Index begin, end;  // within the longer tensor
  Index extent;      // of the longer tensor
};

template <class T>
void reshape_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = reshape(gy, input_shape(node, 0));
}
template <class T>
void slice_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto a = node.template attributes<SliceAttributes>();
  gx[0] = pad(gy, a.dim, a.begin, a.extent - a.end);
}
template <class T>
void pad_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto a = node.template attributes<SliceAttributes>();
  gx[0] = slice(gy, a.dim, a.begin, a.end);
}
template <class T>
void concat_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto a = node.template attributes<SliceAttributes>();
  if (node.wants(0)) gx[0] = slice(gy, a.dim, 0, a.begin);
  if (node.wants(1)) gx[1] = slice(gy, a.dim, a.begin, a.end);
}
template <class T>
void transpose_vjp(const Node<T>&, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = transpose(gy);
}

template <class T>
inline constexpr OpInfo<T> reshape_op{"reshape", &reshape_vjp<T>};
template <class T>
inline constexpr OpInfo<T> slice_op{"slice", &slice_vjp<T>};
template <class T>
inline constexpr OpInfo<T> pad_op{"pad", &pad_vjp<T>};
template <class T>
inline constexpr OpInfo<T> concat_op{"concat", &concat_vjp<T>};
template <class T>
inline constexpr OpInfo<T> transpose_op{"transpose", &transpose_vjp<T>};

/// The shape of two tensors joined along dimension `dim` (negative: from the end).
inline Result<Shape> concat_two_shape(const Shape& a, const Shape& b, int dim) {
  const int d = dim < 0 ? dim + a.rank() : dim;
  if (d < 0 || d >= a.rank())
    return failure(ErrorCode::usage, "concat: ", a, " has no dimension ", dim);
  Shape joined = a, expected = a;
  if (a.rank() == b.rank()) expected.set(d, b[d]);
  if (!(b == expected))
    return failure(ErrorCode::usage, "concat: shapes ", a, " and ", b, " differ outside dimension ",
                   dim);
  joined.set(d, a[d] + b[d]);
  return joined;
}

template <class T>
Tensor<T> concat_two(const Tensor<T>& a, const Tensor<T>& b, int wanted_dim) {
  const Shape shape = concat_two_shape(a.shape(), b.shape(), wanted_dim).value();
  const DimView va("concat", a.shape(), wanted_dim);
  const Index extent = shape[va.dim];
  Tensor<T> y = Tensor<T>::uninitialized(shape);
  const Index row_a = va.extent * va.inner, row_b = (extent - va.extent) * va.inner;
  T* to = y.mutable_data();
  copy_rows(va.outer, row_a, a.data(), row_a, to, row_a + row_b);
  copy_rows(va.outer, row_b, b.data(), row_b, to + row_a, row_a + row_b);
  if (Node<T>* node = record(concat_op<T>, y, a, b))
    node->set_attributes(SliceAttributes{va.dim, va.extent, extent, extent});
  return y;
}

}  // namespace detail

/// The same values in the same order under another shape; no copy. Raises an Error where the
/// numbers of values differ.
template <class T>
Tensor<T> reshape(const Tensor<T>& x, const Shape& shape) {
  if (shape.elements() != x.size())
    fail("reshape: ", x.shape(), " has ", x.size(), " values, ", shape, " has ", shape.elements());
  if (shape == x.shape()) return x;
  Tensor<T> y = x.alias(shape);
  record(detail::reshape_op<T>, y, x);
  return y;
}

/// [N, product of the rest], the shape of flatten(x).
inline Result<Shape> flatten_shape(const Shape& x) {
  if (x.rank() < 1) return failure(ErrorCode::usage, "flatten: a scalar has no batch dimension");
  Index rest = 1;
  for (int d = 1; d < x.rank(); ++d) rest *= x[d];
  return Shape{x[0], rest};
}

/// [N, ...] to [N, product of the rest].
template <class T>
Tensor<T> flatten(const Tensor<T>& x) {
  return reshape(x, flatten_shape(x.shape()).value());
}

/// [N,channels,height,width], the shape of unflatten(x); a failure where x [N,M] has other rows.
inline Result<Shape> unflatten_shape(const Shape& x, Index channels, Index height, Index width) {
  Index values = 0;
  if (channels < 0 || height < 0 || width < 0 ||
      __builtin_mul_overflow(channels, height, &values) ||
      __builtin_mul_overflow(values, width, &values))
    return failure(ErrorCode::usage, "unflatten: ", channels, " maps of ", height, "x", width,
                   "; expected extents of at least 0 whose product is an Index");
  if (x.rank() != 2 || x[1] != values)
    return failure(ErrorCode::usage, "unflatten: ", channels, " maps of ", height, "x", width,
                   " expect x [N,", values, "], given ", x);
  return Shape{x[0], channels, height, width};
}

/// [N, M] to [N,channels,height,width]: flatten, backwards.
template <class T>
Tensor<T> unflatten(const Tensor<T>& x, Index channels, Index height, Index width) {
  return reshape(x, unflatten_shape(x.shape(), channels, height, width).value());
}

/// Elements [begin, end) of one dimension. No copy for a batch slice (dim 0). Gradient: pad.
template <class T>
Tensor<T> slice(const Tensor<T>& x, int dim, Index begin, Index end) {
  const detail::DimView view("slice", x.shape(), dim);
  if (begin < 0 || begin > end || end > view.extent)
    fail("slice: [", begin, ", ", end, ") of dimension ", dim, " of ", x.shape());
  Shape shape = x.shape();
  shape.set(view.dim, end - begin);
  Tensor<T> y;
  if (view.outer == 1) {
    y = x.alias(shape, begin * view.inner);
  } else {
    y = Tensor<T>::uninitialized(shape);
    detail::copy_rows(view.outer, (end - begin) * view.inner, x.data() + begin * view.inner,
                      view.extent * view.inner, y.mutable_data(), (end - begin) * view.inner);
  }
  if (Node<T>* node = record(detail::slice_op<T>, y, x))
    node->set_attributes(detail::SliceAttributes{view.dim, begin, end, view.extent});
  return y;
}

/// Adds zeros before and after the elements of one dimension. Gradient: slice.
template <class T>
Tensor<T> pad(const Tensor<T>& x, int dim, Index before, Index after) {
  const detail::DimView view("pad", x.shape(), dim);
  for (const Index added : {before, after})
    if (added < 0 || added > Shape::max_elements)
      fail("pad: ", before, " before and ", after, " after; expected at least 0 and at most ",
           Shape::max_elements);
  const Index extent = before + view.extent + after;
  Shape shape = x.shape();
  shape.set(view.dim, extent);
  Tensor<T> y = Tensor<T>::zeros(shape);
  detail::copy_rows(view.outer, view.extent * view.inner, x.data(), view.extent * view.inner,
                    y.mutable_data() + before * view.inner, extent * view.inner);
  if (Node<T>* node = record(detail::pad_op<T>, y, x))
    node->set_attributes(detail::SliceAttributes{view.dim, before, before + view.extent, extent});
  return y;
}

/// The shape of concat(parts, dim).
inline Result<Shape> concat_shape(std::span<const Shape> parts, int dim) {
  if (parts.empty()) return failure(ErrorCode::usage, "concat: no tensors given");
  if (const int rank = parts[0].rank(); dim < -rank || dim >= rank)
    return failure(ErrorCode::usage, "concat: ", parts[0], " has no dimension ", dim);
  Result<Shape> out = parts[0];
  for (std::size_t i = 1; i < parts.size() && out; ++i)
    out = detail::concat_two_shape(*out, parts[i], dim);
  return out;
}

/// Joins tensors along one dimension; the other extents must agree. Gradient: slices.
template <class T>
Tensor<T> concat(const std::vector<Tensor<T>>& parts, int dim) {
  if (parts.empty()) fail("concat: no tensors given");
  if (parts.size() == 1) detail::DimView("concat", parts[0].shape(), dim);
  // Pairwise, so that n parts are copied log n times.
  std::vector<Tensor<T>> level = parts;
  while (level.size() > 1) {
    std::vector<Tensor<T>> next;
    for (std::size_t i = 0; i + 1 < level.size(); i += 2)
      next.push_back(detail::concat_two(level[i], level[i + 1], dim));
    if (level.size() % 2 != 0) next.push_back(level.back());
    level = std::move(next);
  }
  return level[0];
}

/// [M, N] to [N, M], with a copy.
template <class T>
Tensor<T> transpose(const Tensor<T>& x) {
  if (x.rank() != 2) fail("transpose: ", x.shape(), " has rank ", x.rank(), ", expected 2");
  const Index rows = x.shape()[0], cols = x.shape()[1];
  Tensor<T> y = Tensor<T>::uninitialized(Shape{cols, rows});
  T* to = y.mutable_data();
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) to[j * rows + i] = x.data()[i * cols + j];
  record(detail::transpose_op<T>, y, x);
  return y;
}

IOTSL_FLOAT(Tensor<float> reshape(const Tensor<float>&, const Shape&))
IOTSL_FLOAT(Tensor<float> slice(const Tensor<float>&, int, Index, Index))
IOTSL_FLOAT(Tensor<float> pad(const Tensor<float>&, int, Index, Index))
IOTSL_FLOAT(Tensor<float> concat(const std::vector<Tensor<float>>&, int))
IOTSL_FLOAT(Tensor<float> transpose(const Tensor<float>&))

IOTSL_NAMESPACE_END
