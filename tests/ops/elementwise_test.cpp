// How arithmetic treats its operands. Values and gradients: tests/cases/elementwise_cases.hpp.

#include "iotsl/ops/elementwise.hpp"

#include "support/adjoint_check.hpp"

using namespace check;

TEST_CASE("the same tensor on both sides") {
  gradient_check([](const Tensors& in) { return in[0] * in[0] + in[0] / in[0]; },
                 {positive({7}, 3)});
}

TEST_CASE("shapes that do not broadcast") {
  const Tensor<double> a = normal({2, 3}, 1), b = normal({4}, 2);
  CHECK(error_of([&] { a + b; }) == "add: shapes [2,3] and [4] do not broadcast");
  CHECK(error_of([&] { a - b; }) == "sub: shapes [2,3] and [4] do not broadcast");
  CHECK(error_of([&] { a* b; }) == "mul: shapes [2,3] and [4] do not broadcast");
  CHECK(error_of([&] { a / b; }) == "div: shapes [2,3] and [4] do not broadcast");
}

TEST_CASE("an operation never writes over a value that somebody else can see") {
  const Tensor<double> x = normal({8}, 4), before = x.clone();
  const Tensor<double> view = iotsl::scale(x, 1.0);
  iotsl::exp(iotsl::neg(iotsl::scale(x, 3.0)));
  for (Index i = 0; i < x.size(); ++i) CHECK(x.data()[i] == before.data()[i]);
  // Moved in while a second handle exists: still not overwritten.
  Tensor<double> moved_in = x;
  const Tensor<double> y = iotsl::exp(std::move(moved_in));
  CHECK(y.data() != x.data());
  CHECK(x.data()[3] == before.data()[3]);
  // Alone: the result takes over the memory.
  Tensor<double> alone = normal({8}, 5);
  const double* memory = alone.data();
  CHECK(iotsl::exp(std::move(alone)).data() == memory);
}
