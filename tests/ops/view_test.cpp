// Values and errors. Gradients: tests/cases.

#include "iotsl/ops/view.hpp"

#include "support/adjoint_check.hpp"

using namespace check;

TEST_CASE("reshape, flatten and batch slices share the memory") {
  const Tensor<double> x = normal({4, 2, 3}, 1);
  CHECK(iotsl::reshape(x, {8, 3}).data() == x.data());
  CHECK(iotsl::flatten(x).shape() == Shape{4, 6});
  const Tensor<double> part = iotsl::slice(x, 0, 1, 3);
  CHECK(part.shape() == Shape{2, 2, 3});
  CHECK(part.data() == x.data() + 6);
}

TEST_CASE("slice, pad, concat and transpose: values") {
  const Tensor<double> x = Tensor<double>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto equal = [](const Tensor<double>& a, const Shape& shape,
                        std::initializer_list<double> values) {
    REQUIRE(a.shape() == shape);
    std::size_t i = 0;
    for (double v : values) CHECK(a.values()[i++] == v);
  };
  equal(iotsl::slice(x, 1, 1, 3), {2, 2}, {2, 3, 5, 6});
  equal(iotsl::slice(x, -1, 0, 1), {2, 1}, {1, 4});
  equal(iotsl::slice(x, 0, 2, 2), {0, 3}, {});
  equal(iotsl::pad(x, 1, 1, 0), {2, 4}, {0, 1, 2, 3, 0, 4, 5, 6});
  equal(iotsl::pad(x, 0, 0, 1), {3, 3}, {1, 2, 3, 4, 5, 6, 0, 0, 0});
  equal(iotsl::concat<double>({x, iotsl::slice(x, 1, 0, 1), x}, 1), {2, 7},
        {1, 2, 3, 1, 1, 2, 3, 4, 5, 6, 4, 4, 5, 6});
  equal(iotsl::concat<double>({x, x}, -2), {4, 3}, {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
  equal(iotsl::transpose(x), {3, 2}, {1, 4, 2, 5, 3, 6});
}

TEST_CASE("views: errors") {
  const Tensor<double> x = normal({2, 3}, 1);
  CHECK(error_of([&] { iotsl::reshape(x, {4}); }) == "reshape: [2,3] has 6 values, [4] has 4");
  CHECK(error_of([&] { iotsl::flatten(Tensor<double>::scalar(1)); }) ==
        "flatten: a scalar has no batch dimension");
  CHECK(error_of([&] { iotsl::slice(x, 1, 2, 4); }) == "slice: [2, 4) of dimension 1 of [2,3]");
  CHECK(error_of([&] { iotsl::slice(x, 2, 0, 1); }) == "slice: [2,3] has no dimension 2");
  const std::string most = std::to_string(Shape::max_elements);
  CHECK(error_of([&] { iotsl::pad(x, 0, -1, 0); }) ==
        "pad: -1 before and 0 after; expected at least 0 and at most " + most);
  const Index huge = Index{1} << 62;
  CHECK(error_of([&] { iotsl::pad(x, 0, huge, huge); }) ==
        "pad: 4611686018427387904 before and 4611686018427387904 after; expected at least 0 and at "
        "most " +
            most);
  CHECK(error_of([&] { iotsl::unflatten(x, huge, 4, 1); }) ==
        "unflatten: 4611686018427387904 maps of 4x1; expected extents of at least 0 whose product "
        "is an Index");
  CHECK(!error_of([&] { iotsl::unflatten(x, -1, -3, 1); }).empty());
  CHECK(error_of([&] {
          iotsl::concat<double>({x, normal({3, 3}, 2)}, 1);
        }) == "concat: shapes [2,3] and [3,3] differ outside dimension 1");
  CHECK(error_of([&] { iotsl::concat(Tensors{}, 0); }) == "concat: no tensors given");
  CHECK(error_of([&] { iotsl::concat<double>({x}, 7); }) == "concat: [2,3] has no dimension 7");
  CHECK(error_of([&] { iotsl::transpose(normal({3}, 1)); }) ==
        "transpose: [3] has rank 1, expected 2");
}
