#include "iotsl/core/tensor.hpp"

#include <doctest/doctest.h>

#include "iotsl/autograd/node.hpp"

namespace {

using iotsl::Index;
using iotsl::Shape;
using iotsl::Tensor;

std::string error_of(const auto& call) {
  try {
    call();
  } catch (const iotsl::Error& error) {
    return error.what();
  }
  return {};
}

template <class T>
concept Writable = requires(T& tensor) {
  tensor.mutable_data();
};

}  // namespace

TEST_CASE("shape: extents, text, padding and errors") {
  const Shape shape{8, 1, 28};
  CHECK(shape.rank() == 3);
  CHECK(shape.elements() == 224);
  CHECK(to_string(shape) == "[8,1,28]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(Shape{}.elements() == 1);
  CHECK(shape.padded() == std::array<Index, 4>{1, 8, 1, 28});
  CHECK(!(Shape{2, 3} == Shape{2, 3, 1}));
  CHECK(error_of([] { Shape{1, 2, 3, 4, 5}; }) == "shape [1,2,3,4] and 5: more than 4 dimensions");
  CHECK(error_of([] { Shape{2, -1}; }) == "shape: extent -1 is negative");
  CHECK(error_of([] {
          Shape({Index{1} << 40, Index{1} << 40}).elements();
        }) == "shape [1099511627776,1099511627776]: too many elements");
  CHECK(error_of([] {
          Shape({0, Index{1} << 40, Index{1} << 40}).elements();
        }) == "shape [0,1099511627776,1099511627776]: too many elements");
  CHECK(Shape{0, Index{1} << 20}.elements() == 0);
}

TEST_CASE("tensor: a handle shares its values, clone copies them") {
  Tensor<float> a = Tensor<float>::from({2, 2}, {1, 2, 3, 4});
  Tensor<float> b = a;
  b.mutable_data()[0] = 9;
  CHECK(a.data()[0] == 9);
  CHECK(a.version() == 1);
  const Tensor<float> c = a.clone();
  a.mutable_data()[0] = 7;
  CHECK(c.data()[0] == 9);
  CHECK(c.version() == 0);
  CHECK(a.detach().data() == a.data());
  CHECK(Tensor<float>::scalar(3).item() == 3);
  CHECK(Tensor<double>::full({3}, 2.0).data()[2] == 2);
}

TEST_CASE("tensor: the only way to write counts as a change") {
  static_assert(Writable<Tensor<float>> && !Writable<const Tensor<float>>);
  static_assert(std::is_same_v<decltype(std::declval<Tensor<float>&>().data()), const float*>);
  static_assert(std::is_same_v<decltype(std::declval<Tensor<float>&>().values()[0]), const float&>);
  Tensor<float> a = Tensor<float>::zeros({2});
  const Tensor<float> view = a.alias({1}, 1);
  a.mutable_data()[1] = 3;
  CHECK(view.item() == 3);
  CHECK(view.version() == a.version());
  CHECK(view.version() == 1);
}

TEST_CASE("tensor: extents and errors") {
  const Tensor<float> a = Tensor<float>::zeros({2, 5});
  CHECK(a.extent(-1) == 5);
  CHECK(a.extent(0) == 2);
  CHECK(error_of([&] { a.extent(2); }) == "tensor [2,5] has no dimension 2");
  CHECK(error_of([&] { a.item(); }) == "item: tensor [2,5] has 10 values, expected 1");
  CHECK(error_of([] {
          Tensor<float>::from({3}, {1, 2});
        }) == "tensor: shape [3] holds 3 values, 2 given");
  CHECK(error_of([] { Tensor<float>().shape(); }) == "tensor: used before it was given a value");
  CHECK(!Tensor<float>().defined());
  CHECK(!Tensor<float>().requires_grad());
}

TEST_CASE("tensor: unique means that nobody else can see the values") {
  Tensor<float> a = Tensor<float>::zeros({4});
  CHECK(a.unique());
  {
    const Tensor<float> b = a;
    CHECK(!a.unique());
  }
  CHECK(a.unique());
  {
    const Tensor<float> view = a.alias(Shape{2}, 2);
    CHECK(!a.unique());
  }
  CHECK(a.unique());
  CHECK(!Tensor<float>().unique());
}

TEST_CASE("tensor: an empty tensor has no values") {
  const Tensor<float> a = Tensor<float>::zeros({0, 3});
  CHECK(a.size() == 0);
  CHECK(a.values().empty());
  CHECK(a.clone().shape() == Shape{0, 3});
}

TEST_CASE("tensor: an allocation that fails leaves nothing behind") {
  const auto before = iotsl::memory_statistics().in_use_bytes;
  // The buffer first, then the body of the handle.
  for (long at : {0, 1}) {
    iotsl::fail_allocation_after(at);
    CHECK_THROWS_AS(Tensor<float>::zeros({100}), iotsl::OutOfMemory);
    CHECK(iotsl::memory_statistics().in_use_bytes == before);
  }
  iotsl::fail_allocation_after(-1);
}
