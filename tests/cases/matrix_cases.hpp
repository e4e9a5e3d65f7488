#pragma once
// Matrix products, linear layers and transposes.

#include "cases/op_case.hpp"
#include "cases/product_sizes.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/view.hpp"

namespace cases {

inline OpCases matrix_rows() {
  OpCases rows;
  for (const ProductSize& c : product_sizes()) {
    if (!c.gradients) continue;
    const std::string name = iotsl::concat("/[", c.m, ",", c.k, "] [", c.k, ",", c.n, "]");
    const Extra extra{.linear = 3,
                      .bench_batch = c.op_batch,
                      .products_per_sample = static_cast<double>(c.k * c.n)};
    const Input a{"a", {c.m, c.k}, Values::normal, true}, b{"b", {c.k, c.n}};
    rows.push_back(row(
        "matmul" + name, {a, b}, [](const auto& in) { return iotsl::matmul(in[0], in[1]); },
        extra));
    rows.push_back(row(
        "matmul_nt" + name, {a, {"b", {c.n, c.k}}},
        [](const auto& in) { return iotsl::matmul_nt(in[0], in[1]); }, extra));
    rows.push_back(row("matmul_tn" + name, {{"a", {c.k, c.m}}, b},
                       [](const auto& in) { return iotsl::matmul_tn(in[0], in[1]); },
                       {.linear = 3}));
    rows.push_back(row("linear" + name, {a, {"weight", {c.n, c.k}}, {"bias", {c.n}}},
                       [](const auto& in) { return iotsl::linear(in[0], in[1], in[2]); },
                       {.linear = 7,
                        .bench_batch = c.op_batch,
                        .products_per_sample = extra.products_per_sample}));
    rows.push_back(row("linear without bias" + name, {a, {"weight", {c.n, c.k}}},
                       [](const auto& in) { return iotsl::linear(in[0], in[1]); }, {.linear = 3}));
  }
  rows.push_back(row("matmul/with itself", {{"x", {4, 4}}},
                     [](const auto& in) { return iotsl::matmul(in[0], in[0]); }));
  struct {
    Shape x;
    Index bench_batch = 0;
  } const matrices[] = {{{3, 5}}, {{7, 5}}, {{1, 9}}, {{0, 4}}, {{65, 130}}, {{64, 512}, 512}};
  for (const auto& c : matrices)
    rows.push_back(row(iotsl::concat("transpose/", c.x), {{"x", c.x, Values::normal, true}},
                       [](const auto& in) { return iotsl::transpose(in[0]); },
                       {.linear = 1, .tolerance = 1e-6, .bench_batch = c.bench_batch}));
  return rows;
}

}  // namespace cases
