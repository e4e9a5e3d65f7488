#pragma once
// Reverse mode of any order: `grad` returns gradients, `backward` accumulates them in the leaves.

#include <vector>

#include "iotsl/autograd/node.hpp"
#include "iotsl/core/heap_sort.hpp"
#include "iotsl/kernels/elementwise/elementwise.hpp"

IOTSL_NAMESPACE_BEGIN

/// What grad() and backward() keep.
struct GradOptions {
  bool create_graph = false;  ///< record the gradient's own graph, for higher orders
  bool retain_graph = false;  ///< keep what the nodes saved, for another walk
};

namespace detail {

/// The sum of two gradients of one value: part of the graph, so that a gradient of a gradient goes
/// through it. Both have one shape; `add`, which also broadcasts, belongs to the layer above.
template <class T>
void sum_of_gradients_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  for (int i = 0; i < 2; ++i)
    if (node.wants(i)) gx[i] = gy;
}
template <class T>
inline constexpr OpInfo<T> sum_of_gradients_op{"sum_of_gradients", &sum_of_gradients_vjp<T>};

template <class T>
Tensor<T> sum_of_gradients(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y = Tensor<T>::uninitialized(a.shape());
  kernels::binary(kernels::Binary::add, y.size(), a.data(), b.data(), y.mutable_data());
  record(sum_of_gradients_op<T>, y, a, b);
  return y;
}

/// One walk from outputs back to targets: iterative, in descending order of creation, over the
/// nodes that lead to a target only; it frees what it has passed unless told to keep it.
template <class T>
class GradWalk {
 public:
  GradWalk(bool create_graph, bool retain_graph)
      : create_graph_(create_graph), retain_(retain_graph || create_graph), id_(next_walk_id()) {}

  /// Adds an output with its seed (the gradient of the final scalar with respect to it).
  void add_output(const Tensor<T>& output, Tensor<T> seed, std::size_t position) {
    if (!output.requires_grad())
      fail("grad: output ", position, " ", output.shape(),
           " does not depend on a tensor that requires a gradient");
    if (!seed.defined()) {
      if (output.size() != 1)
        fail("grad: output ", position, " has shape ", output.shape(),
             "; only a tensor with one element needs no seed");
      seed = Tensor<T>::full(output.shape(), T(1));
    }
    if (!(seed.shape() == output.shape()))
      fail("grad: seed ", position, " has shape ", seed.shape(), ", its output ", output.shape());
    collect(output.node());
    seeds_.push_back({output.node(), std::move(seed)});
  }

  bool reaches(const Node<T>* node) const { return node->walk == id_; }
  void add_target(Node<T>* node) { steps_[node->walk_index].is_target = true; }
  void target_all_leaves() {
    for (Step& step : steps_) step.is_target = step.node->is_leaf();
  }

  void run() {
    sort();
    mark_needed();
    // Accumulation before the walk belongs to the recorded graph as well.
    RecordScope scope(create_graph_);
    for (auto& [node, seed] : seeds_) accumulate(node, std::move(seed));
    for (std::size_t at = steps_.size(); at-- > 0;) visit(steps_[at]);
  }

  /// The same in two parts, with the same gradients in the same order of sums: first those of the
  /// targets of `first`. No other walk over these nodes may come in between, and none of the parts
  /// records a graph.
  void run_first(const std::vector<Node<T>*>& first) {
    sort();
    mark_needed();
    for (Node<T>* node : first) steps_[node->walk_index].comes_first = true;
    for (Step& step : steps_) {
      unsigned now = 0;
      for (int i = 0; i < step.node->input_count(); ++i) {
        const Node<T>* input = step.node->input(i);
        if (input != nullptr && steps_[input->walk_index].comes_first) now |= 1u << i;
      }
      step.later = step.node->wanted & ~now;
      step.node->wanted &= now;
      step.comes_first = step.comes_first || step.node->wanted != 0;
    }
    at_hand_.resize(steps_.size());
    RecordScope scope(false);
    for (auto& [node, seed] : seeds_) accumulate(node, std::move(seed));
    for (std::size_t at = steps_.size(); at-- > 0;) visit_first(steps_[at], at_hand_[at]);
  }
  /// And then the others.
  void run_rest() {
    RecordScope scope(false);
    for (std::size_t at = steps_.size(); at-- > 0;) visit_rest(steps_[at], at_hand_[at]);
  }

  /// One per input and of its shape; zeros where no path leads to it.
  std::vector<Tensor<T>> gradients_of(const std::vector<Tensor<T>>& inputs) const {
    std::vector<Tensor<T>> out;
    out.reserve(inputs.size());
    for (const Tensor<T>& input : inputs) {
      Tensor<T> g;
      if (reaches(input.node())) g = steps_[input.node()->walk_index].gradient;
      out.push_back(g.defined() ? g : Tensor<T>::zeros(input.shape()));
    }
    return out;
  }

  template <class Visit>
  void for_each_target(const Visit& visit) {
    for (Step& step : steps_)
      if (step.is_target) visit(step.node, step.gradient);
  }

 private:
  struct Step {
    Node<T>* node;
    Tensor<T> gradient;
    bool is_target = false;
    bool needed = false;
    bool comes_first = false;  // leads to a target of the first part, or is one
    unsigned later = 0;        // inputs whose gradients belong to the second part
  };
  /// Gradients of inputs.
  using InputGrads = std::array<Tensor<T>, Node<T>::max_inputs>;
  struct Seed {
    Node<T>* node;
    Tensor<T> value;
  };

  /// Never 0. Each shared library may have a count of its own: it begins where the library lies.
  static std::uint64_t next_walk_id() {
    static detail::Shared<std::uint64_t> id{0};
    const auto place = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&id));
    return place * 0x9E3779B97F4A7C15u + id.increase() + 1;
  }

  void push(Node<T>* node) {
    if (node == nullptr || node->walk == id_) return;
    node->walk = id_;
    node->walk_index = steps_.size();
    steps_.push_back({node, {}});
  }
  void collect(Node<T>* output) {
    std::size_t next = steps_.size();
    push(output);
    for (; next < steps_.size(); ++next) {
      Node<T>* node = steps_[next].node;
      for (int i = 0; i < node->input_count(); ++i) push(node->input(i));
    }
  }
  void sort() {
    heap_sort(steps_.data(), steps_.size(),
              [](const Step& a, const Step& b) { return a.node->sequence() < b.node->sequence(); });
    for (std::size_t i = 0; i < steps_.size(); ++i) steps_[i].node->walk_index = i;
  }
  void mark_needed() {
    for (Step& step : steps_) {
      step.node->wanted = 0;
      for (int i = 0; i < step.node->input_count(); ++i) {
        const Node<T>* input = step.node->input(i);
        if (input != nullptr && steps_[input->walk_index].needed) step.node->wanted |= 1u << i;
      }
      step.needed = step.is_target || step.node->wanted != 0;
    }
  }

  void accumulate(Node<T>* node, Tensor<T> value) {
    Tensor<T>& sum = steps_[node->walk_index].gradient;
    if (!sum.defined()) {
      sum = std::move(value);
    } else if (!create_graph_ && sum.unique()) {
      kernels::axpy(sum.size(), T(1), value.data(), sum.mutable_data());
    } else {
      sum = sum_of_gradients(sum, value);
    }
  }

  /// Adds the gradients that were asked of a node to its inputs.
  void pass_on(Node<T>* node, Tensor<T>* input_grads) {
    for (int i = 0; i < node->input_count(); ++i) {
      if (!node->wants(i)) continue;
      Tensor<T>& g = input_grads[i];
      Node<T>* input = node->input(i);
      if (!g.defined()) continue;  // a derivative that is zero everywhere
      if (!(g.shape() == input->output_shape()))
        fail("grad: ", node->name(), " gave a gradient of shape ", g.shape(), " for input ", i,
             " of shape ", input->output_shape());
      accumulate(input, std::move(g));
    }
  }

  /// `at_hand`: keeps what an op gives beyond what it was asked for, such as a norm, which computes
  /// all of its gradients at once.
  void visit_first(Step& step, InputGrads& at_hand) {
    Node<T>* node = step.node;
    if (!step.gradient.defined() || node->wanted == 0) return;
    const bool is_done = step.later == 0;
    Tensor<T> output_grad = step.is_target || !is_done ? step.gradient : std::move(step.gradient);
    node->op().vjp(*node, output_grad, at_hand.data());
    pass_on(node, at_hand.data());
    if (is_done) node->release_saved();
  }
  void visit_rest(Step& step, InputGrads& at_hand) {
    Node<T>* node = step.node;
    if (step.gradient.defined() && step.later != 0) {
      const bool is_partly_done = node->wanted != 0;
      node->wanted = step.later;
      bool is_at_hand = is_partly_done;
      for (int i = 0; i < node->input_count(); ++i)
        is_at_hand =
            is_at_hand && (!node->wants(i) || at_hand[static_cast<std::size_t>(i)].defined());
      Tensor<T> output_grad = step.is_target ? step.gradient : std::move(step.gradient);
      if (!is_at_hand) node->op().vjp(*node, output_grad, at_hand.data());
      pass_on(node, at_hand.data());
      node->release_saved();
    }
    at_hand = {};
    if (!step.is_target) step.gradient = {};
  }

  void visit(Step& step) {
    Node<T>* node = step.node;
    if (step.gradient.defined() && node->wanted != 0) {
      Tensor<T> output_grad = step.is_target ? step.gradient : std::move(step.gradient);
      Tensor<T> input_grads[Node<T>::max_inputs];
      node->op().vjp(*node, output_grad, input_grads);
      output_grad = {};
      pass_on(node, input_grads);
      if (!retain_) node->release_saved();
    }
    if (!step.is_target) step.gradient = {};
  }

  bool create_graph_;
  bool retain_;
  std::uint64_t id_;
  std::vector<Step, PoolAllocator<Step>> steps_;
  std::vector<Seed, PoolAllocator<Seed>> seeds_;
  std::vector<InputGrads, PoolAllocator<InputGrads>>
      at_hand_;  // of each step, in a walk in two parts
};

}  // namespace detail

/// Gradients of sum_i <outputs[i], seeds[i]> with respect to `inputs`, one per input and of its
/// shape; zeros where an input has no influence. An empty `seeds`, or an undefined seed, means 1
/// and needs an output with one element. Nothing accumulates in the leaves. Gradients may share
/// their values with each other and with the seeds: clone() what is to be changed in place. Another
/// thread must not take gradients through the same nodes meanwhile, leaves included.
template <class T>
std::vector<Tensor<T>> grad(const std::vector<Tensor<T>>& outputs,
                            const std::vector<Tensor<T>>& inputs,
                            const std::vector<Tensor<T>>& seeds = {}, GradOptions options = {}) {
  if (!seeds.empty() && seeds.size() != outputs.size())
    fail("grad: ", outputs.size(), " outputs and ", seeds.size(), " seeds");
  detail::GradWalk<T> walk(options.create_graph, options.retain_graph);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    walk.add_output(outputs[i], seeds.empty() ? Tensor<T>() : seeds[i], i);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].requires_grad())
      fail("grad: input ", i, " ", inputs[i].shape(), " does not require a gradient");
    if (walk.reaches(inputs[i].node())) walk.add_target(inputs[i].node());
  }
  walk.run();
  return walk.gradients_of(inputs);
}

/// The same for one output and one input.
template <class T>
Tensor<T> grad(const Tensor<T>& output, const Tensor<T>& input, const Tensor<T>& seed = {},
               GradOptions options = {}) {
  return grad(std::vector<Tensor<T>>{output}, std::vector<Tensor<T>>{input},
              std::vector<Tensor<T>>{seed}, options)[0];
}

/// Adds the gradient of <output, seed> to `grad()` of every leaf that it depends on. Without a seed
/// the output must have one element. Each leaf has values of its own there, which may be written
/// over, as where a norm is clipped. With create_graph such a gradient holds the graph and the
/// graph holds the leaf, and leaves may share values: clear_grad() lets both go.
template <class T>
void backward(const Tensor<T>& output, const Tensor<T>& seed = {}, GradOptions options = {}) {
  detail::GradWalk<T> walk(options.create_graph, options.retain_graph);
  walk.add_output(output, seed, 0);
  walk.target_all_leaves();
  walk.run();
  RecordScope scope(options.create_graph);
  walk.for_each_target([](Node<T>* leaf, Tensor<T>& gradient) {
    if (!gradient.defined()) return;
    if (leaf->grad.defined())
      leaf->grad = detail::sum_of_gradients(leaf->grad, gradient);
    else
      leaf->grad = gradient.unique() || is_recording() ? gradient : gradient.clone();
  });
}

IOTSL_FLOAT(std::vector<Tensor<float>> grad(const std::vector<Tensor<float>>&,
                                            const std::vector<Tensor<float>>&,
                                            const std::vector<Tensor<float>>&, GradOptions))
IOTSL_FLOAT(void backward(const Tensor<float>&, const Tensor<float>&, GradOptions))

IOTSL_NAMESPACE_END
