// Devices that come late, leave for good and are replaced, by the commands that a user types.

#include "e2e/background.hpp"
#include "iotsl/core/files/file.hpp"
#include "support/fault_proxy.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace places_e2e_test {

namespace {

const std::string bin = std::string(IOTSL_PROGRAMS_DIR) + "/";

/// Until the log says so.
void wait_for(const std::string& log, const std::string& words) {
  const auto says = [&] {
    const Result<std::string> text = read_text_file(log);
    return text && text->find(words) != std::string::npos;
  };
  for (int i = 0; i < 3000 && !says(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE_MESSAGE(says(), "'" << words << "' is not in " << *read_text_file(log));
}
/// The command of a server of two small devices, whose run ends when it is stopped.
std::vector<std::string> endless_run(const std::string& address, const std::string& run,
                                     const std::string& more = "") {
  return words(concat(bin, "iotsl server --listen ", address, " --out ", run,
                      " --dataset glyphs --width 4 --devices 2 --limit-train 80 --limit-test 40 "
                      "--batch 8 --partition iid --eval-every 0 --rounds 100000 --threads 1",
                      more));
}
Child::State wait_for_end(Child& program) {
  for (int i = 0; i < 3000 && program.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return program.state();
}

}  // namespace

TEST_CASE("places: a device comes late, leaves for good, and another takes its place") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", log = folder / "server.log";
  const std::string address = concat("127.0.0.1:", free_port());
  Child server(endless_run(address, run, " --start-with 1"), log);
  wait_for(log, "listening on");
  const auto device = [&](const std::string& name, int index) {
    return std::make_unique<Child>(
        words(concat(bin, "iotsl-device run --server ", address, " --dataset glyphs --threads 1 ",
                     "--manifest ", run, "/manifest.json --index ", index, " --name ", name)),
        folder / (name + ".log"));
  };
  const auto leave = [&](const std::string& name) {
    const ProgramResult said = run_program(concat("device leave ", name, " --run ", run));
    CHECK_MESSAGE(said.exit_code == 0, said.err);
  };
  const auto first = device("pi-00", 0);
  wait_for(log, "the run begins without 1 of 2 devices, which may come later (--start-with)");
  const auto late = device("pi-01", 1);
  wait_for(folder / "pi-01.log", "my turn");

  leave("pi-01");
  wait_for(log, "device 'pi-01' leaves the run for good in turn ");
  CHECK(wait_for_end(*late) == Child::State::failed);
  CHECK(late->exit_code() == 2);
  wait_for(folder / "pi-01.log",
           "device 'pi-01' has left the run for good: somebody at the server said so");
  const ProgramResult twice = run_program(concat("device leave pi-01 --run ", run));
  CHECK(twice.exit_code == 2);
  CHECK(twice.err.find(concat("device 'pi-01' has already left the run ", run)) !=
        std::string::npos);
  const ProgramResult unknown = run_program(concat("device leave pi-07 --run ", run));
  CHECK(unknown.exit_code == 2);
  CHECK_MESSAGE(unknown.err.find("pi-07") != std::string::npos, unknown.err);

  const auto spare = device("pi-02", 1);
  wait_for(log, "device 'pi-02' takes place 1, which 'pi-01' has left");
  wait_for(folder / "pi-02.log", "my turn");
  // With nobody left the run ends, and says how it may go on. The last one says itself that it
  // goes.
  leave("pi-00");
  wait_for(log, "device 'pi-00' leaves the run for good in turn ");
  const std::string by_itself = concat("leave --server ", address, " --wait 20 --name ");
  const ProgramResult stranger = run_program(by_itself + "pi-09", "iotsl-device");
  CHECK(stranger.exit_code == 2);
  CHECK(stranger.err.find("the server says: device 'pi-09' has no place in this run") !=
        std::string::npos);
  const ProgramResult gone = run_program(by_itself + "pi-02", "iotsl-device");
  CHECK_MESSAGE(gone.exit_code == 0, gone.err);
  CHECK(gone.out == "pi-02 has left the run for good; its place 1 is free for another device\n");
  CHECK(wait_for_end(*spare) == Child::State::failed);
  wait_for(folder / "pi-02.log", "device 'pi-02' has left the run for good: it said so");
  CHECK(wait_for_end(server) == Child::State::failed);
  CHECK(server.exit_code() == 3);
  wait_for(log,
           "0 of 2 devices are left, at least 1 is needed (--min-devices): device 'pi-00': it "
           "has left the run for good; device 'pi-02': it has left the run for good; release a "
           "device: iotsl device release NAME --run ");
  CHECK(run_program(concat("device release pi-00 --run ", run)).exit_code == 0);
}

TEST_CASE(
    "places: a server whose devices fail before the run begins says who, why, and what to do") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", log = folder / "server.log";
  const std::string address = concat("127.0.0.1:", free_port());
  const std::string settings =
      " --dataset glyphs --width 4 --limit-train 80 --limit-test 40 --batch 8 --partition iid "
      "--epochs 2 --threads 1 --out " +
      run;
  const auto device = [&](int index, const std::string& options) {
    return run_program(
        concat("run --server ", address, " --dataset glyphs --threads 1 --manifest ", run,
               "/manifest.json --index ", index, " --name pi-0", index, options),
        "iotsl-device");
  };
  // The places of those who fail are free for others, who may come until the time is up.
  {
    Child server(
        words(concat(bin, "iotsl server --devices 2 --wait 3 --listen ", address, settings)), log);
    wait_for(log, "listening on");
    CHECK(device(0, " --max-epsilon 1 --private --state " + (folder / "s")).exit_code != 0);
    CHECK(device(1, " --generator-only").exit_code == 2);
    wait_for(log,
             "device 'pi-01' has no place any more: it has failed: the run goes on with split");
    CHECK(read_text_file(log)->find("; the run waits for 2 of 2 devices") != std::string::npos);
    CHECK(wait_for_end(server) == Child::State::failed);
    CHECK(server.exit_code() == 3);
    wait_for(log, "iotsl: only 0 of 2 devices came within 3 s; device 'pi-00': ");
    wait_for(log, "; device 'pi-01': it has failed: the run goes on with split");
    CHECK_FALSE(folder_exists(run));  // nothing is lost
  }
  // Who was here, and cannot make its generator, is put aside.
  Child server(words(concat(bin,
                            "iotsl server --method iotsl --epsilon 3 --pretrain-iterations 9 "
                            "--devices 1 --listen ",
                            address, settings)),
               log);
  wait_for(log, "--index 0 --private --state");
  CHECK(device(0, " --max-epsilon 0.01 --private --state " + (folder / "s0")).exit_code != 0);
  CHECK(wait_for_end(server) == Child::State::failed);
  CHECK(server.exit_code() == 3);
  const std::string none = "0 of 1 device is left, at least 1 is needed (--min-devices): device ";
  wait_for(log, concat("iotsl: ", none, "'pi-00': it has failed: privacy: "));
  wait_for(log, concat("; release a device: iotsl device release NAME --run ", run,
                       ", and go on with: iotsl server --resume ", run));
  // The run is where the message says that it is.
  const std::string resume = concat("server --resume ", run, " --wait 1 --listen ", address);
  CHECK(run_program(resume).err.find(none) != std::string::npos);
  const ProgramResult released = run_program(concat("device release pi-00 --run ", run));
  CHECK_MESSAGE(released.exit_code == 0, released.err);
  CHECK(run_program(resume).err.find("only 0 of 1 devices came within 1 s") != std::string::npos);
}

TEST_CASE("places: a device leaves by itself, whatever becomes of the server meanwhile") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", log = folder / "server.log";
  const std::string address = concat("127.0.0.1:", free_port());
  Child server(endless_run(address, run), log);
  wait_for(log, "listening on");
  std::vector<std::unique_ptr<Child>> devices;
  for (int i = 0; i < 2; ++i)
    devices.push_back(std::make_unique<Child>(
        words(concat(bin, "iotsl-device run --server ", address, " --dataset glyphs --threads 1 ",
                     "--manifest ", run, "/manifest.json --index ", i, " --name pi-0", i)),
        folder / concat("pi-0", i, ".log")));
  wait_for(folder / "pi-01.log", "my turn");
  // It asks while no server is there, and is answered by the next one.
  server.kill();
  wait_for_end(server);
  const std::string leave = concat("leave --wait 60 --name pi-01 --server ", address);
  Child leaving(words(concat(bin, "iotsl-device ", leave)), folder / "leave.log");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  CHECK(leaving.state() == Child::State::running);
  server.arguments_ = words(concat(bin, "iotsl server --resume ", run, " --listen ", address));
  server.start();
  CHECK(wait_for_end(leaving) == Child::State::done);
  // What it was told holds, though that server dies at once.
  server.kill();
  wait_for_end(server);
  const Result<std::string> listed = read_text_file(run + "/quarantine.json");
  REQUIRE(listed.ok());
  CHECK(listed->find("\"gone\": true") != std::string::npos);
  server.start();
  CHECK(run_program(leave, "iotsl-device").exit_code == 0);
  wait_for(folder / "pi-00.log", "back as device 0 of 2");
  CHECK(wait_for_end(*devices[1]) == Child::State::failed);
  CHECK(*read_text_file(run + "/quarantine.json") == *listed);  // it had left already
}

TEST_CASE("places: what makes no sense is said") {
  const TemporaryFolder folder;
  const ProgramResult nothing = run_program("device leave pi --run " + (folder / "none"));
  CHECK(nothing.exit_code == 2);
  CHECK(nothing.err.find(": no run has begun there") != std::string::npos);
  const ProgramResult empty = run_program("device leave pi --run " + (folder / ""));
  CHECK(empty.exit_code == 2);
  CHECK(empty.err.find(": no run has begun there") != std::string::npos);
  const ProgramResult nobody = run_program("leave --server 127.0.0.1:9", "iotsl-device");
  CHECK(nobody.exit_code == 2);
  CHECK(nobody.err.find("--name is missing") != std::string::npos);
  const ProgramResult away =
      run_program("leave --server 127.0.0.1:9 --name pi --wait 1", "iotsl-device");
  CHECK(away.exit_code == 3);
  const ProgramResult all =
      run_program("server --dataset glyphs --devices 2 --start-with 1 --method iotsl --out " +
                  (folder / "run"));
  CHECK(all.exit_code == 2);
  CHECK(all.err.find("--start-with 1: --method iotsl prepares the run with the generators of all 2 "
                     "devices") != std::string::npos);
  const ProgramResult many =
      run_program("server --dataset glyphs --devices 2 --start-with 3 --out " + (folder / "run"));
  CHECK(many.err.find("--start-with 3: expected 1 (--min-devices) to 2, the devices of the run") !=
        std::string::npos);
}

}  // namespace places_e2e_test
