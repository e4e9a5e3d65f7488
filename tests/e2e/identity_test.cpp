// Keys, tokens and TLS by the commands that a user types.

#include "e2e/background.hpp"
#include "support/fault_proxy.hpp"

#if IOTSL_TLS

using namespace iotsl;
using namespace iotsl::test;

namespace identity_e2e_test {

namespace {

const std::string bin = std::string(IOTSL_PROGRAMS_DIR) + "/";
const std::string options =
    "--dataset glyphs --width 4 --devices 2 --limit-train 80 --limit-test 40 --batch 8 "
    "--threads 1 --json ";

bool contains(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("'", text, "' does not contain '", part, "'");
  return found;
}
std::string text_of(const std::string& path) { return read_text_file(path).value(); }
Child::State wait_for_end(Child& program) {
  for (int i = 0; i < 6000 && program.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return program.state();
}
/// Until the log says so.
void wait_for(const std::string& log, const std::string& words) {
  for (int i = 0; i < 3000 && (!file_exists(log) || text_of(log).find(words) == std::string::npos);
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(contains(text_of(log), words));
}

/// A run of two devices as processes; `server` and `device` are options of theirs.
struct Run {
  const TemporaryFolder& folder;
  std::string name, address = concat("127.0.0.1:", free_port());
  std::string log = folder / (name + ".log");
  Child server;
  Run(const TemporaryFolder& place, const std::string& what, const std::string& more)
      : folder(place),
        name(what),
        server(words(concat(bin, "iotsl server --listen ", address, " --out ", folder / name, " ",
                            options, more)),
               log) {
    wait_for(log, "listening on");
  }
  std::string device_command(std::size_t i, const std::string& more) const {
    return concat("run --server ", address, " --dataset glyphs --threads 1 --manifest ",
                  folder / name, "/manifest.json --index ", i, " ", more);
  }
};

/// Enrols a device with a token that `iotsl device WHAT` prints; what enroll said.
ProgramResult enroll(const TemporaryFolder& folder, const std::string& name,
                     const std::string& server, const std::string& what = "add") {
  const auto token = run_program(
      concat("device ", what, " ", name, " --identity ", folder / "keys", " --server ", server));
  REQUIRE_MESSAGE(token.exit_code == 0, token.err);
  CHECK(contains(token.out, concat("iotsl1/", server, "/")));
  REQUIRE(write_file_atomic(folder / "token", token.out).ok());
  return run_program(concat("enroll --wait 5 --identity ", folder / name, " < ", folder / "token"),
                     "iotsl-device");
}

}  // namespace

TEST_CASE("over TLS, enrolled by the commands, a run ends with the weights of plain TCP") {
  const TemporaryFolder folder;
  std::string weights[2];
  for (const bool sealed : {false, true}) {
    const std::string name = sealed ? "sealed" : "plain";
    Run run(folder, name,
            sealed ? concat("--rounds 1 --partition iid --tls --identity ", folder / "keys")
                   : "--rounds 1 --partition iid");
    std::vector<std::unique_ptr<Child>> devices;
    for (std::size_t i = 0; i < 2; ++i) {
      const std::string device = concat("pi-0", i);
      if (sealed) {
        const ProgramResult enrolled = enroll(folder, device, run.address);
        REQUIRE_MESSAGE(enrolled.exit_code == 0, enrolled.err);
        CHECK(contains(enrolled.out, "enrolled as " + device));
      }
      const std::string own =
          sealed ? "--identity " + (folder / device) : concat("--name ", device);
      devices.push_back(std::make_unique<Child>(
          words(bin + "iotsl-device " + run.device_command(i, own)), folder / (name + device)));
    }
    CHECK_MESSAGE(wait_for_end(run.server) == Child::State::done, text_of(run.log));
    for (auto& device : devices) CHECK(wait_for_end(*device) == Child::State::done);
    weights[sealed] = sha256_in(text_of(run.log));
  }
  CHECK(weights[0].size() == 64);
  CHECK(weights[1] == weights[0]);
  // The token's secret is in no log, and nobody else can read the files of keys.
  const std::string token = text_of(folder / "token");
  const std::string secret = token.substr(token.rfind('/') + 1, 64);
  CHECK(text_of(folder / "sealed.log").find(secret) == std::string::npos);
  for (const char* file :
       {"keys/server.key", "keys/devices.json", "pi-00/device.key", "pi-00/device.json"}) {
    struct stat info {};
    REQUIRE(::stat((folder / file).c_str(), &info) == 0);
    INFO(file);
    CHECK((info.st_mode & 07777) == 0600);
  }
  const auto listed = run_program("device list --identity " + (folder / "keys"));
  CHECK(contains(listed.out, "pi-00"));
  CHECK(contains(listed.out, "enrolled"));
}

TEST_CASE("identity: a token replaces no file but a token, and says where the server is") {
  const TemporaryFolder folder;
  const std::string out = folder / "token",
                    add = concat("device add pi --identity ", folder / "keys", " --out ", out);
  REQUIRE(write_file_atomic(out, "dear diary").ok());
  const ProgramResult kept = run_program(add + " --server pi.local:7400");
  CHECK(kept.exit_code == 2);
  CHECK(contains(kept.err, "is there and holds no token; nothing is replaced"));
  CHECK(text_of(out) == "dear diary");
  REQUIRE(std::remove(out.c_str()) == 0);
  const ProgramResult nowhere = run_program(add + " --server pi.local:0");
  CHECK(nowhere.exit_code == 2);
  CHECK(contains(nowhere.err, "--server pi.local:0: nobody can be reached at port 0"));
  const ProgramResult added = run_program(add + " --server pi.local:7400");
  CHECK_MESSAGE(added.exit_code == 0, added.err);
  CHECK(contains(text_of(out), "iotsl1/pi.local:7400/"));
  for (const char* command : {"rotate-server", "list", "revoke pi", "rotate pi"}) {
    const ProgramResult wrong =
        run_program(concat("device ", command, " --identity ", folder / "typo"));
    CHECK(wrong.exit_code == 2);
    CHECK(contains(wrong.err, "no server has its key there"));
  }
  CHECK_FALSE(folder_exists(folder / "typo"));
  const ProgramResult empty = run_program("enroll --identity ''", "iotsl-device");
  CHECK(empty.exit_code == 2);
  CHECK(contains(empty.err, "--identity needs a value, given an empty one"));
}

TEST_CASE("identity: a device that is revoked while it trains is told so, and the server goes on") {
  const TemporaryFolder folder;
  Run run(folder, "run", concat("--partition iid --rounds 500 --identity ", folder / "keys"));
  std::vector<std::unique_ptr<Child>> devices;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string device = concat("pi-0", i);
    REQUIRE(enroll(folder, device, run.address).exit_code == 0);
    devices.push_back(std::make_unique<Child>(
        words(bin + "iotsl-device " + run.device_command(i, "--identity " + (folder / device))),
        folder / (device + ".log")));
  }
  wait_for(folder / "pi-00.log", "my turn");
  REQUIRE(run_program("device revoke pi-00 --identity " + (folder / "keys")).exit_code == 0);
  CHECK(wait_for_end(*devices[0]) == Child::State::failed);
  CHECK(contains(text_of(folder / "pi-00.log"),
                 "the server says: the key of device 'pi-00' was revoked"));
  CHECK(devices[0]->exit_code() == 2);
  CHECK(run.server.state() == Child::State::running);
  wait_for(run.log, "the key of device 'pi-00' was revoked");
  // With another token the device comes back under its name.
  CHECK(enroll(folder, "pi-00", run.address).exit_code == 0);
  devices[0]->start();
  wait_for(run.log, "device 'pi-00' has enrolled the key");
}

TEST_CASE("identity: the server's key is rotated by a command while its devices train") {
  const TemporaryFolder folder;
  Run run(folder, "run", concat("--partition iid --rounds 500 --identity ", folder / "keys"));
  std::vector<std::unique_ptr<Child>> devices;
  const auto log_of = [&](std::size_t i) { return folder / concat("pi-0", i, ".log"); };
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string device = concat("pi-0", i);
    REQUIRE(enroll(folder, device, run.address).exit_code == 0);
    devices.push_back(std::make_unique<Child>(
        words(bin + "iotsl-device " + run.device_command(i, "--identity " + (folder / device))),
        log_of(i)));
  }
  wait_for(log_of(0), "my turn");
  const std::string rotate = "device rotate-server --identity " + (folder / "keys");
  const ProgramResult begun = run_program(rotate);
  CHECK(begun.exit_code == 0);
  CHECK(contains(begun.err, "it waits for pi-00, pi-01"));
  wait_for(run.log, "this server's key is ");
  // One that starts again meets the new key.
  devices[0]->kill();
  wait_for_end(*devices[0]);
  devices[0]->start();
  wait_for(log_of(0), "the server has its new key");
  CHECK(devices[1]->state() == Child::State::running);
  const auto listed = run_program("device list --identity " + (folder / "keys"));
  CHECK(listed.err.find("next key") == std::string::npos);
  // A device leaves the run with its key, and no other.
  const std::string leave = concat("leave --wait 20 --identity ", folder / "pi-01");
  const ProgramResult other = run_program(leave + " --name pi-00", "iotsl-device");
  CHECK(other.exit_code == 2);
  CHECK(contains(other.err, "is enrolled as 'pi-01'"));
  const ProgramResult gone = run_program(leave, "iotsl-device");
  CHECK_MESSAGE(gone.exit_code == 0, gone.err);
  wait_for(run.log, "device 'pi-01' leaves the run for good in turn ");
  CHECK(wait_for_end(*devices[1]) == Child::State::failed);
  // Without waiting for them: who does not know the key is named.
  const ProgramResult at_once = run_program(rotate + " --now");
  CHECK(contains(at_once.err, "pi-01 does not know it"));
}

TEST_CASE("identity: each mistake is named on both sides") {
  const TemporaryFolder folder;
  const auto device = [&](const std::string& arguments) {
    const auto result = run_program(arguments, "iotsl-device");
    CHECK(result.exit_code == 2);
    return result.err;
  };
  const std::string join = "run --wait 5 --dataset glyphs --name pi-01 ";
  CHECK(
      contains(device(join + "--server 192.0.2.1:9"), "no identity is given: give --identity DIR"));
  CHECK(contains(device(join + "--server 127.0.0.1:9 --tls"), "--tls needs --identity"));
  CHECK(contains(device(join + "--server 127.0.0.1:9 --insecure --identity x"),
                 "--insecure: not with"));
  CHECK(contains(device(join + "--identity " + (folder / "none")), "No such file"));
  CHECK(contains(device("enroll"), "--identity is missing"));
  CHECK(contains(device("enroll --identity " + (folder / "x") + " < /dev/null"), "token: "));
  const auto server =
      run_program("server --listen 0.0.0.0:0 " + options + "--out " + (folder / "open"));
  CHECK(server.exit_code == 2);
  CHECK(contains(server.err, "no identity is given: give --identity DIR"));

  Run sealed(folder, "sealed", concat("--partition iid --identity ", folder / "keys"));
  Run plain(folder, "plain", "--partition iid");
  REQUIRE(enroll(folder, "pi-01", sealed.address).exit_code == 0);
  const std::string own = "--wait 5 --identity " + (folder / "pi-01");
  CHECK(contains(device(sealed.device_command(0, "--wait 5 --name pi-01")),
                 "this server speaks TLS: give --identity"));
  wait_for(sealed.log, "the peer speaks ISL in plain text, this side TLS");
  CHECK(contains(device(plain.device_command(0, own)), "speaks plain TCP, this device TLS"));
  wait_for(plain.log, "the peer speaks TLS, this side plain text");
  CHECK(
      contains(device(sealed.device_command(0, own + " --name pi-09")), "is enrolled as 'pi-01'"));
  // The token was used; a second device gets nothing for it.
  CHECK(contains(
      device("enroll --identity " + (folder / "thief") + " --token-file " + (folder / "token")),
      "the token of device 'pi-01' has been used already"));
  // Another server at that address.
  Run other(folder, "other", concat("--partition iid --identity ", folder / "other-keys"));
  CHECK(contains(device(other.device_command(0, own)),
                 "is not the server that this device is enrolled with"));
  wait_for(other.log, "the peer expects another key of this side");
  // A key that this server has never seen.
  REQUIRE(std::system(("cp -r " + (folder / "keys") + " " + (folder / "copy") + " && rm " +
                       (folder / "copy/devices.json"))
                          .c_str()) == 0);
  Run forgetful(folder, "forgetful", concat("--partition iid --identity ", folder / "copy"));
  CHECK(contains(device(forgetful.device_command(0, own)), "is not enrolled"));
}

}  // namespace identity_e2e_test

#endif
