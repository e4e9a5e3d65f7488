#pragma once
// The operations whose attributes or tensors a golden file can write in more than one way.

#include "golden/golden_call.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/group_norm.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/pool.hpp"
#include "iotsl/ops/reduce.hpp"
#include "iotsl/ops/view.hpp"

namespace golden {

/// The dimensions of a reduction; all of them where none are given.
template <class T>
Tensor<T> reduce(Call<T>& call, bool mean) {
  const Tensor<T> x = call.input(x_names);
  const Names names{"dims", "dim", "axis"};
  const bool keep = call.file.boolean({"keepdim", "keepdims"}, false);
  const bool all = call.file.attribute(names) == nullptr;
  std::vector<int> d;
  for (Index dim : call.file.integers(names)) d.push_back(static_cast<int>(dim));
  if (all && !keep) return mean ? iotsl::mean(x) : iotsl::sum(x);
  if (all)
    for (int dim = 0; dim < x.rank(); ++dim) d.push_back(dim);
  const auto apply = [&](std::initializer_list<int> dims) {
    return mean ? iotsl::mean(x, dims, keep) : iotsl::sum(x, dims, keep);
  };
  switch (d.size()) {
    case 0:
      return apply({});
    case 1:
      return apply({d[0]});
    case 2:
      return apply({d[0], d[1]});
    case 3:
      return apply({d[0], d[1], d[2]});
    case 4:
      return apply({d[0], d[1], d[2], d[3]});
    default:
      fail("attribute 'dims' has ", d.size(), " entries");
  }
}

template <class T>
Tensor<T> reshape_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const Names names{"shape", "size"};
  Shape shape = shape_attribute(call.file, names);
  const std::vector<Index> asked = call.file.integers(names);
  for (int d = 0; d < shape.rank(); ++d) {
    if (asked[static_cast<std::size_t>(d)] >= 0) continue;
    Index rest = 1;
    for (Index extent : asked) rest *= extent < 0 ? 1 : extent;
    shape.set(d, rest == 0 ? 0 : x.size() / rest);
  }
  return iotsl::reshape(x, shape);
}

template <class T>
Tensor<T> slice_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const int dim = static_cast<int>(call.file.integer({"dim", "axis"}, 0));
  const Index begin = call.file.integer({"begin", "start"}, 0);
  const Index length = call.file.integer({"length"}, x.extent(dim) - begin);
  call.file.only("step", 1);
  return iotsl::slice(x, dim, begin, call.file.integer({"end", "stop"}, begin + length));
}

/// Either dim, before, after, or PyTorch's list of pairs that begins at the last dimension.
template <class T>
Tensor<T> pad_case(Call<T>& call) {
  Tensor<T> x = call.input(x_names);
  call.file.only("mode", "constant");
  call.file.only("value", 0);
  const std::vector<Index> pairs = call.file.integers({"pad"});
  if (pairs.empty())
    return iotsl::pad(x, static_cast<int>(call.file.integer({"dim", "axis"}, 0)),
                      call.file.integer({"before"}, 0), call.file.integer({"after"}, 0));
  if (pairs.size() % 2 != 0) fail("attribute 'pad' has ", pairs.size(), " entries, expected pairs");
  for (std::size_t i = 0; i < pairs.size(); i += 2)
    x = iotsl::pad(x, -1 - static_cast<int>(i / 2), pairs[i], pairs[i + 1]);
  return x;
}

template <class T>
Tensor<T> concat_case(Call<T>& call) {
  std::vector<Tensor<T>> parts;
  for (int i = 0;; ++i) {
    const Tensor<T> part = call.optional(i == 0 ? x_names : i == 1 ? Names{"b", "other"} : Names{});
    if (!part.defined()) break;
    parts.push_back(part);
  }
  return iotsl::concat(parts, static_cast<int>(call.file.integer({"dim", "axis"}, 0)));
}

template <class T>
Tensor<T> batch_norm_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  Tensor<T> gamma = call.optional({"weight", "gamma"}), beta = call.optional({"bias", "beta"});
  const Shape channels{x.extent(1)};
  if (!gamma.defined()) gamma = Tensor<T>::full(channels, T(1));
  if (!beta.defined()) beta = Tensor<T>::zeros(channels);
  const Case& file = call.file;
  const bool running = file.has("input.running_mean") || file.has("input.3");
  Tensor<T> mean = running ? call.constant({"running_mean", "3"}) : Tensor<T>::zeros(channels);
  Tensor<T> var = running ? call.constant({"running_var", "4"}) : Tensor<T>::full(channels, T(1));
  const bool training = call.file.boolean({"training", "train"}, true);
  if (!running && !training) fail("tensor 'input.running_mean' is missing");
  const Tensor<T> y = iotsl::batch_norm2d(x, gamma, beta, mean, var,
                                          {.training = training,
                                           .momentum = call.file.real({"momentum"}, 0.1),
                                           .eps = call.file.real({"eps", "epsilon"}, 1e-5)});
  call.further_outputs = {{"running_mean", mean}, {"running_var", var}};
  return y;
}

template <class T>
Tensor<T> max_pool_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const auto kernel = call.file.pair({"kernel_size", "kernel"}, {2, 2});
  const auto stride = call.file.pair({"stride"}, kernel);
  const auto pad = call.file.pair({"padding", "pad"}, {0, 0});
  const auto dilation = call.file.pair({"dilation"}, {1, 1});
  if (dilation.h != 1 || dilation.w != 1) fail("attribute 'dilation': only 1 is supported");
  call.file.only("ceil_mode", false);
  return iotsl::max_pool2d(x, {.kernel_h = kernel.h,
                               .kernel_w = kernel.w,
                               .stride_h = stride.h,
                               .stride_w = stride.w,
                               .pad_h = pad.h,
                               .pad_w = pad.w});
}

template <class T>
Tensor<T> avg_pool_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const auto kernel = call.file.pair({"kernel_size", "kernel"}, {2, 2});
  const auto stride = call.file.pair({"stride"}, kernel);
  const auto pad = call.file.pair({"padding", "pad"}, {0, 0});
  call.file.only("ceil_mode", false);
  return iotsl::avg_pool2d(x,
                           {.kernel_h = kernel.h,
                            .kernel_w = kernel.w,
                            .stride_h = stride.h,
                            .stride_w = stride.w,
                            .pad_h = pad.h,
                            .pad_w = pad.w,
                            .count_include_pad = call.file.boolean({"count_include_pad"}, true)});
}

/// `shape`: that of weight and bias, which are ones and zeros where the file has none.
template <class T>
std::pair<Tensor<T>, Tensor<T>> scale_and_shift(Call<T>& call, const Shape& shape) {
  Tensor<T> gamma = call.optional({"weight", "gamma"}), beta = call.optional({"bias", "beta"});
  if (!gamma.defined()) gamma = Tensor<T>::full(shape, T(1));
  if (!beta.defined()) beta = Tensor<T>::zeros(shape);
  return {gamma, beta};
}

template <class T>
Tensor<T> group_norm_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const auto [gamma, beta] = scale_and_shift(call, Shape{x.extent(1)});
  return iotsl::group_norm(x, call.file.integer({"num_groups", "groups"}, 1), gamma, beta,
                           call.file.real({"eps"}, 1e-5));
}

template <class T>
Tensor<T> layer_norm_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const auto [gamma, beta] =
      scale_and_shift(call, shape_attribute(call.file, {"normalized_shape"}));
  return iotsl::layer_norm(x, gamma, beta, call.file.real({"eps"}, 1e-5));
}

template <class T>
Tensor<T> gelu_case(Call<T>& call) {
  const std::string form = call.file.string({"approximate"}, "none");
  if (form != "none" && form != "tanh") fail("attribute 'approximate' is '", form, "'");
  return iotsl::gelu(call.input(x_names),
                     form == "none" ? iotsl::GeluForm::exact : iotsl::GeluForm::tanh);
}

/// Of rows: the only dimension of log_softmax and softmax.
template <class T>
Tensor<T> rows_case(Call<T>& call, Tensor<T> (*function)(const Tensor<T>&)) {
  const Tensor<T> x = call.input(x_names);
  const Index dim = call.file.integer({"dim", "axis"}, 1);
  if (dim != 1 && dim != -1) fail("attribute 'dim' is ", dim, ", only 1 is supported");
  return function(x);
}

/// [N,C], or [N,C,1,1] where the file wants it so.
template <class T>
Tensor<T> global_avg_pool_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const auto size = call.file.pair({"output_size"}, {1, 1});
  if (size.h != 1 || size.w != 1) fail("attribute 'output_size': only 1 is supported");
  const Tensor<T> y = iotsl::global_avg_pool2d(x);
  const std::string expected = call.file.first_of({"output.0", "output.y", "output"});
  if (!expected.empty() && call.file.template tensor<T>(expected).rank() == 4)
    return iotsl::reshape(y, Shape{x.extent(0), x.extent(1), 1, 1});
  return y;
}

template <class T>
Tensor<T> cross_entropy_case(Call<T>& call) {
  const Tensor<T> logits = call.input({"logits", "x", "input", "self"});
  call.file.only("reduction", "mean");
  call.file.only("ignore_index", -100);
  call.file.real({"label_smoothing"}, 0) == 0 ? void() : fail("label_smoothing must be 0");
  return iotsl::softmax_cross_entropy(
      logits, call.file.labels(call.constant_name({"labels", "target", "y", "1"})));
}

template <class T>
Tensor<T> dropout_case(Call<T>& call) {
  const Tensor<T> x = call.input(x_names);
  const double p = call.file.real({"p", "probability"}, 0.5);
  if (call.file.boolean({"training", "train"}, true) && p != 0)
    fail(
        "dropout in training draws random numbers: only p = 0 or training = false can be compared");
  return iotsl::dropout(x, 0, iotsl::Random(0, iotsl::Stream::dropout));
}

}  // namespace golden
