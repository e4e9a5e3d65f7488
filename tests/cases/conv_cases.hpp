#pragma once
// Convolutions: the layers of the networks, and what is odd: tails in every dimension, strides that
// leave rows out, kernels larger than the image, taps that never touch it, empty batches.

#include "cases/op_case.hpp"
#include "iotsl/ops/conv.hpp"

namespace cases {

struct ConvCase {
  std::string name;
  Shape x, weight;
  iotsl::Conv2dOptions options = {};
  Index bench_batch = 0;

  iotsl::kernels::ConvShape shape() const {
    return iotsl::detail::conv_shape("case", x[0], x[1], x[2], x[3], weight[0], weight[2],
                                     weight[3], options)
        .value();
  }
};

inline std::vector<ConvCase> conv_cases() {
  const iotsl::Conv2dOptions same{.pad_h = 1, .pad_w = 1};
  const iotsl::Conv2dOptions halve{.stride_h = 2, .stride_w = 2, .pad_h = 2, .pad_w = 2};
  return {
      {"vgg1", {2, 1, 28, 28}, {64, 1, 3, 3}, same, 64},
      {"vgg2", {1, 64, 28, 28}, {64, 64, 3, 3}, same, 64},
      {"vgg3", {1, 64, 14, 14}, {128, 64, 3, 3}, same, 64},
      {"vgg4", {1, 128, 14, 14}, {128, 128, 3, 3}, same, 64},
      {"vgg5", {1, 128, 7, 7}, {256, 128, 3, 3}, same, 64},
      {"vgg6", {1, 256, 7, 7}, {256, 256, 3, 3}, same, 64},
      {"vgg8", {1, 256, 3, 3}, {512, 256, 3, 3}, same, 64},
      {"vgg9", {1, 512, 3, 3}, {512, 512, 3, 3}, same, 64},
      {"vgg11", {1, 512, 1, 1}, {512, 512, 3, 3}, same, 64},
      {"critic1", {4, 1, 28, 28}, {64, 1, 5, 5}, halve, 64},
      {"critic2", {1, 64, 14, 14}, {128, 64, 5, 5}, halve, 64},
      {"critic3", {1, 128, 7, 7}, {256, 128, 5, 5}, halve, 64},
      // Deconvolutions of the generator are the input gradients of these.
      {"generator2", {1, 128, 8, 8}, {256, 128, 5, 5}, {}, 32},
      {"generator3", {1, 64, 11, 11}, {128, 64, 5, 5}, {}, 32},
      {"generator4", {3, 1, 28, 28}, {64, 1, 8, 8}, {.stride_h = 2, .stride_w = 2}, 32},

      {"tails 14x14", {7, 20, 14, 14}, {24, 20, 3, 3}, same},
      {"tails 7x7", {9, 33, 7, 7}, {40, 33, 3, 3}, same},
      {"tails 3x3", {13, 70, 3, 3}, {48, 70, 3, 3}, same},
      {"tails 1x1 map", {11, 64, 1, 1}, {33, 64, 3, 3}, same},
      {"no channel", {2, 0, 5, 5}, {3, 0, 3, 3}},
      {"one pixel", {1, 16, 1, 1}, {16, 16, 1, 1}},
      {"1x1 kernel", {3, 5, 9, 11}, {7, 5, 1, 1}},
      {"1x1 kernel, stride 2", {3, 17, 8, 6}, {19, 17, 1, 1}, {.stride_h = 2, .stride_w = 2}},
      {"three channels", {1, 3, 32, 32}, {10, 3, 5, 5}, halve},
      {"5x5, few channels", {2, 20, 7, 7}, {12, 20, 5, 5}, halve},
      {"5x5, no padding", {4, 12, 8, 8}, {25, 12, 5, 5}},
      {"uneven",
       {5, 2, 6, 9},
       {3, 2, 2, 4},
       {.stride_h = 3, .pad_h = 1, .pad_w = 2, .dilation_h = 2}},
      {"uneven, dilation",
       {5, 9, 10, 9},
       {18, 9, 3, 2},
       {.stride_h = 2, .stride_w = 3, .pad_h = 2, .pad_w = 1, .dilation_h = 2, .dilation_w = 3}},
      {"rows that no output reads", {2, 6, 13, 5}, {5, 6, 3, 3}, {.stride_h = 4, .stride_w = 4}},
      {"pixels with no tap", {6, 8, 9, 9}, {8, 8, 2, 2}, {.stride_h = 3, .stride_w = 3}},
      {"kernel over a small map", {2, 7, 2, 2}, {6, 7, 5, 5}, {.pad_h = 2, .pad_w = 2}},
      {"tall", {1, 8, 40, 3}, {16, 8, 3, 3}, same},
      {"wide", {1, 10, 3, 300}, {17, 10, 3, 3}, same},
      {"no image", {0, 3, 5, 5}, {4, 3, 3, 3}},
      {"many images", {32, 40, 5, 5}, {16, 40, 3, 3}, same},
      {"many blocks", {18, 5, 17, 17}, {6, 5, 3, 3}, same},
      {"many sums", {2, 190, 2, 2}, {310, 190, 3, 3}, same},
      {"few channels, many images", {21, 2, 6, 5}, {20, 2, 3, 3}, same},
      {"few channels, stride 2", {2, 2, 19, 17}, {13, 2, 4, 3}, halve},
      {"few channels, uneven map",
       {10, 2, 17, 19},
       {13, 2, 3, 4},
       {.pad_h = 2, .pad_w = 3, .dilation_h = 2}},
      {"few channels, bands", {3, 3, 70, 70}, {5, 3, 3, 3}, same},
      {"winograd, odd map", {1, 16, 40, 37}, {50, 16, 3, 3}, same},
      {"winograd, no padding", {5, 48, 9, 11}, {17, 48, 3, 3}},
      {"winograd, padding 2", {3, 17, 6, 5}, {19, 17, 3, 3}, {.pad_h = 2, .pad_w = 2}},
      {"winograd, one pixel", {33, 16, 1, 1}, {16, 16, 3, 3}, same},
      {"winograd, wide", {1, 16, 4, 70}, {16, 16, 3, 3}, same},

      {"small", {2, 2, 4, 5}, {3, 2, 3, 3}, same},
      {"small, stride 2",
       {2, 2, 5, 6},
       {2, 2, 3, 3},
       {.stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}},
      {"small, dilation",
       {1, 2, 7, 6},
       {2, 2, 3, 2},
       {.pad_h = 1, .dilation_h = 2, .dilation_w = 3}},
      {"small, uneven", {2, 1, 6, 7}, {2, 1, 3, 2}, {.stride_h = 2, .stride_w = 3, .pad_w = 1}},
      {"small, 1x1 map", {1, 2, 1, 1}, {3, 2, 3, 3}, same},
      {"small, remainder", {1, 2, 6, 8}, {2, 2, 3, 3}, {.stride_h = 2, .stride_w = 2}},

      {"two groups", {2, 4, 4, 5}, {6, 2, 3, 3}, {.pad_h = 1, .pad_w = 1, .groups = 2}},
      {"resnext", {2, 64, 14, 14}, {64, 4, 3, 3}, {.pad_h = 1, .pad_w = 1, .groups = 16}, 64},
      {"three groups, stride 2",
       {3, 12, 9, 7},
       {15, 4, 3, 2},
       {.stride_h = 2, .stride_w = 2, .pad_h = 1, .groups = 3}},
      {"depthwise small", {2, 3, 5, 6}, {3, 1, 3, 3}, {.pad_h = 1, .pad_w = 1, .groups = 3}},
      {"depthwise", {2, 64, 28, 28}, {64, 1, 3, 3}, {.pad_h = 1, .pad_w = 1, .groups = 64}, 64},
      {"depthwise, stride 2",
       {2, 64, 28, 28},
       {64, 1, 3, 3},
       {.stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1, .groups = 64},
       64},
      {"depthwise 5x5", {3, 33, 14, 14}, {33, 1, 5, 5}, {.pad_h = 2, .pad_w = 2, .groups = 33}, 64},
      {"depthwise doubled", {2, 3, 6, 5}, {6, 1, 3, 3}, {.pad_h = 1, .pad_w = 1, .groups = 3}},
      {"depthwise tripled, stride 3",
       {1, 2, 10, 11},
       {6, 1, 3, 2},
       {.stride_h = 3, .stride_w = 2, .pad_h = 1, .groups = 2}},
      {"depthwise, dilation",
       {2, 5, 11, 40},
       {5, 1, 3, 3},
       {.stride_h = 2,
        .stride_w = 3,
        .pad_h = 2,
        .pad_w = 4,
        .dilation_h = 2,
        .dilation_w = 4,
        .groups = 5}},
      {"depthwise, padding beyond the kernel",
       {2, 3, 4, 5},
       {3, 1, 2, 2},
       {.pad_h = 2, .pad_w = 3, .groups = 3}},
      {"depthwise, rows that no output reads",
       {1, 2, 11, 9},
       {2, 1, 2, 2},
       {.stride_h = 4, .stride_w = 4, .groups = 2}},
      {"depthwise, no image", {0, 3, 5, 5}, {3, 1, 3, 3}, {.groups = 3}},
  };
}

/// conv2d of every case; of the small ones the other two of the triple as well, whose kernels the
/// gradients of conv2d have run.
inline OpCases conv_rows() {
  OpCases rows;
  for (const ConvCase& c : conv_cases()) {
    const auto s = c.shape();
    const iotsl::Conv2dOptions o = c.options;
    const Input x{"x", c.x, Values::normal, true}, weight{"weight", c.weight};
    const double products =
        static_cast<double>(s.k * s.p * s.q) * static_cast<double>(c.weight[1] * s.r * s.s);
    rows.push_back(row("conv2d/" + c.name, {x, weight, {"bias", {s.k}}},
                       [o](const auto& in) { return iotsl::conv2d(in[0], in[1], in[2], o); },
                       {.linear = 7,
                        .tolerance = 5e-5,
                        .bench_batch = c.bench_batch,
                        .products_per_sample = products}));
    if (!rows.back().is_small()) continue;
    const Input y{"y", {s.n, s.k, s.p, s.q}, Values::normal, true};
    const Index more_h = (s.h + 2 * s.pad_h - s.dilation_h * (s.r - 1) - 1) % s.stride_h;
    const Index more_w = (s.w + 2 * s.pad_w - s.dilation_w * (s.s - 1) - 1) % s.stride_w;
    rows.push_back(row("conv_transpose2d/" + c.name, {y, weight, {"bias", {s.c}}},
                       [=](const auto& in) {
                         return iotsl::conv_transpose2d(in[0], in[1], in[2], o, more_h, more_w);
                       },
                       {.linear = 7}));
    rows.push_back(
        row("conv2d_weight_grad/" + c.name, {x, y},
            [=](const auto& in) { return iotsl::conv2d_weight_grad(in[0], in[1], s.r, s.s, o); },
            {.linear = 3}));
  }
  return rows;
}

}  // namespace cases
