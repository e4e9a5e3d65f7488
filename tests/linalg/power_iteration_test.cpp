// The exact SVD judges the power iteration of spectral norm.

#include <cmath>

#include "iotsl/linalg/svd.hpp"
#include "iotsl/models/critic.hpp"
#include "support/adjoint_check.hpp"

namespace power_iteration_test {

using namespace iotsl;

template <class T>
double estimate(const Tensor<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  const auto w = linalg::matrix_view(weight, u.size(), v.size());
  return linalg::vector_view(u).template cast<double>().dot(
      w.template cast<double>() * linalg::vector_view(v).template cast<double>());
}

TEST_CASE("power iteration: from below to the largest singular value and its vectors") {
  for (const Shape& shape : {Shape{16, 4, 5, 5}, Shape{10, 300}, Shape{1, 64}, Shape{40, 3}}) {
    CAPTURE(to_string(shape));
    const Tensor<double> weight = check::normal(shape, 3);
    Tensor<double> u = check::normal({shape[0]}, 4);
    Tensor<double> v = Tensor<double>::zeros({weight.size() / shape[0]});
    const linalg::SingularTriple exact = linalg::largest_singular_triple(weight);
    double last = 0;
    for (int step = 0; step < 300; ++step) {
      power_iteration(weight, u, v);
      const double now = estimate(weight, u, v);
      CHECK(now <= exact.value * (1 + 1e-12));
      CHECK(now >= last * (1 - 1e-12));
      last = now;
    }
    CHECK(last == doctest::Approx(exact.value).epsilon(1e-6));
    CHECK(std::abs(check::dot(u, exact.u)) == doctest::Approx(1).epsilon(1e-3));
    CHECK(std::abs(check::dot(v, exact.v)) == doctest::Approx(1).epsilon(1e-3));
    // Divided by the exact value, the largest singular value is one.
    const Tensor<double> normed = spectral_norm(weight, exact.u, exact.v);
    CHECK(linalg::singular_values(normed).data()[0] == doctest::Approx(1).epsilon(1e-12));
  }
}

TEST_CASE(
    "critic: its first weights have a spectral norm near one, and following brings them nearer") {
  CriticNet<float> critic(ImageSpec{}, 8);
  critic.initialize(1);
  const auto check_within = [&](double tolerance) {
    for (const Tensor<float>& weight : critic.constant().weights_then_biases()) {
      if (weight.rank() == 1) continue;  // a bias
      CAPTURE(to_string(weight.shape()));
      const double norm = linalg::largest_singular_triple(weight).value;
      CHECK(norm > 1 - 1e-5);  // the estimate is from below, the quotient from above
      CHECK(norm < 1 + tolerance);
    }
  };
  check_within(0.05);
  for (int step = 0; step < 2000; ++step) critic.follow_spectrum();
  check_within(0.001);
}

}  // namespace power_iteration_test
