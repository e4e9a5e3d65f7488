// What happens between the generators and the turns: generated data, pre-training, the plan, and
// how all of it goes on after a stop.

#include "iotsl/split/server/split_model.hpp"
#include "iotsl/split/simulate/preparation_inproc.hpp"
#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace server_preparation_test {

using namespace tiny;

namespace {

Sequential<float> new_net(const RunConfig& config) {
  return build_split_model(config).value().joined;
}

struct StopAfter {
  int calls;
  static bool ask(void* self) { return --static_cast<StopAfter*>(self)->calls < 0; }
};
RunHooks hooks_of(StopAfter& stop) {
  RunHooks out;
  out.context = &stop;
  out.should_stop = &StopAfter::ask;
  return out;
}

/// Both generators stored in a new preparation.
void store_all(Preparation& preparation, const Setting& s) {
  REQUIRE(preparation.open().ok());
  for (std::uint32_t d = 0; d < 2; ++d) {
    const Trained made = train_generator(s, d);
    net::GenUpload upload;
    upload.file = made.file;
    upload.cost.compute_us = 2000000;
    const auto good = preparation.check(data_fingerprint(s.train.sha256, s.samples[d]),
                                        count_labels(s.train, s.samples[d]), upload);
    REQUIRE_MESSAGE(good.ok(), good.failure().message);
    const auto stored = preparation.store(d, *good, upload.file);
    REQUIRE_MESSAGE(stored.ok(), stored.failure().message);
  }
}

}  // namespace

TEST_CASE("generated data: classes and counts of every histogram, from each device's generator") {
  const Setting s;
  std::vector<std::vector<std::uint8_t>> files{train_generator(s, 0).file,
                                               train_generator(s, 1).file};
  const auto histograms = s.histograms();
  REQUIRE(histograms[0] == std::vector<std::uint64_t>{13, 12, 0, 0});
  const GenerationLog log = plan_generation(histograms, histograms, 7);
  REQUIRE(log.entries.size() == 4);
  CHECK(log.samples() == 41);
  int loaded = 0;
  const auto load = [&](std::size_t device) {
    ++loaded;
    return gan::parse_generator(files[device]);
  };
  const auto generated = generate_dataset(log, image_spec(s.train), load);
  REQUIRE(generated.ok());
  CHECK(loaded == 2);
  CHECK(data::class_counts(generated->labels, 4) == std::vector<Index>{13, 12, 8, 8});
  CHECK(generated->pixels.size() == 41 * 256);
  // The same seed, the same bytes; another one, others.
  CHECK(generate_dataset(log, image_spec(s.train), load)->pixels == generated->pixels);
  const GenerationLog other = plan_generation(histograms, histograms, 8);
  CHECK(generate_dataset(other, image_spec(s.train), load)->pixels != generated->pixels);
  // What a generator has never seen is not asked of it.
  auto trained = histograms;
  trained[0][1] = 0;
  CHECK(plan_generation(histograms, trained, 7).samples() == 29);
}

TEST_CASE("generated data: a card with impossible counts is refused") {
  const Setting s;
  gan::GeneratorFile file = gan::parse_generator(train_generator(s, 0).file).value();
  CHECK(check_generator_fits(file, image_spec(s.train), s.histograms()[0]).ok());
  for (const std::uint64_t count : {std::uint64_t{1000000001}, (std::uint64_t{1} << 63) - 1}) {
    file.card.label_counts[1] = count;
    CHECK(check_generator_fits(file, image_spec(s.train), s.histograms()[0]).failure().message ==
          concat("the generator's card counts ", count,
                 " samples of class 1, expected 0 to 1000000000"));
  }
}

TEST_CASE("pre-training: a tenth of each class is held out") {
  const data::Dataset set = dataset(61, 3);  // 16, 15, 15, 15
  const data::HeldOutSplit parts = hold_out(set, 5);
  CHECK(parts.train.size() + parts.held_out.size() == 61);
  std::vector<int> held(4);
  for (const Index i : parts.held_out) {
    ++held[set.labels[static_cast<std::size_t>(i)]];
    CHECK_FALSE(std::binary_search(parts.train.begin(), parts.train.end(), i));
  }
  CHECK(held == std::vector<int>{2, 2, 2, 2});
  CHECK(hold_out(set, 5).held_out == parts.held_out);
  CHECK(hold_out(set, 6).held_out != parts.held_out);
}

TEST_CASE("pre-training: learns, keeps the best weights, and stops when nothing improves") {
  // Real samples stand for generated ones: their classes are bright quarters of the image. Some
  // labels are wrong: who learns these by heart gets worse on others.
  data::Dataset set = dataset(120, 1);
  for (std::size_t i = 0; i < 120; i += 7)
    set.labels[i] = static_cast<data::Label>((set.labels[i] + 1) % 4);
  const RunConfig config = tiny::config();
  Sequential<float> net = new_net(config);
  const PretrainOptions options{
      .optimizer = config.optimizer, .iterations = 400, .batch = 16, .patience = 3, .seed = 3};
  const auto report = pretrain(net, set, options, {});
  REQUIRE_MESSAGE(report.ok(), report.failure().message);
  CHECK(report->samples == 120);
  CHECK(report->held_out == 12);
  CHECK(report->held_out_accuracy > 0.6);
  CHECK(report->iterations < 400);  // it has stopped by itself
  CHECK(report->best_iteration <= report->iterations);
  // What is left are the weights of the best iteration.
  Sequential<float> shorter = new_net(config);
  PretrainOptions until_best = options;
  until_best.iterations = static_cast<Index>(report->best_iteration);
  REQUIRE(pretrain(shorter, set, until_best, {}).ok());
  CHECK(state_sha256(shorter) == state_sha256(net));
  CHECK(evaluate(net, data::select_samples(set, hold_out(set, 3).held_out)).loss ==
        report->held_out_loss);
}

TEST_CASE("pre-training: no NaN goes unnoticed, and a stop is no failure") {
  const data::Dataset set = dataset(60, 1);
  RunConfig config = tiny::config();
  Sequential<float> net = new_net(config);
  config.optimizer = {.kind = OptimizerKind::sgd, .lr = 1e6, .momentum = 0.9};
  const auto wild = pretrain(net, set, {.optimizer = config.optimizer, .batch = 16}, {});
  REQUIRE_FALSE(wild.ok());
  CHECK(wild.failure().message.find("NaN or Inf") != std::string::npos);
  StopAfter stop{3};
  const auto stopped = pretrain(net = new_net(tiny::config()), set,
                                {.optimizer = tiny::config().optimizer}, hooks_of(stop));
  REQUIRE(stopped.ok());
  CHECK(stopped->stopped);
  CHECK(stopped->iterations == 3);
}

TEST_CASE("preparation: what is finished is not done again after a stop") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "whole";
  Preparation whole(s.config, {});
  store_all(whole, s);
  Sequential<float> expected = new_net(s.config);
  REQUIRE(whole.prepare(expected, s.test, s.histograms()).value());
  const std::string weights = state_sha256(expected);
  CHECK(weights != state_sha256(new_net(s.config)));
  REQUIRE(whole.orders().size() == 2);
  CHECK(whole.orders()[0].added == 26);  // two classes of 13
  CHECK(whole.orders()[1].added == 16);

  // Stopped in the second iteration of pre-training.
  s.config.out = folder / "stopped";
  StopAfter stop{1};
  Preparation first(s.config, hooks_of(stop));
  store_all(first, s);
  Sequential<float> net = new_net(s.config);
  CHECK(first.prepare(net, s.test, s.histograms()).value() == false);
  CHECK(first.record().planned);
  CHECK_FALSE(first.record().pretraining.done);

  s.config.resume = true;
  Preparation second(s.config, {});
  REQUIRE(second.open().ok());
  CHECK(second.generator(0).present);
  CHECK(second.generator(1).seconds_training == 2);
  CHECK(second.record().planned);
  net = new_net(s.config);
  REQUIRE(second.prepare(net, s.test, s.histograms()).value());
  CHECK(state_sha256(net) == weights);
  CHECK(second.orders()[1].added == 16);

  // Now everything is there: the weights come from the file.
  Preparation third(s.config, {});
  REQUIRE(third.open().ok());
  const double seconds = third.record().pretraining.training.seconds;
  net = new_net(s.config);
  REQUIRE(third.prepare(net, s.test, s.histograms()).value());
  CHECK(third.record().pretraining.training.seconds == seconds);
  REQUIRE(third.load_pretrained(net).ok());
  CHECK(state_sha256(net) == weights);
  CHECK(third.record().pretraining.test_accuracy == evaluate(net, s.test).accuracy());
  // And a file that was changed is not taken.
  const std::string path = join_path(s.config.out, pretrained_name);
  auto bytes = read_file(path).value();
  bytes.back() ^= 1;
  REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
  const auto changed = third.load_pretrained(net);
  REQUIRE_FALSE(changed.ok());
  CHECK(changed.failure().message.find(pretrained_name) != std::string::npos);
}

TEST_CASE("preparation: a generator that was damaged on the disk is wanted again") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  Preparation first(s.config, {});
  store_all(first, s);
  const std::string path = join_path(join_path(s.config.out, generator_folder), generator_name(1));
  auto bytes = read_file(path).value();
  bytes[bytes.size() / 2] ^= 1;
  REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
  s.config.resume = true;
  Preparation second(s.config, {});
  REQUIRE(second.open().ok());
  CHECK(second.generator(0).present);
  CHECK_FALSE(second.generator(1).present);
}

TEST_CASE("preparation: generators of an earlier run are taken, and checked") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  Preparation first(s.config, {});
  store_all(first, s);
  Setting again;
  again.config.generators = join_path(s.config.out, generator_folder);
  Preparation second(again.config, {});
  REQUIRE(second.open().ok());
  for (std::size_t d = 0; d < 2; ++d) {
    CHECK(second.generator(d).present);
    CHECK(second.generator(d).origin == "given");
    CHECK(second.generator(d).sha256 == first.generator(d).sha256);
    CHECK(second.check_given(d, s.histograms()[d]).ok());
    CHECK_FALSE(second.check_given(d, s.histograms()[1 - d]).ok());
  }
  const gan::GeneratorFile file =
      gan::load_generator(join_path(again.config.generators, generator_name(1))).value();
  CHECK(generator_differences(file.card, "tiny", s.histograms()[1]) == "");
  CHECK(generator_differences(file.card, "other", {0, 0, 8, 9}) ==
        "was trained on tiny, its device holds other; was trained on other samples: per class "
        "0 0 8 8, its device holds 0 0 8 9");
  CHECK(second.record().bytes_up() == 0);
  CHECK(first.record().bytes_up() > 2 * 4 * first.generator(0).values);
  again.config.generators = folder / "nothing";
  Preparation none(again.config, {});
  const auto empty = none.open();
  REQUIRE_FALSE(empty.ok());
  CHECK(empty.failure().message.find("device-000.iotsl to device-001.iotsl") != std::string::npos);
  // Other images.
  again.config.generators = join_path(s.config.out, generator_folder);
  again.config.model.height = 20;
  Preparation other(again.config, {});
  REQUIRE(other.open().ok());
  CHECK_FALSE(other.check_given(0, s.histograms()[0]).ok());
}

TEST_CASE("preparation: a stop while given generators are copied loses none of the others") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "first";
  Preparation first(s.config, {});
  store_all(first, s);
  s.config.generators = join_path(s.config.out, generator_folder);
  s.config.out = folder / "second";
  {
    Preparation second(s.config, {});
    REQUIRE(second.open().ok());
  }
  // As it stood after the first file: the second is neither there nor known of.
  const std::string record = join_path(s.config.out, preparation_name);
  PreparationRecord half = read_preparation(s.config.out).value();
  half.generators[1] = {};
  REQUIRE(write_file_atomic(record, to_text(to_json(half))).ok());
  REQUIRE(std::remove(
              join_path(join_path(s.config.out, generator_folder), generator_name(1)).c_str()) ==
          0);
  s.config.resume = true;
  Preparation third(s.config, {});
  REQUIRE(third.open().ok());
  for (std::size_t d = 0; d < 2; ++d) {
    CHECK(third.generator(d).origin == "given");
    CHECK(third.generator(d).sha256 == first.generator(d).sha256);
  }
}

TEST_CASE("preparation: a damaged plan is made again, a record of another kind is refused") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  s.config.pretrain = false;
  Preparation first(s.config, {});
  store_all(first, s);
  Sequential<float> net = new_net(s.config);
  REQUIRE(first.prepare(net, s.test, s.histograms()).value());
  const std::string plan = join_path(s.config.out, impute_plan_name);
  const std::string text = read_text_file(plan).value();
  REQUIRE(write_file_atomic(plan, text.substr(0, text.size() / 2)).ok());
  s.config.resume = true;
  Preparation second(s.config, {});
  REQUIRE(second.open().ok());
  REQUIRE(second.prepare(net, s.test, s.histograms()).value());
  CHECK(read_text_file(plan).value() == text);
  CHECK(second.orders()[0].plan_hash == first.orders()[0].plan_hash);

  const std::string path = join_path(s.config.out, preparation_name);
  PreparationRecord record = first.record();
  record.format = "iotsl-preparation-2";
  REQUIRE(write_file_atomic(path, to_text(to_json(record))).ok());
  const auto newer = read_preparation(s.config.out);
  REQUIRE_FALSE(newer.ok());
  CHECK(newer.failure().message ==
        path + ": format 'iotsl-preparation-2', expected 'iotsl-preparation-1'");
}

TEST_CASE("preparation: a class that nobody else can give ends the run and is named") {
  // The generator of device 0 was trained elsewhere, on class 0 only.
  Setting s, half;
  std::erase_if(half.samples[0],
                [&](Index i) { return half.train.labels[static_cast<std::size_t>(i)] != 0; });
  Preparation preparation(s.config, {});
  store_all(preparation, s);
  net::GenUpload upload;
  const Trained made = train_generator(half, 0);
  upload.file = made.file;
  upload.brought = true;
  const auto good = preparation.check({}, s.histograms()[0], upload);
  REQUIRE(good.ok());
  REQUIRE(preparation.store(0, *good, upload.file).ok());
  CHECK(preparation.generator(0).origin == "brought");
  Sequential<float> net = new_net(s.config);
  const auto done = preparation.prepare(net, s.test, s.histograms());
  REQUIRE_FALSE(done.ok());
  CHECK_MESSAGE(done.failure().message.find("device 1 lacks classes") != std::string::npos,
                done.failure().message);
  CHECK(done.failure().message.ends_with(": 1"));
}

}  // namespace server_preparation_test
