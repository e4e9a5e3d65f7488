#pragma once
// What modules have in common: named state, and how they are run.

#include <optional>
#include <string>
#include <vector>

#include "iotsl/autograd/node.hpp"
#include "iotsl/core/tensor.hpp"
#include "iotsl/nn/shapes_only.hpp"
#include "iotsl/ops/product_precision.hpp"

IOTSL_NAMESPACE_BEGIN

/// A tensor with its full name, such as `features.0.weight`.
template <class T>
struct NamedTensor {
  std::string name;
  Tensor<T> tensor;
};

/// An integer that several handles share, such as the number of batches that a layer has seen.
class Counter {
 public:
  Counter() : buffer_(sizeof(std::int64_t)) { set(0); }
  std::int64_t value() const { return *data(); }
  void set(std::int64_t value) { *data() = value; }
  std::int64_t* data() const { return reinterpret_cast<std::int64_t*>(buffer_.data()); }

 private:
  Buffer buffer_;
};

/// A counter with its full name, such as `features.1.num_batches_tracked`.
struct NamedCounter {
  std::string name;
  Counter counter;
};

/// What a part of the state is; see StateList.
enum class StateKind { parameter, buffer, counter };

/// One part of a model's state: a tensor, or a counter.
template <class T>
struct StateEntry {
  std::string name;
  StateKind kind;
  Shape shape;       ///< of the tensor
  Tensor<T> tensor;  ///< a handle; undefined where it has no memory yet
  std::optional<Counter> counter;
};

/// What visit_state() of a layer or a model fills: its state in order, under full names. A tensor
/// that is given with its shape may have no memory yet; with `allocate` it gets some, filled with
/// `initial`.
template <class T>
struct StateList {
  std::string prefix = {};
  bool allocate = false;
  std::vector<StateEntry<T>> entries = {};

  /// What an optimiser trains.
  void parameter(const char* name, const Tensor<T>& t) {
    add(name, StateKind::parameter, t.shape(), t);
  }
  void parameter(const char* name, Tensor<T>& t, const Shape& shape, T initial = T(0)) {
    if (give_memory(t, shape, initial)) t.set_requires_grad();
    add(name, StateKind::parameter, shape, t);
  }
  /// What travels with the parameters and no optimiser trains, such as running statistics.
  void buffer(const char* name, const Tensor<T>& t) { add(name, StateKind::buffer, t.shape(), t); }
  void buffer(const char* name, Tensor<T>& t, const Shape& shape, T initial = T(0)) {
    give_memory(t, shape, initial);
    add(name, StateKind::buffer, shape, t);
  }
  void counter(const char* name, const Counter& c) { add(name, StateKind::counter, {}, {}, c); }

 private:
  bool give_memory(Tensor<T>& t, const Shape& shape, T initial) const {
    if (t.defined() || !allocate) return false;
    t = Tensor<T>::full(shape, initial);
    return true;
  }
  // Not inlined: it is called for each tensor of each layer, and small programs count bytes.
  [[gnu::noinline]] void add(const char* name, StateKind kind, const Shape& shape,
                             const Tensor<T>& t, std::optional<Counter> c = std::nullopt) {
    if (t.defined() && !(t.shape() == shape))
      fail("'", prefix, name, "' of a layer is ", t.shape(), "; expected ", shape);
    entries.push_back({prefix + name, kind, shape, t, std::move(c)});
  }
};

/// Values of the tensors in `list`, whether they have memory or not. A double, which no product
/// of extents overflows.
template <class T>
double count_values(const StateList<T>& list) {
  double out = 0;
  for (const StateEntry<T>& entry : list.entries) {
    if (entry.kind == StateKind::counter) continue;
    double values = 1;
    for (int d = 0; d < entry.shape.rank(); ++d) values *= static_cast<double>(entry.shape[d]);
    out += values;
  }
  return out;
}

/// Gives the state of a layer its memory where it has none and no ShapesOnly lives; a constructor
/// calls it last.
template <class T, class L>
void allocate_state(L& layer) {
  if (ShapesOnly::active()) return;
  StateList<T> list{.allocate = true};
  layer.visit_state(list);
}

/// All state of a model or a layer, in order.
template <class T, class Model>
std::vector<StateEntry<T>> state_entries(const Model& model) {
  StateList<T> list;
  model.visit_state(list);
  return std::move(list.entries);
}

/// The same in three lists.
template <class T>
struct StateLists {
  std::vector<NamedTensor<T>> parameters, buffers;
  std::vector<NamedCounter> counters;
};
/// The same entries in three lists, each in their order.
template <class T>
StateLists<T> sort_by_kind(std::vector<StateEntry<T>> entries) {
  StateLists<T> all;
  for (StateEntry<T>& entry : entries) {
    if (entry.kind == StateKind::counter)
      all.counters.push_back({std::move(entry.name), *entry.counter});
    else
      (entry.kind == StateKind::parameter ? all.parameters : all.buffers)
          .push_back({std::move(entry.name), std::move(entry.tensor)});
  }
  return all;
}
/// All state of a model or a layer in three lists.
template <class Model>
StateLists<typename Model::Scalar> collect_state(const Model& model) {
  return sort_by_kind(state_entries<typename Model::Scalar>(model));
}

/// How a forward pass runs. The numbers of a dropout layer are a function of seed, layer and step.
struct ForwardMode {
  bool training = false;
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  ProductPrecision precision = {};  ///< of convolutions in one group and linear layers
};

IOTSL_NAMESPACE_END
