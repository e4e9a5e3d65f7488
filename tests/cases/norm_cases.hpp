#pragma once
// Normalisations over the batch, groups of channels and the last dimensions.

#include "cases/op_case.hpp"
#include "iotsl/ops/group_norm.hpp"
#include "iotsl/ops/norm.hpp"

namespace cases {

inline OpCases norm_rows() {
  OpCases rows;
  struct {
    Shape x;
    Index bench_batch = 0;
  } const images[] = {{{2, 64, 28, 28}, 64},
                      {{2, 128, 14, 14}, 64},
                      {{2, 256, 7, 7}, 64},
                      {{4, 512, 3, 3}, 64},
                      {{4, 512, 1, 1}, 64},
                      {{3, 2, 2, 3}},
                      {{1, 2, 3, 3}},
                      {{5, 3, 1, 1}},
                      {{4, 3}},
                      {{64, 17}},
                      {{5, 3, 3, 3}},
                      {{2, 2, 1, 70001}},
                      {{150, 3, 1, 997}},
                      {{3, 2, 1, 17}},
                      {{33, 9, 3, 1}},
                      {{7, 4, 7, 7}},
                      {{16, 9, 20, 25}},
                      {{9, 1, 1, 100000}}};
  for (const auto& image : images) {
    const Index channels = image.x[1];
    const std::vector<Input> inputs{{"x", image.x, Values::normal, true},
                                    {"weight", {channels}, Values::positive},
                                    {"bias", {channels}}};
    for (bool training : {true, false})
      rows.push_back(row(
          iotsl::concat(training ? "batch_norm2d/" : "batch_norm2d evaluation/", image.x), inputs,
          [training]<class T>(const Tensors<T>& in) {
            auto mean = values<T>({"mean", in[1].shape()}, 5);
            auto var = values<T>({"var", in[1].shape(), Values::positive}, 6);
            return iotsl::batch_norm2d(in[0], in[1], in[2], mean, var, {.training = training});
          },
          {.tolerance = 2e-5, .bench_batch = training ? image.bench_batch : 0}));
  }
  struct {
    Shape x;
    Index groups, bench_batch = 0;
  } const grouped[] = {{{2, 64, 28, 28}, 8, 64}, {{2, 256, 7, 7}, 32, 64}, {{2, 6, 3, 5}, 3},
                       {{3, 4, 2, 2}, 1},        {{1, 5, 7, 3}, 5},        {{4, 12}, 2},
                       {{2, 4, 33}, 2},          {{0, 4, 3, 3}, 2}};
  for (const auto& c : grouped)
    rows.push_back(row(iotsl::concat("group_norm/", c.x, " groups ", c.groups),
                       {{"x", c.x, Values::normal, true},
                        {"weight", {c.x[1]}, Values::positive},
                        {"bias", {c.x[1]}}},
                       [groups = c.groups](const auto& in) {
                         return iotsl::group_norm(in[0], groups, in[1], in[2]);
                       },
                       {.tolerance = 2e-5, .bench_batch = c.bench_batch}));
  struct {
    Shape x, last;
    Index bench_batch = 0;
  } const layers[] = {{{8, 512}, {512}, 4096}, {{5, 19}, {19}},        {{2, 3, 4, 5}, {3, 4, 5}},
                      {{2, 3, 7}, {7}},        {{3, 2, 4, 3}, {4, 3}}, {{0, 7}, {7}}};
  for (const auto& c : layers)
    rows.push_back(row(
        iotsl::concat("layer_norm/", c.x, " last ", c.last),
        {{"x", c.x, Values::normal, true}, {"weight", c.last, Values::positive}, {"bias", c.last}},
        [](const auto& in) { return iotsl::layer_norm(in[0], in[1], in[2]); },
        {.tolerance = 2e-5, .bench_batch = c.bench_batch}));
  return rows;
}

}  // namespace cases
