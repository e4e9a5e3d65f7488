// Meters on folders that look like a machine's, and the model's arithmetic by hand.

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iotsl/measure/energy/meter.hpp"
#include "iotsl/measure/energy/power_models.hpp"
#include "support/temporary_folder.hpp"

namespace energy_test {

using namespace iotsl;
using namespace iotsl::measure;

namespace {

/// A root folder with files below it.
struct Machine {
  TemporaryFolder folder;

  std::string write(const std::string& path, const std::string& text) const {
    const std::string full = folder / path;
    REQUIRE(create_folders(full.substr(0, full.rfind('/'))).ok());
    // Readers of counters see the old text or the new one.
    REQUIRE(write_file_atomic(full, text).ok());
    return full;
  }
  void zone(const std::string& entry, const char* name, const char* energy,
            const char* range = "1000000") const {
    const std::string zone = "sys/class/powercap/" + entry + "/";
    write(zone + "name", std::string(name) + "\n");
    write(zone + "energy_uj", std::string(energy) + "\n");
    write(zone + "max_energy_range_uj", std::string(range) + "\n");
  }
  void ina(const std::string& entry, const char* name, const char* power) const {
    write("sys/class/hwmon/" + entry + "/name", std::string(name) + "\n");
    if (power != nullptr)
      write("sys/class/hwmon/" + entry + "/power1_input", std::string(power) + "\n");
  }
  void vcgencmd(const std::string& script) const {
    const std::string path = write("usr/bin/vcgencmd", "#!/bin/sh\n" + script);
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
  }
  const std::string& root() const { return folder.path; }
};

template <class V>
void check_failure(const Result<V>& result, std::initializer_list<const char*> parts) {
  REQUIRE(!result);
  for (const char* part : parts)
    CHECK_MESSAGE(result.failure().message.find(part) != std::string::npos,
                  result.failure().message << " lacks " << part);
}

/// As a Raspberry Pi 5 prints it, three rails of twelve.
constexpr const char* pmic_text =
    "   3V3_SYS_A current(1)=0.06245952A\n"
    "  VDD_CORE_A current(7)=2.00000000A\n"
    " 3V7_WL_SW_A current(0)=0.00000000A\n"
    " 3V7_WL_SW_V volt(8)=3.79999600V\n"
    "   3V3_SYS_V volt(9)=3.30632200V\n"
    "  VDD_CORE_V volt(15)=0.89745940V\n"
    "     EXT5V_V volt(24)=5.12316000V\n"
    "      BATT_V volt(25)=0.00512820V\n";

}  // namespace

TEST_CASE("rapl: packages are summed, their parts and doubles are not, counters begin again") {
  const Machine machine;
  machine.zone("intel-rapl:0", "package-0", "999000");
  machine.zone("intel-rapl:0:0", "core", "5");
  machine.zone("intel-rapl:1", "package-1", "100");
  machine.zone("intel-rapl:2", "psys", "7");
  machine.zone("intel-rapl-mmio:0", "package-0", "999000");
  REQUIRE(create_folders(machine.folder / "sys/class/powercap/intel-rapl").ok());
  Result<RaplMeter> meter = RaplMeter::open(machine.root());
  REQUIRE_MESSAGE(meter.ok(), meter.failure().message);
  CHECK(meter->origin().find("2 whole packages, shared") != std::string::npos);
  CHECK(meter->advance().value() == 0);
  machine.zone("intel-rapl:0", "package-0", "999600");
  machine.zone("intel-rapl:1", "package-1", "150");
  CHECK(meter->advance().value() == 650);
  machine.zone("intel-rapl:0", "package-0", "400");  // 400 up to the range, and 400 behind it
  CHECK(meter->advance().value() == 800);
  machine.zone("intel-rapl:0", "package-0", "401");
  CHECK(meter->advance().value() == 1);
}

TEST_CASE("rapl: what is missing, unreadable or no number is named") {
  const Machine machine;
  check_failure(RaplMeter::open(machine.root()), {"sys/class/powercap", "no zone"});
  machine.zone("intel-rapl:0", "package-0", "12 apples");
  check_failure(RaplMeter::open(machine.root()),
                {"intel-rapl:0/energy_uj", "'12 apples'", "whole number"});
  machine.zone("intel-rapl:0", "package-0", "-3");
  check_failure(RaplMeter::open(machine.root()), {"'-3'"});
  machine.zone("intel-rapl:0", "package-0", "99999999999999999999999");
  check_failure(RaplMeter::open(machine.root()), {"whole number"});
  machine.zone("intel-rapl:0", "package-0", "1000001");
  check_failure(RaplMeter::open(machine.root()), {"1000001", "more than its range 1000000"});
  const std::string counter = machine.folder / "sys/class/powercap/intel-rapl:0/energy_uj";
  if (::geteuid() != 0) {  // root reads everything
    REQUIRE(::chmod(counter.c_str(), 0) == 0);
    check_failure(RaplMeter::open(machine.root()), {"energy_uj: no permission", "chmod a+r"});
  }
  REQUIRE(::unlink(counter.c_str()) == 0);
  check_failure(RaplMeter::open(machine.root()), {"energy_uj", "No such file"});
}

TEST_CASE("ina: microwatts, or millivolts times milliamperes; several want a choice") {
  const Machine machine;
  check_failure(InaMeter::open(machine.root()), {"sys/class/hwmon", "no sensor ina219"});
  machine.ina("hwmon0", "cpu_thermal", nullptr);
  machine.ina("hwmon2", "ina219", "4250000");
  const Result<InaMeter> one = InaMeter::open(machine.root());
  REQUIRE_MESSAGE(one.ok(), one.failure().message);
  CHECK(one->watts().value() == doctest::Approx(4.25));
  CHECK(one->origin().find("ina219 (hwmon2") != std::string::npos);
  machine.ina("hwmon3", "ina226", nullptr);
  check_failure(InaMeter::open(machine.root()), {"hwmon2 (ina219), hwmon3 (ina226)", "ina:hwmon0"});
  check_failure(InaMeter::open(machine.root(), "hwmon0"), {"hwmon0 is no such sensor"});
  check_failure(InaMeter::open(machine.root(), "hwmon3"), {"in1_input", "No such file"});
  machine.write("sys/class/hwmon/hwmon3/in1_input", "5100\n");
  machine.write("sys/class/hwmon/hwmon3/curr1_input", "500\n");
  CHECK(InaMeter::open(machine.root(), "hwmon3")->watts().value() == doctest::Approx(2.55));
  machine.write("sys/class/hwmon/hwmon3/curr1_input", "-1\n");
  CHECK(InaMeter::open(machine.root(), "hwmon3")->watts().value() == doctest::Approx(-0.0051));
  machine.write("sys/class/hwmon/hwmon3/curr1_input", "\n");
  check_failure(one->watts().ok() ? InaMeter::open(machine.root(), "hwmon3") : one,
                {"curr1_input", "''"});
}

TEST_CASE("pmic: rails with current and voltage are summed, anything else is refused") {
  const double watts = 0.06245952 * 3.306322 + 2 * 0.8974594;
  CHECK(parse_pmic_watts(pmic_text).value() == doctest::Approx(watts));
  check_failure(parse_pmic_watts(""), {"no rail", "Raspberry Pi 5"});
  check_failure(parse_pmic_watts("EXT5V_V volt(24)=5.1V\n"), {"no rail"});
  for (const char* bad :
       {"Command not registered", "VDD_CORE_A current(7)=2.0V", "VDD_CORE_A current(7)=A",
        "VDD_CORE_A current(7)=-1.0A", "VDD_CORE_A current(7)=1.0A x", "A=1A", "VDD_CORE_A"})
    check_failure(parse_pmic_watts(bad), {"line '", bad});

  const Machine machine;
  check_failure(PmicMeter::open(machine.root()), {"usr/bin/vcgencmd", "cannot be run"});
  machine.vcgencmd("test \"$1\" = pmic_read_adc || exit 9\ncat <<END\n" + std::string(pmic_text) +
                   "END\n");
  const Result<PmicMeter> meter = PmicMeter::open(machine.root());
  REQUIRE_MESSAGE(meter.ok(), meter.failure().message);
  CHECK(meter->watts().value() == doctest::Approx(watts));
  machine.vcgencmd("echo 'Can not open device file: /dev/vcio' >&2\nexit 255\n");
  check_failure(PmicMeter::open(machine.root()), {"has failed", "/dev/vcio", "group video"});
}

TEST_CASE("meter: trapezoids between readings") {
  PowerIntegral power;
  power.add(10, 4);
  CHECK(power.joules() == 0);
  power.add(12, 6);    // 2 s at 5 W on average
  power.add(12.5, 2);  // half a second at 4 W
  CHECK(power.joules() == doctest::Approx(12));
}

TEST_CASE("meter: the choice of auto, and why there is none") {
  const Machine machine;
  const auto open = [&](const char* text) {
    return EnergyReader::open(parse_meter(text).value(), machine.root());
  };
  check_failure(open("auto"), {"no meter", "ina: ", "pmic: ", "rapl: "});
  machine.zone("intel-rapl:0", "package-0", "0");
  CHECK(open("auto")->origin().find("RAPL") != std::string::npos);
  machine.ina("hwmon1", "ina226", "3000000");
  CHECK(open("auto")->origin().find("ina226") != std::string::npos);
  CHECK(open("rapl")->origin().find("RAPL") != std::string::npos);
  check_failure(open("pmic"), {"no meter: pmic: "});
  CHECK(parse_meter("ina:hwmon3")->which == "hwmon3");
  for (const char* bad : {"", "watt", "rapl:0", "ina:", "auto:x"})
    check_failure(parse_meter(bad), {"expected auto, off, rapl, pmic, ina or ina:hwmon2"});
}

TEST_CASE("meter: joules between two marks, and a reading that fails meanwhile") {
  const Machine machine;
  machine.zone("intel-rapl:0", "package-0", "100");
  const MeterChoice rapl{"rapl", ""};
  auto meter = EnergyMeter::start(EnergyReader::open(rapl, machine.root()).value());
  REQUIRE(meter.ok());
  machine.zone("intel-rapl:0", "package-0", "600100");
  const Result<Energy> energy = (*meter)->finish();
  REQUIRE_MESSAGE(energy.ok(), energy.failure().message);
  CHECK(energy->joules == doctest::Approx(0.6));
  CHECK(energy->seconds >= 0);
  CHECK(energy->origin.find("RAPL") != std::string::npos);

  machine.ina("hwmon1", "ina219", "2000000");
  auto sensor = EnergyMeter::start(EnergyReader::open({"ina", ""}, machine.root()).value(), 0.002);
  REQUIRE(sensor.ok());
  ::usleep(20'000);
  const Energy steady = (*sensor)->finish().value();
  CHECK(steady.seconds >= 0.02);
  CHECK(steady.joules == doctest::Approx(2 * steady.seconds));

  // A reading fails while nobody looks: what passed meanwhile is not known, although the next
  // works.
  const std::string bad = machine.folder / "bad", seen = machine.folder / "seen";
  machine.vcgencmd("if rm " + bad + " 2>/dev/null; then touch " + seen +
                   "; exit 1; fi\ncat <<END\n" + std::string(pmic_text) + "END\n");
  auto broken = EnergyMeter::start(EnergyReader::open({"pmic", ""}, machine.root()).value(), 0.002);
  REQUIRE(broken.ok());
  machine.write("bad", "");
  for (int i = 0; i < 5000 && !file_exists(seen); ++i) ::usleep(2'000);
  REQUIRE(file_exists(seen));
  check_failure((*broken)->finish(), {"vcgencmd pmic_read_adc has failed"});
}

TEST_CASE("power model: joules by hand") {
  PowerModel model{.name = "board", .source = "ours", .idle_watts = 2, .computing_watts = 6};
  // 100 s awake at 2 W, of which 30 s at 4 W more.
  const DeviceTimes times{.awake = 100, .computing = 30, .sending = 20, .receiving = 10};
  CHECK(model.joules(times) == doctest::Approx(320));
  CHECK(model.origin() ==
        "model board: 2.0 W idle, 6.0 W computing, the network counted as idle (ours)");
  model.sending_watts = 3;
  CHECK(model.joules(times) == doctest::Approx(340));
  CHECK(model.origin().find("3.0 W sending, receiving counted as idle (ours)") !=
        std::string::npos);
  model.receiving_watts = 2.5;
  CHECK(model.joules(times) == doctest::Approx(345));
  CHECK(model.origin().find("3.0 W sending, 2.5 W receiving (ours)") != std::string::npos);
  CHECK(model.joules({}) == 0);
}

TEST_CASE("power model: the times of a device in an epoch") {
  EpochRecord r;
  r.seconds_device = 10;
  r.seconds_server = 2;
  r.seconds_update = 50;  // beside the rest
  r.seconds_network = 8;
  r.bytes_up = 300;
  r.bytes_down = 100;
  DeviceTimes t = device_times(r);
  CHECK(t.awake == 20);
  CHECK(t.computing == 10);
  CHECK(t.sending == 6);
  CHECK(t.receiving == 2);
  // A device that is three times as slow is awake for 20 s more.
  t = device_times(r, 3);
  CHECK(t.awake == 40);
  CHECK(t.computing == 30);
  CHECK(t.sending == 6);
  EpochRecord cached;  // of method cache: the server trains alone
  cached.seconds_server = 5;
  CHECK(device_times(cached).awake == 0);
}

TEST_CASE("power model: the built-in ones say whose they are, a file says what is wrong with it") {
  for (const PowerModel& model : built_in_power_models()) {
    CHECK(find_power_model(model.name)->computing_watts == model.computing_watts);
    CHECK(model.idle_watts < model.computing_watts);
    CHECK(model.source.find(".com") != std::string::npos);
  }
  const Machine machine;
  const std::string good =
      R"({"name": "n", "source": "s", "idle_watts": 1, "computing_watts": 2.5, "sending_watts": 1.5})";
  const std::string path = machine.write("board.json", good);
  const Result<PowerModel> model = find_power_model(path);
  REQUIRE_MESSAGE(model.ok(), model.failure().message);
  CHECK(model->computing_watts == 2.5);
  CHECK(model->sending_watts == 1.5);
  CHECK(!model->receiving_watts);
  check_failure(find_power_model("pi7"), {"'pi7'", "pi4, pi5 or a JSON file"});
  const auto refused = [&](const std::string& from, const std::string& to,
                           std::initializer_list<const char*> parts) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    machine.write("board.json", text);
    check_failure(find_power_model(path), parts);
  };
  refused("{\"name\"", "[\"name\"", {"board.json"});
  refused("\"source\": \"s\", ", "", {"board.json", "source"});
  refused("\"s\"", "\"\"", {"source is empty"});
  refused("\"n\"", "\"\"", {"name is empty"});
  refused("2.5", "\"2.5\"", {"computing_watts", "number"});
  refused("2.5", "0.5", {"computing_watts is 0.5, less than idle_watts 1"});
  refused("2.5", "25000", {"25000", "up to 10000"});
  refused(": 1,", ": 0,", {"idle_watts is 0", "above 0"});
  refused("1.5", "-1", {"sending_watts is -1"});
  refused("sending_watts", "sendig_watts", {"unknown key 'sendig_watts'"});
}

}  // namespace energy_test
