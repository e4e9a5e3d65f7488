// Real processes, killed with -9 at chosen frames and started again: what they leave must be what
// an undisturbed run leaves. tests/split/runs/broken/crash_test.cpp does the same in memory at
// every message.

#include "e2e/killed/killed_run.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace kill_test {

namespace {

const std::string common_options =
    "--dataset glyphs --width 4 --devices 2 --limit-train 80 --limit-test 40 --batch 8 "
    "--threads 1 --quiet --json ";
const std::string run_options = common_options + "--epochs 3 ";
const std::string fedavg_options = common_options + "--method fedavg --epochs 4 ";
const std::string barrier_options = "--barrier-steps 2 --barrier-seconds 0 ";

Processes processes(const std::string& manifest, const std::string& options) {
  return {manifest, options + barrier_options, "--threads 1 --quiet --json", ""};
}

/// The undisturbed runs of some options.
struct Expected {
  TemporaryFolder folder;
  std::string options, manifest;
  Outcome none, quiet;
  std::size_t quiet_frames = 0;
  explicit Expected(std::string of_run) : options(std::move(of_run)) {
    const std::string run = folder / "none";
    const auto result = run_program("simulate " + options + "--transport none --out " + run);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    manifest = run + "/manifest.json";
    none.weights = sha256_in(result.out);
    none.history = history_of(run);
    std::atomic<std::size_t> count{0};
    quiet =
        run_processes(processes(manifest, options), {Victim::none, [&](std::size_t, std::uint8_t) {
                                                       ++count;
                                                       return false;
                                                     }});
    quiet_frames = count;
  }
};
/// Those of split learning, made once for all cases.
const Expected& expected() {
  static const Expected once(run_options);
  return once;
}

void check_kills(const Expected& whole, Victim victim, std::size_t points) {
  CHECK(whole.quiet.weights == whole.none.weights);
  CHECK(whole.quiet.history == whole.none.history);
  for (std::size_t i = 0; i < points; ++i) {
    // From the first HELLO to the last barrier.
    const std::size_t at = (whole.quiet_frames - 6) * i / (points - 1);
    std::atomic<std::size_t> count{0};
    const auto at_frame = [&](std::size_t, std::uint8_t) { return count++ == at; };
    const Outcome outcome =
        run_processes(processes(whole.manifest, whole.options), {victim, at_frame});
    INFO("killed at frame " << at << " of " << whole.quiet_frames);
    CHECK(outcome.kills == 1);
    CHECK(outcome.weights == whole.none.weights);
    CHECK(outcome.history == whole.none.history);
  }
}

/// Waits until a barrier of the run is on the disk.
void wait_for_barrier(const std::string& run, std::size_t id, Child& program) {
  const std::string name = concat(run, "/checkpoints/barrier-0000000", id, ".iotsl");
  for (int i = 0; i < 6000 && !file_exists(name) && program.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE_MESSAGE(file_exists(name), *read_text_file(program.log_));
}
Child::State wait_for_end(Child& program) {
  for (int i = 0; i < 12000 && program.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return program.state();
}

}  // namespace

TEST_CASE("kill -9 of the server at twelve frames changes nothing") {
  check_kills(expected(), Victim::server, 12);
}

TEST_CASE("kill -9 of a device at twelve frames changes nothing") {
  check_kills(expected(), Victim::device, 12);
}

TEST_CASE("kill -9 of either at four frames changes nothing in rounds of whole nets") {
  const Expected whole(fedavg_options);
  for (const Victim victim : {Victim::server, Victim::device}) check_kills(whole, victim, 4);
}

TEST_CASE("Ctrl-C stops simulate at a step, and --resume ends where the whole run would") {
  const TemporaryFolder folder;
  const std::string bin = std::string(IOTSL_PROGRAMS_DIR) + "/";
  for (const char* transport : {"tcp", "none"}) {
    const std::string run = folder / transport;
    INFO("transport " << transport);
    Child simulate(words(concat(bin, "iotsl simulate ", run_options, barrier_options,
                                "--transport ", transport, " --out ", run)),
                   folder / "simulate.log");
    wait_for_barrier(run, 2, simulate);
    simulate.kill(SIGINT);
    const Child::State end = wait_for_end(simulate);
    if (end == Child::State::done) continue;  // it was over before the signal came
    CHECK(end == Child::State::failed);
    CHECK(simulate.exit_code() == 5);
    const std::string said = *read_text_file(folder / "simulate.log");
    CHECK_MESSAGE(said.find("go on with: iotsl simulate --resume " + run) != std::string::npos,
                  said);
    const auto resumed = run_program("simulate --quiet --json --resume " + run);
    REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(sha256_in(resumed.out) == expected().none.weights);
    CHECK(history_of(run) == expected().none.history);
  }
}

TEST_CASE("simulate starts a device again that was killed") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", bin = std::string(IOTSL_PROGRAMS_DIR) + "/";
  Child simulate(words(concat(bin, "iotsl simulate ", run_options, barrier_options, "--out ", run)),
                 folder / "simulate.log");
  wait_for_barrier(run, 1, simulate);
  const std::string children =
      *read_text_file(concat("/proc/", simulate.pid(), "/task/", simulate.pid(), "/children"));
  for (const std::string& pid : words(children)) ::kill(std::stoi(pid), SIGKILL);
  CHECK(wait_for_end(simulate) == Child::State::done);
  const std::string said = *read_text_file(folder / "simulate.log");
  CHECK_MESSAGE(sha256_in(said) == expected().none.weights, said);
  CHECK(history_of(run) == expected().none.history);
}

TEST_CASE("a run that was stopped before it began is begun by --resume") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", config = run + "/config.json";
  const auto first = run_program("simulate " + run_options + "--transport none --out " + run);
  REQUIRE_MESSAGE(first.exit_code == 0, first.err);
  const std::string options = *read_text_file(config);
  for (const bool with_manifest : {false, true}) {
    INFO("with manifest.json: " << with_manifest);
    const std::string other = folder / (with_manifest ? "b" : "a");
    REQUIRE(create_folders(other + "/checkpoints").ok());
    REQUIRE(write_file_atomic(other + "/config.json", options).ok());
    if (with_manifest)
      REQUIRE(write_file_atomic(other + "/manifest.json", *read_text_file(run + "/manifest.json"))
                  .ok());
    const auto resumed = run_program("simulate --quiet --json --resume " + other);
    REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(sha256_in(resumed.out) == sha256_in(first.out));
    CHECK(history_of(other) == history_of(run));
    CHECK(*read_text_file(other + "/config.json") == options);
  }
}

TEST_CASE("a run that is complete is left as it is") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const auto first = run_program("simulate " + run_options + "--out " + run);
  REQUIRE_MESSAGE(first.exit_code == 0, first.err);
  const auto content = [&] {
    std::string out;
    for (const char* name :
         {"metrics.jsonl", "summary.json", "session.json", "model.safetensors", "device-0.log"})
      out += sha256_hex(*read_file(run + "/" + name));
    return out;
  };
  const std::string before = content();
  const auto again = run_program("simulate --resume " + run);
  CHECK(again.exit_code == 0);
  CHECK_MESSAGE(again.out.find("complete") != std::string::npos, again.out);
  CHECK(sha256_in(run_program("simulate --json --resume " + run).out) == sha256_in(first.out));
  CHECK(run_program("server --resume " + run).exit_code == 0);
  CHECK(content() == before);
}

TEST_CASE("what cannot be resumed is said, and nothing is touched") {
  const TemporaryFolder folder;
  const auto nothing = run_program("simulate --resume " + (folder / "nothing"));
  CHECK(nothing.exit_code == 4);
  CHECK(nothing.err.find("config.json is missing") != std::string::npos);
  const std::string run = folder / "run";
  REQUIRE(run_program("simulate " + run_options + "--transport none --out " + run).exit_code == 0);
  const auto other = run_program("simulate --lr 0.5 --resume " + run);
  CHECK(other.exit_code == 2);
  CHECK(other.err.find("--lr 0.5: cannot be changed in the run of --resume ") != std::string::npos);
  // Not complete, as far as one can see.
  REQUIRE(std::remove((run + "/summary.json").c_str()) == 0);
  // Damaged barriers: each is refused, and the weights of the first run stay.
  for (const std::string& name : list_folder(run + "/checkpoints")) {
    const std::string path = run + "/checkpoints/" + name;
    auto bytes = *read_file(path);
    bytes[bytes.size() / 2] ^= 1;
    REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
  }
  const auto before = *read_file(run + "/model.safetensors");
  const auto damaged = run_program("simulate --transport none --resume " + run);
  CHECK(damaged.exit_code == 4);
  CHECK_MESSAGE(damaged.err.find("checksum does not match") != std::string::npos, damaged.err);
  CHECK(*read_file(run + "/model.safetensors") == before);
  REQUIRE(std::remove((run + "/session.json").c_str()) == 0);
  const std::size_t barriers = list_folder(run + "/checkpoints").size();
  const auto no_session = run_program("simulate --transport none --resume " + run);
  CHECK(no_session.exit_code == 4);
  CHECK_MESSAGE(no_session.err.find("session.json") != std::string::npos, no_session.err);
  CHECK(list_folder(run + "/checkpoints").size() == barriers);
}

TEST_CASE("a signal while a program only reads ends it at once and leaves nothing") {
  const TemporaryFolder folder;
  // What is read is a pipe that nobody writes to.
  const std::string pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const std::string programs = IOTSL_PROGRAMS_DIR;
  const std::vector<std::string> commands[] = {
      words(programs + "/iotsl simulate --dataset glyphs --partition table:" + pipe + " --out " +
            (folder / "run")),
      words(programs +
            "/iotsl-device run --server 127.0.0.1:9 --name a --dataset glyphs --index 0 " +
            "--manifest " + pipe + " --state " + (folder / "run"))};
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    for (const std::vector<std::string>& command : commands) {
      INFO(command[0] << " " << signal);
      Child child(command, folder / "log");
      // A writer can open a pipe when there is a reader.
      int writer = -1;
      while (child.state() == Child::State::running && writer < 0) {
        writer = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK);
        if (writer < 0) ::usleep(1000);
      }
      REQUIRE(writer >= 0);
      child.kill(signal);
      while (child.state() == Child::State::running) ::usleep(1000);
      ::close(writer);
      CHECK(child.exit_code() == 5);
      CHECK(read_text_file(folder / "log")->find(": stopped before ") != std::string::npos);
      CHECK_FALSE(folder_exists(folder / "run"));
      std::filesystem::remove(folder / "log");
    }
}

}  // namespace kill_test
