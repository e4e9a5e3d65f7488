// iotsl-bench: verdicts, files, what a board tells, and the program itself for a few rows.

#include "bench/machine/board.hpp"

#include <doctest/doctest.h>

#include "bench/report/compare.hpp"
#include "e2e/program.hpp"

using namespace iotsl;
using test::ProgramResult;
using test::run_program;
using test::TemporaryFolder;

namespace bench_test {
namespace {

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

void write(const std::string& path, const std::string& text) {
  REQUIRE(create_folders(path.substr(0, path.rfind('/'))).ok());
  REQUIRE(write_file_atomic(path, text).ok());
}

/// A Raspberry Pi 4's files below /sys.
struct FakeBoard {
  FakeBoard() {
    policy("performance", "1500000");
    write(root / "class/thermal/thermal_zone0/temp", "54321\n");
    write(root / "class/thermal/cooling_device0/type", "gpio-fan\n");
    write(root / "class/thermal/cooling_device0/cur_state", "1\n");
    throttled("0");
    const std::string model("Raspberry Pi 4 Model B Rev 1.4\0", 31);
    write(root / "firmware/devicetree/base/model", model);
    write(root / "devices/system/cpu/cpu0/cache/index2/level", "2\n");
    write(root / "devices/system/cpu/cpu0/cache/index2/size", "1024K\n");
    write(root / "devices/system/cpu/cpu0/cache/index2/shared_cpu_list", "0-3\n");
  }
  void policy(const char* governor, const char* khz) const {
    const std::string folder = root / "devices/system/cpu/cpufreq/policy0/";
    write(folder + "scaling_governor", concat(governor, "\n"));
    write(folder + "scaling_cur_freq", concat(khz, "\n"));
    write(folder + "cpuinfo_max_freq", "1800000\n");
  }
  void throttled(const char* flags) const {
    write(root / "devices/platform/soc/soc:firmware/get_throttled", concat(flags, "\n"));
  }
  TemporaryFolder root;
};

bench::Report small_report() {
  bench::Report out;
  out.version = "0.1.0";
  out.compiler = "g++ 12";
  out.date = "2026-11-29 12:00";
  out.targets = {"baseline", "neon"};
  out.target = "neon";
  out.machine = {.cpu = "Cortex-A72", .board = "a board", .architecture = "aarch64", .os = "Linux"};
  out.board.begin.clocks = {{"ondemand", 600000, 1800000}};
  out.board.highest_celsius = 61.25;
  out.warnings = {"the governor is ondemand"};
  out.rows = {{"predict/n1", 1, {0.5, 0.25, 1, 0.125}, 9, 2e9, 1e6, 0.75, "compute"},
              {"predict/n1", 4, {0.2, 0.1, 0.3, 0.1}, 9, 2e9, 1e6, 0.5, "memory"}};
  return out;
}

}  // namespace

TEST_CASE("bench: quartiles, and a verdict only where the middle halves do not touch") {
  const bench::Spread five = bench::summarize({5, 1, 4, 2, 3});
  CHECK(five == bench::Spread{3, 2, 4, 1});
  CHECK(bench::summarize({2, 1}) == bench::Spread{1.5, 1.25, 1.75, 1});
  CHECK(bench::summarize({7}) == bench::Spread{7, 7, 7, 7});
  CHECK_THROWS_AS(bench::summarize({}), Error);

  const bench::Spread before{10, 9, 11, 8};
  CHECK(bench::judge(before, {8, 7, 8.9, 6}) == bench::Verdict::faster);
  CHECK(bench::judge(before, {8, 7, 9, 6}) == bench::Verdict::same);
  CHECK(bench::judge(before, {12, 11, 13, 6}) == bench::Verdict::same);
  CHECK(bench::judge(before, {12, 11.1, 13, 6}) == bench::Verdict::slower);
}

TEST_CASE("bench: a report comes back from its file, and what is no report is named") {
  const TemporaryFolder folder;
  const bench::Report report = small_report();
  REQUIRE(bench::save_report(folder / "a.json", report).ok());
  const auto loaded = bench::load_report(folder / "a.json");
  REQUIRE(loaded.ok());
  CHECK(*loaded == report);

  const std::string text = to_text(to_json_fields(report));
  const auto says = [](const std::string& wrong) {
    const auto parsed = bench::parse_report(wrong);
    return parsed.ok() ? std::string("taken") : parsed.failure().message;
  };
  const auto with = [&](const std::string& old, const std::string& other) {
    std::string changed = text;
    REQUIRE(changed.find(old) != std::string::npos);
    return changed.replace(changed.find(old), old.size(), other);
  };
  CHECK(says(text) == "taken");
  CHECK(has(says("{}"), "key 'format' is missing"));
  CHECK(has(says(with("iotsl-bench 1", "iotsl-bench 7")), "found \"iotsl-bench 7\""));
  CHECK(has(says(with("\"rows\"", "\"lines\"")), "'rows' is missing"));
  CHECK(has(says(with("\"median\":0.5", "\"median\":2.5")), "row 'predict/n1': expected seconds"));
  CHECK(has(says(with("\"least\":0.125", "\"least\":0")), "above 0"));
  CHECK(has(says(text.substr(0, 100)), "json: byte"));
}

TEST_CASE("bench: a comparison has ratios, verdicts and what else differs") {
  const bench::Report before = small_report();
  bench::Report now = before;
  now.machine.cpu = "Cortex-A76";
  now.rows[0].seconds = {0.1, 0.1, 0.1, 0.1};
  now.rows[1].threads = 2;
  now.rows.push_back({"conv2d/n64", 1, {1, 1, 1, 1}, 3});
  const auto compared = bench::compare(before, now);
  REQUIRE(compared.ok());
  REQUIRE(compared->rows.size() == 1);
  CHECK(compared->rows[0].ratio() == doctest::Approx(5));
  CHECK(compared->rows[0].verdict == bench::Verdict::faster);
  CHECK(compared->only_before == 1);
  CHECK(compared->only_now == 2);
  REQUIRE(compared->notes.size() == 2);
  CHECK(compared->notes[0] == "another processor: Cortex-A72 there, Cortex-A76 here");
  CHECK(has(compared->notes[1], "ondemand"));
  // The same name for another size: its seconds say nothing.
  bench::Report quick = before;
  quick.quick = true;
  quick.rows[0].flops *= 2;
  const auto sizes = bench::compare(before, quick);
  REQUIRE(sizes.ok());
  CHECK(sizes->rows.size() == 1);
  CHECK(has(sizes->notes[0], "another size: full there, --quick here"));
  CHECK(has(sizes->notes[1], "1 rows of the same name do other work there"));
  quick.rows.resize(1);
  const auto nothing = bench::compare(before, quick);
  REQUIRE_FALSE(nothing.ok());
  CHECK(has(nothing.failure().message, "its 2 rows are of a full one"));
  now.rows = {{"other", 1, {1, 1, 1, 1}, 3}};
  CHECK_FALSE(bench::compare(before, now).ok());
}

TEST_CASE("bench: a board's files are read, and what slows it down is said") {
  const FakeBoard board;
  const bench::BoardState state = bench::read_board(board.root.path);
  REQUIRE(state.clocks.size() == 1);
  CHECK(state.clocks[0] == bench::ClockPolicy{"performance", 1500000, 1800000});
  CHECK(state.temperature_celsius == doctest::Approx(54.321));
  CHECK(state.tells_throttling);
  CHECK(state.pi_flags == 0);
  CHECK_FALSE(state.is_cooled);  // a fan takes nothing from the clock
  const bench::Machine machine = bench::read_machine(board.root.path);
  CHECK(machine.board == "Raspberry Pi 4 Model B Rev 1.4");
  CHECK(machine.l2_bytes == 1 << 20);
  CHECK(machine.l2_cores == 4);

  bench::BoardRecord record;
  add_look(record, state, true);
  CHECK(bench::board_warnings(record).empty());

  // Under-voltage for a moment, which no look met, and heat at a look.
  board.throttled("10004");
  write(board.root / "class/thermal/thermal_zone0/temp", "81000\n");
  add_look(record, bench::read_board(board.root.path), false);
  board.throttled("10000");
  write(board.root / "class/thermal/thermal_zone0/temp", "60000\n");
  add_look(record, bench::read_board(board.root.path), false);
  const auto warnings = bench::board_warnings(record);
  REQUIRE(warnings.size() == 2);
  CHECK(has(warnings[0], "during the run: under-voltage"));
  CHECK(has(warnings[1], "during the run: throttled"));
  CHECK(record.highest_celsius == doctest::Approx(81));

  // Before the run: nobody knows whether again.
  bench::BoardRecord later;
  add_look(later, bench::read_board(board.root.path), true);
  REQUIRE(bench::board_warnings(later).size() == 1);
  CHECK(has(bench::board_warnings(later)[0], "since the board was switched on"));

  // Other boards have no such file, but a cooler that is the clock.
  const TemporaryFolder other;
  write(other / "class/thermal/cooling_device3/type", "cpufreq-cpu0\n");
  write(other / "class/thermal/cooling_device3/cur_state", "2\n");
  write(other / "devices/system/cpu/cpufreq/policy0/scaling_governor", "ondemand\n");
  bench::BoardRecord hot;
  add_look(hot, bench::read_board(other.path), true);
  CHECK_FALSE(hot.begin.tells_throttling);
  REQUIRE(bench::board_warnings(hot).size() == 2);
  CHECK(has(bench::board_warnings(hot)[0], "governor is ondemand"));
  CHECK(has(bench::board_warnings(hot)[1], "held the clock down"));
  CHECK(bench::board_warnings({}).empty());
}

TEST_CASE("bench: processors by the numbers and names of /proc/cpuinfo") {
  CHECK(bench::cpu_name("processor\t: 0\nmodel name\t: AMD EPYC  \nmodel name\t: x\n") ==
        "AMD EPYC");
  CHECK(bench::cpu_name("CPU implementer\t: 0x41\nCPU part\t: 0xd08\n") == "Cortex-A72");
  CHECK(bench::cpu_name("CPU implementer\t: 0x41\nCPU part\t: 0xfff\n") == "Arm core 0xfff");
  CHECK(bench::cpu_name("CPU implementer\t: 0x61\nCPU part\t: 0x022\n") ==
        "implementer 0x61, core 0x022");
  CHECK(bench::cpu_name("") == "unknown");
}

TEST_CASE("iotsl bench measures, warns, writes a file and compares with it") {
  const FakeBoard board;
  board.policy("ondemand", "600000");
  const TemporaryFolder folder;
  const std::string base = "bench --quick --threads 1 --filter 512-512@1/ --sysfs-root " +
                           board.root.path + " --json " + (folder / "a.json");
  const ProgramResult first = run_program(base);
  REQUIRE_MESSAGE(first.exit_code == 0, first.err);
  CHECK(has(first.err, "the governor is ondemand"));
  CHECK(has(first.out, "Raspberry Pi 4 Model B"));
  auto report = bench::load_report(folder / "a.json");
  REQUIRE(report.ok());
  CHECK(report->warnings.size() == 1);
  CHECK(report->machine.l2_bytes == 1 << 20);
  const bench::Row* forward = report->find("conv2d/512-512@1/forward/n4", 1);
  REQUIRE(forward != nullptr);
  CHECK(forward->flops == 2.0 * 4 * 512 * 512 * 9);
  CHECK(forward->share > 0);
  CHECK(report->find("fma/" + report->target, 1) != nullptr);
  CHECK(report->find("predict/vgg16bn-compact/n1", 1) == nullptr);

  // A file of a machine that takes no time at all, and one that takes an hour for everything.
  const auto file_of = [&](double seconds) {
    for (bench::Row& row : report->rows) row.seconds = {seconds, seconds, seconds, seconds};
    const std::string path = folder / "b.json";
    REQUIRE(bench::save_report(path, *report).ok());
    return path;
  };
  const std::string again = "--quick --threads 1 --filter 512-512@1/forward --compare ";
  const ProgramResult slower = run_program(again + file_of(1e-12), "iotsl-bench");
  CHECK(slower.exit_code == 6);
  CHECK(has(slower.out, "another board: Raspberry Pi 4 Model B"));
  const ProgramResult faster = run_program(again + file_of(3600), "iotsl-bench");
  CHECK(faster.exit_code == 0);
  CHECK(has(faster.out, " 0 slower"));
}

TEST_CASE("iotsl-bench: what it cannot do is said before it measures") {
  const TemporaryFolder folder;
  write(folder / "c.json", "{\"format\": \"x\"}");
  const auto says = [](const std::string& arguments, int code, std::string_view text) {
    const ProgramResult result = run_program(arguments, "iotsl-bench");
    CHECK_MESSAGE(result.exit_code == code, arguments);
    CHECK_MESSAGE(has(result.err, text), result.err);
  };
  says("--compare " + (folder / "none.json"), 4, "none.json");
  says("--compare " + (folder / "c.json"), 4, "expected a file of iotsl-bench --json");
  says("--filter zebra", 2, "zebra: no row has that in its name");
  says("--json " + (folder / "none/a.json"), 2, "cannot write to");
  says("--threads 0", 2, "expected a number from 1");
  says("--speed 3", 2, "unknown argument '--speed'");
  says("--quick=yes", 2, "takes no value");
  CHECK(run_program("bench --help").out == run_program("--help", "iotsl-bench").out);
  const ProgramResult list = run_program("--list", "iotsl-bench");
  CHECK(list.exit_code == 0);
  CHECK(has(list.out, "conv2d/64-64@28/grad_weight/n64\n"));
  CHECK(has(list.out, "train_step/vgg16bn-compact/sgd/n64\n"));
}

}  // namespace bench_test
