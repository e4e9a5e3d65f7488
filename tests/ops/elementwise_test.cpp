#include "iotsl/ops/elementwise.hpp"

#include "support/adjoint_check.hpp"

namespace {

using namespace check;

struct Unary {
  const char* name;
  Tensor<double> (*apply)(const Tensor<double>&);
  double (*reference)(double);
  Tensor<double> (*sample)(const Shape&, std::uint64_t);
};

const Unary unaries[] = {
    {"neg", [](const auto& x) { return iotsl::neg(x); }, [](double x) { return -x; }, normal},
    {"exp", [](const auto& x) { return iotsl::exp(x); }, [](double x) { return std::exp(x); },
     normal},
    {"log", [](const auto& x) { return iotsl::log(x); }, [](double x) { return std::log(x); },
     positive},
    {"sqrt", [](const auto& x) { return iotsl::sqrt(x); }, [](double x) { return std::sqrt(x); },
     positive},
    {"rsqrt", [](const auto& x) { return iotsl::rsqrt(x); },
     [](double x) { return 1 / std::sqrt(x); }, positive},
    {"square", [](const auto& x) { return iotsl::square(x); }, [](double x) { return x * x; },
     normal},
    {"reciprocal", [](const auto& x) { return iotsl::reciprocal(x); },
     [](double x) { return 1 / x; }, positive},
    {"sigmoid", [](const auto& x) { return iotsl::sigmoid(x); },
     [](double x) { return 1 / (1 + std::exp(-x)); }, normal},
    {"tanh", [](const auto& x) { return iotsl::tanh(x); }, [](double x) { return std::tanh(x); },
     normal},
    {"abs", [](const auto& x) { return iotsl::abs(x); }, [](double x) { return std::abs(x); },
     apart},
    {"scale", [](const auto& x) { return iotsl::scale(x, 2.5); }, [](double x) { return 2.5 * x; },
     normal},
    {"add_scalar", [](const auto& x) { return iotsl::add_scalar(x, -3); },
     [](double x) { return x - 3; }, normal},
};

struct Binary {
  const char* name;
  Tensor<double> (*apply)(const Tensor<double>&, const Tensor<double>&);
  double (*reference)(double, double);
};

const Binary binaries[] = {
    {"add", [](const auto& a, const auto& b) { return a + b; },
     [](double a, double b) { return a + b; }},
    {"sub", [](const auto& a, const auto& b) { return a - b; },
     [](double a, double b) { return a - b; }},
    {"mul", [](const auto& a, const auto& b) { return a * b; },
     [](double a, double b) { return a * b; }},
    {"div", [](const auto& a, const auto& b) { return a / b; },
     [](double a, double b) { return a / b; }},
};

}  // namespace

TEST_CASE("functions of one argument: values and gradients of order one and two") {
  for (const Unary& op : unaries) {
    CAPTURE(op.name);
    for (const Shape& shape : {Shape{}, Shape{19}, Shape{2, 3, 2, 3}}) {
      const Tensor<double> x = op.sample(shape, 1), y = op.apply(x);
      REQUIRE(y.shape() == shape);
      for (Index i = 0; i < x.size(); ++i)
        CHECK(y.data()[i] == doctest::Approx(op.reference(x.data()[i])).epsilon(1e-13));
      gradient_check([&](const Tensors& in) { return op.apply(in[0]); }, {x});
    }
  }
}

TEST_CASE("arithmetic broadcasts as in NumPy: values and gradients of order one and two") {
  struct Shapes {
    Shape a, b, y;
  };
  const Shapes cases[] = {
      {{3, 4}, {3, 4}, {3, 4}}, {{2, 3, 2, 5}, {1, 3, 1, 1}, {2, 3, 2, 5}},
      {{4, 1}, {1, 5}, {4, 5}}, {{5}, {2, 1, 5}, {2, 1, 5}},
      {{}, {3, 2}, {3, 2}},     {{2, 1, 3}, {4, 1}, {2, 4, 3}},
      {{1}, {}, {1}},
  };
  for (const Binary& op : binaries) {
    for (const Shapes& c : cases) {
      CAPTURE(op.name);
      CAPTURE(to_string(c.a));
      CAPTURE(to_string(c.b));
      const Tensor<double> a = normal(c.a, 1), b = positive(c.b, 2), y = op.apply(a, b);
      REQUIRE(y.shape() == c.y);
      const auto ea = c.a.padded(), eb = c.b.padded(), ey = c.y.padded();
      Index at[4] = {};
      for (Index i = 0; i < y.size(); ++i) {
        Index rest = i, ia = 0, ib = 0;
        for (int d = 3; d >= 0; --d) {
          const auto k = static_cast<std::size_t>(d);
          at[d] = rest % ey[k];
          rest /= ey[k];
        }
        for (int d = 0; d < 4; ++d) {
          const auto k = static_cast<std::size_t>(d);
          ia = ia * ea[k] + (ea[k] == 1 ? 0 : at[d]);
          ib = ib * eb[k] + (eb[k] == 1 ? 0 : at[d]);
        }
        CHECK(y.data()[i] == doctest::Approx(op.reference(a.data()[ia], b.data()[ib])));
      }
      gradient_check([&](const Tensors& in) { return op.apply(in[0], in[1]); }, {a, b});
    }
  }
}

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
