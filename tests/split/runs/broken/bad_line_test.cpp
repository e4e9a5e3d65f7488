// Runs over lines that are slow, that stand still, that break, or that change what they carry: each
// ends with the weights and metrics of a run without a line.

#include <doctest/doctest.h>

#include "split/runs/fragile_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/fault_proxy.hpp"

namespace bad_line_test {

using namespace tiny;
using namespace iotsl::test;
using std::chrono::milliseconds;

namespace {

RunConfig line_config() {
  RunConfig out = config();
  out.training.epochs = 2;
  out.training.local_epochs = 1;
  return out;
}

struct Line {
  std::size_t frames = 0, connections = 0;
  double steps = 0;  ///< of the device that has the line
  double seconds = 0;
};

/// A run of two devices, the first of which has that line.
Line run_over(const LineFaults& faults) {
  static const TwoDevices data;
  RunConfig config = line_config();
  static const std::string expected = [&] {
    const auto none = run_one_net(config, {}, data.train, data.test, data.samples);
    REQUIRE(none.ok());
    return fragile::history(*none);
  }();
  const ::TemporaryFolder folder;
  config.out = folder / "run";  // barriers to go back to
  TcpRun run{config, data.train, data.samples};
  std::unique_ptr<FaultProxy> proxy;
  run.wire = [&](std::size_t device, std::uint16_t port) {
    if (device != 0) return port;
    proxy = std::make_unique<FaultProxy>(
        port, [](std::uint8_t) { return true; }, faults);
    return proxy->port();
  };
  const auto begin = std::chrono::steady_clock::now();
  const auto summary = run.run(data.test);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(fragile::history(*summary) == expected);
  for (const auto& outcome : run.outcomes) CHECK_MESSAGE(outcome.ok(), outcome.failure().message);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  double steps = 0;
  for (const measure::EpochRecord& epoch : summary->epochs)
    if (epoch.device == summary->epochs.front().device) steps += static_cast<double>(epoch.steps);
  return {proxy->frames(), proxy->connections(), steps, took.count()};
}

}  // namespace

TEST_CASE("bad line: delay, jitter, a low rate and single bytes change nothing") {
  const Line good = run_over({});
  CHECK(good.connections == 1);
  LineFaults slow;
  slow.delay = milliseconds(5);
  slow.jitter = milliseconds(10);
  slow.bytes_per_second = 2e6;
  const Line late = run_over(slow);
  CHECK(late.connections == 1);
  // A step waits for its frames in both directions one after the other; not compared with the good
  // line, which a busy machine may slow down by more.
  CHECK(late.seconds > late.steps * 2 * 0.005);
  LineFaults bytewise;
  bytewise.single_bytes = true;
  CHECK(run_over(bytewise).connections == 1);
  LineFaults stalled;
  stalled.stall_at = good.frames / 2;
  stalled.stall = milliseconds(700);
  const Line stood = run_over(stalled);
  CHECK(stood.connections == 1);
  CHECK(stood.seconds > 0.7);
}

TEST_CASE("bad line: what is flipped, doubled, swapped or reset is found, and nothing is lost") {
  std::size_t connections = 0;
  for (double LineFaults::*const what :
       {&LineFaults::flip, &LineFaults::duplicate, &LineFaults::reorder, &LineFaults::reset}) {
    LineFaults faults;
    faults.seed = 11;
    faults.*what = 0.05;
    const Line line = run_over(faults);
    MESSAGE(line.frames, " frames, ", line.connections, " connections");
    CHECK(line.connections > 1);
    connections += line.connections;
  }
  CHECK(connections >= 8);
}

TEST_CASE("bad line: one direction that closes ends the connection, and the device comes back") {
  for (const std::size_t at : {std::size_t{6}, std::size_t{25}, std::size_t{26}}) {
    LineFaults faults;
    faults.half_close_at = at;
    CHECK(run_over(faults).connections == 2);
  }
}

TEST_CASE("bad line: one that swallows everything is noticed in 25 s") {
  LineFaults faults;
  faults.black_hole_at = 30;
  const Line line = run_over(faults);
  CHECK(line.connections == 2);
  CHECK(line.seconds > 5);
  CHECK(line.seconds < 40);
}

}  // namespace bad_line_test
