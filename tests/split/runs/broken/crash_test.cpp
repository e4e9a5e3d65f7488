// Kills one side of a run, or the wire between them, at message after message, and compares what is left in
// the end with the run that nothing happened to.

#include <doctest/doctest.h>

#include "split/runs/fragile_run.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace crash_test {

using namespace fragile;

namespace {

RunConfig crash_config(const std::string& out) {
  RunConfig config = tiny::config();
  config.training.epochs = 3;
  config.training.local_epochs = 1;
  config.out = out;
  config.barriers.steps = 2;  // barriers inside the turns as well
  config.barriers.seconds = 0;
  config.offline_seconds = 0;
  return config;
}

/// See check_faults().
void check_all(const RunConfig& base, Fault fault, std::size_t first, std::size_t stride) {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  check_faults(base, {}, train, test, samples, fault, first, stride);
}

}  // namespace

TEST_CASE("crash: a run with barriers inside its turns equals one without") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const TemporaryFolder folder;
  RunConfig config = crash_config(folder / "run");
  FragileRun with(config, train, test, samples);
  const auto summary = with.run(Fault::none, 0);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  config.out.clear();
  const auto none = run_one_net(config, {}, train, test, samples);
  REQUIRE(none.ok());
  CHECK(history(*summary) == history(*none));
}

TEST_CASE("crash: a connection that is cut at any message changes nothing") {
  check_all(crash_config(""), Fault::cut, 0, 1);
}

TEST_CASE("crash: a device that loses its state at any message changes nothing") {
  check_all(crash_config(""), Fault::device_dies, 0, 1);
}

TEST_CASE("crash: a server that dies at any message changes nothing") {
  check_all(crash_config(""), Fault::server_dies, 0, 1);
}

TEST_CASE("crash: the same with two epochs a turn and no barrier inside") {
  RunConfig config = crash_config("");
  config.training.local_epochs = 2;
  config.training.epochs = 4;
  config.barriers.steps = 1000;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    check_all(config, fault, static_cast<std::size_t>(fault), 3);
}

TEST_CASE("crash: what the rivals against forgetting know of earlier turns survives as well") {
  RunConfig config = crash_config("");
  config.training.optimizer.ewc = 0.5;
  config.training.replay = 7;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    check_all(config, fault, static_cast<std::size_t>(fault), 4);
}

}  // namespace crash_test
