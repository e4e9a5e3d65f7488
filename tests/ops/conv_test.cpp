// What convolutions refuse. Values and gradients: tests/cases/conv_cases.hpp.

#include "iotsl/ops/conv.hpp"

#include <limits>

#include "iotsl/ops/pool.hpp"
#include "support/adjoint_check.hpp"

using namespace check;

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
        }) == "conv2d: kernel of extent 3 does not fit a map of 2 padded by 0");
  CHECK(error_of([&] {
          iotsl::conv2d(normal({1, 3, 5, 5}, 1), w, {}, {.stride_h = 0});
        }) == "conv2d: stride 0x1, dilation 1x1; expected at least 1");
  CHECK(error_of([&] {
          iotsl::conv2d(normal({1, 3, 5, 5}, 1), w, {}, {.pad_w = -1});
        }) == "conv2d: padding 0x-1; expected at least 0");
  // Extents that would not be computed in an Index, of which a kernel would read beyond the image.
  const Index huge = std::numeric_limits<Index>::max();
  const Tensor<double> colours = normal({1, 3, 5, 5}, 1);
  CHECK(error_of([&] { iotsl::conv2d(colours, w, {}, {.dilation_h = huge}); }) ==
        "conv2d: one of stride, padding, dilation, crop and groups is 9223372036854775807; "
        "expected at most 1073741824");
  CHECK(!error_of([&] {
           iotsl::conv_transpose2d(normal({1, 64, 2, 2}, 1), w, {}, {.pad_w = huge});
         }).empty());
  CHECK(!error_of([&] { iotsl::conv2d_weight_grad(colours, colours, huge, 3); }).empty());
  CHECK(error_of([&] { iotsl::max_pool2d(colours, {.kernel_h = huge, .pad_h = huge / 2}); }) ==
        "max_pool2d: kernel or stride of 9223372036854775807; expected at most 1073741824");
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
  const Tensor<double> map = normal({1, 6, 5, 5}, 1), kernel = normal({4, 3, 3, 3}, 2);
  CHECK(error_of([&] { iotsl::conv2d(map, kernel, {}, {.groups = 0}); }) ==
        "conv2d: groups 0; expected at least 1");
  CHECK(error_of([&] { iotsl::conv2d(map, kernel, {}, {.groups = 3}); }) ==
        "conv2d: weight [4,3,3,3] expects 9 input channels, x [1,6,5,5] has 6");
  CHECK(error_of([&] {
          iotsl::conv2d(map, normal({4, 2, 3, 3}, 2), {}, {.groups = 3});
        }) == "conv2d: 3 groups; expected a divisor of the channels on both sides, 6 and 4");
  CHECK(error_of([&] {
          iotsl::conv_transpose2d(normal({1, 4, 3, 3}, 1), kernel, {}, {.groups = 3});
        }) ==
        "conv_transpose2d: 3 groups; expected a divisor of the channels on both sides, 9 and 4");
}
