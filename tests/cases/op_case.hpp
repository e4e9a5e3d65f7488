#pragma once
// A row is an operation with the shapes of its inputs and its options. It drives, in
// tests/ops/cases_test.cpp, the comparison of float on every reachable target with the reference in
// double, the adjoint identity, the gradient check of both orders and the independence of the
// number of threads; and its bench (bench/op_bench.cpp).

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "iotsl/core/random.hpp"
#include "iotsl/core/tensor.hpp"

namespace cases {

using iotsl::Index;
using iotsl::Shape;
using iotsl::Tensor;

template <class T>
using Tensors = std::vector<Tensor<T>>;

enum class Values {
  normal,
  positive,  ///< in [0.5, 2)
  apart      ///< all different and none near 0, so that no small step crosses a kink
};

struct Input {
  std::string name;
  Shape shape;
  Values values = Values::normal;
  bool batched = false;  ///< its first extent is the batch, which a bench enlarges
};

/// What a row may say beside its operation and its inputs.
struct Extra {
  unsigned linear = 0;      ///< bit i: linear in input i up to a constant, so <f, u> has an adjoint
  double tolerance = 1e-5;  ///< of float against double, in units of the largest value
  Index bench_batch = 0;    ///< batch of the bench; 0: no bench
  double products_per_sample = 0;  ///< multiply-adds, for the bench's FLOP/s; 0: not counted
};

struct OpCase : Extra {
  std::string name;
  std::vector<Input> inputs;
  std::function<Tensor<float>(const Tensors<float>&)> in_float;
  std::function<Tensor<double>(const Tensors<double>&)> in_double;

  /// Few enough values for finite differences, and not none.
  bool is_small() const {
    Index elements = 0;
    for (const Input& input : inputs) {
      if (input.shape.elements() == 0) return false;
      elements += input.shape.elements();
    }
    return elements <= 1200;
  }
};

using OpCases = std::vector<OpCase>;

/// `f` takes the inputs as tensors of float or double.
template <class F>
OpCase row(std::string name, std::vector<Input> inputs, const F& f, Extra extra = {}) {
  return {extra, std::move(name), std::move(inputs), f, f};
}

/// The same values in float and double for the same input and seed.
template <class T>
Tensor<T> values(const Input& input, std::uint64_t seed) {
  Tensor<T> out = Tensor<T>::uninitialized(input.shape);
  const iotsl::Random random(seed, iotsl::Stream::user);
  T* to = out.mutable_data();
  const Index n = out.size();
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    double value = 0.1 * static_cast<double>(i - n / 2) + 0.05;
    if (input.values == Values::normal) value = random.normal(at);
    if (input.values == Values::positive) value = 0.5 + 1.5 * random.uniform(at);
    to[i] = static_cast<T>(static_cast<float>(value));
  }
  if (input.values == Values::apart)
    for (Index i = n - 1; i > 0; --i) {
      const auto at = static_cast<std::uint64_t>(i);
      std::swap(to[i], to[random.below(at, at + 1)]);
    }
  return out;
}

template <class T>
Tensors<T> values(const std::vector<Input>& inputs) {
  Tensors<T> out;
  for (const Input& input : inputs) out.push_back(values<T>(input, 11 + out.size()));
  return out;
}

}  // namespace cases
