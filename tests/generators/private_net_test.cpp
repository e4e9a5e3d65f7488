// Private modes of the net behind the one interface: what is counted, what the card says, and what
// is refused.

#include <doctest/doctest.h>

#include <cmath>

#include "gan/small_training.hpp"
#include "iotsl/generators/training.hpp"
#include "support/temporary_folder.hpp"

namespace private_net_test {

using namespace iotsl;
using namespace small_training;
using generators::GeneratorSettings;
using generators::GeneratorTraining;
using privacy::PrivacyMode;

constexpr PrivacyMode modes[] = {PrivacyMode::eq5, PrivacyMode::gswgan, PrivacyMode::joint,
                                 PrivacyMode::dp_sgd};

GeneratorSettings net_of(PrivacyMode mode, double sigma, Index iterations,
                         std::uint64_t critics = 1) {
  GeneratorSettings out;
  out.net.iterations = iterations;
  out.privacy = {.mode = mode, .noise_multiplier = sigma, .critics = critics};
  return out;
}
GeneratorSettings small_net(PrivacyMode mode, std::uint64_t critics = 3) {
  GeneratorSettings out = net_of(mode, 1.07, 3, privacy::has_shards(mode) ? critics : 1);
  out.net = settings(3);
  return out;
}
privacy::PrivacyCard card_of(const GeneratorSettings& s, std::uint64_t records) {
  return generators::privacy_card(s, records);
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("eq5: the paper's noise is thousands, in 1,000 steps and in 20,000") {
  const auto epsilon = [](Index steps) {
    return card_of(net_of(PrivacyMode::eq5, 1.07, steps), 12000).release.epsilon;
  };
  CHECK(epsilon(1000) == doctest::Approx(1998).epsilon(3e-4));
  CHECK(epsilon(20000) == doctest::Approx(36064).epsilon(3e-5));
  const privacy::PrivacyCard card = card_of(net_of(PrivacyMode::eq5, 1.07, 1000), 12000);
  CHECK(card.release.epsilon_replace_one == card.release.epsilon);
  CHECK(card.release.accountant == "exact");
  CHECK(card.noise_multiplier == doctest::Approx(0.535));
  CHECK(card.sensitivity == 2);
  CHECK(card.sampling_rate == 1);
  CHECK(card.steps == 1000);
  CHECK(card.zcdp_rho == doctest::Approx(1000 / (2 * 0.535 * 0.535)));
  CHECK(contains(card.mechanism, "sigma 1.07 (the paper's equation 5)"));
}

TEST_CASE(
    "gswgan: counted with its rows together and its draws known, the published count beside") {
  const privacy::PrivacyCard card = card_of(net_of(PrivacyMode::gswgan, 1.07, 20000, 1000), 60000);
  CHECK(card.release.epsilon == doctest::Approx(610.3).epsilon(1e-3));
  CHECK(card.release.epsilon_replace_one == card.release.epsilon);
  CHECK(card.release.accountant == "exact");
  CHECK(card.published_count == doctest::Approx(9.993).epsilon(1e-4));
  CHECK(card.noise_multiplier == doctest::Approx(1.07 / std::sqrt(32.0)));
  CHECK(card.sensitivity == doctest::Approx(2 / std::sqrt(32.0)));
  CHECK(card.sampling_rate == 0.001);
  CHECK(card.critics == 1000);
  CHECK(contains(describe(card), "the count published with GS-WGAN gives 9.993"));
  CHECK(card_of(net_of(PrivacyMode::joint, 1.07, 10, 9), 60).published_count == 0);
}

TEST_CASE("joint: sampling without replacement, whichever neighbour is meant") {
  const privacy::PrivacyCard card = card_of(net_of(PrivacyMode::joint, 1.07, 20000, 100), 12000);
  CHECK(card.release.epsilon == doctest::Approx(19.4).epsilon(5e-3));
  CHECK(card.release.epsilon_replace_one == card.release.epsilon);
  CHECK(card.release.accountant == "renyi");
  CHECK(card.noise_multiplier == doctest::Approx(1.07));
  // One critic is no sampling at all.
  const privacy::PrivacyCard one = card_of(net_of(PrivacyMode::joint, 1.07, 100), 12000);
  CHECK(one.release.epsilon == doctest::Approx(privacy::gaussian_epsilon(10 / 1.07, 1e-5)));
}

TEST_CASE("dp-sgd: every critic step counts, batches are a share of the records") {
  const privacy::PrivacyCard card = card_of(net_of(PrivacyMode::dp_sgd, 1, 2000), 12000);
  CHECK(card.steps == 10000);
  CHECK(card.sampling_rate == doctest::Approx(32.0 / 12000));
  const privacy::Mechanism same{
      .noise_multiplier = 1, .sampling_rate = 32.0 / 12000, .steps = 10000};
  CHECK(card.release.epsilon ==
        privacy::renyi_epsilon({&same, 1}, privacy::Adjacency::zero_out, 1e-5).epsilon);
  CHECK(card.release.epsilon_replace_one > card.release.epsilon);
  CHECK(card.sensitivity == 1);
  CHECK(card_of(net_of(PrivacyMode::dp_sgd, 1, 10), 20).sampling_rate == 1);  // fewer than a batch
}

TEST_CASE("private nets: the card names what is not covered, floating point too") {
  for (const PrivacyMode mode : modes) {
    const auto card = card_of(small_net(mode), 60);
    REQUIRE(card.not_covered.size() == 4);
    CHECK(contains(card.not_covered[3], "floating-point"));
    CHECK(card.records == 60);
    CHECK(card.records_times_delta == doctest::Approx(60e-5));
    CHECK(card.release.epsilon_small_delta > card.release.epsilon);
  }
}

TEST_CASE("private nets: the noise that is found keeps the target, and little less would not") {
  for (const PrivacyMode mode : modes)
    for (const double target : {0.5, 10.0, 300.0}) {
      CAPTURE(mode);
      CAPTURE(target);
      GeneratorSettings s = net_of(mode, 0, 400, privacy::has_shards(mode) ? 20 : 1);
      s.privacy.epsilon = target;
      const auto noise = generators::net_noise(s.privacy, s.net, 3000);
      REQUIRE(noise.ok());
      CHECK(card_of(s, 3000).release.epsilon <= target);
      GeneratorSettings given = s;  // what the trainer adds, as if it had been given
      given.privacy.epsilon = 0;
      given.privacy.noise_multiplier = noise->plan.sigma;
      CHECK(card_of(given, 3000).release.epsilon <= target);
      given.privacy.noise_multiplier *= 0.9995;
      CHECK(card_of(given, 3000).release.epsilon > target);
      const gan::NoiseScale scale = gan::noise_scale(noise->plan, s.net.batch);
      CHECK(scale.deviation / scale.sensitivity >= noise->release.noise_multiplier);
    }
}

TEST_CASE("private nets: a file of every mode; nothing in its card depends on pixels") {
  const data::Dataset set = digits(60, 3);
  data::Dataset other = set;
  for (auto& pixel : other.pixels) pixel = static_cast<std::uint8_t>(255 - pixel);
  for (const PrivacyMode mode : modes) {
    CAPTURE(mode);
    const GeneratorSettings s = small_net(mode);
    const auto made = [&](const data::Dataset& of, std::uint64_t key) {
      GeneratorTraining training(of, all_of(of), {s, 7, 2}, privacy::seeded_noise_key(key));
      CHECK(training.is_private());
      CHECK(training.check_every() == 0);
      CHECK(training.iterations() == 3);
      while (!training.done()) CHECK(training.step().value().iterations == 3);
      CHECK(training.release().mode == mode);
      return training.finish().value();
    };
    const generators::GeneratorFile file = made(set, 1);
    CHECK(file.card.privacy.mode == mode);
    CHECK_FALSE(file.card.quality.checked);
    CHECK(file.card.iterations == 3);
    const auto bytes = generators::serialize_generator(file).value();
    CHECK(bytes.size() <= generators::generator_file_limit(s, file.card.images));
    CHECK(generators::serialize_generator(generators::parse_generator(bytes).value()).value() ==
          bytes);
    CHECK(generators::serialize_generator(made(set, 1)).value() == bytes);
    CHECK(generators::serialize_generator(made(set, 2)).value() != bytes);
    const generators::GeneratorFile changed = made(other, 1);
    CHECK(to_text(to_json_fields(changed.card)) == to_text(to_json_fields(file.card)));
    CHECK(generators::serialize_generator(changed).value() != bytes);
  }
}

TEST_CASE("private nets: one that was stopped goes on with the same bits and is the same release") {
  const data::Dataset set = digits(60, 3);
  const TemporaryFolder folder;
  for (const PrivacyMode mode : modes) {
    CAPTURE(mode);
    const generators::GeneratorTask task{small_net(mode), 7, 2};
    const auto critics = folder / concat("critics-", mode);
    std::vector<std::uint8_t> whole;
    std::string id;
    {
      GeneratorTraining first(set, all_of(set), task, {1}, critics);
      REQUIRE(first.step().ok());
      REQUIRE(first.save(folder / "state").ok());
      id = first.release().id;
      while (!first.done()) REQUIRE(first.step().ok());
      whole = generators::serialize_generator(first.finish().value()).value();
    }
    GeneratorTraining second(set, all_of(set), task, {99}, critics);
    CHECK(second.release().id != id);
    REQUIRE(second.load(folder / "state").ok());
    CHECK(second.release().id == id);
    while (!second.done()) REQUIRE(second.step().ok());
    CHECK(generators::serialize_generator(second.finish().value()).value() == whole);
  }
}

TEST_CASE("private nets: two trainings compose in the ledger, each as what it is") {
  const TemporaryFolder folder;
  const auto release = [&](PrivacyMode mode, const char* id) {
    privacy::Release out = generators::planned_release(small_net(mode), 600).value();
    out.id = id;
    return out;
  };
  double before = 0;
  for (const PrivacyMode mode : modes) {
    const auto ledger = privacy::enter_release(folder / "ledger.json",
                                               release(mode, privacy::to_string(mode)), 1e-5, 1e9);
    REQUIRE(ledger.ok());
    const auto all = privacy::read_ledger(folder / "ledger.json").value();
    CHECK(all.releases.back().under(privacy::Adjacency::zero_out).bounded_output ==
          (mode != PrivacyMode::dp_sgd));
    const double now = privacy::composed_epsilon(all.current(), privacy::Adjacency::zero_out, 1e-5);
    CHECK(now > before);
    CHECK(now >= card_of(small_net(mode), 600).release.epsilon);
    before = now;
  }
}

TEST_CASE("private nets: what does not go together is refused") {
  const ImageSpec images;
  const auto error = [&](const GeneratorSettings& s, std::uint64_t records = 100) {
    Result<void> good = generators::check_settings(s, images);
    if (good)
      if (const auto planned = generators::planned_release(s, records); !planned)
        good = planned.failure();
    return good ? std::string("no error") : good.failure().message;
  };
  GeneratorSettings s = small_net(PrivacyMode::joint);
  CHECK(error(s) == "no error");
  CHECK(error(s, 2) ==
        "--critics 3: the device has 2 images, expected at least one for each critic");
  CHECK(error(s, 0) == "GAN: no samples to train on");
  s.net.check_every = 50;
  CHECK(error(s) ==
        "--privacy joint: a check every 50 iterations; expected 0 (as in every preset but auto): "
        "what is learned of the quality must not stop a private training");
  s = small_net(PrivacyMode::dp_sgd);
  s.privacy.critics = 2;
  CHECK(error(s) == "--critics 2: only for --privacy gswgan and joint, not for dp-sgd");
  s = small_net(PrivacyMode::gswgan);
  s.privacy.noise_multiplier = 1e-6;
  CHECK(error(s) ==
        "--noise-multiplier 1e-06: noise_multiplier 3.53553e-07: expected a number from 1e-06 to "
        "1e+09");
  s = small_net(PrivacyMode::joint);
  s.privacy.noise_multiplier = 0;
  CHECK(error(s) ==
        "--privacy joint: expected either --epsilon or --noise-multiplier, got neither");
  REQUIRE(generators::apply_privacy(s).ok());
  CHECK(s.privacy.noise_multiplier == 0);
  for (const PrivacyMode mode : {PrivacyMode::eq5, PrivacyMode::gswgan}) {
    s = small_net(mode);
    s.privacy.noise_multiplier = 0;
    REQUIRE(generators::apply_privacy(s).ok());
    CHECK(s.privacy.noise_multiplier == 1.07);
    CHECK(error(s) == "no error");
  }
}

}  // namespace private_net_test
