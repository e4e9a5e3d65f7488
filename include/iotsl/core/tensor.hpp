#pragma once
// Tensor<T>: a shared handle to contiguous values (N, C, H, W order), with an optional edge into
// the graph. Copying a handle shares the values; `clone` copies them.

#include <algorithm>
#include <span>

#include "iotsl/core/memory.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
class Node;

namespace detail {

/// The counted part of a graph node; the rest is in autograd/node.hpp. A function pointer frees it,
/// so that tensors can be used without the graph.
struct NodeBase {
  detail::Shared<std::uint32_t> references{0};
  void (*release)(NodeBase*) noexcept = nullptr;
};

/// Counted pointer to a graph node.
class NodeHandle {
 public:
  NodeHandle() = default;
  explicit NodeHandle(NodeBase* node) : node_(node) {
    if (node_ != nullptr) node_->references.increase();
  }
  NodeHandle(const NodeHandle& other) : NodeHandle(other.node_) {}
  NodeHandle(NodeHandle&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  NodeHandle& operator=(const NodeHandle& other) noexcept { return *this = NodeHandle(other); }
  NodeHandle& operator=(NodeHandle&& other) noexcept {
    NodeHandle taken(std::move(other));
    std::swap(node_, taken.node_);
    return *this;
  }
  ~NodeHandle() {
    if (node_ != nullptr && node_->references.decrease() == 1) node_->release(node_);
  }
  NodeBase* get() const { return node_; }

 private:
  NodeBase* node_ = nullptr;
};

}  // namespace detail

/// Values of type T with a shape. A handle: copies share the values, clone() makes others. Where a
/// gradient is wanted it knows the operation that it comes from.
template <class T>
class Tensor {
 public:
  /// An undefined tensor: no shape and no values; `defined()` is false.
  Tensor() = default;

  /// Values are not initialised.
  static Tensor uninitialized(const Shape& shape) {
    const auto count = static_cast<std::size_t>(shape.elements());
    return Tensor(shape, Buffer(count * sizeof(T)), 0);
  }
  static Tensor full(const Shape& shape, T value) {
    Tensor out = uninitialized(shape);
    std::fill_n(out.address(), out.size(), value);
    return out;
  }
  static Tensor zeros(const Shape& shape) { return full(shape, T(0)); }
  static Tensor scalar(T value) { return full(Shape{}, value); }
  /// Copies `values`, whose number must be the shape's.
  static Tensor from(const Shape& shape, std::span<const T> values) {
    if (static_cast<Index>(values.size()) != shape.elements())
      fail("tensor: shape ", shape, " holds ", shape.elements(), " values, ", values.size(),
           " given");
    Tensor out = uninitialized(shape);
    std::copy(values.begin(), values.end(), out.address());
    return out;
  }
  static Tensor from(const Shape& shape, std::initializer_list<T> values) {
    return from(shape, std::span<const T>(values.begin(), values.size()));
  }

  /// The `shape.elements()` values at `values` without a copy. Their owner keeps them alive as long
  /// as any handle to them lives, graphs that saved one included; an op never writes over them, and
  /// `mutable_data` writes where the owner sees it.
  static Tensor borrow(const Shape& shape, T* values) {
    const auto count = static_cast<std::size_t>(shape.elements());
    return Tensor(shape, Buffer::borrowed(values, count * sizeof(T)), 0);
  }

  bool defined() const { return body_ != nullptr; }
  const Shape& shape() const { return body().shape; }
  int rank() const { return shape().rank(); }
  Index size() const { return body().size; }
  /// Extent of one dimension; negative counts from the end.
  Index extent(int dim) const {
    const int d = dim < 0 ? dim + rank() : dim;
    if (d < 0 || d >= rank()) fail("tensor ", shape(), " has no dimension ", dim);
    return shape()[d];
  }

  const T* data() const { return address(); }
  std::span<const T> values() const { return {data(), static_cast<std::size_t>(size())}; }
  /// For writing: the values of a tensor just made, or in place (optimisers, initialisers, running
  /// statistics). The graph refuses to use a value that it saved before this call.
  T* mutable_data() {
    body().buffer.bump_version();
    return address();
  }
  /// The value of a tensor with one element.
  T item() const {
    if (size() != 1) fail("item: tensor ", shape(), " has ", size(), " values, expected 1");
    return *data();
  }

  /// The same values without the edge into the graph.
  Tensor detach() const { return Tensor(shape(), body().buffer, body().offset); }
  /// A copy of the values, without the edge.
  Tensor clone() const { return from(shape(), values()); }
  /// The same values under another shape, without the edge; `offset` counts elements. That they are
  /// there is the caller's affair.
  Tensor alias(const Shape& new_shape, Index offset = 0) const {
    return Tensor(new_shape, body().buffer, body().offset + offset);
  }

  // Graph (defined in autograd/node.hpp).
  bool requires_grad() const { return defined() && body().node.get() != nullptr; }
  /// Makes this tensor a leaf whose gradient can be asked for, or takes it out of the graph.
  Tensor& set_requires_grad(bool wanted = true);
  /// What backward() has accumulated; undefined before.
  Tensor grad() const;
  void clear_grad();

  // For the graph and the ops.
  Node<T>* node() const { return defined() ? static_cast<Node<T>*>(body().node.get()) : nullptr; }
  void set_node(detail::NodeBase* node) { body().node = detail::NodeHandle(node); }
  std::uint32_t version() const { return body().buffer.version(); }
  /// True if nobody else can see the values: an op may then write its result over them.
  bool unique() const {
    return defined() && body().references.load_acquire() == 1 && body().buffer.unique();
  }

 private:
  struct Body {
    detail::Shared<std::uint32_t> references{1};
    Shape shape;
    Index size = 0;
    Buffer buffer;
    Index offset = 0;
    detail::NodeHandle node;
  };

  /// Counted pointer to the body.
  class BodyHandle {
   public:
    BodyHandle() = default;
    explicit BodyHandle(Body* body) : body_(body) {}
    BodyHandle(const BodyHandle& other) : body_(other.body_) {
      if (body_ != nullptr) body_->references.increase();
    }
    BodyHandle(BodyHandle&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
    BodyHandle& operator=(const BodyHandle& other) noexcept { return *this = BodyHandle(other); }
    BodyHandle& operator=(BodyHandle&& other) noexcept {
      BodyHandle taken(std::move(other));
      std::swap(body_, taken.body_);
      return *this;
    }
    ~BodyHandle() {
      if (body_ == nullptr) return;
      if (body_->references.decrease() != 1) return;
      body_->~Body();
      detail::MemoryPool::instance().release(body_, sizeof(Body));
    }
    Body* get() const { return body_; }
    bool operator!=(std::nullptr_t) const { return body_ != nullptr; }

   private:
    Body* body_ = nullptr;
  };

  Tensor(const Shape& shape, Buffer buffer, Index offset)
      : body_(new (detail::MemoryPool::instance().allocate(sizeof(Body))) Body) {
    Body& b = *body_.get();
    b.shape = shape;
    b.size = shape.elements();
    b.buffer = std::move(buffer);
    b.offset = offset;
  }

  T* address() const { return reinterpret_cast<T*>(body().buffer.data()) + body().offset; }
  Body& body() const {
    if (!defined()) undefined();
    return *body_.get();
  }
  [[noreturn]] IOTSL_COLD static void undefined() {
    fail("tensor: used before it was given a value");
  }

  BodyHandle body_;
};

IOTSL_NAMESPACE_END
