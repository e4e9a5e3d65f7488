#pragma once
// Sums, means, and the repetition of values along dimensions.

#include "cases/op_case.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/reduce.hpp"

namespace cases {

/// Sum and mean over `dims`.
template <int... dims>
void add_reductions(OpCases& rows, const Shape& shape, bool keep, Index bench_batch = 0) {
  const std::string name = iotsl::concat("/", shape, keep ? " keeping" : " over", ' ', dims...);
  const std::vector<Input> x{{"x", shape, Values::normal, true}};
  const Extra extra{.linear = 1, .bench_batch = bench_batch};
  rows.push_back(row(
      "sum" + name, x, [keep](const auto& in) { return iotsl::sum(in[0], {dims...}, keep); },
      extra));
  rows.push_back(row(
      "mean" + name, x, [keep](const auto& in) { return iotsl::mean(in[0], {dims...}, keep); },
      extra));
}

inline OpCases reduce_rows() {
  OpCases rows;
  const Extra linear{.linear = 1};
  add_reductions<0, 2, 3>(rows, {2, 3, 2, 4}, true);
  add_reductions<1, -1>(rows, {2, 3, 2, 4}, false);
  add_reductions<2>(rows, {2, 3, 2, 4}, false);
  add_reductions<-2>(rows, {2, 3}, true);
  add_reductions<1>(rows, {5, 19}, false);
  add_reductions<0, 2, 3>(rows, {2, 65, 9, 11}, false);
  add_reductions<0, 1>(rows, {3, 7, 9, 17}, true);
  add_reductions<0, 2, 3>(rows, {2, 64, 28, 28}, true, 64);
  rows.push_back(row(
      "sum/[0,3] over 0", {{"x", {0, 3}}}, [](const auto& in) { return iotsl::sum(in[0], {0}); },
      linear));
  for (const Shape& shape : {Shape{2, 3, 2, 4}, Shape{}, Shape{33, 65}}) {
    const std::vector<Input> x{{"x", shape, Values::normal, shape.rank() > 0}};
    rows.push_back(row(
        iotsl::concat("sum/", shape), x, [](const auto& in) { return iotsl::sum(in[0]); }, linear));
    rows.push_back(row(
        iotsl::concat("mean/", shape), x, [](const auto& in) { return iotsl::mean(in[0]); },
        linear));
  }
  rows.push_back(row("square of mean/[2,3,2,4] over 2", {{"x", {2, 3, 2, 4}}},
                     [](const auto& in) { return iotsl::square(iotsl::mean(in[0], {2})); }));
  const std::pair<Shape, Shape> repeated[] = {
      {{1, 3, 1, 1}, {2, 3, 4, 5}}, {{4}, {2, 3, 4}}, {{}, {3, 2}},
      {{2, 1, 3, 1}, {2, 5, 3, 7}}, {{2, 3}, {2, 3}}, {{64, 1, 1}, {2, 64, 14, 14}}};
  for (const auto& [small, large] : repeated) {
    rows.push_back(row(
        iotsl::concat("broadcast_to/", small, " ", large), {{"x", small}},
        [to = large](const auto& in) { return iotsl::broadcast_to(in[0], to); }, linear));
    rows.push_back(row(
        iotsl::concat("sum_to/", large, " ", small), {{"x", large}},
        [to = small](const auto& in) { return iotsl::sum_to(in[0], to); }, linear));
  }
  return rows;
}

}  // namespace cases
