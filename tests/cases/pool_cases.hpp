#pragma once
// Windows of pooling, each for the maximum and for the average.

#include "cases/op_case.hpp"
#include "iotsl/ops/pool.hpp"

namespace cases {

struct PoolCase {
  Shape x;
  iotsl::Pool2dOptions options = {};
  Index bench_batch = 0;
};

inline iotsl::Pool2dOptions window(Index kernel, Index stride, Index pad) {
  return {kernel, kernel, stride, stride, pad, pad};
}

inline std::vector<PoolCase> pool_cases() {
  return {
      // The pools of vgg16bn-compact, and one of those of vgg16bn-paper that keep the size.
      {{2, 64, 28, 28}, window(2, 2, 0), 64},  {{1, 128, 14, 14}, window(2, 2, 0), 64},
      {{1, 256, 7, 7}, window(2, 2, 0), 64},   {{1, 512, 3, 3}, window(2, 2, 0), 64},
      {{1, 128, 14, 14}, window(3, 1, 1), 64}, {{2, 3, 28, 28}, window(2, 2, 0)},
      {{1, 5, 2, 2}, window(2, 2, 0)},         {{1, 2, 9, 35}, window(2, 2, 0)},
      {{1, 1, 4, 64}, window(2, 2, 0)},        {{1, 1, 5, 16}, window(2, 2, 0)},
      {{1, 2, 5, 4}, window(3, 1, 1)},         {{1, 1, 1, 1}, window(3, 1, 1)},
      {{1, 1, 9, 20}, window(3, 1, 0)},        {{2, 2, 9, 11}, window(3, 2, 1)},
      {{1, 1, 40, 40}, window(5, 3, 2)},       {{1, 1, 30, 30}, window(15, 1, 7)},
      {{0, 3, 4, 4}, window(2, 2, 0)},         {{1, 2, 12, 10}, {3, 2, 2, 1, 0, 0}},
      {{1, 2, 12, 10}, {2, 2, 2, 1, 0, 1}},    {{2, 2, 6, 5}, {3, 2, 2, 3, 1, 0}},
  };
}

inline OpCases pool_rows() {
  OpCases rows;
  for (const PoolCase& c : pool_cases()) {
    const iotsl::Pool2dOptions o = c.options;
    const std::string name =
        iotsl::concat(c.x, " window ", o.kernel_h, "x", o.kernel_w, " stride ", o.stride_h, "x",
                      o.stride_w, " pad ", o.pad_h, "x", o.pad_w);
    rows.push_back(row("max_pool2d/" + name, {{"x", c.x, Values::apart, true}},
                       [o](const auto& in) { return iotsl::max_pool2d(in[0], o); },
                       {.tolerance = 1e-6, .bench_batch = c.bench_batch}));
    for (bool include_pad : {true, false}) {
      if (!include_pad && o.pad_h == 0 && o.pad_w == 0) continue;
      const iotsl::AvgPool2dOptions average{o.kernel_h, o.kernel_w, o.stride_h, o.stride_w,
                                            o.pad_h,    o.pad_w,    include_pad};
      rows.push_back(row((include_pad ? "avg_pool2d/" : "avg_pool2d inside/") + name,
                         {{"x", c.x, Values::normal, true}},
                         [average](const auto& in) { return iotsl::avg_pool2d(in[0], average); },
                         {.linear = 1, .bench_batch = include_pad ? c.bench_batch : 0}));
    }
  }
  for (const Shape& x : {Shape{2, 3, 4, 5}, Shape{0, 3, 4, 5}})
    rows.push_back(row(iotsl::concat("global_avg_pool2d/", x), {{"x", x}},
                       [](const auto& in) { return iotsl::global_avg_pool2d(in[0]); },
                       {.linear = 1}));
  return rows;
}

}  // namespace cases
