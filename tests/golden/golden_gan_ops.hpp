#pragma once
// The operations of the generative network as calls on a golden file's inputs.

#include "golden/golden_call.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/spectral.hpp"
#include "iotsl/ops/vector_norm.hpp"

namespace golden {

/// The file says how many rows and columns of the output are kept, the engine how many are left
/// out.
template <class T>
Tensor<T> cropped_deconvolution_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names), weight = call.input(weight_names);
  const Tensor<T> bias = call.optional(bias_names);
  iotsl::Conv2dOptions o = conv_options(call.file);
  const auto full = [](Index maps, Index kernel, Index stride, Index pad, Index dilation) {
    return (maps - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1;
  };
  const Index rows = full(x.extent(2), weight.extent(2), o.stride_h, o.pad_h, o.dilation_h);
  const Index columns = full(x.extent(3), weight.extent(3), o.stride_w, o.pad_w, o.dilation_w);
  const auto kept = call.file.pair({"crop"}, {rows, columns});
  if (kept.h > rows || kept.w > columns)
    fail("attribute 'crop' is ", kept.h, "x", kept.w, ", the output ", rows, "x", columns);
  o.crop_h = rows - kept.h;
  o.crop_w = columns - kept.w;
  return iotsl::conv_transpose2d(x, weight, bias, o);
}

template <class T>
Tensor<T> pixel_norm_case(Call<T>& call) {
  return iotsl::pixel_norm(call.input(x_names), call.file.real({"eps"}, 1e-10));
}

template <class T>
Tensor<T> row_norm_case(Call<T>& call) {
  return iotsl::row_norm(call.input(x_names), call.file.real({"eps"}, 0));
}

template <class T>
Tensor<T> embedding_case(Call<T>& call) {
  const Tensor<T> weight = call.input(weight_names);
  const auto labels = call.file.labels(call.constant_name({"labels", "indices", "1"}));
  return iotsl::embedding(weight, std::span<const std::int32_t>(labels));
}

template <class T>
Tensor<T> spectral_norm_case(Call<T>& call) {
  const Tensor<T> weight = call.input(weight_names);
  return iotsl::spectral_norm(weight, call.constant({"u", "1"}), call.constant({"v", "2"}));
}

}  // namespace golden
