#include "iotsl/ops/conv.hpp"

#include "support/adjoint_check.hpp"

namespace {

using namespace check;
using iotsl::Conv2dOptions;

struct Geometry {
  const char* name;
  Shape x, weight;
  Conv2dOptions options;
};

const Geometry geometries[] = {
    {"3x3 same", {2, 2, 4, 5}, {3, 2, 3, 3}, {.pad_h = 1, .pad_w = 1}},
    {"stride 2",
     {2, 2, 5, 6},
     {2, 2, 3, 3},
     {.stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}},
    {"dilation", {1, 2, 7, 6}, {2, 2, 3, 2}, {.pad_h = 1, .dilation_h = 2, .dilation_w = 3}},
    {"uneven", {2, 1, 6, 7}, {2, 1, 3, 2}, {.stride_h = 2, .stride_w = 3, .pad_w = 1}},
    {"1x1", {2, 3, 3, 2}, {4, 3, 1, 1}, {}},
    {"1x1 map", {1, 2, 1, 1}, {3, 2, 3, 3}, {.pad_h = 1, .pad_w = 1}},
    // The last row and column of x are out of reach of the kernel.
    {"remainder", {1, 2, 6, 8}, {2, 2, 3, 3}, {.stride_h = 2, .stride_w = 2}},
};

iotsl::kernels::ConvShape shape_of(const Geometry& g) {
  return iotsl::detail::conv_shape("test", g.x[0], g.x[1], g.x[2], g.x[3], g.weight[0], g.weight[2],
                                   g.weight[3], g.options);
}
Shape output_of(const Geometry& g) {
  const auto s = shape_of(g);
  return {s.n, s.k, s.p, s.q};
}
/// What conv_transpose2d must add to reach the input's size again.
std::array<Index, 2> remainder(const Geometry& g) {
  const auto s = shape_of(g);
  return {(s.h + 2 * s.pad_h - s.dilation_h * (s.r - 1) - 1) % s.stride_h,
          (s.w + 2 * s.pad_w - s.dilation_w * (s.s - 1) - 1) % s.stride_w};
}

}  // namespace

TEST_CASE("conv2d: gradients of order one and two, in all pairs of arguments") {
  for (const Geometry& g : geometries) {
    CAPTURE(g.name);
    const Tensor<double> x = normal(g.x, 1), w = normal(g.weight, 2), b = normal({g.weight[0]}, 3);
    const auto conv = [&](const Tensor<double>& in, const Tensor<double>& weight,
                          const Tensor<double>& bias) {
      return iotsl::conv2d(in, weight, bias, g.options);
    };
    gradient_check([&](const Tensors& in) { return conv(in[0], in[1], in[2]); }, {x, w, b});
    gradient_check([&](const Tensors& in) { return conv(in[0], in[1], {}); }, {x, w});
    gradient_check([&](const Tensors& in) { return conv(in[0], w, b); }, {x});
    gradient_check([&](const Tensors& in) { return conv(x, in[0], b); }, {w});
    gradient_check([&](const Tensors& in) { return conv(x, w, in[0]); }, {b});
    gradient_check([&](const Tensors& in) { return iotsl::square(conv(in[0], in[1], {})); }, {x, w},
                   1e-6);
  }
}

TEST_CASE("conv_transpose2d: gradients of order one and two, in all pairs of arguments") {
  for (const Geometry& g : geometries) {
    CAPTURE(g.name);
    const auto extra = remainder(g);
    const Tensor<double> x = normal(output_of(g), 1), w = normal(g.weight, 2);
    const Tensor<double> b = normal({g.weight[1]}, 3);
    const auto conv = [&](const Tensor<double>& in, const Tensor<double>& weight,
                          const Tensor<double>& bias) {
      return iotsl::conv_transpose2d(in, weight, bias, g.options, extra[0], extra[1]);
    };
    REQUIRE(conv(x, w, b).shape() == g.x);
    gradient_check([&](const Tensors& in) { return conv(in[0], in[1], in[2]); }, {x, w, b});
    gradient_check([&](const Tensors& in) { return conv(in[0], w, {}); }, {x});
    gradient_check([&](const Tensors& in) { return conv(x, in[0], {}); }, {w});
  }
}

TEST_CASE("conv2d_weight_grad: gradients of order one and two, in all pairs of arguments") {
  for (const Geometry& g : geometries) {
    CAPTURE(g.name);
    const Tensor<double> x = normal(g.x, 1), gy = normal(output_of(g), 2);
    const auto weight_grad = [&](const Tensor<double>& in, const Tensor<double>& out) {
      return iotsl::conv2d_weight_grad(in, out, g.weight[2], g.weight[3], g.options);
    };
    gradient_check([&](const Tensors& in) { return weight_grad(in[0], in[1]); }, {x, gy});
    gradient_check([&](const Tensors& in) { return weight_grad(in[0], gy); }, {x});
    gradient_check([&](const Tensors& in) { return weight_grad(x, in[0]); }, {gy});
  }
}

TEST_CASE("the triple is adjoint in each argument") {
  for (const Geometry& g : geometries) {
    CAPTURE(g.name);
    const Shape y = output_of(g);
    const auto extra = remainder(g);
    const Tensor<double> x = normal(g.x, 1), w = normal(g.weight, 2);
    adjoint_check([&](const auto& in) { return iotsl::conv2d(in, w, {}, g.options); },
                  [&](const auto& gy) {
                    return iotsl::conv_transpose2d(gy, w, {}, g.options, extra[0], extra[1]);
                  },
                  g.x, y);
    adjoint_check([&](const auto& weight) { return iotsl::conv2d(x, weight, {}, g.options); },
                  [&](const auto& gy) {
                    return iotsl::conv2d_weight_grad(x, gy, g.weight[2], g.weight[3], g.options);
                  },
                  g.weight, y);
  }
}

TEST_CASE("convolutions: errors") {
  const Tensor<double> x = normal({8, 1, 32, 32}, 1), w = normal({64, 3, 3, 3}, 2);
  const Tensor<double> b = normal({3}, 3);
  CHECK(error_of([&] { iotsl::conv2d(x, w); }) ==
        "conv2d: weight [64,3,3,3] expects 3 input channels, x [8,1,32,32] has 1");
  CHECK(error_of([&] {
          iotsl::conv2d(normal({3, 4}, 1), w);
        }) == "conv2d: expects x [N,C,H,W] and weight [K,C,R,S], given [3,4] and [64,3,3,3]");
  CHECK(error_of([&] {
          iotsl::conv2d(normal({1, 3, 5, 5}, 1), w, b);
        }) == "conv2d: weight [64,3,3,3] expects bias [64], bias is [3]");
  CHECK(error_of([&] {
          iotsl::conv2d(normal({1, 3, 2, 5}, 1), w);
        }) == "conv2d: kernel of extent 3 does not fit an input of 2 padded by 0");
  CHECK(error_of([&] {
          iotsl::conv2d(normal({1, 3, 5, 5}, 1), w, {}, {.stride_h = 0});
        }) == "conv2d: stride 0x1, dilation 1x1; expected at least 1");
  CHECK(error_of([&] {
          iotsl::conv2d(normal({1, 3, 5, 5}, 1), w, {}, {.pad_w = -1});
        }) == "conv2d: padding 0x-1; expected at least 0");
  CHECK(error_of([&] { iotsl::conv_transpose2d(x, w); }) ==
        "conv_transpose2d: weight [64,3,3,3] expects 64 input channels, x [8,1,32,32] has 1");
  CHECK(error_of([&] {
          iotsl::conv_transpose2d(normal({1, 64, 2, 2}, 1), w, {}, {.stride_h = 2}, 2, 0);
        }) ==
        "conv_transpose2d: output padding 2x0 must be at least 0 and smaller than the stride "
        "or the dilation");
  CHECK(error_of([&] {
          iotsl::conv_transpose2d(normal({1, 64, 2, 2}, 1), w, normal({64}, 1));
        }) == "conv_transpose2d: weight [64,3,3,3] expects bias [3], bias is [64]");
  CHECK(error_of([&] {
          iotsl::conv2d_weight_grad(x, normal({8, 2, 32, 32}, 1), 3, 3);
        }) ==
        "conv2d_weight_grad: x [8,1,32,32] and a kernel of 3x3 expect gy [8,2,30,30], given "
        "[8,2,32,32]");
  CHECK(error_of([&] {
          iotsl::conv2d_weight_grad(x, normal({4, 2, 30, 30}, 1), 3, 3);
        }) ==
        "conv2d_weight_grad: expects x [N,C,H,W] and gy [N,K,P,Q], given [8,1,32,32] and "
        "[4,2,30,30]");
}
