// What happens between the generators and the turns: generated data, pre-training, the plan, and
// how all of it goes on after a stop.

#include <doctest/doctest.h>

#include "iotsl/split/local_preparation.hpp"
#include "iotsl/split/split_model.hpp"
#include "split/iotsl_run.hpp"
#include "support/temporary_folder.hpp"

namespace preparation_test {

using namespace tiny;

namespace {

struct Setting {
  data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  std::vector<std::vector<Index>> samples = halves(train);
  RunConfig config = iotsl_config();

  std::vector<std::vector<std::uint64_t>> histograms() const {
    return {count_labels(train, samples[0]), count_labels(train, samples[1])};
  }
  GeneratorTask task(std::uint32_t device) const { return {config.gan, config.seed, device}; }
};

/// Trains a generator from where the files stand; its file, and how many calls of step() it took:
/// one for each iteration, or one that finds the finished file.
struct Trained {
  std::vector<std::uint8_t> file;
  std::uint64_t steps = 0;
};
Trained train_generator(const Setting& s, std::uint32_t device, const DeviceFiles& files = {}) {
  GeneratorWork work(s.train, s.samples[device], s.task(device), files);
  std::uint64_t steps = 0;
  for (;;) {
    const Result<bool> last = work.step();
    REQUIRE_MESSAGE(last.ok(), last.failure().message);
    ++steps;
    if (*last) break;
  }
  const Result<TrainedGenerator> made = work.finish();
  REQUIRE(made.ok());
  return {{made->file.begin(), made->file.end()}, steps};
}
/// Weights and card without the time that the training took.
std::string content(ByteSpan file) {
  gan::GeneratorFile parsed = gan::parse_generator(file).value();
  parsed.card.seconds = 0;
  return sha256_hex(gan::serialize_generator(parsed).value());
}

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

TEST_CASE("generator work: a training that was stopped ends with the same weights") {
  const Setting s;
  const std::string whole = content(train_generator(s, 0).file);
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "state";
  files.save_every = 0;
  {
    GeneratorWork first(s.train, s.samples[0], s.task(0), files);
    REQUIRE(first.step().value() == false);
  }  // killed
  const Trained second = train_generator(s, 0, files);
  CHECK(second.steps == 1);
  CHECK(content(second.file) == whole);
  // A third start finds the finished file.
  const Trained third = train_generator(s, 0, files);
  CHECK(third.steps == 1);
  CHECK(third.file == second.file);
  // The state of other samples, another device or other settings is another one.
  CHECK(train_generator(s, 1, files).steps == 2);
  DeviceFiles other = files;
  other.data_fingerprint[0] = 1;
  CHECK(train_generator(s, 0, other).steps == 2);
}

TEST_CASE("generator work: a damaged state costs time, not the run") {
  const Setting s;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "state";
  const Trained whole = train_generator(s, 0, files);
  for (const std::string& name : list_folder(files.state)) {
    const std::string path = join_path(files.state, name);
    auto bytes = read_file(path).value();
    bytes[bytes.size() / 2] ^= 1;
    REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
  }
  const Trained again = train_generator(s, 0, files);
  CHECK(again.steps == 2);
  CHECK(content(again.file) == content(whole.file));
}

TEST_CASE("generator work: a generator that was brought is sent as it is, if it fits") {
  const Setting s;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.generator = folder / "mine.iotsl";
  const Trained mine = train_generator(s, 0);
  REQUIRE(write_file_atomic(files.generator, ByteSpan(mine.file)).ok());
  GeneratorWork work(s.train, s.samples[0], s.task(0), files);
  REQUIRE(work.step().value() == true);
  const auto made = work.finish();
  REQUIRE(made.ok());
  CHECK(made->brought);
  CHECK(std::equal(made->file.begin(), made->file.end(), mine.file.begin(), mine.file.end()));
  // It has seen classes 0 and 1, which device 1 does not hold.
  GeneratorWork wrong(s.train, s.samples[1], s.task(1), files);
  const auto refused = wrong.step();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find("class 0") != std::string::npos);
  CHECK(refused.failure().message.find("mine.iotsl") != std::string::npos);
  // It is larger than the run's settings allow.
  GeneratorTask narrow = s.task(0);
  narrow.settings.width = 2;
  const std::size_t limit = generator_file_limit(narrow.settings, image_spec(s.train));
  Setting wide;
  wide.config.gan.width = 32;
  REQUIRE(write_file_atomic(files.generator, ByteSpan(train_generator(wide, 0).file)).ok());
  GeneratorWork large(s.train, s.samples[0], narrow, files);
  const auto too_large = large.step();
  REQUIRE_FALSE(too_large.ok());
  CHECK(too_large.failure().message.find(std::to_string(limit)) != std::string::npos);
}

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
  // Real samples stand for generated ones: their classes are bright quarters of the image.
  const data::Dataset set = dataset(120, 1);
  const RunConfig config = tiny::config();
  Sequential<float> net = new_net(config);
  const PretrainOptions options{
      .optimizer = config.optimizer, .iterations = 400, .batch = 16, .patience = 3, .seed = 3};
  const auto report = pretrain(net, set, options, {});
  REQUIRE_MESSAGE(report.ok(), report.failure().message);
  CHECK(report->samples == 120);
  CHECK(report->held_out == 12);
  CHECK(report->held_out_accuracy > 0.8);
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

}  // namespace preparation_test
