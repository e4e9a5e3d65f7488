// Joules in what the programs say: by a model, and by a meter below another root.

#include <doctest/doctest.h>

#include "e2e/program.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/parse.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace energy_programs_test {

namespace {

const std::string tiny =
    "simulate --dataset glyphs --model vanilla5 --width 4 --devices 2 --limit-train 60 --limit-test "
    "20 --epochs 2 --batch 20 --transport inproc --quiet ";

void write(const std::string& path, const std::string& text) {
  REQUIRE(create_folders(path.substr(0, path.rfind('/'))).ok());
  REQUIRE(write_file_atomic(path, text).ok());
}

/// A machine with an INA219 that shows 3 W.
std::string machine_with_sensor(const TemporaryFolder& folder) {
  const std::string root = folder / "machine";
  write(root + "/sys/class/hwmon/hwmon2/name", "ina219\n");
  write(root + "/sys/class/hwmon/hwmon2/power1_input", "3000000\n");
  return root;
}

}  // namespace

TEST_CASE("energy: a run's summary has the devices' joules by a model, the machine's by a meter") {
  const TemporaryFolder folder;
  const std::string root = machine_with_sensor(folder), model = folder / "board.json",
                    out = folder / "run";
  write(model, R"({"name": "board", "source": "the test", "idle_watts": 1, "computing_watts": 3})");
  const ProgramResult run = run_program(tiny + "--json --meter-root " + root + " --power-model " +
                                        model + " --device-slowdown 10 --out " + out);
  REQUIRE_MESSAGE(run.exit_code == 0, run.err);
  const Json summary = parse_json(run.out).value();
  const Json& energy = *summary.find("energy");
  const Json& machine = *energy.find("machine");
  const double seconds = machine.find("seconds")->as_double();
  CHECK(seconds > 0);
  CHECK(machine.find("joules")->as_double() == doctest::Approx(3 * seconds));
  CHECK(machine.find("origin")->as_string().starts_with("measured by ina219 (hwmon2"));
  CHECK(energy.find("origin")->as_string().starts_with("model board: 1.0 W idle, 3.0 W computing"));
  CHECK(energy.find("devices")->size() == 2);
  double joules = 0;
  for (const Json& epoch : summary.find("epochs")->as_array()) {
    const auto part = [&](const char* key) { return epoch.find(key)->as_double(); };
    joules += 30 * part("seconds_device") + part("seconds_server") + part("seconds_network");
  }
  CHECK(energy.find("turn_joules")->as_double() == doctest::Approx(joules));

  // The model belongs to the report: who reads the run does not need it.
  REQUIRE(std::remove(model.c_str()) == 0);
  const ProgramResult exported =
      run_program("model export --run " + out + " --out " + (folder / "w.safetensors"));
  CHECK_MESSAGE(exported.exit_code == 0, exported.err);
}

TEST_CASE("energy: what cannot be read is refused before anything is written, or said") {
  const TemporaryFolder folder;
  const std::string out = folder / "run", nothing = folder / "nothing";
  const auto refused = [&](const std::string& options, std::initializer_list<const char*> parts) {
    const ProgramResult result = run_program(tiny + options + " --out " + out);
    CHECK(result.exit_code == 2);
    for (const char* part : parts)
      CHECK_MESSAGE(result.err.find(part) != std::string::npos, result.err << " lacks " << part);
    CHECK(!folder_exists(out));
  };
  refused("--meter ina --meter-root " + nothing, {"--meter ina: ", "sys/class/hwmon"});
  refused("--meter volts", {"'volts'", "expected auto, off, rapl, pmic, ina"});
  refused("--power-model pi9", {"'pi9'", "pi4, pi5 or a JSON file"});
  refused("--device-slowdown 0", {"--device-slowdown"});

  const ProgramResult without =
      run_program(std::string(tiny).replace(tiny.find("inproc"), 6, "none") +
                  "--json --meter-root " + nothing + " --out " + out);
  REQUIRE_MESSAGE(without.exit_code == 0, without.err);
  const Json summary = parse_json(without.out).value();
  const Json& energy = *summary.find("energy");
  CHECK(energy.find("machine")->is_null());
  for (const char* part : {"no meter: ina: ", "pmic: ", "rapl: "})
    CHECK(energy.find("no_meter")->as_string().find(part) != std::string::npos);
  CHECK(energy.find("turn_joules")->is_null());
  CHECK(energy.find("origin")->as_string() == "no device was timed");
}

TEST_CASE("energy: the device program measures itself, as long as it runs") {
  const TemporaryFolder folder;
  const std::string device =
      "run --server 127.0.0.1:9 --name a --dataset glyphs --wait 1 --meter-root " +
      machine_with_sensor(folder) + " --meter ";
  const ProgramResult measured = run_program(device + "auto", "iotsl-device");
  CHECK(measured.exit_code == 3);  // no server
  CHECK(measured.out.find("3.00 W on average, measured by ina219 (hwmon2") != std::string::npos);
  const ProgramResult none = run_program(device + "rapl", "iotsl-device");
  CHECK(none.exit_code == 2);
  CHECK(none.err.find("--meter rapl: no meter: rapl: ") != std::string::npos);
  CHECK(run_program(device + "watts", "iotsl-device").exit_code == 2);
}

}  // namespace energy_programs_test
