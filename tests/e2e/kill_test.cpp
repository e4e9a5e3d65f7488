// Real processes, killed with -9 at chosen frames and started again: what they leave must be what
// an undisturbed run leaves. tests/split/crash_test.cpp does the same in memory at every message.

#include <chrono>
#include <memory>
#include <mutex>

#include "e2e/background.hpp"
#include "iotsl/core/file.hpp"
#include "support/fault_proxy.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace kill_test {

namespace {

const std::string run_options =
    "--dataset glyphs --width 4 --devices 2 --limit-train 80 --limit-test 40 --batch 8 --epochs 3 "
    "--threads 1 --quiet --json ";
const std::string barrier_options = "--barrier-steps 2 --barrier-seconds 0 ";

enum class Victim { none, server, device };

struct Outcome {
  std::string weights, history;
  std::size_t frames = 0;
  int kills = 0;
};

/// A server and two devices, each behind a wire of its own. `victim` is killed in place of frame
/// `at`; a device victim is the one whose frame it is.
Outcome run_processes(const std::string& manifest, Victim victim, std::size_t at) {
  const TemporaryFolder folder;
  const std::string run = folder / "run", bin = std::string(IOTSL_PROGRAMS_DIR) + "/";
  const std::uint16_t port = free_port();
  std::atomic<std::size_t> frames{0};
  std::atomic<int> kills{0};
  std::unique_ptr<Child> server;
  std::vector<std::unique_ptr<Child>> devices(2);
  std::mutex starting;  // a victim must exist before it is killed
  const auto may_pass = [&](std::size_t device) {
    if (frames++ != at || victim == Victim::none) return true;
    const std::lock_guard lock(starting);
    (victim == Victim::server ? *server : *devices[device]).kill();
    ++kills;
    return false;
  };
  std::vector<std::unique_ptr<FaultProxy>> wires;
  for (std::size_t i = 0; i < 2; ++i)
    wires.push_back(std::make_unique<FaultProxy>(port, [&, i] { return may_pass(i); }));
  const std::string listen = concat("--listen 127.0.0.1:", port);
  {
    const std::lock_guard lock(starting);
    server = std::make_unique<Child>(words(bin + "iotsl server " + run_options + barrier_options +
                                           "--out " + run + " " + listen),
                                     folder / "server.log");
    for (std::size_t i = 0; i < 2; ++i)
      devices[i] = std::make_unique<Child>(
          words(concat(bin, "iotsl-device run --server 127.0.0.1:", wires[i]->port(),
                       " --name device-", i, " --dataset glyphs --threads 1 --manifest ", manifest,
                       " --index ", i)),
          folder / concat("device-", i, ".log"));
  }
  using Clock = std::chrono::steady_clock;
  const auto give_up = Clock::now() + std::chrono::seconds(120);
  for (;;) {
    REQUIRE_MESSAGE(Clock::now() < give_up, "fault at frame "
                                                << at << ": no end in sight, "
                                                << *read_text_file(folder / "server.log"));
    const Child::State state = server->state();
    if (state == Child::State::done) break;
    REQUIRE_MESSAGE(state != Child::State::failed,
                    "fault at frame " << at << ": " << *read_text_file(folder / "server.log"));
    if (state == Child::State::killed) {
      const std::lock_guard lock(starting);
      server->arguments_ =
          words(bin + "iotsl server --resume " + run + " --threads 1 --quiet --json " + listen);
      server->start();
    }
    for (auto& device : devices)
      if (device->state() == Child::State::killed) {
        const std::lock_guard lock(starting);
        device->start();
      }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  Outcome out;
  out.weights = sha256_in(*read_text_file(folder / "server.log"));
  out.history = history_of(run);
  out.frames = frames;
  out.kills = kills;
  return out;
}

/// The undisturbed runs, made once for all cases.
struct Expected {
  TemporaryFolder folder;
  std::string manifest;
  Outcome none, quiet;
  Expected() {
    const std::string run = folder / "none";
    const auto result = run_program("simulate " + run_options + "--transport none --out " + run);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    manifest = run + "/manifest.json";
    none.weights = sha256_in(result.out);
    none.history = history_of(run);
    quiet = run_processes(manifest, Victim::none, 0);
  }
};
const Expected& expected() {
  static const Expected once;
  return once;
}

void check_kills(Victim victim) {
  const Expected& whole = expected();
  CHECK(whole.quiet.weights == whole.none.weights);
  CHECK(whole.quiet.history == whole.none.history);
  constexpr std::size_t points = 12;
  for (std::size_t i = 0; i < points; ++i) {
    // From the first HELLO to the last barrier.
    const std::size_t at = (whole.quiet.frames - 6) * i / (points - 1);
    const Outcome outcome = run_processes(whole.manifest, victim, at);
    INFO("killed at frame " << at << " of " << whole.quiet.frames);
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

TEST_CASE("kill -9 of the server at twelve frames changes nothing") { check_kills(Victim::server); }

TEST_CASE("kill -9 of a device at twelve frames changes nothing") { check_kills(Victim::device); }

TEST_CASE("Ctrl-C stops simulate at a step, and --resume ends where the whole run would") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", bin = std::string(IOTSL_PROGRAMS_DIR) + "/";
  for (const char* transport : {"tcp", "none"}) {
    INFO("transport " << transport);
    Child simulate(words(concat(bin, "iotsl simulate ", run_options, barrier_options,
                                "--transport ", transport, " --overwrite --out ", run)),
                   folder / "simulate.log");
    wait_for_barrier(run, 2, simulate);
    simulate.kill(SIGINT);
    const Child::State end = wait_for_end(simulate);
    if (end == Child::State::done) continue;  // it was over before the signal came
    CHECK(end == Child::State::failed);
    const std::string said = *read_text_file(folder / "simulate.log");
    CHECK_MESSAGE(said.find("go on with --resume " + run) != std::string::npos, said);
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

TEST_CASE("what cannot be resumed is said, and nothing is touched") {
  const TemporaryFolder folder;
  const auto nothing = run_program("simulate --resume " + (folder / "nothing"));
  CHECK(nothing.exit_code == 4);
  CHECK(nothing.err.find("config.json is missing") != std::string::npos);
  const std::string run = folder / "run";
  REQUIRE(run_program("simulate " + run_options + "--transport none --out " + run).exit_code == 0);
  const auto other = run_program("simulate --lr 0.5 --resume " + run);
  CHECK(other.exit_code == 2);
  CHECK(other.err.find("--lr: cannot be changed") != std::string::npos);
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
}

}  // namespace kill_test
