#pragma once
// What a GAN needs beside the classifier's operations: cropped deconvolution, norms of pixels and
// samples, embedding, spectral norm.

#include "cases/op_case.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/spectral.hpp"
#include "iotsl/ops/vector_norm.hpp"

namespace cases {

/// Class numbers below `classes`, some twice where there are more than classes.
inline std::vector<std::int32_t> some_labels(Index count, Index classes) {
  std::vector<std::int32_t> labels;
  for (Index i = 0; i < count; ++i)
    labels.push_back(static_cast<std::int32_t>((i * 5 + 2) % classes));
  return labels;
}

inline OpCases cropped_rows() {
  OpCases rows;
  for (const iotsl::Conv2dOptions& whole :
       {iotsl::Conv2dOptions{}, iotsl::Conv2dOptions{.stride_h = 2, .stride_w = 3},
        iotsl::Conv2dOptions{.pad_h = 1, .pad_w = 2, .dilation_w = 2}})
    for (Index crop : {1, 2}) {
      iotsl::Conv2dOptions o = whole;
      o.crop_h = crop;
      o.crop_w = 3 - crop;
      rows.push_back(
          row(iotsl::concat("conv_transpose2d/stride ", o.stride_h, "x", o.stride_w, " pad ",
                            o.pad_h, "x", o.pad_w, " cropped by ", o.crop_h, "x", o.crop_w),
              {{"x", {2, 3, 4, 5}, Values::normal, true}, {"weight", {3, 2, 5, 4}}, {"bias", {2}}},
              [o](const auto& in) { return iotsl::conv_transpose2d(in[0], in[1], in[2], o); },
              {.linear = 7}));
    }
  return rows;
}

inline OpCases gan_rows() {
  OpCases rows = cropped_rows();
  struct {
    Shape x;
    Index bench_batch = 0;
  } const images[] = {{{2, 5, 3, 2}},  {{1, 2, 1, 1}},       {{0, 4, 3, 3}},
                      {{3, 33, 7, 7}}, {{2, 256, 4, 4}, 32}, {{2, 64, 11, 11}, 32}};
  for (const auto& c : images) {
    const std::vector<Input> x{{"x", c.x, Values::normal, true}};
    const Extra extra{.bench_batch = c.bench_batch};
    rows.push_back(row(
        iotsl::concat("pixel_norm/", c.x), x,
        [](const auto& in) { return iotsl::pixel_norm(in[0]); }, extra));
    rows.push_back(row(
        iotsl::concat("row_norm/", c.x), x,
        [](const auto& in) { return iotsl::row_norm(in[0], 1e-3); }, extra));
  }
  rows.push_back(row("square of pixel_norm/[2,5,3,2]", {{"x", {2, 5, 3, 2}}},
                     [](const auto& in) { return iotsl::square(iotsl::pixel_norm(in[0], 0.1)); }));

  struct {
    Index classes, width, count;
    Index bench_batch = 0;
  } const tables[] = {{3, 4, 4}, {3, 2, 4}, {7, 1, 3}, {10, 128, 32, 32}, {2, 5, 0}};
  for (const auto& c : tables) {
    const std::string name = iotsl::concat("/", c.count, " of ", c.classes, "x", c.width);
    const auto embed = [c]<class T>(const Tensors<T>& in) {
      return iotsl::embedding<T>(in[0], some_labels(c.count, c.classes));
    };
    const auto scatter = [c]<class T>(const Tensors<T>& in) {
      return iotsl::scatter_add<T>(in[0], some_labels(in[0].extent(0), c.classes), c.classes);
    };
    const std::vector<Input> table{{"table", {c.classes, c.width}}};
    const std::vector<Input> x{{"x", {c.count, c.width}, Values::normal, true}};
    rows.push_back(row("embedding" + name, table, embed,
                       {.linear = 1, .bench_batch = c.bench_batch > 0 ? 1 : 0}));
    rows.push_back(
        row("scatter_add" + name, x, scatter, {.linear = 1, .bench_batch = c.bench_batch}));
    rows.push_back(row("square of embedding" + name, table,
                       [embed](const auto& in) { return iotsl::square(embed(in)); }));
    rows.push_back(row("square of scatter_add" + name, x,
                       [scatter](const auto& in) { return iotsl::square(scatter(in)); }));
  }

  // The weights of the critic are the last ones.
  for (const Shape& shape : {Shape{3, 5}, Shape{4, 2, 3, 3}, Shape{1, 6}, Shape{33, 17},
                             Shape{64, 1, 5, 5}, Shape{128, 64, 5, 5}})
    rows.push_back(row(iotsl::concat("spectral_norm/", shape), {{"weight", shape}},
                       [shape]<class T>(const Tensors<T>& in) {
                         // The singular vectors are those of the row's weight: constants, however
                         // `in` is moved.
                         const Tensor<T> weight = values<T>({"weight", shape}, 11);
                         Tensor<T> u = values<T>({"u", {shape[0]}}, 5);
                         Tensor<T> v = values<T>({"v", {shape.elements() / shape[0]}}, 6);
                         iotsl::power_iteration(weight, u, v, 3);
                         return iotsl::spectral_norm(in[0], u, v);
                       },
                       {.tolerance = 2e-5, .bench_batch = shape.elements() > 100000 ? 1 : 0}));
  return rows;
}

}  // namespace cases
