// Method iotsl: the wire is cut, or one side dies, at messages of generators, imputation and turns;
// the end must be that of a run that nothing happened to.

#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"

namespace iotsl_crash_test {

using namespace fragile;

namespace {

RunConfig crash_config() {
  RunConfig config = tiny::iotsl_config();
  config.barriers.steps = 3;
  config.barriers.seconds = 0;
  config.offline_seconds = 0;
  return config;
}

/// The devices keep their training in a folder, so that all runs together train once.
void check_all(const RunConfig& config, Fault fault, std::size_t first, std::size_t stride) {
  const data::Dataset train = tiny::dataset(52, 1), test = tiny::dataset(24, 2);
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "devices";
  check_faults(config, files, train, test, tiny::halves(train), fault, first, stride);
}

}  // namespace

TEST_CASE("iotsl: a connection that is cut at any message changes nothing") {
  check_all(crash_config(), Fault::cut, 0, 1);
}

TEST_CASE("iotsl: a device that loses its state at any message changes nothing") {
  check_all(crash_config(), Fault::device_dies, 0, 2);
}

TEST_CASE("iotsl: a server that dies at any message changes nothing") {
  check_all(crash_config(), Fault::server_dies, 1, 2);
}

TEST_CASE("iotsl: a device that is away while generators are collected is named, once") {
  const data::Dataset train = tiny::dataset(52, 1), test = tiny::dataset(24, 2);
  const auto samples = tiny::halves(train);
  std::size_t runs_with_note = 0;
  for (std::size_t at = 9; at < 14; ++at) {  // the last to join has just been taken in
    FragileRun broken(crash_config(), train, test, samples);
    REQUIRE(broken.run(Fault::cut, at).ok());
    std::size_t notes = 0;
    for (const std::string& text : broken.notes())
      notes += text.find(" is away; the run waits for its generator") != text.npos;
    CHECK_MESSAGE(notes <= 1, "cut at message " << at);
    runs_with_note += notes;
  }
  CHECK(runs_with_note > 0);
}

TEST_CASE("iotsl: the same without pre-training, and without imputation") {
  RunConfig config = crash_config();
  config.preparation.pretrain = false;
  check_all(config, Fault::device_dies, 0, 4);
  config.preparation.pretrain = true;
  config.preparation.impute = false;
  check_all(config, Fault::server_dies, 1, 4);
}

}  // namespace iotsl_crash_test
