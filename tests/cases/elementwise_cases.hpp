#pragma once
// Functions of one argument, activations, arithmetic and losses.

#include "cases/op_case.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/loss.hpp"

namespace cases {

/// One function at a scalar, a tail of every vector, a map, and (bench) an image's activations.
template <class F>
void add_function(OpCases& rows, const std::string& name, Values values, const F& f,
                  Extra extra = {}) {
  for (const Shape& shape : {Shape{}, Shape{19}, Shape{2, 3, 2, 3}, Shape{1, 64, 28, 28}}) {
    Extra here = extra;
    here.bench_batch = shape.rank() == 4 && shape[2] == 28 ? 64 : 0;
    rows.push_back(row(
        iotsl::concat(name, "/", shape), {{"x", shape, values, shape.rank() > 0}},
        [f](const auto& in) { return f(in[0]); }, here));
  }
}

inline OpCases function_rows() {
  OpCases rows;
  const Extra linear{.linear = 1};
  add_function(
      rows, "neg", Values::normal, [](const auto& x) { return iotsl::neg(x); }, linear);
  add_function(rows, "exp", Values::normal, [](const auto& x) { return iotsl::exp(x); });
  add_function(rows, "log", Values::positive, [](const auto& x) { return iotsl::log(x); });
  add_function(rows, "sqrt", Values::positive, [](const auto& x) { return iotsl::sqrt(x); });
  add_function(rows, "rsqrt", Values::positive, [](const auto& x) { return iotsl::rsqrt(x); });
  add_function(rows, "square", Values::normal, [](const auto& x) { return iotsl::square(x); });
  add_function(rows, "reciprocal", Values::positive,
               [](const auto& x) { return iotsl::reciprocal(x); });
  add_function(rows, "abs", Values::apart, [](const auto& x) { return iotsl::abs(x); });
  add_function(
      rows, "scale", Values::normal, [](const auto& x) { return iotsl::scale(x, 2.5F); }, linear);
  add_function(
      rows, "add_scalar", Values::normal, [](const auto& x) { return iotsl::add_scalar(x, -3); },
      linear);
  // --- activations ---
  add_function(rows, "relu", Values::apart, [](const auto& x) { return iotsl::relu(x); });
  add_function(rows, "leaky_relu", Values::apart,
               [](const auto& x) { return iotsl::leaky_relu(x, 0.125); });
  add_function(rows, "sigmoid", Values::normal, [](const auto& x) { return iotsl::sigmoid(x); });
  add_function(rows, "tanh", Values::normal, [](const auto& x) { return iotsl::tanh(x); });
  add_function(rows, "normal_cdf", Values::normal,
               [](const auto& x) { return iotsl::normal_cdf(x); });
  add_function(rows, "silu", Values::normal, [](const auto& x) { return iotsl::silu(x); });
  add_function(rows, "gelu", Values::normal, [](const auto& x) { return iotsl::gelu(x); });
  add_function(rows, "gelu tanh", Values::normal,
               [](const auto& x) { return iotsl::gelu(x, iotsl::GeluForm::tanh); });
  return rows;
}

inline OpCases arithmetic_rows() {
  OpCases rows;
  const std::pair<Shape, Shape> shapes[] = {
      {{3, 4}, {3, 4}}, {{2, 3, 2, 5}, {1, 3, 1, 1}}, {{4, 1}, {1, 5}}, {{5}, {2, 1, 5}},
      {{}, {3, 2}},     {{2, 1, 3}, {4, 1}},          {{1}, {}},        {{2, 65, 9, 9}, {65, 1, 1}},
  };
  for (const auto& [a, b] : shapes) {
    const std::vector<Input> inputs{{"a", a}, {"b", b, Values::positive}};
    const std::string name = iotsl::concat("/", a, " ", b);
    rows.push_back(
        row("add" + name, inputs, [](const auto& in) { return in[0] + in[1]; }, {.linear = 3}));
    rows.push_back(
        row("sub" + name, inputs, [](const auto& in) { return in[0] - in[1]; }, {.linear = 3}));
    rows.push_back(
        row("mul" + name, inputs, [](const auto& in) { return in[0] * in[1]; }, {.linear = 3}));
    rows.push_back(
        row("div" + name, inputs, [](const auto& in) { return in[0] / in[1]; }, {.linear = 1}));
  }
  return rows;
}

inline OpCases loss_rows() {
  OpCases rows;
  struct {
    Shape x;
    Index bench_batch = 0;
  } const logits[] = {{{64, 10}, 4096}, {{3, 5}}, {{1, 7}}, {{9, 33}}};
  for (const auto& c : logits) {
    const std::vector<Input> x{{"x", c.x, Values::normal, true}};
    const Extra extra{.bench_batch = c.bench_batch};
    rows.push_back(row(
        iotsl::concat("log_softmax/", c.x), x,
        [](const auto& in) { return iotsl::log_softmax(in[0]); }, extra));
    rows.push_back(row(
        iotsl::concat("softmax/", c.x), x, [](const auto& in) { return iotsl::softmax(in[0]); },
        extra));
    rows.push_back(row(
        iotsl::concat("softmax_cross_entropy/", c.x), x,
        [](const auto& in) {
          std::vector<std::int32_t> labels;
          for (Index i = 0; i < in[0].extent(0); ++i)
            labels.push_back(static_cast<std::int32_t>(i * 7 % in[0].extent(1)));
          return iotsl::softmax_cross_entropy(in[0], labels);
        },
        extra));
    rows.push_back(row(
        iotsl::concat("mse_loss/", c.x), {x[0], {"target", c.x, Values::normal, true}},
        [](const auto& in) { return iotsl::mse_loss(in[0], in[1]); }, extra));
  }
  return rows;
}

}  // namespace cases
