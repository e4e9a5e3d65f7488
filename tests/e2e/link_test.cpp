// A run over a slow network: emulated by --link, and for comparison by the kernel between two
// network namespaces.

#include <unistd.h>

#include <cmath>

#include "e2e/background.hpp"
#include "support/skip.hpp"

using namespace iotsl;
using test::Child;
using test::ProgramResult;
using test::run_program;
using test::TemporaryFolder;
using test::words;

namespace link_test {

namespace {

const std::string options =
    "--dataset glyphs --width 8 --devices 1 --limit-train 256 --limit-test 50 --batch 32 "
    "--epochs 2 --threads 1 --json ";

Json parsed(const std::string& text) {
  Result<Json> json = parse_json(text);
  REQUIRE_MESSAGE(json.ok(), text);
  return std::move(json).value();
}
Json simulate(const std::string& more) {
  const ProgramResult result = run_program("simulate " + options + "--quiet " + more);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return parsed(result.out);
}
double number(const Json& json, const char* key) { return json.find(key)->as_double(); }
const Json& last_epoch(const Json& run) { return run.find("epochs")->as_array().back(); }
/// Bytes of an epoch both ways.
double bytes_of(const Json& epoch) {
  return number(epoch, "bytes_up") + number(epoch, "bytes_down");
}
double seconds_of(const Json& epoch) {
  return number(epoch, "seconds_device") + number(epoch, "seconds_server") +
         number(epoch, "seconds_network");
}

/// Whether body(attempt) is soon true: nothing is faster than its network, but a busy machine may
/// be slower.
template <class Body>
void check_in_time(const Body& body) {
  int attempt = 1;
  while (!body(attempt) && attempt < 4) ++attempt;
  CHECK_MESSAGE(attempt < 4, "too slow, or not as planned, each time");
}

/// Two network namespaces, the server's and the device's, joined by a wire that passes so many bits
/// a second each way; gone at the end.
class SlowWire {
 public:
  explicit SlowWire(const std::string& rate) {
    const std::string tbf = " root tbf rate " + rate + " burst 16kb latency 200ms";
    made_ = run("ip netns add " + server) && run("ip netns add " + device) &&
            run("ip -n " + server + " link add wire type veth peer name wire netns " + device) &&
            run("ip -n " + server + " addr add 10.213.7.1/30 dev wire") &&
            run("ip -n " + device + " addr add 10.213.7.2/30 dev wire") &&
            run("ip -n " + server + " link set wire up") &&
            run("ip -n " + device + " link set wire up") &&
            run("tc -n " + server + " qdisc add dev wire" + tbf) &&
            run("tc -n " + device + " qdisc add dev wire" + tbf);
  }
  SlowWire(const SlowWire&) = delete;
  SlowWire& operator=(const SlowWire&) = delete;
  ~SlowWire() {
    run("ip netns del " + server);
    run("ip netns del " + device);
  }
  bool is_made() const { return made_; }

  const std::string server = "iotsl-server-" + std::to_string(::getpid());
  const std::string device = "iotsl-device-" + std::to_string(::getpid());

 private:
  static bool run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
  }
  bool made_ = false;
};

}  // namespace

TEST_CASE("--link: the weights and bytes of the run as it is, in the time of the network") {
  const TemporaryFolder folder;
  const Json plain = simulate("--out " + (folder / "plain"));
  check_in_time([&](int attempt) {
    const Json slow = simulate("--link 20mbit,30ms --out " + (folder / concat("slow", attempt)));
    CHECK(slow.find("weights_sha256")->as_string() == plain.find("weights_sha256")->as_string());
    CHECK(number(slow, "bytes_up") == number(plain, "bytes_up"));
    CHECK(number(slow, "bytes_down") == number(plain, "bytes_down"));
    const Json& epoch = last_epoch(slow);
    // A step is there and back again.
    const double least = 8 * bytes_of(epoch) / 20e6 + number(epoch, "steps") * 0.03;
    MESSAGE("network ", number(epoch, "seconds_network"), " s, at least ", least);
    CHECK(number(epoch, "seconds_network") >= least);
    // And the plan says so before.
    const ProgramResult planned = run_program("plan " + options + "--link 20mbit,30ms");
    REQUIRE_MESSAGE(planned.exit_code == 0, planned.err);
    const double foreseen = number(parsed(planned.out), "epoch_seconds");
    MESSAGE("an epoch ", seconds_of(epoch), " s, planned ", foreseen);
    return number(epoch, "seconds_network") < 1.3 * least + 0.2 &&
           std::abs(foreseen / seconds_of(epoch) - 1) < 0.25;
  });
}

TEST_CASE("--link: where it means nothing, and what it is not, is said") {
  const auto refused = [](const std::string& arguments) {
    const ProgramResult result = run_program(arguments);
    CHECK(result.exit_code == 2);
    return result.err;
  };
  CHECK(refused("simulate " + options + "--transport inproc --link 5mbit")
            .find("--link 5mbit: only where devices are processes of their own") !=
        std::string::npos);
  CHECK(refused("simulate " + options + "--link 5mbps")
            .find("link '5mbps': expected a rate and perhaps a round trip") != std::string::npos);
  CHECK(refused("server --link 1kbit").find("from 200kbit to 100gbit") != std::string::npos);
}

TEST_CASE("--link: the rate is that of the kernel's token bucket between two namespaces") {
  if (::geteuid() != 0) {
    SKIP_TEST("needs root for network namespaces");
    return;
  }
  const SlowWire wire("20mbit");
  if (!wire.is_made()) {
    SKIP_TEST("no network namespaces, veth or tbf of tc here");
    return;
  }
  const TemporaryFolder folder;
  const std::string programs = std::string(IOTSL_PROGRAMS_DIR) + "/";
  check_in_time([&](int attempt) {
    const std::string here = folder / concat("try", attempt, "-");
    const Json emulated = simulate("--link 20mbit --out " + here + "emulated");
    Child server(
        words("/usr/bin/env ip netns exec " + wire.server + " " + programs + "iotsl server " +
              options + "--quiet --listen 10.213.7.1:7400 --insecure --out " + here + "kernel"),
        here + "server.log");
    Child device(words("/usr/bin/env ip netns exec " + wire.device + " " + programs +
                       "iotsl-device run --server 10.213.7.1:7400 --name wired --dataset glyphs "
                       "--insecure --threads 1 --manifest " +
                       here + "emulated/manifest.json --index 0"),
                 here + "device.log");
    for (int i = 0; i < 600 && server.state() == Child::State::running; ++i) ::usleep(100'000);
    const std::string text = read_text_file(here + "server.log").value();
    REQUIRE_MESSAGE(server.state() == Child::State::done, text);
    const std::size_t begin = text.rfind("{\"method\"");
    const Json run = parsed(text.substr(begin == std::string::npos ? text.find('{') : begin));
    CHECK(run.find("weights_sha256")->as_string() == emulated.find("weights_sha256")->as_string());
    const Json &ours = last_epoch(emulated), &kernels = last_epoch(run);
    // The kernel counts headers: 1514 bytes of Ethernet carry 1448 of the connection.
    const double headers = 1514.0 / 1448;
    MESSAGE("network ", number(ours, "seconds_network"), " s, in the kernel ",
            number(kernels, "seconds_network"), " s");
    CHECK(number(kernels, "seconds_network") > 0.9 * headers * 8 * bytes_of(kernels) / 20e6);
    return std::abs(number(kernels, "seconds_network") / headers / number(ours, "seconds_network") -
                    1) < 0.2;
  });
}

}  // namespace link_test
