#pragma once
// The operations that a golden file can name, each as a call of the engine on the file's inputs.

#include <map>

#include "golden/golden_case.hpp"
#include "iotsl/autograd/grad.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/pool.hpp"
#include "iotsl/ops/reduce.hpp"
#include "iotsl/ops/view.hpp"

namespace golden {

/// What one run of an operation has read and written.
template <class T>
struct Call {
  struct Input {
    Names names;  // all names that the file may use for it, "0" among them
    Tensor<T> tensor;
  };
  struct Output {
    std::string name;
    Tensor<T> tensor;
  };

  explicit Call(Case& of) : file(of) {}

  /// The next differentiable input, under its position or one of `names`.
  Tensor<T> input(const Names& names) {
    Tensor<T> tensor = optional(names);
    if (!tensor.defined()) fail("tensor 'input.", names.front(), "' is missing");
    return tensor;
  }
  Tensor<T> optional(Names names) {
    names.push_back(std::to_string(next_++));
    const std::string found = file.first_of(prefixed("input.", names));
    if (found.empty()) return {};
    Tensor<T> tensor = file.tensor<T>(found);
    tensor.set_requires_grad();
    inputs.push_back({names, tensor});
    return tensor;
  }
  /// An input without a gradient.
  Tensor<T> constant(const Names& names) { return file.tensor<T>(constant_name(names)); }
  std::string constant_name(const Names& names) {
    const std::string found = file.first_of(prefixed("input.", names));
    return found.empty() ? "input." + names.front() : found;
  }

  static Names prefixed(const std::string& prefix, const Names& names) {
    Names out;
    for (const std::string& name : names) out.push_back(prefix + name);
    return out;
  }

  Case& file;
  std::vector<Input> inputs;
  std::vector<Output> further_outputs;  // not differentiated; compared where the file has them

 private:
  int next_ = 0;
};

inline const Names x_names{"x", "input", "self", "a"};
inline const Names weight_names{"weight", "w"};
inline const Names bias_names{"bias", "b"};

inline iotsl::Conv2dOptions conv_options(Case& file) {
  const auto stride = file.pair({"stride", "strides"}, {1, 1});
  const auto pad = file.pair({"padding", "pad"}, {0, 0});
  const auto dilation = file.pair({"dilation"}, {1, 1});
  file.only("groups", 1);
  file.only("padding_mode", "zeros");
  return {stride.h, stride.w, pad.h, pad.w, dilation.h, dilation.w};
}

inline Shape shape_attribute(Case& file, const Names& names) {
  if (file.attribute(names) == nullptr) fail("attribute '", names.front(), "' is missing");
  Shape shape;
  for (Index extent : file.integers(names)) shape.push_back(extent < 0 ? 0 : extent);
  return shape;
}

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

template <class T>
using Op = Tensor<T> (*)(Call<T>&);

template <class T>
const std::map<std::string, Op<T>>& ops() {
  using C = Call<T>;
  static const Names b{"b", "other"};
  static const std::map<std::string, Op<T>> table{
      {"conv2d",
       [](C& c) {
         const Tensor<T> x = c.input(x_names), weight = c.input(weight_names);
         return iotsl::conv2d(x, weight, c.optional(bias_names), conv_options(c.file));
       }},
      {"conv_transpose2d",
       [](C& c) {
         const Tensor<T> x = c.input(x_names), weight = c.input(weight_names);
         const auto extra = c.file.pair({"output_padding", "output_pad"}, {0, 0});
         return iotsl::conv_transpose2d(x, weight, c.optional(bias_names), conv_options(c.file),
                                        extra.h, extra.w);
       }},
      {"conv2d_weight_grad",
       [](C& c) {
         const Tensor<T> x = c.input(x_names), gy = c.input({"gy", "grad_output"});
         const auto kernel = c.file.pair({"kernel_size", "kernel"}, {1, 1});
         return iotsl::conv2d_weight_grad(x, gy, kernel.h, kernel.w, conv_options(c.file));
       }},
      {"matmul",
       [](C& c) {
         const Tensor<T> a = c.input(x_names);
         return iotsl::matmul(a, c.input(b));
       }},
      {"matmul_nt",
       [](C& c) {
         const Tensor<T> a = c.input(x_names);
         return iotsl::matmul_nt(a, c.input(b));
       }},
      {"matmul_tn",
       [](C& c) {
         const Tensor<T> a = c.input(x_names);
         return iotsl::matmul_tn(a, c.input(b));
       }},
      {"linear",
       [](C& c) {
         const Tensor<T> x = c.input(x_names), weight = c.input(weight_names);
         return iotsl::linear(x, weight, c.optional(bias_names));
       }},
      {"batch_norm2d", &batch_norm_case<T>},
      {"max_pool2d", &max_pool_case<T>},
      {"global_avg_pool2d", &global_avg_pool_case<T>},
      {"softmax_cross_entropy", &cross_entropy_case<T>},
      {"log_softmax",
       [](C& c) {
         const Tensor<T> x = c.input(x_names);
         const Index dim = c.file.integer({"dim", "axis"}, 1);
         if (dim != 1 && dim != -1) fail("attribute 'dim' is ", dim, ", only 1 is supported");
         return iotsl::log_softmax(x);
       }},
      {"dropout", &dropout_case<T>},
      {"relu", [](C& c) { return iotsl::relu(c.input(x_names)); }},
      {"sigmoid", [](C& c) { return iotsl::sigmoid(c.input(x_names)); }},
      {"tanh", [](C& c) { return iotsl::tanh(c.input(x_names)); }},
      {"exp", [](C& c) { return iotsl::exp(c.input(x_names)); }},
      {"log", [](C& c) { return iotsl::log(c.input(x_names)); }},
      {"sqrt", [](C& c) { return iotsl::sqrt(c.input(x_names)); }},
      {"rsqrt", [](C& c) { return iotsl::rsqrt(c.input(x_names)); }},
      {"square", [](C& c) { return iotsl::square(c.input(x_names)); }},
      {"neg", [](C& c) { return iotsl::neg(c.input(x_names)); }},
      {"reciprocal", [](C& c) { return iotsl::reciprocal(c.input(x_names)); }},
      {"abs", [](C& c) { return iotsl::abs(c.input(x_names)); }},
      {"add",
       [](C& c) {
         const Tensor<T> a = c.input(x_names);
         return iotsl::add(a, c.input(b));
       }},
      {"sub",
       [](C& c) {
         const Tensor<T> a = c.input(x_names);
         return iotsl::sub(a, c.input(b));
       }},
      {"mul",
       [](C& c) {
         const Tensor<T> a = c.input(x_names);
         return iotsl::mul(a, c.input(b));
       }},
      {"div",
       [](C& c) {
         const Tensor<T> a = c.input(x_names);
         return iotsl::div(a, c.input(b));
       }},
      {"scale",
       [](C& c) {
         const double factor = c.file.real({"value", "factor", "scalar", "a", "other"}, 1);
         return iotsl::scale(c.input(x_names), static_cast<T>(factor));
       }},
      {"add_scalar",
       [](C& c) {
         const double shift = c.file.real({"value", "shift", "scalar", "a", "other"}, 0);
         return iotsl::add_scalar(c.input(x_names), static_cast<T>(shift));
       }},
      {"sum", [](C& c) { return reduce(c, false); }},
      {"mean", [](C& c) { return reduce(c, true); }},
      {"broadcast_to",
       [](C& c) {
         return iotsl::broadcast_to(c.input(x_names), shape_attribute(c.file, {"shape", "size"}));
       }},
      {"sum_to",
       [](C& c) {
         return iotsl::sum_to(c.input(x_names), shape_attribute(c.file, {"shape", "size"}));
       }},
      {"reshape", &reshape_case<T>},
      {"flatten",
       [](C& c) {
         c.file.only("start_dim", 1);
         c.file.only("end_dim", -1);
         return iotsl::flatten(c.input(x_names));
       }},
      {"slice", &slice_case<T>},
      {"pad", &pad_case<T>},
      {"concat", &concat_case<T>},
      {"transpose",
       [](C& c) {
         c.file.integers({"dim0"});
         c.file.integers({"dim1"});
         return iotsl::transpose(c.input(x_names));
       }},
  };
  return table;
}

/// The engine's name of an operation: PyTorch's names are accepted too, with or without a prefix
/// such as "torch.nn.functional.".
inline std::string canonical_op(const std::string& given) {
  static const std::map<std::string, std::string> synonyms{
      {"conv2d_weight", "conv2d_weight_grad"},
      {"conv_transpose", "conv_transpose2d"},
      {"deconv2d", "conv_transpose2d"},
      {"mm", "matmul"},
      {"batch_norm", "batch_norm2d"},
      {"max_pool", "max_pool2d"},
      {"global_avg_pool", "global_avg_pool2d"},
      {"adaptive_avg_pool2d", "global_avg_pool2d"},
      {"cross_entropy", "softmax_cross_entropy"},
      {"negative", "neg"},
      {"absolute", "abs"},
      {"subtract", "sub"},
      {"multiply", "mul"},
      {"divide", "div"},
      {"mul_scalar", "scale"},
      {"expand", "broadcast_to"},
      {"sum_to_size", "sum_to"},
      {"view", "reshape"},
      {"narrow", "slice"},
      {"cat", "concat"},
      {"t", "transpose"},
      {"schedule", "lr_schedule"},
      {"lr_scheduler", "lr_schedule"},
      {"SGD", "sgd"},
      {"Adam", "adam"},
      {"model", "train"},
      {"train_model", "train"}};
  const std::string name = given.substr(given.rfind('.') + 1);
  const auto found = synonyms.find(name);
  return found != synonyms.end() ? found->second : name;
}

}  // namespace golden
