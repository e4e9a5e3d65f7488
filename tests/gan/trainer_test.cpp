#include "iotsl/gan/trainer.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "gan/small_training.hpp"
#include "support/temporary_folder.hpp"

namespace trainer_test {

using namespace small_training;
using gan::GanProgress;
using gan::GanSettings;
using gan::GanTrainer;

/// State of a training as one file: every tensor, and what is remembered beside them.
std::vector<std::uint8_t> state_of(const GanTrainer& trainer) {
  const TemporaryFolder folder;
  REQUIRE(trainer.save(folder / "state").ok());
  return *read_file(folder / "state");
}

std::string error_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("trainer: the same bits at one and two threads, other ones by seed and device") {
  const data::Dataset set = digits(100);
  const int usual = threads();
  const auto run = [&](int team, std::uint64_t seed, std::uint32_t device) {
    set_threads(team);
    GanTrainer trainer(set, all_of(set), settings(5), seed, device);
    double last = 0;
    while (!trainer.done()) last = trainer.step()->generator_loss;
    set_threads(usual);
    return std::pair(state_of(trainer), last);
  };
  const auto one = run(1, 1, 0);
  CHECK(run(2, 1, 0) == one);
  CHECK(run(1, 2, 0).second != one.second);
  CHECK(run(1, 1, 1).second != one.second);
}

TEST_CASE("trainer: stopped after any iteration it goes on with the same bits") {
  const data::Dataset set = digits(100);
  const TemporaryFolder folder;
  GanSettings s = settings(6);
  s.noise = "gaussian";
  GanTrainer whole(set, all_of(set), s, 1, 3);
  std::vector<GanProgress> progress;
  while (!whole.done()) progress.push_back(whole.step().value());
  const auto final_state = state_of(whole);

  const int usual = threads();
  for (Index stop = 0; stop <= 6; stop += 2) {
    CAPTURE(stop);
    const std::string path = folder / "state";
    {
      set_threads(1);
      GanTrainer first(set, all_of(set), s, 1, 3);
      while (first.iteration() < stop) REQUIRE(first.step().ok());
      REQUIRE(first.save(path).ok());
      set_threads(usual);
    }
    GanTrainer second(set, all_of(set), s, 1, 3);
    REQUIRE(second.load(path).ok());
    CHECK(second.iteration() == stop);
    CHECK(second.done() == (stop == 6));
    while (!second.done()) {
      const GanProgress now = second.step().value();
      const GanProgress& then = progress[static_cast<std::size_t>(now.iteration - 1)];
      CHECK(now.wasserstein == then.wasserstein);
      CHECK(now.penalty == then.penalty);
      CHECK(now.generator_loss == then.generator_loss);
    }
    CHECK(state_of(second) == final_state);
  }
}

TEST_CASE("trainer: seconds of a stopped training are not forgotten") {
  const data::Dataset set = digits(40, 2);
  const TemporaryFolder folder;
  GanTrainer first(set, all_of(set), settings(2), 1, 0),
      second(set, all_of(set), settings(2), 1, 0);
  REQUIRE(first.step().ok());
  REQUIRE(first.save(folder / "a", 10).ok());
  REQUIRE(second.load(folder / "a").ok());
  REQUIRE(second.step().ok());
  REQUIRE(second.save(folder / "b", 5).ok());
  REQUIRE(first.load(folder / "b").ok());
  CHECK(first.seconds_before() == 15);
}

TEST_CASE("trainer: a state of another training or a damaged one changes nothing") {
  const data::Dataset set = digits(60, 3);
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  GanTrainer trainer(set, all_of(set), settings(4), 1, 0);
  REQUIRE(trainer.step().ok());
  REQUIRE(trainer.save(path).ok());
  REQUIRE(trainer.step().ok());
  const auto before = state_of(trainer);
  const auto refused = [&](const std::string& text) {
    const Result<void> loaded = trainer.load(path);
    REQUIRE_FALSE(loaded.ok());
    INFO(loaded.failure().message);
    CHECK(loaded.failure().code == ErrorCode::data);
    CHECK(loaded.failure().message.find(path) != std::string::npos);
    CHECK(loaded.failure().message.find(text) != std::string::npos);
    CHECK(state_of(trainer) == before);
  };

  const std::vector<std::uint8_t> good = *read_file(path);
  for (std::size_t at = 0; at < good.size(); at += 4999) {
    auto bytes = good;
    bytes[at] ^= 0x10;
    REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
    refused("");
  }
  REQUIRE(write_file_atomic(path, ByteSpan(good).first(good.size() / 2)).ok());
  refused("truncated");
  std::remove(path.c_str());
  refused("cannot open");

  const auto other = [&](const GanSettings& s, std::uint64_t seed, std::uint32_t device,
                         std::vector<Index> samples) {
    const GanTrainer stranger(set, std::move(samples), s, seed, device);
    REQUIRE(stranger.save(path).ok());
    refused("state of another training");
  };
  other(settings(5), 1, 0, all_of(set));
  other(settings(4), 2, 0, all_of(set));
  other(settings(4), 1, 1, all_of(set));
  auto fewer = all_of(set);
  fewer.pop_back();
  other(settings(4), 1, 0, fewer);
  GanSettings wide = settings(4);
  wide.width = 6;
  other(wide, 1, 0, all_of(set));

  const std::string empty = "{}";
  REQUIRE(
      save_container(path, "gan-training", {{"record", iotsl::bytes_of(std::string_view(empty))}})
          .ok());
  refused("training");
  REQUIRE(save_container(path, "checkpoint", {}).ok());
  refused("kind is 'checkpoint'");
}

TEST_CASE("trainer: the classes of the device's samples are checked") {
  const data::Dataset set = digits(150, 4);
  std::vector<Index> mine;  // no sample of class 1
  for (const Index i : all_of(set))
    if (set.labels[static_cast<std::size_t>(i)] != 1) mine.push_back(i);
  GanTrainer trainer(set, mine, settings(1), 7, 2);
  REQUIRE(trainer.step().ok());
  const gan::Quality quality = trainer.finish()->quality;
  CHECK(quality.classes == std::vector<std::uint32_t>{0, 2, 3});
  CHECK(quality.checked);
}

TEST_CASE("trainer: hold_out takes 5 % of each class, at least 10, at most half") {
  data::Dataset set;
  set.name = "test";
  set.classes = 4;
  set.height = 1;
  set.width = 2;
  const Index sizes[] = {1000, 60, 7, 1};
  for (Index label = 0; label < 4; ++label)
    set.labels.insert(set.labels.end(), static_cast<std::size_t>(sizes[label]),
                      static_cast<data::Label>(label));
  const std::vector<Index> samples = all_of(set);
  for (const Index i : samples) {
    set.pixels.push_back(static_cast<std::uint8_t>(i));
    set.pixels.push_back(static_cast<std::uint8_t>(i >> 8));
  }
  const data::HeldOutSplit held = gan::hold_out(set, samples, 1);
  std::vector<Index> in_test(4);
  for (const Index i : held.held_out) ++in_test[set.labels[static_cast<std::size_t>(i)]];
  CHECK(in_test == std::vector<Index>{50, 10, 3, 0});
  std::vector<Index> together = held.train;
  together.insert(together.end(), held.held_out.begin(), held.held_out.end());
  std::sort(together.begin(), together.end());
  CHECK(together == samples);
  CHECK(gan::hold_out(set, samples, 1).held_out == held.held_out);
  CHECK(gan::hold_out(set, samples, 2).held_out != held.held_out);
}

TEST_CASE("trainer: a check that is broken off is made when the training goes on") {
  const data::Dataset set = digits(100, 3);
  const TemporaryFolder folder;
  GanSettings s = settings(6);
  s.check_every = 2;
  GanTrainer whole(set, all_of(set), s, 1, 0);
  std::vector<double> qualities;
  while (!whole.done())
    if (const double q = whole.step()->quality; q >= 0) qualities.push_back(q);

  const StopCheck at_once{[](void*) { return true; }, nullptr};
  GanTrainer first(set, all_of(set), s, 1, 0);
  REQUIRE(first.step(at_once).value().stopped == false);  // no check is due
  const GanProgress broken = first.step(at_once).value();
  CHECK(broken.stopped);
  CHECK(broken.iteration == 2);
  CHECK(broken.quality == -1);
  CHECK_FALSE(first.finish(at_once).has_value());
  REQUIRE(first.save(folder / "state").ok());

  GanTrainer second(set, all_of(set), s, 1, 0);
  REQUIRE(second.load(folder / "state").ok());
  const GanProgress made = second.step().value();
  CHECK(made.iteration == 2);
  std::vector<double> again{made.quality};
  while (!second.done())
    if (const double q = second.step()->quality; q >= 0) again.push_back(q);
  CHECK(again == qualities);
  CHECK(state_of(second) == state_of(whole));
}

TEST_CASE(
    "trainer: auto stops when the quality no longer rises, and a resumed one at the same place") {
  const data::Dataset set = digits(100, 3);
  const TemporaryFolder folder;
  GanSettings s = settings(100);
  s.lr = 0;  // nothing is learned, so nothing can rise
  s.check_every = 2;
  s.patience = 1;
  GanTrainer trainer(set, all_of(set), s, 1, 0);
  std::vector<double> checks;
  while (!trainer.done()) {
    const GanProgress now = trainer.step().value();
    CHECK((now.quality >= 0) == (now.iteration % 2 == 0));
    if (now.quality >= 0) checks.push_back(now.quality);
    if (now.iteration == 2) REQUIRE(trainer.save(folder / "state").ok());
  }
  CHECK(checks.size() == 2);  // the first rises from nothing, the second does not
  CHECK(trainer.iteration() == 4);
  GanTrainer resumed(set, all_of(set), s, 1, 0);
  REQUIRE(resumed.load(folder / "state").ok());
  while (!resumed.done()) REQUIRE(resumed.step().ok());
  CHECK(resumed.iteration() == 4);
}

TEST_CASE("trainer: auto trains all iterations where the quality cannot be checked") {
  GanSettings s = settings(6);
  s.check_every = 1;
  s.patience = 1;
  const auto trained = [&](const data::Dataset& set) {
    GanTrainer trainer(set, all_of(set), s, 1, 0);
    CHECK(trainer.check_every() == 0);
    while (!trainer.done()) CHECK(trainer.step()->quality == -1);
    return trainer.iteration();
  };
  CHECK(trained(digits(60, 1)) == 6);
  CHECK(trained(data::select_samples(digits(60), std::vector<Index>{0, 1, 2})) ==
        6);  // nothing is held out
}

TEST_CASE("trainer: NaN or Inf ends the training in the same iteration") {
  const data::Dataset set = digits(60, 2);
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  const auto failure_with = [&](const char* tensor, float value) {
    GanTrainer trainer(set, all_of(set), settings(4), 1, 0);
    REQUIRE(trainer.step().ok());
    REQUIRE(trainer.save(path).ok());
    poison_state(path, tensor, value);
    REQUIRE(trainer.load(path).ok());
    const Result<GanProgress> lost = trainer.step();
    CHECK(trainer.iteration() == 1);
    return lost ? std::string("no error") : lost.failure().message;
  };
  const std::string lost =
      "GAN training: iteration 2: the loss of the critic is NaN or Inf; a smaller learning rate "
      "may help";
  CHECK(failure_with("critic/linear.bias", 3e38F) == lost);  // scores beyond float's range
  CHECK(failure_with("critic/linear.bias", 1e19F) == lost);  // their squares only
  CHECK(failure_with("generator/", std::nanf("")) == lost);
}

TEST_CASE("trainer: one sample, one class, and what cannot be trained") {
  const data::Dataset set = digits(60, 1);
  GanTrainer one(set, {0}, settings(2), 1, 0);
  while (!one.done()) CHECK(std::isfinite(one.step()->wasserstein));
  const gan::Quality quality = one.finish()->quality;
  CHECK_FALSE(quality.checked);
  CHECK(quality.failed().empty());

  CHECK(error_of([&] { GanTrainer(set, {}, settings(2), 1, 0); }) == "GAN: no samples to train on");
  GanSettings wrong = settings(2);
  wrong.critic_steps = 0;
  CHECK(error_of([&] { GanTrainer(set, all_of(set), wrong, 1, 0); }) ==
        "GAN: 0 critic steps; expected 1 to 100");
  CHECK(gan::gan_preset("slow").failure().message ==
        "GAN preset 'slow'; expected one of tiny, fast, paper, auto");
  for (const std::string_view name : gan::preset_names) {
    const auto preset = gan::gan_preset(name);
    REQUIRE(preset.ok());
    CHECK(gan::check_settings(*preset).ok());
    CHECK(preset->preset == name);
  }
}

}  // namespace trainer_test
