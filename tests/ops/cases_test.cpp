// Every row of tests/cases.

#include <algorithm>
#include <cmath>

#include "cases/all_cases.hpp"
#include "iotsl/simd/target.hpp"
#include "support/gradient_check.hpp"

namespace rows {

using cases::OpCase;
using iotsl::Index;
using iotsl::Tensor;

const std::vector<OpCase>& all() {
  static const std::vector<OpCase> rows = cases::all_rows();
  return rows;
}

/// The output, and the gradient of <output, u> for each input.
template <class T>
struct Results {
  Tensor<T> y;
  std::vector<Tensor<T>> grads;
};

/// The pool gives these blocks out again: what an operation does not write is NaN.
template <class T>
void poison(const OpCase& c, const iotsl::Shape& y) {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  std::vector<Tensor<T>> blocks{Tensor<T>::full(y, nan)};
  for (const cases::Input& input : c.inputs) blocks.push_back(Tensor<T>::full(input.shape, nan));
}

/// `y_shape` is that of the output, where it is known; u(shape) is what the output is multiplied
/// with.
template <class T, class F, class U>
Results<T> run(const OpCase& c, const F& f, std::vector<Tensor<T>> inputs, const U& u,
               const iotsl::Shape& y_shape = {}) {
  for (Tensor<T>& input : inputs) input.set_requires_grad();
  poison<T>(c, y_shape);
  const Tensor<T> y = f(inputs);
  return {y.detach(), iotsl::grad<T>({y}, inputs, {u(y.shape())})};
}

/// What an output is multiplied with.
Tensor<double> weights_of(const iotsl::Shape& y) { return cases::values<double>({"u", y}, 7); }

/// The values, which are those of floats, in memory of its own.
template <class T>
Tensor<T> copy(const Tensor<double>& from) {
  Tensor<T> to = Tensor<T>::uninitialized(from.shape());
  std::transform(from.data(), from.data() + from.size(), to.mutable_data(),
                 [](double value) { return static_cast<T>(value); });
  return to;
}
template <class T>
std::vector<Tensor<T>> copies(const std::vector<Tensor<double>>& from) {
  std::vector<Tensor<T>> to;
  for (const Tensor<double>& tensor : from) to.push_back(copy<T>(tensor));
  return to;
}

/// Largest difference in units of the largest magnitude of `want` (at least 1e-3).
double error(const Tensor<float>& got, const Tensor<double>& want) {
  REQUIRE(got.shape() == want.shape());
  double largest = 1e-3, worst = 0;
  for (Index i = 0; i < want.size(); ++i) {
    largest = std::fmax(largest, std::fabs(want.data()[i]));
    const double d = std::fabs(static_cast<double>(got.data()[i]) - want.data()[i]);
    if (!(d <= worst)) worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
  }
  return worst / largest;
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  const std::size_t bytes = static_cast<std::size_t>(a.size()) * sizeof(float);
  return a.shape() == b.shape() && (bytes == 0 || std::memcmp(a.data(), b.data(), bytes) == 0);
}

TEST_CASE("rows: float on every target equals the reference in double, at any thread count") {
  const iotsl::simd::Target before = iotsl::simd::active_target();
  const int threads = iotsl::threads();
  for (const OpCase& c : all()) {
    // Drawn once: to draw them again for every target takes longer than the operations.
    const auto inputs = cases::values<double>(c.inputs);
    Tensor<double> u;
    const auto want = run(c, c.in_double, copies<double>(inputs),
                          [&](const iotsl::Shape& y) { return u = weights_of(y); });
    const auto run_in_float = [&] {
      return run(
          c, c.in_float, copies<float>(inputs), [&](const iotsl::Shape&) { return copy<float>(u); },
          want.y.shape());
    };
    for (iotsl::simd::Target target : iotsl::simd::reachable_targets()) {
      INFO(c.name, " on ", std::string(iotsl::simd::name(target)));
      iotsl::simd::set_target(target);
      const auto got = run_in_float();
      CHECK(error(got.y, want.y) <= c.tolerance);
      for (std::size_t i = 0; i < got.grads.size(); ++i) {
        INFO("gradient of ", c.inputs[i].name);
        CHECK(error(got.grads[i], want.grads[i]) <= c.tolerance);
      }
      if (target != before) continue;
      for (int count : {1, 3}) {
        INFO("threads ", count);
        iotsl::set_threads(count);
        const auto again = run_in_float();
        CHECK(same_bits(again.y, got.y));
        for (std::size_t i = 0; i < got.grads.size(); ++i)
          CHECK(same_bits(again.grads[i], got.grads[i]));
        iotsl::set_threads(threads);
      }
    }
    iotsl::simd::set_target(before);
  }
}

TEST_CASE("rows: gradients of order one and two") {
  for (const OpCase& c : all()) {
    if (!c.is_small()) continue;
    INFO(c.name);
    check::gradient_check(c.in_double, cases::values<double>(c.inputs), 1e-6);
  }
}

TEST_CASE("rows: adjoint identity <f(x) - f(0), u> = <x, f'(u)> of what is linear") {
  for (const OpCase& c : all()) {
    if (!c.is_small()) continue;
    const auto result = run(c, c.in_double, cases::values<double>(c.inputs), weights_of);
    const auto u = weights_of(result.y.shape());
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
      if ((c.linear >> i & 1U) == 0) continue;
      INFO(c.name, ", in ", c.inputs[i].name);
      auto inputs = cases::values<double>(c.inputs);
      const auto x = std::exchange(inputs[i], Tensor<double>::zeros(c.inputs[i].shape));
      const double form = check::dot(result.y, u) - check::dot(c.in_double(inputs), u);
      CHECK(check::dot(x, result.grads[i]) == doctest::Approx(form).epsilon(1e-11).scale(1));
    }
  }
}

}  // namespace rows
