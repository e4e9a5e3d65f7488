// The server's half of a step in two parts, of which a device waits for the first.

#include <doctest/doctest.h>

#include <cstring>

#include "iotsl/nn/state.hpp"
#include "iotsl/split/halves/cut.hpp"
#include "iotsl/split/server/split_model.hpp"
#include "split/runs/tiny_run.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace back_half_test {

namespace {

BackHalf make_back(const RunConfig& config, bool wants_gradient = true) {
  return BackHalf(build_split_model(config).value().back, config.training.optimizer, config.seed,
                  wants_gradient);
}

}  // namespace

TEST_CASE(
    "back half: it answers before its weights change, and then they are those of a whole step") {
  const RunConfig config = tiny::config();
  const Shape smashed =
      build_split_model(config).value().front.output_shape(sample_shape(config.model)).value();
  Shape four = smashed, six = smashed;
  four.set(0, 4);
  six.set(0, 6);
  const std::vector<std::int32_t> labels{0, 1, 2, 3};
  const ReplayMemory::Samples others{tiny::uniform(six, 2), {3, 2, 1, 0, 1, 2}};
  for (const bool replays : {false, true})
    for (const bool wants_gradient : {true, false}) {
      BackHalf whole = make_back(config, wants_gradient), parts = make_back(config, wants_gradient);
      const std::vector<Tensor<float>> before = train::tensors_of(parts.layers().parameters());
      std::vector<Tensor<float>> copies;
      for (const Tensor<float>& tensor : before) copies.push_back(tensor.clone());
      for (std::uint64_t step = 1; step < 4; ++step) {
        const ReplayMemory::Samples replayed = replays ? others : ReplayMemory::Samples{};
        const auto expected = whole.train(tiny::uniform(four, step), labels, step, replayed);
        const auto answer = parts.answer(tiny::uniform(four, step), labels, step, replayed);
        REQUIRE(expected.ok());
        REQUIRE(answer.ok());
        CHECK(answer->seen.loss == expected->seen.loss);
        CHECK(answer->gradient.defined() == wants_gradient);
        if (wants_gradient)
          CHECK(std::memcmp(answer->gradient.data(), expected->gradient.data(),
                            static_cast<std::size_t>(four.elements()) * sizeof(float)) == 0);
        if (step == 1)
          for (std::size_t p = 0; p < before.size(); ++p)
            CHECK(std::memcmp(before[p].data(), copies[p].data(),
                              static_cast<std::size_t>(copies[p].size()) * sizeof(float)) == 0);
        REQUIRE(parts.update().ok());
      }
      CHECK(state_sha256(parts.layers()) == state_sha256(whole.layers()));
    }
}

TEST_CASE("back half: NaN is refused in both parts, and names the step") {
  RunConfig config = tiny::config();
  Shape four =
      build_split_model(config).value().front.output_shape(sample_shape(config.model)).value();
  four.set(0, 4);
  const std::vector<std::int32_t> labels{0, 1, 2, 3};
  BackHalf back = make_back(config);
  Tensor<float> bad = tiny::uniform(four, 1);
  bad.mutable_data()[3] = std::numeric_limits<float>::quiet_NaN();
  const auto answer = back.answer(std::move(bad), labels, 7);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.failure().message == "step 7: the loss or its gradient is NaN or Inf");
  REQUIRE(
      back.train(tiny::uniform(four, 2), labels, 8).ok());  // the step is dropped, not half done
}

}  // namespace back_half_test
