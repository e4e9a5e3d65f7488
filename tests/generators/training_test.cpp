#include "iotsl/generators/training.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "gan/small_training.hpp"
#include "iotsl/data/drawn/faces.hpp"
#include "support/temporary_folder.hpp"

namespace generators_training_test {

using namespace iotsl;
using namespace small_training;
using generators::GeneratorFile;
using generators::GeneratorKind;
using generators::GeneratorSettings;
using generators::GeneratorTask;
using generators::GeneratorTraining;

GeneratorSettings net_settings(Index iterations) {
  GeneratorSettings out;
  out.net = settings(iterations);
  return out;
}
/// `epsilon` 0: without privacy.
GeneratorSettings moments_settings(double epsilon) {
  GeneratorSettings out;
  out.kind = GeneratorKind::moments;
  if (epsilon > 0) out.privacy = {.mode = privacy::PrivacyMode::moments, .epsilon = epsilon};
  REQUIRE(generators::apply_privacy(out).ok());
  return out;
}

GeneratorFile trained(const data::Dataset& set, std::vector<Index> samples,
                      const GeneratorSettings& s, const privacy::ChaChaKey& key = {}) {
  GeneratorTraining training(set, std::move(samples), {s, 7, 2}, key);
  while (!training.done()) REQUIRE(training.step().ok());
  return training.finish().value();
}

std::vector<std::uint8_t> bytes_of_file(const GeneratorFile& file) {
  return generators::serialize_generator(file).value();
}

TEST_CASE("generator training: the card of either kind says what the device held") {
  const data::Dataset set = digits(300, 4);
  std::vector<Index> mine;  // no sample of class 1
  for (const Index i : all_of(set))
    if (set.labels[static_cast<std::size_t>(i)] != 1) mine.push_back(i);
  for (const GeneratorSettings& s : {net_settings(1), moments_settings(0)}) {
    const generators::GeneratorCard card = trained(set, mine, s).card;
    CHECK(card.label_counts == data::count_labels(set, mine));
    CHECK(card.seed == 7);
    CHECK(card.device == 2);
    CHECK(card.dataset == "glyphs");
    CHECK(card.quality.classes == std::vector<std::uint32_t>{0, 2, 3});
    CHECK(card.quality.checked);
    CHECK(card.privacy.mode == privacy::PrivacyMode::off);
  }
}

TEST_CASE("generator training: a coarse net learns small images and gives large ones") {
  const data::Dataset set =
      data::make_faces(data::Split::train, {.count = 64, .height = 128, .width = 96});
  GeneratorSettings coarse = net_settings(2);
  coarse.net.generator = "coarse";
  const GeneratorFile file = trained(set, all_of(set), coarse);
  CHECK(file.card.images == gan::image_spec(set));
  CHECK(file.generator.images() == file.card.images);
  CHECK(file.generator.net()->net.spec().images == ImageSpec{3, 32, 32, 8});
  const std::vector<std::uint8_t> bytes = bytes_of_file(file);
  CHECK(bytes.size() <= generators::generator_file_limit(coarse, file.card.images));
  const GeneratorFile read = generators::parse_generator(bytes).value();
  data::Dataset a = gan::empty_set("a", file.card.images), b = a;
  CHECK(file.append(a, 2, 3, 11));
  CHECK(read.append(b, 2, 3, 11));
  CHECK(a.size() == 3);
  CHECK(a.pixels.size() == 3 * 3 * 128 * 96);
  CHECK(a.pixels == b.pixels);
  // A training of other samples of the set does not go on with its state.
  const TemporaryFolder folder;
  GeneratorTraining first(set, {0, 1, 2, 3, 4, 5, 6, 7}, {coarse, 7, 2}, {}),
      second(set, {0, 1, 2, 3, 4, 5, 6, 15}, {coarse, 7, 2}, {}),
      same(set, {0, 1, 2, 3, 4, 5, 6, 7}, {coarse, 7, 2}, {});
  REQUIRE(first.save(folder / "state").ok());
  CHECK_FALSE(second.load(folder / "state").ok());
  CHECK(same.load(folder / "state").ok());
}

TEST_CASE("generator training: a file of either kind is read back and makes the same images") {
  const data::Dataset set = digits(300, 3);
  for (const GeneratorSettings& s : {net_settings(1), moments_settings(0), moments_settings(10)}) {
    const GeneratorFile file = trained(set, all_of(set), s);
    const std::vector<std::uint8_t> bytes = bytes_of_file(file);
    CHECK(bytes.size() <= generators::generator_file_limit(s, file.card.images));
    const GeneratorFile read = generators::parse_generator(bytes).value();
    CHECK(bytes_of_file(read) == bytes);
    CHECK(read.generator.kind() == s.kind);
    CHECK(read.generator.values() == file.generator.values());
    data::Dataset a = gan::empty_set("a", file.card.images), b = a, more = a;
    CHECK(file.append(a, 2, 5, 11));
    CHECK(read.append(b, 2, 5, 11));
    CHECK(read.append(more, 2, 40, 11));
    CHECK(a.pixels == b.pixels);
    CHECK(std::equal(a.pixels.begin(), a.pixels.end(), more.pixels.begin()));
  }
}

TEST_CASE("generator training: moments without noise learn the digits, in the same bytes again") {
  const data::Dataset set = digits(2000);
  const GeneratorFile file = trained(set, all_of(set), moments_settings(0));
  CHECK(file.card.quality.accuracy > 0.7);
  CHECK(bytes_of_file(trained(set, all_of(set), moments_settings(0))) == bytes_of_file(file));
}

TEST_CASE("generator training: after the first step of moments the file's bytes are known") {
  const data::Dataset grey = digits(120);
  const data::Dataset colour =
      data::make_faces(data::Split::train, {.count = 48, .height = 16, .width = 16});
  struct Case {
    const data::Dataset& set;
    data::Label most;  ///< classes that the device has: 0 to this one
    double epsilon;
  };
  for (const Case& c : {Case{grey, 9, 0}, Case{grey, 1, 10}, Case{grey, 0, 10}, Case{colour, 7, 10},
                        Case{colour, 1, 0}, Case{colour, 0, 0}}) {
    std::vector<Index> mine;
    for (const Index i : all_of(c.set))
      if (c.set.labels[static_cast<std::size_t>(i)] <= c.most) mine.push_back(i);
    GeneratorTraining training(c.set, mine, {moments_settings(c.epsilon), 7, 2}, {});
    REQUIRE(training.step().ok());
    const std::size_t sums = training.moments()->sums_bytes();
    const Index values = training.moments()->released_values();
    generators::GeneratorCard card = training.card();
    while (!training.done()) REQUIRE(training.step().ok());
    const GeneratorFile file = training.finish().value();
    card.iterations = file.card.iterations;
    card.quality = file.card.quality;
    INFO(c.set.channels << " channels, classes to " << int{c.most} << ", epsilon " << c.epsilon);
    CHECK(generators::moments_file_bytes(card, sums) == bytes_of_file(file).size());
    CHECK(static_cast<std::uint64_t>(values) == file.generator.values());
  }
}

TEST_CASE("generator training: a private card promises and tells nothing of the pixels") {
  const data::Dataset set = digits(400);
  const GeneratorSettings s = moments_settings(10);
  const GeneratorFile file = trained(set, all_of(set), s, {1, 2, 3});
  const privacy::PrivacyCard& card = file.card.privacy;
  CHECK(card.release.epsilon <= 10);
  CHECK(card.release.epsilon > 9.99);
  CHECK(card.release.epsilon_replace_one > card.release.epsilon);
  CHECK(card.release.epsilon_small_delta > card.release.epsilon);
  CHECK(card.records == 400);
  CHECK(card.records_times_delta == doctest::Approx(400e-5));
  CHECK(card.zcdp_rho == doctest::Approx(2.0).epsilon(1e-3));
  CHECK(card.not_covered.size() == 3);
  CHECK_FALSE(file.card.quality.checked);

  // Another image of the same label in place of one: the card has the same bytes.
  data::Dataset other = set;
  for (auto& pixel : other.pixels) pixel = static_cast<std::uint8_t>(255 - pixel);
  const GeneratorFile changed = trained(other, all_of(other), s, {1, 2, 3});
  CHECK(to_text(to_json_fields(changed.card)) == to_text(to_json_fields(file.card)));
  CHECK(bytes_of_file(changed) != bytes_of_file(file));
  // Another key: other noise.
  CHECK(bytes_of_file(trained(set, all_of(set), s, {4})) != bytes_of_file(file));
}

TEST_CASE("generator training: one that was stopped goes on with the same bits") {
  const data::Dataset set = digits(300, 3);
  const TemporaryFolder folder;
  for (const GeneratorSettings& s : {net_settings(3), moments_settings(10)}) {
    const GeneratorTask task{s, 7, 2};
    GeneratorTraining whole(set, all_of(set), task, {1});
    REQUIRE(whole.step().ok());
    REQUIRE(whole.save(folder / "state").ok());
    GeneratorTraining second(set, all_of(set), task, {99});
    REQUIRE(second.load(folder / "state").ok());
    CHECK(second.iteration() == 1);
    for (GeneratorTraining* each : {&whole, &second})
      while (!each->done()) REQUIRE(each->step().ok());
    CHECK(bytes_of_file(*second.finish()) == bytes_of_file(*whole.finish()));
    if (!second.is_private()) continue;
    CHECK(second.release().id == whole.release().id);
    CHECK(second.release().id != GeneratorTraining(set, all_of(set), task, {99}).release().id);
  }
}

TEST_CASE("generator training: weights that have become NaN are not written") {
  const data::Dataset set = digits(60, 2);
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  GeneratorTraining training(set, all_of(set), {net_settings(4), 1, 0}, {});
  REQUIRE(training.save(path).ok());
  poison_state(path, "average/", std::nanf(""));
  REQUIRE(training.load(path).ok());
  const auto file = generators::serialize_generator(training.finish().value());
  REQUIRE_FALSE(file.ok());
  CHECK(file.failure().message.find("NaN or Inf") != std::string::npos);
}

TEST_CASE("generator settings: kind and privacy have to go together") {
  const ImageSpec images;
  const auto error = [&](GeneratorSettings s) {
    const Result<void> good = generators::check_settings(s, images);
    return good ? std::string("no error") : good.failure().message;
  };
  GeneratorSettings s;
  s.net = settings(3);
  CHECK(error(s) == "no error");
  s.privacy = {.mode = privacy::PrivacyMode::moments, .epsilon = 10};
  CHECK(error(s) == "--privacy moments --generator net: that mode is one of --generator moments");
  s = moments_settings(0);
  s.privacy = {.mode = privacy::PrivacyMode::eq5, .epsilon = 10};
  CHECK(error(s) == "--privacy eq5 --generator moments: that mode is one of --generator net");
  s = moments_settings(10);
  s.privacy.noise_multiplier = 1;
  CHECK(error(s) == "--privacy moments: expected either --epsilon or --noise-multiplier, got both");
  s.privacy.epsilon = s.privacy.noise_multiplier = 0;
  CHECK(error(s) ==
        "--privacy moments: expected either --epsilon or --noise-multiplier, got neither");
  s = moments_settings(10);
  s.privacy.critics = 5;
  CHECK(error(s) == "--critics 5: only for --privacy gswgan and joint, not for moments");
  s.privacy = {.mode = privacy::PrivacyMode::moments, .epsilon = 10, .delta = 2};
  CHECK(error(s) == "--delta: delta 2: out of range, expected 1e-17 <= delta < 1");
}

}  // namespace generators_training_test
