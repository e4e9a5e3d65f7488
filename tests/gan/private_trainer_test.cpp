// Private trainings as a whole: the same bits after a stop, other noise by the key, who is trained
// when, and corners.

#include "iotsl/gan/private/trainer.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cmath>
#include <set>

#include "gan/small_training.hpp"
#include "support/temporary_folder.hpp"

namespace private_trainer_test {

using namespace small_training;
using gan::NoisePlan;
using gan::PrivateTrainer;
using privacy::PrivacyMode;

constexpr PrivacyMode modes[] = {PrivacyMode::eq5, PrivacyMode::gswgan, PrivacyMode::joint,
                                 PrivacyMode::dp_sgd};

NoisePlan plan_of(PrivacyMode mode, std::uint64_t critics) {
  return {
      .mode = mode, .sigma = 1.07, .clip = 1, .critics = privacy::has_shards(mode) ? critics : 1};
}
PrivateTrainer* make(const data::Dataset& set, const NoisePlan& plan, const std::string& critics,
                     std::uint64_t key = 1, Index iterations = 5) {
  return new PrivateTrainer(set, all_of(set), settings(iterations), plan, 1, 3,
                            privacy::seeded_noise_key(key), critics);
}
using Owned = std::unique_ptr<PrivateTrainer>;

std::vector<float> weights_of(const PrivateTrainer& trainer) {
  std::vector<float> out;
  const gan::TrainedNet net = trainer.finish();
  for (const auto& p : net.net.parameters())
    out.insert(out.end(), p.tensor.data(), p.tensor.data() + p.tensor.size());
  return out;
}
std::vector<float> trained(PrivateTrainer& trainer) {
  while (!trainer.done()) REQUIRE(trainer.step().ok());
  return weights_of(trainer);
}
bool finite(const std::vector<float>& values) { return all_finite(values.data(), values.size()); }

TEST_CASE("private trainer: killed after any step it goes on from its state with the same bits") {
  const data::Dataset set = digits(90, 4);
  const TemporaryFolder folder;
  const int usual = threads();
  for (const PrivacyMode mode : modes)
    for (const Index stop : {0, 2, 5}) {
      CAPTURE(mode);
      CAPTURE(stop);
      const std::string path = folder / "state", critics = folder / "critics";
      std::vector<float> whole;
      {
        const Owned first(make(set, plan_of(mode, 3), critics));
        while (first->iteration() < stop) REQUIRE(first->step().ok());
        REQUIRE(first->save(path, 2.5).ok());
        whole = trained(*first);  // and its critics are written on
      }
      set_threads(1);
      const Owned second(make(set, plan_of(mode, 3), critics, 77));  // another key until load()
      const std::string other = second->id();
      REQUIRE(second->load(path).ok());
      CHECK(second->id() != other);
      CHECK(second->iteration() == stop);
      CHECK(second->seconds_before() == 2.5);
      CHECK(trained(*second) == whole);
      set_threads(usual);
      CHECK(finite(whole));
      struct stat info {};
      REQUIRE(::stat(path.c_str(), &info) == 0);
      CHECK((info.st_mode & 0777) == 0600);
    }
}

TEST_CASE("private trainer: the same seed with another key is another generator") {
  const data::Dataset set = digits(60, 3);
  for (const PrivacyMode mode : modes) {
    CAPTURE(mode);
    const auto run = [&](std::uint64_t key) {
      const Owned trainer(make(set, plan_of(mode, 2), "", key, 2));
      return trained(*trainer);
    };
    CHECK(run(1) == run(1));
    CHECK(run(1) != run(2));
  }
}

/// The critics that a state has written so far, and what they are.
std::vector<gan::CriticStore::Place> places_of(PrivateTrainer& trainer, const std::string& path) {
  REQUIRE(trainer.save(path).ok());
  const Container file = load_container(path, "private-gan-training").value();
  const ByteSpan bytes = file.section("critics").value();
  std::vector<gan::CriticStore::Place> out(bytes.size() / sizeof(gan::CriticStore::Place));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

TEST_CASE("joint trains critics in turn, whatever is drawn; gswgan the one that is drawn") {
  const data::Dataset set = digits(90, 3);
  const TemporaryFolder folder;
  std::set<std::uint32_t> first_checksums;
  std::set<std::vector<bool>> patterns;
  for (std::uint64_t key = 1; key <= 4; ++key) {
    const auto written = [&](PrivacyMode mode) {
      const Owned trainer(
          make(set, plan_of(mode, 5), folder / concat("critics", key, mode), key, 3));
      REQUIRE(trainer->step().ok());
      const auto first = places_of(*trainer, folder / "state");
      if (mode == PrivacyMode::joint) first_checksums.insert(first[0].checksum);
      while (!trainer->done()) REQUIRE(trainer->step().ok());
      std::vector<bool> out;
      for (const auto& place : places_of(*trainer, folder / "state"))
        out.push_back(place.number != 0);
      return out;
    };
    CHECK(written(PrivacyMode::joint) == std::vector<bool>{true, true, true, false, false});
    patterns.insert(written(PrivacyMode::gswgan));
  }
  CHECK(first_checksums.size() == 1);  // the first critic does not know the key either
  CHECK(patterns.size() > 1);
}

TEST_CASE("joint: as much memory with twelve critics as with two") {
  const data::Dataset set = digits(90, 3);
  const auto peak = [&](std::uint64_t critics) {
    const std::size_t before = memory_statistics().in_use_bytes;
    const Owned trainer(make(set, plan_of(PrivacyMode::joint, critics), "", 1, 14));
    reset_memory_peak();
    while (!trainer->done()) REQUIRE(trainer->step().ok());
    return static_cast<double>(memory_statistics().peak_bytes - before);
  };
  const double two = peak(2);
  CHECK(two > 10000);
  CHECK(peak(12) <= 1.02 * two);
}

TEST_CASE("private trainer: NaN or Inf in a critic does not stop it and reaches no weight") {
  const data::Dataset set = digits(60, 2);
  const TemporaryFolder folder;
  for (const PrivacyMode mode : {PrivacyMode::eq5, PrivacyMode::joint, PrivacyMode::dp_sgd})
    for (const float value : {3e38F, 1e19F}) {
      CAPTURE(mode);
      CAPTURE(value);
      const std::string path = folder / "state";
      const Owned trainer(make(set, plan_of(mode, 1), ""));
      REQUIRE(trainer->step().ok());
      REQUIRE(trainer->save(path).ok());
      poison_state(path, "critic/linear.bias", value, "private-gan-training");
      REQUIRE(trainer->load(path).ok());
      CHECK(finite(trained(*trainer)));
      CHECK(trainer->iteration() == 5);
    }
}

TEST_CASE("private trainer: a batch of one, one class, one sample, and light generators") {
  const data::Dataset set = digits(60, 1);
  for (const PrivacyMode mode : modes) {
    CAPTURE(mode);
    gan::GanSettings s = settings(2);
    s.batch = 1;
    s.noise = "gaussian";
    PrivateTrainer one(set, {4}, s, plan_of(mode, 1), 1, 0, privacy::seeded_noise_key(1));
    CHECK(finite(trained(one)));
    s.generator = "light";
    PrivateTrainer few(set, {4, 5}, s, plan_of(mode, 2), 1, 0, privacy::seeded_noise_key(1));
    CHECK(finite(trained(few)));
  }
}

TEST_CASE("private trainer: what cannot be trained, saved or taken up") {
  const data::Dataset set = digits(60, 2);
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  const NoisePlan joint = plan_of(PrivacyMode::joint, 7);
  CHECK_THROWS_WITH(PrivateTrainer(set, {}, settings(2), joint, 1, 0, {}),
                    "GAN: no samples to train on");
  CHECK_THROWS_WITH(PrivateTrainer(set, {1, 2}, settings(2), joint, 1, 0, {}),
                    "--critics 7: the device has 2 images, expected at least one for each critic");
  CHECK(Owned(make(set, joint, ""))->save(path).failure().message ==
        path + ": a training with several critics is saved only where they have a file");

  const Owned trainer(make(set, plan_of(PrivacyMode::eq5, 1), ""));
  const auto refused = [&](const Owned& stranger) {
    REQUIRE(stranger->save(path).ok());
    const Result<void> loaded = trainer->load(path);
    REQUIRE_FALSE(loaded.ok());
    CHECK(loaded.failure().message.find("state of another training") != std::string::npos);
  };
  refused(Owned(make(set, plan_of(PrivacyMode::dp_sgd, 1), "")));
  refused(Owned(make(set, plan_of(PrivacyMode::eq5, 1), "", 1, 9)));
  NoisePlan quieter = plan_of(PrivacyMode::eq5, 1);
  quieter.sigma = 0.1;
  refused(Owned(make(set, quieter, "")));
  CHECK(trained(*trainer) == trained(*Owned(make(set, plan_of(PrivacyMode::eq5, 1), ""))));
  CHECK_THROWS_WITH((void)trainer->step(), "GAN: the training is done");
}

}  // namespace private_trainer_test
