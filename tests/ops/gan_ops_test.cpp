// What a GAN needs beside the classifier's operations: cropped deconvolution, pixel norm, norms of
// samples, embedding, spectral norm: values and errors. Gradients: tests/cases.

#include <cmath>

#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/spectral.hpp"
#include "iotsl/ops/vector_norm.hpp"
#include "support/adjoint_check.hpp"

namespace gan_ops {

using namespace check;
using iotsl::Conv2dOptions;

TEST_CASE("a cropped deconvolution is the whole one without its last rows and columns") {
  for (const Conv2dOptions& whole : {Conv2dOptions{}, Conv2dOptions{.stride_h = 2, .stride_w = 3},
                                     Conv2dOptions{.pad_h = 1, .pad_w = 2, .dilation_w = 2}})
    for (Index crop : {1, 2}) {
      Conv2dOptions cropped = whole;
      cropped.crop_h = crop;
      cropped.crop_w = 3 - crop;
      const Tensor<double> x = normal({2, 3, 4, 5}, 1), w = normal({3, 2, 5, 4}, 2),
                           b = normal({2}, 3);
      const Tensor<double> all = iotsl::conv_transpose2d(x, w, b, whole);
      const Tensor<double> part = iotsl::conv_transpose2d(x, w, b, cropped);
      const Tensor<double> want = iotsl::slice(iotsl::slice(all, 2, 0, all.shape()[2] - crop), 3, 0,
                                               all.shape()[3] - (3 - crop));
      REQUIRE(part.shape() == want.shape());
      for (Index i = 0; i < part.size(); ++i)
        CHECK(part.data()[i] == doctest::Approx(want.data()[i]));
    }
}

TEST_CASE("pixel norm: mean square one") {
  const Tensor<double> x = normal({2, 5, 3, 2}, 1), y = iotsl::pixel_norm(x);
  for (Index n = 0; n < 2; ++n)
    for (Index p = 0; p < 6; ++p) {
      double squares = 0;
      for (Index c = 0; c < 5; ++c) squares += std::pow(y.data()[(n * 5 + c) * 6 + p], 2);
      CHECK(squares / 5 == doctest::Approx(1));
    }
  CHECK(error_of([] {
          iotsl::pixel_norm(normal({3, 4}, 1));
        }) == "pixel_norm: expects x [N,C,H,W], given [3,4]");
}

TEST_CASE("norm of each sample") {
  const Tensor<double> x = Tensor<double>::from({2, 1, 1, 2}, {3, 4, 0, 0});
  const Tensor<double> norm = iotsl::row_norm(x, 1e-12);
  CHECK(norm.data()[0] == doctest::Approx(5));
  CHECK(norm.data()[1] == doctest::Approx(1e-6));
  Tensor<double> leaf = x.clone();
  leaf.set_requires_grad();
  const Tensor<double> g = iotsl::grad(iotsl::sum(iotsl::row_norm(leaf, 1e-12)), leaf);
  CHECK(g.data()[2] == 0);  // not NaN: the epsilon lies inside the root
}

TEST_CASE("embedding: rows of the table, and errors") {
  const std::vector<std::int32_t> labels{2, 0, 2, 1};
  const Tensor<double> table = normal({3, 4}, 1);
  const Tensor<double> rows = iotsl::embedding<double>(table, labels);
  for (std::size_t i = 0; i < labels.size(); ++i)
    CHECK(rows.data()[i * 4 + 1] == table.data()[labels[i] * 4 + 1]);
  CHECK(error_of([&] {
          iotsl::embedding<double>(normal({2, 4}, 1), labels);
        }) == "embedding: label 2 at position 0; expected 0 to 1");
  CHECK(error_of([&] {
          iotsl::scatter_add<double>(normal({3, 2}, 1), labels, 3);
        }) == "scatter_add: 4 labels expect x [4,D], given [3,2]");
}

TEST_CASE("the power iteration finds the largest singular value") {
  // diag(3, 2, 1) with a fourth column of zeros.
  Tensor<double> w = Tensor<double>::zeros({3, 4});
  for (Index i = 0; i < 3; ++i) w.mutable_data()[i * 5] = static_cast<double>(3 - i);
  Tensor<double> u = Tensor<double>::full({3}, 1.0), v = Tensor<double>::zeros({4});
  iotsl::power_iteration(w, u, v, 60);
  const Tensor<double> y = iotsl::spectral_norm(w, u, v);
  CHECK(y.data()[0] == doctest::Approx(1));
  CHECK(y.data()[5] == doctest::Approx(2.0 / 3));
  CHECK(std::abs(u.data()[0]) == doctest::Approx(1));
  CHECK(error_of([&] { iotsl::spectral_norm(w, v, v); }) ==
        "spectral_norm: weight [3,4] expects u [3] and v [4], given [4] and [4]");
  CHECK(error_of([&] {
          iotsl::spectral_norm(Tensor<double>::zeros({3, 4}), u, v);
        }) == "spectral_norm: u^T W v is 0; expected a positive number");
  CHECK(error_of([&] {
          iotsl::power_iteration(Tensor<double>::zeros({4, 5}), u, v);
        }) == "power_iteration: weight [4,5] expects u [4] and v [5], given [3] and [4]");
  CHECK(error_of([&] {
          iotsl::power_iteration(Tensor<double>::zeros({0, 4}), u, v);
        }) == "power_iteration: expects a weight [out,...] with elements, given [0,4]");
}

}  // namespace gan_ops
