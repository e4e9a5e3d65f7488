// What happens between the generators and the turns, and how all of it goes on after a stop.

#include "iotsl/split/prepare/server_preparation.hpp"

#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace server_preparation_test {

using namespace tiny;

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
  CHECK(third.record().pretraining.test_accuracy == train::evaluate(net, s.test).accuracy());
  // And a file that was changed is not taken.
  const std::string path = join_path(s.config.out, pretrained_name);
  auto bytes = read_file(path).value();
  bytes.back() ^= 1;
  REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
  const auto changed = third.load_pretrained(net);
  REQUIRE_FALSE(changed.ok());
  CHECK(changed.failure().message.find(pretrained_name) != std::string::npos);
}

TEST_CASE("preparation: generators of an earlier run are taken, and checked") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  Preparation first(s.config, {});
  store_all(first, s);
  Setting again;
  again.config.preparation.generators = join_path(s.config.out, generator_folder);
  Preparation second(again.config, {});
  REQUIRE(second.open().ok());
  for (std::size_t d = 0; d < 2; ++d) {
    CHECK(second.generator(d).present);
    CHECK(second.generator(d).origin == "given");
    CHECK(second.generator(d).sha256 == first.generator(d).sha256);
    CHECK(second.check_given(d, s.histograms()[d]).ok());
    CHECK_FALSE(second.check_given(d, s.histograms()[1 - d]).ok());
  }
  // They count with what they have cost where they were trained.
  CHECK(second.record().bytes_up() == first.record().bytes_up());
  CHECK(second.record().values() == first.record().values());
  CHECK(second.record().seconds_training() == 4);
  CHECK(first.record().bytes_up() > 2 * 4 * first.generator(0).values);
  again.config.preparation.generators = folder / "nothing";
  Preparation none(again.config, {});
  const auto empty = none.open();
  REQUIRE_FALSE(empty.ok());
  CHECK(empty.failure().message.find("device-000.iotsl to device-001.iotsl") != std::string::npos);
  // Other images.
  again.config.preparation.generators = join_path(s.config.out, generator_folder);
  again.config.model.images.height = 20;
  Preparation other(again.config, {});
  REQUIRE(other.open().ok());
  CHECK_FALSE(other.check_given(0, s.histograms()[0]).ok());
}

TEST_CASE("preparation: the same pre-training is done once, by the run that has the generators") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "first";
  Preparation first(s.config, {});
  store_all(first, s);
  Sequential<float> expected = new_net(s.config);
  REQUIRE(first.prepare(expected, s.test, s.histograms()).value());
  CHECK_FALSE(first.record().pretraining.taken_over);

  // Who would train is stopped in the second iteration.
  s.config.preparation.generators = join_path(s.config.out, generator_folder);
  const auto prepare = [&](const std::string& name, const auto& change) {
    Setting other = s;
    other.config.out = folder / name;
    change(other.config);
    StopAfter stop{1};
    Preparation second(other.config, hooks_of(stop));
    REQUIRE(second.open().ok());
    Sequential<float> net = new_net(other.config);
    const bool done = second.prepare(net, other.test, other.histograms()).value();
    CHECK(second.record().pretraining.taken_over == done);
    if (done) {
      CHECK(state_sha256(net) == state_sha256(expected));
      const PretrainingRecord before = first.record().pretraining;
      const PretrainingRecord after = read_preparation(other.config.out)->pretraining;
      CHECK(after.taken_over);
      CHECK(after.sha256 == before.sha256);
      CHECK(after.test_loss == before.test_loss);
      CHECK(after.training.seconds == before.training.seconds);
      Sequential<float> loaded = new_net(other.config);
      REQUIRE(second.load_pretrained(loaded).ok());
      CHECK(state_sha256(loaded) == state_sha256(expected));
    }
    return done;
  };
  CHECK(prepare("same", [](RunConfig&) {}));
  CHECK(prepare("other-turns", [](RunConfig& c) { c.training.wire = WireCoding::int8; }));
  CHECK_FALSE(prepare("rate", [](RunConfig& c) { c.training.optimizer.lr *= 2; }));
  // The turns are other ones, pre-training is not; and the other way round.
  CHECK(prepare("other-turns-rate", [](RunConfig& c) {
    c.preparation.pretrain_optimizer.lr = c.training.optimizer.lr;
    c.training.optimizer.lr *= 2;
  }));
  CHECK_FALSE(prepare("pretrain-rate", [](RunConfig& c) {
    c.preparation.pretrain_optimizer.lr = 2 * c.training.optimizer.lr;
  }));
  CHECK_FALSE(prepare("pretrain-kind", [](RunConfig& c) {
    const bool adam = c.training.optimizer.kind == OptimizerKind::adam;
    c.preparation.pretrain_optimizer.kind = adam ? OptimizerKind::sgd : OptimizerKind::adam;
  }));
  CHECK_FALSE(prepare("seed", [](RunConfig& c) { c.seed = 77; }));
  CHECK_FALSE(prepare("batch", [](RunConfig& c) { c.preparation.pretrain_batch = 8; }));
  damage(folder / "first/" + pretrained_name);
  CHECK_FALSE(prepare("damaged", [](RunConfig&) {}));
}

TEST_CASE("preparation: a stop while given generators are copied loses none of the others") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "first";
  Preparation first(s.config, {});
  store_all(first, s);
  s.config.preparation.generators = join_path(s.config.out, generator_folder);
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
  s.config.preparation.pretrain = false;
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
