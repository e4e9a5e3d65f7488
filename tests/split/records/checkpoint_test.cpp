#include "iotsl/split/records/checkpoint.hpp"

#include <doctest/doctest.h>

#include "split/runs/tiny_run.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace checkpoint_test {

namespace {

struct Halves {
  SplitModel model;
  FrontHalf front;
  BackHalf back;
  explicit Halves(std::uint64_t seed)
      : model(make(seed)),
        front(model.front, tiny::config().training.optimizer, seed),
        back(model.back, tiny::config().training.optimizer, seed) {}
  static SplitModel make(std::uint64_t seed) {
    RunConfig config = tiny::config();
    config.seed = seed;
    return build_split_model(config).value();
  }
  TrainingState state() { return {model.joined, {&front.optimizer(), &back.optimizer()}}; }
};

CheckpointRecord record(std::uint64_t id) {
  CheckpointRecord out;
  out.barrier.id = id;
  out.barrier.step = 10 * id;
  out.barrier.report.device_name = "pi";
  out.barrier.report.epochs.push_back({0.1, 20, 3, 4});
  out.barrier.report.costs.push_back({5, 6});
  out.front_steps = 7;
  out.back_steps = 8;
  out.metrics_bytes = 9;
  out.bill.front_relay = 11;
  out.seconds = 1.0 / 3;
  return out;
}

}  // namespace

TEST_CASE("checkpoint: a state comes back whole, with its books") {
  const TemporaryFolder folder;
  Halves written(1), read(2);
  REQUIRE(state_sha256(written.model.joined) != state_sha256(read.model.joined));
  REQUIRE(write_checkpoint(folder.path, written.state(), record(3)).ok());
  const auto got = read_newest_checkpoint(folder.path, read.state());
  REQUIRE_MESSAGE(got.ok(), got.failure().message);
  CHECK(state_sha256(read.model.joined) == state_sha256(written.model.joined));
  CHECK(read.front.optimizer().steps() == 7);
  CHECK(read.back.optimizer().steps() == 8);
  CHECK(to_text(to_json_fields(*got)) == to_text(to_json_fields(record(3))));
  CHECK(got->barrier.report.epochs[0].loss_sum == 0.1);
  CHECK(got->seconds == 1.0 / 3);
}

TEST_CASE("checkpoint: the last two and the best are kept") {
  const TemporaryFolder folder;
  Halves halves(1);
  for (std::uint64_t id = 0; id < 5; ++id) {
    REQUIRE(write_checkpoint(folder.path, halves.state(), record(id)).ok());
    if (id == 1) REQUIRE(keep_best(folder.path, id).ok());
  }
  CHECK(list_folder(folder / "checkpoints") ==
        std::vector<std::string>{"barrier-00000003.iotsl", "barrier-00000004.iotsl", "best.iotsl"});
  const auto best = read_checkpoint(folder / "checkpoints/best.iotsl", halves.state());
  REQUIRE(best.ok());
  CHECK(best->barrier.id == 1);
}

TEST_CASE("checkpoint: a damaged barrier is passed over, and nothing of it is taken") {
  const TemporaryFolder folder;
  Halves older(1), newer(2), reader(3);
  REQUIRE(write_checkpoint(folder.path, older.state(), record(1)).ok());
  REQUIRE(write_checkpoint(folder.path, newer.state(), record(2)).ok());
  const std::string newest = folder / "checkpoints/barrier-00000002.iotsl";
  auto bytes = read_file(newest).value();
  for (const std::size_t at : {std::size_t{5}, bytes.size() / 3, bytes.size() - 1}) {
    auto broken = bytes;
    broken[at] ^= 0x40;
    REQUIRE(write_file_atomic(newest, ByteSpan(broken)).ok());
    const std::string before = state_sha256(reader.model.joined);
    CHECK_FALSE(read_checkpoint(newest, reader.state()).ok());
    CHECK(state_sha256(reader.model.joined) == before);
  }
  bytes.resize(bytes.size() / 2);
  REQUIRE(write_file_atomic(newest, ByteSpan(bytes)).ok());
  const auto got = read_newest_checkpoint(folder.path, reader.state());
  REQUIRE(got.ok());
  CHECK(got->barrier.id == 1);
  CHECK(state_sha256(reader.model.joined) == state_sha256(older.model.joined));
}

TEST_CASE("checkpoint: another net's is refused, with the tensor's name") {
  const TemporaryFolder folder;
  Halves halves(1);
  REQUIRE(write_checkpoint(folder.path, halves.state(), record(1)).ok());
  RunConfig wide = tiny::config();
  wide.model.width = 8;
  SplitModel model = build_split_model(wide).value();
  FrontHalf front(model.front, wide.training.optimizer, 1);
  BackHalf back(model.back, wide.training.optimizer, 1);
  const auto got =
      read_newest_checkpoint(folder.path, {model.joined, {&front.optimizer(), &back.optimizer()}});
  REQUIRE_FALSE(got.ok());
  CHECK(got.failure().message.find("model/features.0.weight") != std::string::npos);
  const TemporaryFolder empty;
  CHECK(read_newest_checkpoint(empty.path, halves.state()).failure().message.find("no barrier") !=
        std::string::npos);
}

TEST_CASE("checkpoint: books from before barriers inside turns had their own item are read") {
  std::string text = to_text(to_json_fields(record(3)));
  const std::string item = R"("front_inside":0,)";
  const std::size_t at = text.find(item);
  REQUIRE(at != std::string::npos);
  text.erase(at, item.size());
  const auto old = parse_json_fields<CheckpointRecord>(parse_json(text).value());
  REQUIRE_MESSAGE(old.ok(), old.failure().message);
  CHECK(old->bill.front_inside == 0);
  CHECK(old->bill.front_relay == 11);
}

TEST_CASE("checkpoint: a resumed run's books are cut back to the barrier") {
  const TemporaryFolder folder;
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  RunConfig config = tiny::config();
  config.out = folder / "run";
  struct Stop {
    std::uint64_t at;
    static bool now(void* self) { return --static_cast<Stop*>(self)->at == 0; }
  } stop{7};
  RunHooks hooks;
  hooks.context = &stop;
  hooks.should_stop = &Stop::now;
  const auto stopped = run_one_net(config, hooks, train, test, samples);
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.failure().message.find("after step 7") != std::string::npos);
  // A line that was appended after the barrier, and half of another.
  REQUIRE(append_file(config.out + "/metrics.jsonl", "{\"epoch\":99}\n{\"epo").ok());
  config.resume = true;
  const auto resumed = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
  config.resume = false;
  config.out.clear();
  const auto whole = run_one_net(config, {}, train, test, samples);
  CHECK(resumed->weights_sha256 == whole->weights_sha256);
  REQUIRE(resumed->epochs.size() == whole->epochs.size());
  for (std::size_t i = 0; i < whole->epochs.size(); ++i)
    CHECK(resumed->epochs[i].loss == whole->epochs[i].loss);
  CHECK(resumed->best_test_accuracy == whole->best_test_accuracy);
  // A file that is shorter than the barrier says is not guessed at.
  config.out = folder / "run";
  config.resume = true;
  REQUIRE(cut_file(config.out + "/metrics.jsonl", 3).ok());
  const auto refused = run_one_net(config, {}, train, test, samples);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find("has 3 bytes") != std::string::npos);
}

}  // namespace checkpoint_test
