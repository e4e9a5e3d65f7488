#pragma once
// Normalisations over the batch, groups of channels and the last dimensions.

#include "cases/op_case.hpp"
#include "iotsl/ops/group_norm.hpp"
#include "iotsl/ops/norm_relu.hpp"

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
  // One pass in float. Few values where gradients are compared with differences, so that none lies
  // near the kink of the ReLU.
  struct {
    Shape x;
    Index bench_batch = 0;
  } const maps[] = {{{2, 64, 28, 28}, 64}, {{2, 128, 14, 14}, 64}, {{3, 2, 2, 3}},
                    {{1, 2, 3, 3}},        {{7, 4, 7, 7}},         {{16, 9, 20, 25}}};
  for (const auto& map : maps) {
    const auto add = [&](const char* name, const auto& op) {
      rows.push_back(row(iotsl::concat(name, "/", map.x),
                         {{"x", map.x, Values::normal, true},
                          {"weight", {map.x[1]}, Values::positive},
                          {"bias", {map.x[1]}}},
                         [op]<class T>(const Tensors<T>& in) {
                           auto mean = values<T>({"mean", in[1].shape()}, 5);
                           auto var = values<T>({"var", in[1].shape(), Values::positive}, 6);
                           return op(in[0], in[1], in[2], mean, var);
                         },
                         {.tolerance = 2e-5, .bench_batch = map.bench_batch}));
    };
    add("batch_norm2d_relu", [](auto&... in) { return iotsl::batch_norm2d_relu(in...); });
    add("batch_norm2d_relu_max_pool2d",
        [](auto&... in) { return iotsl::batch_norm2d_relu_max_pool2d(in...); });
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
