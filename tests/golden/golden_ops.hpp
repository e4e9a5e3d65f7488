#pragma once
// The operations that a golden file can name, each as a call of the engine on the file's inputs.

#include <map>

#include "golden/golden_gan_ops.hpp"
#include "golden/golden_op_cases.hpp"
#include "iotsl/ops/matmul.hpp"

namespace golden {

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
      {"conv_transpose2d_crop", &cropped_deconvolution_case<T>},
      {"pixel_norm", &pixel_norm_case<T>},
      {"row_norm", &row_norm_case<T>},
      {"embedding", &embedding_case<T>},
      {"spectral_norm", &spectral_norm_case<T>},
      {"linear",
       [](C& c) {
         const Tensor<T> x = c.input(x_names), weight = c.input(weight_names);
         return iotsl::linear(x, weight, c.optional(bias_names));
       }},
      {"batch_norm2d", &batch_norm_case<T>},
      {"max_pool2d", &max_pool_case<T>},
      {"avg_pool2d", &avg_pool_case<T>},
      {"group_norm", &group_norm_case<T>},
      {"layer_norm", &layer_norm_case<T>},
      {"global_avg_pool2d", &global_avg_pool_case<T>},
      {"softmax_cross_entropy", &cross_entropy_case<T>},
      {"log_softmax", [](C& c) { return rows_case<T>(c, &iotsl::log_softmax<T>); }},
      {"softmax", [](C& c) { return rows_case<T>(c, &iotsl::softmax<T>); }},
      {"mse_loss",
       [](C& c) {
         const Tensor<T> x = c.input(x_names);
         c.file.only("reduction", "mean");
         return iotsl::mse_loss(x, c.input({"target", "y"}));
       }},
      {"dropout", &dropout_case<T>},
      {"relu", [](C& c) { return iotsl::relu(c.input(x_names)); }},
      {"sigmoid", [](C& c) { return iotsl::sigmoid(c.input(x_names)); }},
      {"tanh", [](C& c) { return iotsl::tanh(c.input(x_names)); }},
      {"leaky_relu",
       [](C& c) {
         const double slope = c.file.real({"negative_slope"}, 0.01);
         return iotsl::leaky_relu(c.input(x_names), slope);
       }},
      {"silu", [](C& c) { return iotsl::silu(c.input(x_names)); }},
      {"gelu", &gelu_case<T>},
      {"normal_cdf", [](C& c) { return iotsl::normal_cdf(c.input(x_names)); }},
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
      {"ndtr", "normal_cdf"},
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
