#include "iotsl/split/records/run_recorder.hpp"

#include <doctest/doctest.h>

#include "split/runs/tiny_run.hpp"
#include "support/temporary_folder.hpp"

namespace run_recorder_test {

using namespace iotsl;
using namespace iotsl::split;

namespace {

constexpr WireSizes sizes{.front_values = 10, .smashed_values = 3, .format = {}};

/// A net in training with one optimiser, and a recorder of its run.
struct Run {
  RunConfig config = tiny::config();
  data::Dataset test = tiny::dataset(8, 2);
  data::Dataset validation;  // empty: none
  Sequential<float> net;
  Optimizer<float> optimizer;

  explicit Run(std::string out, bool resume = false, std::uint64_t seed = 1)
      : net(build_model<float>(config.model)) {
    config.out = std::move(out);
    config.resume = resume;
    net.initialize(seed);
    optimizer = Optimizer<float>(net.parameters(), OptimizerOptions{});
  }
  TrainingState state() { return {net, {&optimizer}}; }
  RunRecorder recorder(const RunHooks& hooks = {}) {
    return RunRecorder(config, hooks, {test, validation});
  }
};

/// Turn number `turn` of two local epochs with three steps each.
TurnReport report(std::uint64_t turn) {
  TurnReport out = begin_report({.devices = 2}, turn, 2, 6 * turn);
  out.device_name = "pi";
  out.samples = 25;
  out.steps = 6;
  out.epochs = {{50.0, 25, 10, 2'000'000}, {25.0, 25, 20, 1'000'000}};
  out.costs = {{3'000'000, 111}, {2'000'000, 222}};
  return out;
}
constexpr TurnCosts costs{
    .wall_us = 10'000'000, .barrier_us = 500'000, .bytes_up = 101, .bytes_down = 40};

BarrierRecord barrier(std::uint64_t id, std::uint64_t turn) {
  return {.id = id, .step = 6 * turn + 6, .report = report(turn)};
}
net::Traffic passed(std::size_t payload) {
  net::Traffic out;
  out.add_frame(net::MessageType::step, net::MessageType::step, payload);
  return out;
}

std::vector<measure::EpochRecord> lines(const std::string& path) {
  std::vector<measure::EpochRecord> out;
  const std::string text = read_text_file(path).value();
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    out.push_back(
        measure::parse_record(parse_json(text.substr(at, text.find('\n', at) - at)).value())
            .value());
  return out;
}
std::int64_t session(const std::string& out, const char* key) {
  return get_int(parse_json(read_text_file(out + "/session.json").value()).value(), key).value();
}
std::string refusal(const Result<BarrierRecord>& opened) {
  return opened ? std::string("no error") : opened.failure().message;
}

}  // namespace

TEST_CASE("run recorder: a folder from its first file to its last") {
  const TemporaryFolder folder;
  Run run(folder / "run");
  RunRecorder recorder = run.recorder();
  const auto opened = recorder.open(run.state(), 77);
  REQUIRE_MESSAGE(opened.ok(), opened.failure().message);
  CHECK(opened->id == 0);
  CHECK(list_folder(run.config.out) ==
        std::vector<std::string>{"checkpoints", "metrics.jsonl", "session.json"});
  CHECK(read_text_file(run.config.out + "/metrics.jsonl").value().empty());
  CHECK(session(run.config.out, "run") == 77);
  CHECK(session(run.config.out, "incarnation") == 1);
  REQUIRE(recorder.on_grant(1, 4).ok());
  CHECK(session(run.config.out, "fence") == 4);

  run.optimizer.set_steps(6);
  REQUIRE(recorder.write_barrier(run.state(), barrier(1, 0), passed(100), passed(60), sizes, costs)
              .ok());
  REQUIRE(recorder.on_turn(report(0), costs, sizes, run.net).ok());
  CHECK(list_folder(run.config.out + "/checkpoints") ==
        std::vector<std::string>{"barrier-00000000.iotsl", "barrier-00000001.iotsl", "best.iotsl"});
  const auto best = read_checkpoint(run.config.out + "/checkpoints/best.iotsl", run.state());
  REQUIRE(best.ok());
  CHECK(best->barrier.id == 1);
  CHECK(best->front_steps == 6);
  CHECK(best->back_steps == 6);
  CHECK(best->metrics_bytes == 0);  // the barrier lies before the turn's lines
  CHECK(best->bytes_up == passed(100).total_bytes());
  CHECK(best->turn.barrier_us == 500'000);

  const auto summary = recorder.finish(run.net, passed(200), passed(90), sizes);
  REQUIRE(summary.ok());
  CHECK(summary->epochs.size() == 2);
  CHECK(summary->weights_sha256 == state_sha256(run.net));
  CHECK(summary->bytes_up == passed(200).total_bytes());
  CHECK(summary->bytes_down == passed(90).total_bytes());
  CHECK(summary->values_formula == 2 * 25 * (2 * 3 + 1) + 10);
  Run other("", false, 5);
  REQUIRE(
      load_state(other.net, load_safetensors(run.config.out + "/model.safetensors").value()).ok());
  CHECK(state_sha256(other.net) == summary->weights_sha256);
}

TEST_CASE("run recorder: what a line says of an epoch") {
  const TemporaryFolder folder;
  Run run(folder / "run");
  struct Seen {
    std::vector<std::uint64_t> epochs;
    std::vector<StepProgress> steps;
  } seen;
  RunHooks hooks;
  hooks.context = &seen;
  hooks.on_epoch = [](void* context, const measure::EpochRecord& r) {
    static_cast<Seen*>(context)->epochs.push_back(r.epoch);
  };
  hooks.on_step = [](void* context, const StepProgress& p) {
    static_cast<Seen*>(context)->steps.push_back(p);
  };
  RunRecorder recorder = run.recorder(hooks);
  REQUIRE(recorder.open(run.state()).ok());
  REQUIRE(recorder.on_turn(report(0), costs, sizes, run.net).ok());
  recorder.on_step(report(1), 4, 8, 0.25);
  TurnReport skipped = report(1);
  skipped.skipped = true;
  skipped.epochs[1] = {};
  REQUIRE(recorder.on_turn(skipped, {}, sizes, run.net).ok());

  const auto written = lines(run.config.out + "/metrics.jsonl");
  REQUIRE(written.size() == 4);
  const measure::EpochRecord &first = written[0], &second = written[1];
  CHECK(first.epoch == 1);
  CHECK(second.epoch == 2);
  CHECK(first.device == 0);
  CHECK(first.device_name == "pi");
  CHECK(first.samples == 25);
  CHECK(first.steps == 3);
  CHECK(first.loss == 2.0);
  CHECK(first.train_accuracy == 0.4);
  CHECK(second.loss == 1.0);
  CHECK(first.seconds_device == 3.0);
  CHECK(second.seconds_server == 1.0);
  // 10 s of the turn, 8 of them computed; the rest is spread over both epochs.
  CHECK(first.seconds_network == 1.0);
  CHECK(first.seconds_barrier == 0.0);
  CHECK(second.seconds_barrier == 0.5);
  CHECK(first.bytes_up == 50);
  CHECK(second.bytes_up == 51);
  CHECK(first.values_formula == 25 * 7);
  CHECK(second.values_formula == 25 * 7 + 10);
  CHECK(second.peak_memory_bytes == 222);
  CHECK_FALSE(first.evaluated);  // the weights are evaluated where a turn ends
  CHECK(second.evaluated);
  CHECK(second.test_class_accuracy.size() == 4);

  CHECK(written[3].skipped);
  CHECK(written[3].round == 0);
  CHECK(written[3].device == 1);
  CHECK(written[3].evaluated);           // the device was here for the first one
  CHECK_FALSE(written[3].has_training);  // the device had left before its second epoch
  CHECK(written[3].values_formula == 0);

  CHECK(seen.epochs == std::vector<std::uint64_t>{1, 2, 3, 4});
  REQUIRE(seen.steps.size() == 1);
  CHECK(seen.steps[0].epoch == 4);  // the second of the second turn
  CHECK(seen.steps[0].step == 2);
  CHECK(seen.steps[0].steps == 3);
  CHECK(seen.steps[0].run_step == 6 + 5);
}

TEST_CASE("run recorder: a run goes on from its newest barrier, with its books") {
  const TemporaryFolder folder;
  Run before(folder / "run");
  RunRecorder recorder = before.recorder();
  REQUIRE(recorder.open(before.state(), 77).ok());
  REQUIRE(recorder.write_barrier(before.state(), barrier(1, 0), passed(100), {}, sizes).ok());
  REQUIRE(recorder.on_turn(report(0), costs, sizes, before.net).ok());
  before.net.parameters()[0].tensor.mutable_data()[0] = 0.5f;
  const std::string at_barrier = state_sha256(before.net);
  TurnReport half = report(1);
  REQUIRE(recorder
              .write_barrier(before.state(), {.id = 2, .step = 9, .report = half}, passed(300), {},
                             sizes, costs)
              .ok());
  // What is done after a barrier is lost with the server.
  REQUIRE(recorder.on_turn(half, costs, sizes, before.net).ok());
  before.net.parameters()[0].tensor.mutable_data()[0] = 0.25f;

  Run after(folder / "run", true, 9);
  RunRecorder resumed = after.recorder();
  const auto opened = resumed.open(after.state());
  REQUIRE_MESSAGE(opened.ok(), opened.failure().message);
  CHECK(opened->id == 2);
  CHECK(opened->step == 9);
  CHECK_FALSE(opened->turn_complete());
  CHECK(state_sha256(after.net) == at_barrier);
  CHECK(resumed.resumed_turn().bytes_up == costs.bytes_up);
  CHECK(session(after.config.out, "run") == 77);
  CHECK(session(after.config.out, "incarnation") == 2);
  CHECK(lines(after.config.out + "/metrics.jsonl").size() == 2);

  REQUIRE(resumed.on_turn(half, costs, sizes, after.net).ok());
  const auto summary = resumed.finish(after.net, passed(50), {}, sizes);
  REQUIRE(summary.ok());
  CHECK(summary->epochs.size() == 4);
  CHECK(summary->bytes_up == passed(300).total_bytes() + passed(50).total_bytes());
  CHECK(summary->values_formula == 2 * (2 * 25 * 7 + 10));
  CHECK(summary->best_test_accuracy >= summary->epochs[1].test_accuracy);
}

TEST_CASE("run recorder: a barrier is loaded again, and the books stay") {
  const TemporaryFolder folder;
  Run run(folder / "run");
  RunRecorder recorder = run.recorder();
  REQUIRE(recorder.open(run.state()).ok());
  REQUIRE(recorder.write_barrier(run.state(), barrier(1, 0), {}, {}, sizes).ok());
  REQUIRE(recorder.on_turn(report(0), costs, sizes, run.net).ok());
  const std::string at_barrier = state_sha256(run.net);
  run.net.parameters()[0].tensor.mutable_data()[0] = 0.5f;
  REQUIRE(recorder.roll_back(run.state(), 1).ok());
  CHECK(state_sha256(run.net) == at_barrier);
  CHECK(lines(run.config.out + "/metrics.jsonl").size() == 2);
  const auto gone = recorder.roll_back(run.state(), 7);
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.failure().message.find("barrier-00000007.iotsl") != std::string::npos);
  CHECK(recorder.stopped(6).message ==
        "stopped after step 6; go on with --resume " + run.config.out);
}

TEST_CASE("run recorder: without a folder nothing is written, and nothing taken up") {
  Run run("");
  RunRecorder recorder = run.recorder();
  REQUIRE(recorder.open(run.state()).ok());
  CHECK_FALSE(recorder.keeps_barriers());
  CHECK(recorder.on_grant(1, 1).ok());
  CHECK(recorder.write_barrier(run.state(), barrier(1, 0), {}, {}, sizes).ok());
  CHECK(recorder.on_turn(report(0), costs, sizes, run.net).ok());
  const auto summary = recorder.finish(run.net, {}, {}, sizes);
  REQUIRE(summary.ok());
  CHECK(summary->epochs.size() == 2);
  CHECK(summary->best_test_accuracy == summary->final_test_accuracy);
  CHECK(recorder.stopped(3).message ==
        "stopped after step 3; without a run folder it cannot go on");
  Run again("", true);
  CHECK(refusal(again.recorder().open(again.state())) == "a run is resumed from its folder");
}

TEST_CASE("run recorder: a folder that is not whole is refused, with what is wrong") {
  const TemporaryFolder folder;
  Run run(folder / "run");
  const std::string metrics = run.config.out + "/metrics.jsonl";
  const auto resume = [&] {
    Run again(folder / "run", true);
    return refusal(again.recorder().open(again.state()));
  };
  CHECK(resume().find("session.json") != std::string::npos);
  {
    RunRecorder recorder = run.recorder();
    REQUIRE(recorder.open(run.state()).ok());
    REQUIRE(recorder.on_turn(report(0), costs, sizes, run.net).ok());
    REQUIRE(recorder.write_barrier(run.state(), barrier(1, 0), {}, {}, sizes).ok());
  }
  CHECK(resume() == "no error");

  const std::string good = read_text_file(metrics).value();
  const std::size_t second = good.find('\n') + 1;
  std::string bad = good;
  bad[second] = '[';
  REQUIRE(write_file_atomic(metrics, bad).ok());
  CHECK(resume().find(concat(metrics, ": offset ", second)) == 0);
  REQUIRE(write_file_atomic(metrics, good.substr(0, second)).ok());
  CHECK(resume().find(metrics) != std::string::npos);  // shorter than the barrier says
  REQUIRE(write_file_atomic(metrics, good).ok());
  REQUIRE(write_file_atomic(run.config.out + "/session.json", "{\"run\": 1}\n").ok());
  CHECK(resume().find("incarnation") != std::string::npos);
}

namespace {

/// A set of one image whose label is `label`: the accuracy on it is 1 where the net says so, else
/// 0.
data::Dataset one_image(data::Label label) {
  data::Dataset set = tiny::dataset(1, 3);
  set.labels[0] = label;
  return set;
}
/// Makes the net say `label` whatever it sees.
void make_say(Run& run, Index label) {
  const auto parameters = run.net.parameters();
  Tensor<float> bias = parameters.back().tensor;
  for (Index i = 0; i < bias.size(); ++i) bias.mutable_data()[i] = i == label ? 1e6f : 0.0f;
}
/// Barrier and books of turn `turn`, whose net says `label`.
void train_turn(Run& run, RunRecorder& recorder, std::uint64_t turn, Index label) {
  make_say(run, label);
  REQUIRE(recorder.write_barrier(run.state(), barrier(turn + 1, turn), {}, {}, sizes).ok());
  REQUIRE(recorder.on_turn(report(turn), costs, sizes, run.net).ok());
}
std::uint64_t kept_barrier(Run& run) {
  const auto best = read_checkpoint(run.config.out + "/checkpoints/best.iotsl", run.state());
  REQUIRE_MESSAGE(best.ok(), best.failure().message);
  return best->barrier.id;
}

}  // namespace

TEST_CASE(
    "run recorder: a run is reported by its highest validation accuracy, the first of equals") {
  const TemporaryFolder folder;
  Run run(folder / "run");
  run.config.training.epochs = 8;
  run.test = one_image(2);
  run.validation = one_image(1);
  RunRecorder recorder = run.recorder();
  REQUIRE(recorder.open(run.state()).ok());
  train_turn(run, recorder, 0, 2);  // best on the test set, which nobody looks at to choose
  CHECK(kept_barrier(run) == 1);
  train_turn(run, recorder, 1, 1);
  train_turn(run, recorder, 2, 1);
  train_turn(run, recorder, 3, 0);
  CHECK(kept_barrier(run) == 2);

  const auto written = lines(run.config.out + "/metrics.jsonl");
  REQUIRE(written.size() == 8);
  CHECK_FALSE(written[0].has_validation);  // only where a turn ends
  CHECK(written[1].has_validation);
  CHECK(written[1].validation_accuracy == 0);
  CHECK(written[3].validation_accuracy == 1);
  CHECK(written[3].validation_loss < 1e-3);
  const auto summary = recorder.finish(run.net, {}, {}, sizes);
  REQUIRE(summary.ok());
  // A server that starts again comes to the same.
  run.config.resume = true;
  RunRecorder resumed = run.recorder();
  REQUIRE(resumed.open(run.state()).ok());
  const auto taken_up = resumed.finish(run.net, {}, {}, sizes);
  REQUIRE(taken_up.ok());
  for (const RunSummary* s : {&*summary, &*taken_up}) {
    CHECK(s->chosen.epoch == 4);
    CHECK(s->chosen.validation_accuracy.value() == 1);
    CHECK(s->chosen.test_accuracy == 0);
    CHECK(s->best_test_accuracy == 1);
    CHECK(s->final_test_accuracy == 0);
  }
}

TEST_CASE("run recorder: without a validation part the last evaluation is reported and kept") {
  const TemporaryFolder folder;
  Run run(folder / "run");
  run.config.training.epochs = 4;
  run.test = one_image(2);
  RunRecorder recorder = run.recorder();
  REQUIRE(recorder.open(run.state()).ok());
  train_turn(run, recorder, 0, 2);
  train_turn(run, recorder, 1, 0);
  CHECK(kept_barrier(run) == 2);
  const auto summary = recorder.finish(run.net, {}, {}, sizes);
  REQUIRE(summary.ok());
  CHECK(summary->chosen.epoch == 4);
  CHECK_FALSE(summary->chosen.validation_accuracy.has_value());
  CHECK(summary->chosen.test_accuracy == 0);
  CHECK(summary->best_test_accuracy == 1);
  CHECK(summary->smashed_values == 3);
  CHECK(summary->front_values == 10);
}

TEST_CASE("run recorder: lines of a run that knew no validation part are read") {
  const measure::EpochRecord r =
      measure::parse_record(
          parse_json(
              R"({"epoch":1,"round":0,"device":0,"device_name":"a","samples":4,"steps":1,"learning_rate":0.1,)"
              R"("loss":1.5,"train_accuracy":0.5,"test_loss":1.0,"test_accuracy":0.25,"test_class_accuracy":[],)"
              R"("seconds_device":0,"seconds_server":0,"seconds_update":0,"seconds_network":0,"seconds_barrier":0,)"
              R"("seconds_evaluate":0,"bytes_up":0,"bytes_down":0,"values_formula":0,"peak_memory_bytes":0})")
              .value())
          .value();
  CHECK(r.evaluated);
  CHECK_FALSE(r.has_validation);
}

}  // namespace run_recorder_test
