#include "iotsl/split/halves/replay.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <map>

#include "iotsl/split/simulate/run_inproc.hpp"
#include "split/runs/iotsl_run.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace replay_test {

namespace {

/// Samples of two values; the first tells them apart.
Tensor<float> batch(float first, Index count) {
  Tensor<float> out = Tensor<float>::uninitialized(Shape{count, 2});
  float* values = out.mutable_data();
  for (Index i = 0; i < count; ++i) {
    values[2 * i] = first + static_cast<float>(i);
    values[2 * i + 1] = -first;
  }
  return out;
}
void keep(ReplayMemory& memory, std::size_t device, std::uint64_t turn, float first, Index count) {
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(count),
                                         static_cast<std::int32_t>(device));
  memory.keep(device, turn, batch(first, count), labels);
}
/// How often each sample came in `count` draws.
std::map<float, int> drawn(const ReplayMemory& memory, std::size_t device, Index count) {
  const ReplayMemory::Samples samples = memory.draw(device, count, 1);
  std::map<float, int> out;
  for (std::size_t i = 0; i < samples.labels.size(); ++i) ++out[samples.smashed.data()[2 * i]];
  return out;
}

}  // namespace

TEST_CASE("replay: only other devices' samples are drawn, all of them alike") {
  auto made = ReplayMemory::create(12, 3, Shape{1, 2}, 5);
  REQUIRE(made.ok());
  ReplayMemory& memory = made.value();
  CHECK(memory.keeps_samples());
  CHECK(memory.draw(0, 4, 1).labels.empty());
  keep(memory, 1, 0, 100, 3);
  CHECK(memory.held(1) == 3);
  CHECK(memory.draw(1, 4, 1).labels.empty());  // only its own
  keep(memory, 0, 1, 0, 4);
  keep(memory, 2, 2, 200, 2);
  const auto counts = drawn(memory, 1, 6000);
  CHECK(counts.size() == 6);
  for (const auto& [sample, count] : counts) {
    CHECK((sample < 4 || sample >= 200));
    CHECK(count > 850);
    CHECK(count < 1150);
  }
  for (const std::size_t device : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
    const auto samples = memory.draw(device, 50, 9);
    CHECK(samples.smashed.shape() == Shape{50, 2});
    for (std::size_t i = 0; i < 50; ++i) {
      const auto from = static_cast<std::size_t>(samples.labels[i]);
      CHECK(from != device);
      CHECK(static_cast<std::size_t>(samples.smashed.data()[2 * i]) / 100 == from);
    }
  }
}

TEST_CASE("replay: a turn's samples are all kept with the same probability") {
  constexpr int runs = 3000;
  std::vector<int> kept(20);
  for (int run = 0; run < runs; ++run) {
    auto made = ReplayMemory::create(10, 2, Shape{1, 2}, static_cast<std::uint64_t>(run));
    REQUIRE(made.ok());
    ReplayMemory& memory = made.value();
    keep(memory, 1, 4, 0, 8);
    keep(memory, 1, 4, 8, 12);
    CHECK(memory.held(1) == 5);
    std::vector<StatePart> parts = memory.parts();
    const auto* values = reinterpret_cast<const float*>(parts[0].data) + 5 * 2;
    for (int i = 0; i < 5; ++i) ++kept[static_cast<std::size_t>(values[2 * i])];
  }
  for (const int count : kept) {  // 750 expected, standard deviation 24
    CHECK(count > 630);
    CHECK(count < 870);
  }
}

TEST_CASE("replay: a new turn replaces the last one's samples") {
  auto made = ReplayMemory::create(8, 2, Shape{1, 2}, 1);
  REQUIRE(made.ok());
  ReplayMemory& memory = made.value();
  keep(memory, 0, 0, 0, 4);
  memory.begin_turn(0);
  memory.begin_turn(0);
  CHECK(memory.held(0) == 4);  // until there are new ones
  keep(memory, 0, 2, 50, 3);
  auto counts = drawn(memory, 1, 200);
  CHECK(counts.size() == 4);
  CHECK(counts.count(3) == 1);
  keep(memory, 0, 2, 53, 1);
  counts = drawn(memory, 1, 200);
  CHECK(counts.begin()->first == 50);
}

TEST_CASE("replay: a memory is a function of what it has seen, and comes back from its parts") {
  const auto fill = [](std::uint64_t seed) {
    ReplayMemory memory = ReplayMemory::create(6, 2, Shape{1, 2}, seed).value();
    for (std::uint64_t turn = 0; turn < 4; ++turn) {
      memory.begin_turn(turn % 2);
      keep(memory, turn % 2, turn, static_cast<float>(100 * turn), 17);
    }
    return memory;
  };
  const auto same = [](const ReplayMemory& a, const ReplayMemory& b) {
    const auto x = a.draw(0, 64, 3), y = b.draw(0, 64, 3);
    return x.labels == y.labels &&
           std::memcmp(x.smashed.data(), y.smashed.data(), 64 * 2 * sizeof(float)) == 0;
  };
  ReplayMemory one = fill(1);
  CHECK(same(one, fill(1)));
  CHECK_FALSE(same(one, fill(2)));
  ReplayMemory copy = ReplayMemory::create(6, 2, Shape{1, 2}, 1).value();
  const auto from = one.parts(), to = copy.parts();
  REQUIRE(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    REQUIRE(from[i].bytes == to[i].bytes);
    std::memcpy(to[i].data, from[i].data, from[i].bytes);
  }
  CHECK(same(one, copy));
  keep(one, 1, 3, 7, 9);
  keep(copy, 1, 3, 7, 9);
  CHECK(same(one, copy));
  // Another step draws others.
  CHECK(one.draw(0, 64, 3).labels.size() == 64);
  const auto third = one.draw(0, 64, 3).smashed, fourth = one.draw(0, 64, 4).smashed;
  CHECK(std::memcmp(third.data(), fourth.data(), 64 * 2 * sizeof(float)) != 0);
}

TEST_CASE("replay: without places it does nothing") {
  ReplayMemory none = ReplayMemory::create(0, 5, Shape{1, 2}, 1).value();
  CHECK_FALSE(none.keeps_samples());
  none.begin_turn(3);
  keep(none, 3, 0, 1, 4);
  CHECK(none.draw(0, 4, 1).labels.empty());
  CHECK(none.parts().empty());
}

TEST_CASE("replay: the device's gradient is that of its own samples") {
  // In evaluation batch norm does not couple the samples, so that the own rows' gradient must not
  // know of the others. Training couples them; there the shapes and the loss are compared.
  RunConfig config = tiny::config();
  SplitModel model = build_split_model(config).value();
  const Shape one = model.front.output_shape(sample_shape(config.model)).value();
  Shape four{4}, six{6};
  for (int d = 1; d < one.rank(); ++d) {
    four.push_back(one[d]);
    six.push_back(one[d]);
  }
  const Tensor<float> own = tiny::uniform(four, 1);
  const std::vector<std::int32_t> labels{0, 1, 2, 3};
  const ReplayMemory::Samples others{tiny::uniform(six, 2), {3, 2, 1, 0, 1, 2}};
  const auto parameters = train::tensors_of(model.back.parameters());
  const auto pass = [&](const ReplayMemory::Samples& replayed,
                        std::vector<Tensor<float>>& gradients) {
    BackPass back(model.back, own.clone(), labels, replayed, {.training = false}, parameters);
    const BackOutcome out = back.answer();
    gradients = back.parameter_gradients();
    return out;
  };
  std::vector<Tensor<float>> alone_gradients, gradients;
  const BackOutcome alone = pass({}, alone_gradients), joint = pass(others, gradients);
  CHECK(joint.seen.loss == doctest::Approx(alone.seen.loss).epsilon(1e-6));
  CHECK(joint.seen.correct == alone.seen.correct);
  REQUIRE(joint.gradient.shape() == four);
  for (Index i = 0; i < own.size(); ++i)
    CHECK(joint.gradient.data()[i] ==
          doctest::Approx(alone.gradient.data()[i]).epsilon(1e-4).scale(1e-3));
  // The back learns from the mean over all ten.
  BackPass others_alone(model.back, others.smashed.clone(), others.labels, {}, {.training = false},
                        parameters);
  others_alone.answer();
  const std::vector<Tensor<float>> other_gradients = others_alone.parameter_gradients();
  REQUIRE(gradients.size() == parameters.size());
  for (std::size_t p = 0; p < gradients.size(); ++p)
    for (Index i = 0; i < gradients[p].size(); ++i)
      CHECK(gradients[p].data()[i] == doctest::Approx(0.4F * alone_gradients[p].data()[i] +
                                                      0.6F * other_gradients[p].data()[i])
                                          .epsilon(1e-3)
                                          .scale(1e-3));
}

TEST_CASE("replay: goes with generators, imputation and elastic weight consolidation") {
  const data::Dataset train = tiny::dataset(64, 1), test = tiny::dataset(24, 2);
  const auto samples = tiny::halves(train);
  RunConfig config = tiny::iotsl_config();
  const auto plain = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(plain.ok(), plain.failure().message);
  config.training.replay = 10;
  config.training.optimizer.ewc = 0.5;
  const auto none = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(none.ok(), none.failure().message);
  const auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  CHECK(inproc->weights_sha256 == none->weights_sha256);
  CHECK(none->weights_sha256 != plain->weights_sha256);
  CHECK(none->epochs[0].loss == plain->epochs[0].loss);  // pre-training knows neither of them
}

}  // namespace replay_test
