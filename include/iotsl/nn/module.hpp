#pragma once
// What modules have in common: named state, and how they are run.

#include <string>
#include <vector>

#include "iotsl/core/tensor.hpp"

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

struct NamedCounter {
  std::string name;
  Counter counter;
};

/// The state of a model in lists.
template <class T>
struct StateLists {
  std::string prefix;
  std::vector<NamedTensor<T>> parameters, buffers;
  std::vector<NamedCounter> counters;

  void parameter(const char* name, Tensor<T>& t) { parameters.push_back({prefix + name, t}); }
  void buffer(const char* name, Tensor<T>& t) { buffers.push_back({prefix + name, t}); }
  void counter(const char* name, Counter& c) { counters.push_back({prefix + name, c}); }
};
template <class Model>
StateLists<typename Model::Scalar> collect_state(const Model& model) {
  StateLists<typename Model::Scalar> all;
  model.visit_state(all);
  return all;
}

/// How a forward pass runs. The numbers of a dropout layer are a function of seed, layer and step.
struct ForwardMode {
  bool training = false;
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
};

IOTSL_NAMESPACE_END
