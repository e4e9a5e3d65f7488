#pragma once
// Graph nodes. A node is a static OpInfo, plain attributes, its inputs and what it saves: no
// closure, no virtual function. Recording is per thread. A walk over a graph leaves its marks in
// the nodes: threads that take gradients at the same time must not share any, a parameter neither;
// each has a copy of the net (clone the parameters).

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "iotsl/core/tensor.hpp"

IOTSL_NAMESPACE_BEGIN

/// What an op is to the graph.
template <class T>
struct OpInfo {
  const char* name;
  /// Vector-Jacobian product: sets `input_grads[i]` for every i with `node.wants(i)`, written with
  /// public differentiable ops. `output_grad` may be taken over (moved from).
  void (*vjp)(const Node<T>& node, Tensor<T>& output_grad, Tensor<T>* input_grads);
};

namespace detail {
inline bool& recording_flag() {
  thread_local bool flag = true;
  return flag;
}
inline std::uint64_t next_node_sequence() {
  static detail::Shared<std::uint64_t> sequence{0};
  return sequence.increase() + 1;
}
}  // namespace detail

/// True where ops record a graph on this thread.
inline bool is_recording() { return detail::recording_flag(); }

/// Switches recording on or off on this thread for the life of the scope.
class RecordScope {
 public:
  explicit RecordScope(bool record) : before_(std::exchange(detail::recording_flag(), record)) {}
  RecordScope(const RecordScope&) = delete;
  RecordScope& operator=(const RecordScope&) = delete;
  ~RecordScope() { detail::recording_flag() = before_; }

 private:
  bool before_;
};

/// No graph is recorded within the scope: evaluation, optimisers, running statistics.
class NoRecord : RecordScope {
 public:
  NoRecord() : RecordScope(false) {}
};

/// A value in the graph: a leaf (no inputs) or the output of an op.
template <class T>
class Node : public detail::NodeBase {
 public:
  static constexpr int max_inputs = 4;
  static constexpr int max_saved = 5;
  static constexpr std::size_t attribute_bytes = 128;

  static Node* make(const OpInfo<T>& op, const Shape& output_shape) {
    void* block = detail::MemoryPool::instance().allocate(sizeof(Node));
    return new (block) Node(op, output_shape);
  }

  const char* name() const { return op_->name; }
  const OpInfo<T>& op() const { return *op_; }
  const Shape& output_shape() const { return output_shape_; }
  /// Above that of every input.
  std::uint64_t sequence() const { return sequence_; }

  // --- inputs ---
  void add_input(const Tensor<T>& input) {
    // One that another shared library has made, which counts by itself, may be ahead.
    if (input.node() != nullptr) sequence_ = std::max(sequence_, input.node()->sequence() + 1);
    inputs_[static_cast<std::size_t>(input_count_++)] = detail::NodeHandle(input.node());
  }
  int input_count() const { return input_count_; }
  /// Null where the input does not require a gradient.
  Node* input(int i) const {
    return static_cast<Node*>(inputs_[static_cast<std::size_t>(i)].get());
  }
  /// True if the running walk asks for the gradient of input i.
  bool wants(int i) const { return (wanted >> i & 1u) != 0; }

  // --- saved values ---
  void save(const Tensor<T>& tensor) {
    keep(tensor, tensor.defined() ? tensor.version() : 0, false);
  }
  /// Saves the op's own output, without a cycle of ownership.
  void save_output(const Tensor<T>& output) { keep(output.detach(), output.version(), true); }
  void save_bytes(Buffer bytes) { bytes_ = std::move(bytes); }

  /// A saved tensor, connected to the graph; raises an Error if it was changed in place since.
  Tensor<T> saved(int i) const {
    check_alive();
    const Saved& s = saved_[static_cast<std::size_t>(i)];
    if (!s.tensor.defined()) return {};
    if (s.tensor.version() != s.version)
      fail("grad: a tensor ", s.tensor.shape(), " saved by ", name(),
           " was changed in place since (version ", s.tensor.version(), ", expected ", s.version,
           ")");
    if (!s.is_output || !is_recording()) return s.tensor;
    Tensor<T> connected = s.tensor.detach();
    connected.set_node(const_cast<Node*>(this));
    return connected;
  }
  const Buffer& saved_bytes() const {
    check_alive();
    return bytes_;
  }

  // --- attributes: any trivially copyable struct ---
  template <class A>
  void set_attributes(const A& attributes) {
    static_assert(std::is_trivially_copyable_v<A> && sizeof(A) <= attribute_bytes);
    std::memcpy(attributes_, &attributes, sizeof(A));
  }
  template <class A>
  A attributes() const {
    std::array<std::byte, sizeof(A)> bytes;
    std::memcpy(bytes.data(), attributes_, sizeof(A));
    return std::bit_cast<A>(bytes);
  }

  // --- for the walk (autograd/grad.hpp) ---
  void release_saved() {
    for (Saved& s : saved_) s.tensor = {};
    bytes_ = {};
    released_ = true;
  }
  bool is_leaf() const { return input_count_ == 0; }

  Tensor<T> grad;              // leaf: what backward() has accumulated
  std::uint64_t walk = 0;      // the walk that has marked this node
  std::size_t walk_index = 0;  // its place in that walk
  unsigned wanted = 0;         // one bit per input whose gradient that walk asks for

 private:
  struct Saved {
    Tensor<T> tensor;
    std::uint32_t version = 0;
    bool is_output = false;
  };

  Node(const OpInfo<T>& op, const Shape& output_shape)
      : op_(&op), output_shape_(output_shape), sequence_(detail::next_node_sequence()) {
    release = &Node::release_node;
  }

  void keep(Tensor<T> tensor, std::uint32_t version, bool is_output) {
    saved_[static_cast<std::size_t>(saved_count_++)] = {std::move(tensor), version, is_output};
  }
  void check_alive() const {
    if (released_)
      fail("grad: the values that ", name(),
           " saved were freed by an earlier walk; pass .retain_graph = true to walk it again");
  }

  // A long chain of nodes is freed with a list instead of recursion.
  static void release_node(detail::NodeBase* base) noexcept {
    thread_local Node* pending = nullptr;
    thread_local bool draining = false;
    Node* node = static_cast<Node*>(base);
    node->next_pending_ = std::exchange(pending, node);
    if (draining) return;
    draining = true;
    while (Node* next = pending) {
      pending = next->next_pending_;
      next->~Node();
      detail::MemoryPool::instance().release(next, sizeof(Node));
    }
    draining = false;
  }

  const OpInfo<T>* op_;
  Shape output_shape_;
  std::uint64_t sequence_;
  std::array<detail::NodeHandle, max_inputs> inputs_;
  int input_count_ = 0;
  int saved_count_ = 0;
  std::array<Saved, max_saved> saved_;
  Buffer bytes_;
  bool released_ = false;
  Node* next_pending_ = nullptr;
  alignas(8) std::byte attributes_[attribute_bytes];
};

/// A tensor that no operation has made.
template <class T>
inline constexpr OpInfo<T> leaf_op{"leaf", nullptr};

/// Records `output` as the result of `op` on `inputs`. Returns the node, where the op then puts
/// what it saves, or null where there is nothing to record.
template <class T, class... Inputs>
Node<T>* record(const OpInfo<T>& op, Tensor<T>& output, const Inputs&... inputs) {
  static_assert(sizeof...(Inputs) <= Node<T>::max_inputs);
  if (!is_recording() || !(inputs.requires_grad() || ...)) return nullptr;
  Node<T>* node = Node<T>::make(op, output.shape());
  output.set_node(node);
  (node->add_input(inputs), ...);
  return node;
}

template <class T>
Tensor<T>& Tensor<T>::set_requires_grad(bool wanted) {
  if (!wanted) {
    body().node = {};
  } else if (!requires_grad()) {
    set_node(Node<T>::make(leaf_op<T>, shape()));
  }
  return *this;
}

template <class T>
Tensor<T> Tensor<T>::grad() const {
  return node() != nullptr ? node()->grad : Tensor();
}

template <class T>
void Tensor<T>::clear_grad() {
  if (node() != nullptr) node()->grad = {};
}

IOTSL_NAMESPACE_END
