// Run folders and other outputs: what is there is left until something better is, and by one
// process at a time.

#include <doctest/doctest.h>

#include <unistd.h>

#include <thread>

#include "e2e/background.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/hash.hpp"
#include "support/skip.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace run_folder_test {

namespace {

const std::string small =
    "--dataset glyphs --width 4 --limit-train 40 --limit-test 20 --batch 10 --threads 1 --quiet ";
const std::string two = small + "--devices 2 ";

void succeed(const std::string& arguments) {
  const ProgramResult result = run_program(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, arguments << "\n" << result.err);
}
/// Ends with that code and names `what`.
void refuse(const std::string& arguments, int code, const std::string& what) {
  const ProgramResult result = run_program(arguments);
  CHECK_MESSAGE(result.exit_code == code, arguments << "\n" << result.err);
  CHECK_MESSAGE(result.err.find(what) != std::string::npos, result.err);
}

std::string hash_of(const std::string& path) {
  const auto bytes = read_file(path);
  return bytes ? sha256_hex(*bytes) : "none";
}
void write(const std::string& path, const std::string& text) {
  REQUIRE(write_file_atomic(path, text).ok());
}

void wait_for_file(const std::string& path, Child& child) {
  for (int i = 0; i < 6000 && !file_exists(path) && child.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(file_exists(path));
}
int end_of(Child& child) {
  for (int i = 0; i < 6000 && child.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return child.exit_code();
}

}  // namespace

TEST_CASE("an earlier run is there until a new one has reached its first barrier") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", table = folder / "table.txt";
  succeed("simulate " + small + "--devices 3 --transport tcp --out " + run);
  const std::string weights = hash_of(run + "/model.safetensors");
  write(run + "/notes.txt", "mine");
  write(table, "1,0,0,0,0,0,0,0,0,0\n0,5,0,0,0,0,0,0,0,1\n");
  const std::string over = two + "--overwrite --out " + run;
  refuse("simulate " + two + "--out " + run, 2, "holds a run already");
  refuse("server --listen nosuchhost.invalid:1 " + over, 3, "is as it was");
  refuse("server --listen 127.0.0.1:0 --wait 1 " + over, 3, "only 0 of 2 devices");
  refuse("simulate --partition table:" + table + " " + over, 2, "device 0 gets 1 sample");
  refuse("simulate --cut nothing " + over, 2, "'nothing'");
  CHECK(hash_of(run + "/model.safetensors") == weights);
  CHECK(file_exists(run + "/device-2.log"));
  CHECK(list_folder(folder / "") == std::vector<std::string>{"run", "table.txt"});

  succeed("simulate --seed 7 --transport tcp " + over);
  CHECK(hash_of(run + "/model.safetensors") != weights);
  REQUIRE(::unlink((run + "/model.safetensors").c_str()) == 0);
  refuse("simulate --resume " + run, 4, "model.safetensors is not there");
  CHECK(read_text_file(run + "/config.json")->find("\"seed\": 7") != std::string::npos);
  // What an earlier run has left goes with it; what is not a run's stays.
  CHECK(file_exists(run + "/device-1.log"));
  CHECK_FALSE(file_exists(run + "/device-2.log"));
  CHECK(read_text_file(run + "/notes.txt").value() == "mine");
  CHECK(list_folder(folder / "") == std::vector<std::string>{"run", "table.txt"});
}

TEST_CASE("a killed or stopped start leaves the earlier run, too") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", bin = std::string(IOTSL_PROGRAMS_DIR) + "/iotsl ";
  succeed("simulate " + two + "--transport none --out " + run);
  const std::string weights = hash_of(run + "/model.safetensors");
  for (const int signal : {SIGTERM, SIGKILL}) {
    Child server(words(bin + "server --listen 127.0.0.1:0 --overwrite --out " + run + " " + two),
                 folder / "log");
    wait_for_file(run + ".unfinished/session.json", server);
    server.kill(signal);
    const int code = end_of(server);
    if (signal == SIGTERM) CHECK(code == 1);  // there is nothing to go on with
    CHECK(hash_of(run + "/model.safetensors") == weights);
  }
  CHECK(read_text_file(folder / "log")->find("is as it was") != std::string::npos);
  refuse("server --listen 127.0.0.1:0 --wait 1 --overwrite --out " + run + " " + two, 3, "only 0");
  CHECK_FALSE(folder_exists(run + ".unfinished"));
  CHECK(hash_of(run + "/model.safetensors") == weights);
}

TEST_CASE("a refused start leaves no folder, and no run takes another's files") {
  const TemporaryFolder folder;
  const std::string run = folder / "new/folders/run";
  refuse("server --listen 127.0.0.1:0 --wait 1 " + two + "--out " + run, 3, "only 0 of 2");
  refuse("server --listen nosuchhost.invalid:1 " + two + "--out " + run, 3, "nosuchhost");
  CHECK_FALSE(folder_exists(folder / "new"));
  const std::string mine = folder / "mine";
  REQUIRE(create_folders(mine).ok());
  write(mine + "/model.safetensors", "weights of years");
  refuse("simulate " + two + "--overwrite --out " + mine, 2, "is no run folder, but holds model");
  CHECK(read_text_file(mine + "/model.safetensors").value() == "weights of years");
}

TEST_CASE("a folder that may be written but not read is refused before anything is done") {
  const TemporaryFolder folder;
  // Root may read everything: then as nobody, who has to come to the programs.
  const std::string as_user =
      ::geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
  const std::string bin = std::string(IOTSL_PROGRAMS_DIR) + "/iotsl ";
  if (std::system(concat(as_user, bin, "--version >/dev/null 2>&1").c_str()) != 0)
    SKIP_TEST("nobody cannot start the programs of this build");
  REQUIRE(::chmod((folder / "").c_str(), 0755) == 0);
  const std::string drop = folder / "drop", log = folder / "log";
  REQUIRE(::mkdir(drop.c_str(), 0700) == 0);
  if (::geteuid() == 0) REQUIRE(::chown(drop.c_str(), 65534, 65534) == 0);
  REQUIRE(::chmod(drop.c_str(), 0300) == 0);
  const auto refused = [&](const std::string& words, const std::string& why) {
    const int status = std::system(concat(as_user, bin, words, " >", log, " 2>&1").c_str());
    CHECK(WEXITSTATUS(status) == 2);
    const std::string said = read_text_file(log).value();
    CHECK_MESSAGE(said.find(why) != std::string::npos, said);
  };
  const std::string why =
      "a run has to read and write in its folder, and has no permission to read";
  refused("simulate " + two + "--out " + drop, concat("--out ", drop, ": ", why));
  refused("data partition --dataset glyphs --devices 2 --out " + drop + "/manifest.json",
          "no permission to read " + drop);
  REQUIRE(::chmod(drop.c_str(), 0700) == 0);
  CHECK(list_folder(drop).empty());
}

TEST_CASE("one run folder, one process") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", bin = std::string(IOTSL_PROGRAMS_DIR) + "/iotsl ";
  Child first(words(bin + "simulate " + two + "--transport none --rounds 400 --out " + run),
              folder / "log");
  wait_for_file(run + "/checkpoints/barrier-00000003.iotsl", first);
  const std::string holder = concat("in use by process ", static_cast<long>(first.pid()));
  refuse("simulate --quiet --resume " + run, 2, holder);
  refuse("simulate --overwrite --out " + run + " " + two, 2, holder);
  // A closed terminal stops it as SIGTERM does: there is something to go on with.
  first.kill(SIGHUP);
  CHECK(end_of(first) == 5);
  CHECK(read_text_file(folder / "log")->find("--resume " + run) != std::string::npos);

  // Three runs in one second.
  const std::string one = bin + "simulate " + two + "--transport none --method central ";
  const std::string script =
      "cd " + (folder / "") + " && for i in 1 2 3; do " + one + "& done; wait";
  REQUIRE(std::system(concat("(", script, ") >/dev/null 2>&1").c_str()) == 0);
  const std::vector<std::string> runs = list_folder(folder / "runs");
  CHECK(runs.size() == 3);
  for (const std::string& name : runs)
    CHECK(file_exists(join_path(folder / "runs", name) + "/summary.json"));
}

TEST_CASE("files and packed sets are replaced only when that is asked for, and as a whole") {
  const TemporaryFolder folder;
  const std::string file = folder / "file", pack = folder / "pack";
  struct Case {
    std::string command, precious;
  };
  const Case cases[] = {{"data partition --dataset glyphs --out " + file, "precious"},
                        {"data image --dataset glyphs --out " + file, "\x89PNG, precious"},
                        {"model export vanilla5 --width 4 --out " + file, "precious"}};
  for (const auto& [command, precious] : cases) {
    write(file, precious);
    refuse(command, 2, "exists already");
    CHECK(read_text_file(file).value() == precious);
    succeed(command + " --overwrite");
    CHECK(read_text_file(file).value() != precious);
  }
  // Only by what is of its kind.
  write(file, "precious");
  refuse("data image --dataset glyphs --overwrite --out " + file, 2, "is no PNG file");
  CHECK(read_text_file(file).value() == "precious");
  REQUIRE(std::remove(file.c_str()) == 0);
  succeed("model export vanilla5 --width 4 --out " + (folder / "new/a"));

  succeed("data pack --dataset glyphs --out " + pack);
  const std::string card = hash_of(pack + "/set.json");
  write(pack + "/notes.txt", "mine");
  refuse("data pack --dataset glyphs --out " + pack, 2, "give --overwrite");
  refuse("data pack --dataset images --overwrite --data /nonexistent --out " + pack, 4, "/nonex");
  CHECK(hash_of(pack + "/set.json") == card);
  succeed("data pack --dataset glyphs --overwrite --out " + pack);
  CHECK(read_text_file(pack + "/notes.txt").value() == "mine");
  succeed("data show --dataset packed --data " + pack);
  refuse("data pack --dataset images --data /nonexistent --out " + (folder / "p"), 4, "/nonex");
  CHECK_FALSE(folder_exists(folder / "p"));
}

}  // namespace run_folder_test
