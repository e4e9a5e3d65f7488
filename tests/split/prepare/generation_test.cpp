// What generators are asked for by what their checks have found, and what of it is held out.

#include <set>

#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace generation_test {

using namespace tiny;

TEST_CASE("pre-training: the held-out part of generated images holds no copy of the others") {
  // Three bits make eight images of a class.
  Setting s;
  s.config.preparation.generator.net.latent = 3;
  const std::vector<std::uint8_t> file = train_generator(s, 0).file;
  impute::GenerationLog log;
  log.entries = {{0, 0, 120, 1, 120}, {0, 1, 120, 2, 120}};
  const data::Dataset set = *generate_dataset(log, gan::image_spec(s.train), [&](std::size_t) {
    return generators::parse_generator(file);
  });
  const data::HeldOutSplit parts = hold_out(set, 5);
  CHECK(parts.train.size() + parts.held_out.size() == 240);
  const auto images_of = [&](const std::vector<Index>& samples) {
    std::set<std::vector<std::uint8_t>> out;
    for (const Index i : samples) out.emplace(set.sample(i).begin(), set.sample(i).end());
    return out;
  };
  const auto train = images_of(parts.train), held_out = images_of(parts.held_out);
  CHECK(train.size() <= 14);
  CHECK(held_out.size() == 2);
  for (const auto& image : held_out) CHECK(train.count(image) == 0);
  Sequential<float> net = new_net(s.config);
  const auto report =
      pretrain(net, set, {.optimizer = s.config.training.optimizer, .iterations = 2}, {});
  REQUIRE(report.ok());
  CHECK(report->distinct == train.size() + 2);
  // One image for each class is learned by heart or not at all.
  data::Dataset same = set;
  for (std::size_t i = 0; i < same.pixels.size(); ++i) same.pixels[i] = same.pixels[i % 256];
  CHECK(pretrain(net, same, {}, {}).failure().message ==
        "pre-training: 240 generated samples have too few different images");
}

TEST_CASE("preparation: the generation log is written without pre-training, too") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  s.config.preparation.pretrain = false;
  Preparation preparation(s.config, {});
  store_all(preparation, s);
  Sequential<float> net = new_net(s.config);
  REQUIRE(preparation.prepare(net, s.test, s.histograms()).value());
  const Json log =
      parse_json(read_text_file(join_path(s.config.out, generation_log_name)).value()).value();
  CHECK(log.find("entries")->size() == 4);
  CHECK(log.find("struck")->size() == 0);
  s.config.preparation.pretrain = true;
  s.config.out = folder / "other";
  Preparation both(s.config, {});
  store_all(both, s);
  REQUIRE(both.prepare(net, s.test, s.histograms()).value());
  CHECK(parse_json(read_text_file(join_path(s.config.out, generation_log_name)).value()).value() ==
        log);
}

TEST_CASE(
    "preparation: a class that failed its check is not used where another generator is better") {
  // Device 0 holds all classes, device 1 two of them, a third device none of these two.
  Setting s;
  s.config.devices = 3;
  s.samples = {data::count_up(s.train.size()), s.samples[0], s.samples[1]};
  std::vector<std::vector<std::uint64_t>> histograms;
  for (const auto& samples : s.samples) histograms.push_back(data::count_labels(s.train, samples));
  const TemporaryFolder folder;
  const auto prepared = [&](const char* name,
                            const std::vector<std::vector<double>>& informedness) {
    s.config.out = folder / name;
    Preparation preparation(s.config, {});
    REQUIRE(preparation.open().ok());
    for (std::uint32_t d = 0; d < 3; ++d) {
      generators::GeneratorFile file =
          generators::parse_generator(train_generator(s, d).file).value();
      gan::Quality& quality = file.card.quality;
      quality.classes.clear();
      for (std::uint32_t label = 0; label < 4; ++label)
        if (histograms[d][label] > 0) quality.classes.push_back(label);
      quality.checked = true;
      quality.threshold = 0.5;
      quality.class_informedness = informedness[d];
      quality.class_accuracy = informedness[d];
      quality.class_held_out.assign(quality.classes.size(), 10);
      const auto bytes = generators::serialize_generator(file).value();
      net::GenUpload upload;
      upload.file = bytes;
      const auto good = preparation.check({}, histograms[d], upload);
      REQUIRE_MESSAGE(good.ok(), good.failure().message);
      REQUIRE(preparation.store(d, *good, bytes).ok());
    }
    Sequential<float> net = new_net(s.config);
    REQUIRE(preparation.prepare(net, s.test, histograms).value());
    return preparation.record();
  };
  // Classes 0 and 1 are missing on device 2. The superset of device 0 has failed in class 1.
  const PreparationRecord mixed = prepared("mixed", {{1, 0.4, 1, 1}, {0.9, 0.8}, {0.9, 0.8}});
  CHECK(mixed.struck == std::vector<impute::ClassOfGenerator>{{0, 1}});
  CHECK(mixed.used_though_failed.empty());
  CHECK(mixed.devices[2].generators == std::vector<std::uint64_t>{1});
  CHECK(mixed.generators[0].passed == std::vector<std::uint64_t>{0, 2, 3});
  CHECK(mixed.generators[0].failed == std::vector<std::uint64_t>{1});
  CHECK(mixed.pretraining.training.samples == 52 + 25 + 16);
  // Nobody has passed it: it is used, and said so.
  const PreparationRecord none = prepared("none", {{1, 0.4, 1, 1}, {0.9, 0.2}, {0.9, 0.8}});
  CHECK(none.struck.empty());
  CHECK(none.used_though_failed == std::vector<impute::ClassOfGenerator>{{0, 1}, {1, 1}});
  CHECK(read_preparation(folder / "none")->used_though_failed == none.used_though_failed);
}

}  // namespace generation_test
