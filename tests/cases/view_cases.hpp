#pragma once
// Other shapes, parts, paddings and joins of tensors. None computes: float is exact.

#include "cases/op_case.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/view.hpp"

namespace cases {

inline OpCases view_rows() {
  OpCases rows;
  struct {
    Shape x;
    Index bench_batch = 0;
  } const images[] = {{{3, 2, 4, 2}}, {{6, 9, 7, 33}}, {{2, 16, 28, 28}, 64}};
  for (const auto& c : images) {
    const Extra extra{.linear = 1, .tolerance = 1e-7};
    const Extra timed{.linear = 1, .tolerance = 1e-7, .bench_batch = c.bench_batch};
    const std::vector<Input> x{{"x", c.x, Values::normal, true}};
    const std::vector<Input> two{x[0], {"z", c.x, Values::normal, true}};
    const Index half = c.x.elements() / 2;
    rows.push_back(row(
        iotsl::concat("reshape/", c.x), x,
        [half](const auto& in) {
          return iotsl::reshape(in[0], {half, 2});
        },
        extra));
    rows.push_back(row(
        iotsl::concat("flatten/", c.x), x, [](const auto& in) { return iotsl::flatten(in[0]); },
        extra));
    for (int dim = 0; dim < 4; ++dim) {
      const std::string name = iotsl::concat("/", c.x, " dimension ", dim);
      // The batch of a bench is another one.
      const Extra& each = dim == 0 ? extra : timed;
      rows.push_back(row(
          "slice" + name, x,
          [dim, end = c.x[dim]](const auto& in) { return iotsl::slice(in[0], dim, 1, end); },
          each));
      rows.push_back(row(
          "pad" + name, x, [dim](const auto& in) { return iotsl::pad(in[0], dim, 2, 1); }, each));
      rows.push_back(row("concat" + name, two,
                         [dim]<class T>(const Tensors<T>& in) {
                           return iotsl::concat<T>({in[0], in[1], in[0]}, dim);
                         },
                         {.linear = 3, .tolerance = 1e-6, .bench_batch = each.bench_batch}));
    }
  }
  rows.push_back(row("slice/[2,3,6,2] within dimension 2", {{"x", {2, 3, 6, 2}}},
                     [](const auto& in) { return iotsl::slice(in[0], 2, 1, 4); }, {.linear = 1}));
  rows.push_back(row("slice/[2,3] of nothing", {{"x", {2, 3}}},
                     [](const auto& in) { return iotsl::slice(in[0], 0, 2, 2); }, {.linear = 1}));
  rows.push_back(row("slice/product of overlapping", {{"x", {2, 4}}}, [](const auto& in) {
    return iotsl::slice(in[0], 1, 0, 3) * iotsl::slice(in[0], 1, 1, 4);
  }));
  return rows;
}

}  // namespace cases
