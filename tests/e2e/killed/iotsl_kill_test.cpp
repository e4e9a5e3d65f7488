// Method iotsl with real processes over sockets, killed with -9 in each phase: training of the
// generators, upload, pre-training, imputation, turns. What is left must be what an undisturbed run
// leaves, and what was finished must not have been done again.
// tests/split/runs/broken/iotsl_crash_test.cpp does the same in memory at every message.

#include "e2e/killed/killed_run.hpp"
#include "iotsl/net/messages/frame.hpp"
#include "iotsl/split/records/preparation_record.hpp"

using namespace iotsl;
using namespace iotsl::test;
using net::MessageType;

namespace iotsl_kill_test {

namespace {

const std::string run_options =
    "--method iotsl --dataset glyphs --width 4 --devices 2 --partition classes:5 --limit-train 80 "
    "--limit-test 40 --batch 8 --epochs 3 --threads 1 --gan-preset tiny --gan-width 8 "
    "--gan-iterations 3 --pretrain-iterations 60 --pretrain-batch 16 --quiet --json ";

bool is(std::uint8_t message, MessageType type) {
  return message == static_cast<std::uint8_t>(type);
}
/// Counts the frames of a kind of message, and lets all pass.
auto count_frames(std::atomic<int>& count, MessageType type) {
  return [&count, type](std::size_t, std::uint8_t message) {
    count += is(message, type);
    return false;
  };
}

/// The undisturbed run, made once for all cases; its devices leave their generators in `state`.
struct Expected {
  TemporaryFolder folder;
  Processes processes;
  Outcome none, quiet;
  std::atomic<int> upload_frames{0};  ///< of quiet
  Expected() {
    const std::string run = folder / "none";
    const auto result = run_program("simulate " + run_options + "--transport none --out " + run);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    none.weights = sha256_in(result.out);
    none.history = history_of(run);
    processes = {run + "/manifest.json", run_options + "--barrier-steps 2 --barrier-seconds 0",
                 "--threads 1 --quiet --json", "--state " + (folder / "state")};
    quiet = run_processes(processes,
                          {Victim::none, count_frames(upload_frames, MessageType::gen_upload)});
  }
};
const Expected& expected() {
  static const Expected once;
  return once;
}

/// The device's training is in a folder of this case, so that nothing is there when it begins.
struct NewState {
  TemporaryFolder folder;
  Processes processes() const {
    Processes out = expected().processes;
    out.device_options = "--state " + (folder / "state");
    return out;
  }
};

void check(const Outcome& outcome) {
  CHECK(outcome.kills == 1);
  CHECK(outcome.weights == expected().none.weights);
  CHECK(outcome.history == expected().none.history);
}

/// Kills in place of the frame number `wanted` (from 0) of a kind of message.
Kill at_frame(Victim victim, MessageType type, int wanted) {
  const auto count = std::make_shared<std::atomic<int>>(0);
  return {victim, [type, wanted, count](std::size_t, std::uint8_t message) {
            return is(message, type) && (*count)++ == wanted;
          }};
}

/// preparation.json without what may differ: the sums of the time that it took.
split::PreparationRecord record_of(const Outcome& outcome) {
  const auto json = parse_json(outcome.preparation);
  REQUIRE(json.ok());
  const auto record = parse_json_fields<split::PreparationRecord>(*json);
  REQUIRE(record.ok());
  return *record;
}

}  // namespace

TEST_CASE("iotsl over sockets: the run without a split, bit for bit") {
  const Expected& whole = expected();
  CHECK(whole.quiet.weights == whole.none.weights);
  CHECK(whole.quiet.history == whole.none.history);
  const split::PreparationRecord record = record_of(whole.quiet);
  CHECK(record.pretraining.done);
  CHECK(record.devices[0].added == 40);
}

TEST_CASE("iotsl: kill -9 while the generators are trained") {
  for (const Victim victim : {Victim::server, Victim::device}) {
    const NewState fresh;
    std::atomic<int> joined{0};
    const auto trains = [&](const std::string& run) {
      return joined >= 2 && !file_exists(run + "/generators/device-000.iotsl");
    };
    const auto listen = count_frames(joined, MessageType::label_hist);
    check(run_processes(fresh.processes(), {victim, listen, trains}));
  }
}

TEST_CASE("iotsl: kill -9 while a generator is sent, and before it is acknowledged") {
  for (const Victim victim : {Victim::server, Victim::device})
    for (const auto& [type, frame] :
         {std::pair{MessageType::gen_upload, 2}, {MessageType::gen_ack, 0}})
      check(run_processes(expected().processes, at_frame(victim, type, frame)));
}

TEST_CASE("iotsl: kill -9 in pre-training; no generator is sent twice") {
  for (const Victim victim : {Victim::server, Victim::device}) {
    // All were received before the kill; their acknowledgements may still have been on their way.
    std::atomic<int> uploads{0};
    const auto pretrains = [](const std::string& run) {
      return file_exists(run + "/generation.json") && !file_exists(run + "/pretrained.safetensors");
    };
    const auto listen = count_frames(uploads, MessageType::gen_upload);
    check(run_processes(expected().processes, {victim, listen, pretrains}));
    CHECK(uploads.load() == expected().upload_frames.load());
    CHECK(uploads > 0);
  }
}

TEST_CASE("iotsl: kill -9 in imputation and in the turns; the preparation is not done again") {
  for (const Victim victim : {Victim::server, Victim::device})
    for (const auto& [type, frame] : {std::pair{MessageType::impute_plan, 0},
                                      {MessageType::gen_download, 1},
                                      {MessageType::turn_grant, 1},
                                      {MessageType::step, 13}}) {
      const Outcome outcome = run_processes(expected().processes, at_frame(victim, type, frame));
      INFO("in place of frame " << frame << " of " << net::to_string(type));
      check(outcome);
      CHECK(outcome.preparation_at_kill.find("\"done\": true") != std::string::npos);
      CHECK(outcome.preparation == outcome.preparation_at_kill);
    }
}

TEST_CASE("iotsl: Ctrl-C in any phase, and --resume ends where the whole run would") {
  const TemporaryFolder folder;
  const std::string bin = std::string(IOTSL_PROGRAMS_DIR) + "/";
  const std::vector<std::string> places{"/preparation.json", "/generators/device-000.iotsl",
                                        "/generation.json"};
  int stopped = 0;
  for (const std::string& seen : places) {
    INFO("stopped after " << seen << " was there");
    const std::string run = folder / concat("run-", &seen - places.data());
    Child simulate(words(concat(bin, "iotsl simulate ", run_options, "--out ", run)),
                   folder / "simulate.log");
    for (int i = 0;
         i < 60000 && !file_exists(run + seen) && simulate.state() == Child::State::running; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    simulate.kill(SIGINT);
    while (simulate.state() == Child::State::running)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (simulate.state() == Child::State::done) continue;  // it was over before the signal came
    ++stopped;
    const auto resumed = run_program("simulate --quiet --json --resume " + run);
    REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(sha256_in(resumed.out) == expected().none.weights);
    CHECK(history_of(run) == expected().none.history);
  }
  CHECK(stopped >= 2);  // pre-training may be over before the signal comes
}

TEST_CASE("iotsl: generators are used again, brought along, and refused where they do not fit") {
  const Expected& whole = expected();
  const TemporaryFolder folder;
  const std::string first = whole.folder / "none/generators", again = folder / "again";
  const auto reused = run_program("simulate " + run_options + "--transport tcp --generators " +
                                  first + " --out " + again);
  REQUIRE_MESSAGE(reused.exit_code == 0, reused.err);
  CHECK(sha256_in(reused.out) == whole.none.weights);
  CHECK(reused.out.find("\"origin\":\"given\"") != std::string::npos);
  // Changing the generators of a run is refused; so are those of other images.
  const auto other = run_program("simulate --generators " + first + " --resume " + again);
  CHECK(other.exit_code == 2);
  CHECK(other.err.find("--generators " + first + ": cannot be changed") != std::string::npos);
  const auto missing = run_program("simulate " + run_options + "--generators " +
                                   (folder / "nothing") + " --out " + (folder / "none"));
  CHECK(missing.exit_code == 2);
  CHECK_MESSAGE(missing.err.find("device-000.iotsl") != std::string::npos, missing.err);
  // No folder is left behind.
  CHECK_FALSE(folder_exists(folder / "none"));
  const auto for_others =
      run_program("simulate --dataset glyphs --pretrain off --out " + (folder / "sl"));
  CHECK(for_others.exit_code == 2);
  CHECK(for_others.err.find("--pretrain off: only for --method iotsl") != std::string::npos);
  CHECK_FALSE(folder_exists(folder / "sl"));
  // Both off is what sl is for.
  const auto nothing = run_program(
      "simulate --dataset glyphs --devices 2 --method iotsl --pretrain off --impute off --out " +
      (folder / "off"));
  CHECK(nothing.exit_code == 2);
  CHECK(nothing.err.find("use --method sl") != std::string::npos);

  // A device that brings another one's generator is told so before it looks for a server.
  const auto wrong = run_program("run --server 127.0.0.1:9 --name a --dataset glyphs --manifest " +
                                     whole.processes.manifest + " --index 1 --generator " + first +
                                     "/device-000.iotsl --wait 20",
                                 "iotsl-device");
  CHECK(wrong.exit_code == 2);
  CHECK_MESSAGE(
      wrong.err.find("device-000.iotsl: the generator was trained on") != std::string::npos,
      wrong.err);
}

}  // namespace iotsl_kill_test
