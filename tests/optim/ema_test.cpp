#include "iotsl/optim/ema.hpp"

#include <doctest/doctest.h>

namespace ema {

using namespace iotsl;

TEST_CASE("the average: the first weights whole, then shares, then the decay") {
  std::vector<NamedTensor<double>> average{{"w", Tensor<double>::full({2}, 99.0)}};
  const auto weights = [](double value) {
    return std::vector<NamedTensor<double>>{{"w", Tensor<double>::full({2}, value)}};
  };
  const auto now = [&] { return average[0].tensor.data()[1]; };
  update_average(average, weights(4), 0.6, 0);  // d = min(0.6, 0)
  CHECK(now() == 4);
  update_average(average, weights(8), 0.6, 1);  // d = min(0.6, 1/2)
  CHECK(now() == 6);
  update_average(average, weights(0), 0.6, 2);  // d = min(0.6, 2/3)
  CHECK(now() == doctest::Approx(3.6));
}

TEST_CASE("lists that do not belong together") {
  std::vector<NamedTensor<float>> average{{"w", Tensor<float>::zeros({2})}}, none;
  const std::vector<NamedTensor<float>> other{{"w", Tensor<float>::zeros({3})}};
  CHECK_THROWS_WITH_AS(update_average(average, none, 0.5, 0),
                       "update_average: 1 averages of 0 weights", Error);
  CHECK_THROWS_WITH_AS(update_average(average, other, 0.5, 0),
                       "update_average: w [3], its average [2]", Error);
}

}  // namespace ema
