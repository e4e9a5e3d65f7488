#pragma once
// A server and two devices as processes, each device behind a wire of its own, one of which can be
// killed with -9 and is started again.

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

#include "e2e/background.hpp"
#include "iotsl/core/files/file.hpp"
#include "support/fault_proxy.hpp"

namespace iotsl::test {

enum class Victim { none, server, device };

/// Who is killed, and when: once, as soon as one of the two says so.
struct Kill {
  Victim victim = Victim::none;
  /// Asked in the wires' threads for every frame of device `device`, after the kill as well; where
  /// it says yes first, the frame is lost, and a device that dies is that one.
  std::function<bool(std::size_t device, std::uint8_t message)> at_frame = {};
  /// Asked every few milliseconds with the run's folder; a device that dies is the first.
  std::function<bool(const std::string& run)> at_moment = {};
};

/// What is started.
struct Processes {
  std::string manifest;
  std::string run_options;     ///< of the server
  std::string resume_options;  ///< when it is started again
  std::string device_options;
};

struct Outcome {
  std::string weights, history;
  std::string preparation;          ///< preparation.json, where there is one
  std::string preparation_at_kill;  ///< as it was before the kill
  int kills = 0;
};

inline Outcome run_processes(const Processes& what, const Kill& kill) {
  const TemporaryFolder folder;
  const std::string run = folder / "run", bin = std::string(IOTSL_PROGRAMS_DIR) + "/";
  const std::uint16_t port = free_port();
  std::atomic<int> kills{0};
  std::unique_ptr<Child> server;
  std::vector<std::unique_ptr<Child>> devices(2);
  std::mutex starting;  // a victim must exist before it is killed
  Outcome out;
  const auto preparation = [&] {
    const auto text = read_text_file(run + "/preparation.json");
    return text ? *text : std::string();
  };
  const auto strike = [&](std::size_t device) {
    const std::lock_guard lock(starting);
    if (kills++ > 0) return false;
    out.preparation_at_kill = preparation();
    (kill.victim == Victim::server ? *server : *devices[device]).kill();
    return true;
  };
  const auto may_pass = [&](std::size_t device, std::uint8_t message) {
    if (!kill.at_frame || !kill.at_frame(device, message)) return true;
    return kill.victim == Victim::none || !strike(device);
  };
  std::vector<std::unique_ptr<FaultProxy>> wires;
  for (std::size_t i = 0; i < 2; ++i)
    wires.push_back(std::make_unique<FaultProxy>(
        port, [&, i](std::uint8_t message) { return may_pass(i, message); }));
  const std::string listen = concat(" --listen 127.0.0.1:", port);
  {
    const std::lock_guard lock(starting);
    server = std::make_unique<Child>(
        words(concat(bin, "iotsl server ", what.run_options, " --out ", run, listen)),
        folder / "server.log");
    for (std::size_t i = 0; i < 2; ++i)
      devices[i] = std::make_unique<Child>(
          words(concat(bin, "iotsl-device run --server 127.0.0.1:", wires[i]->port(),
                       " --name device-", i, " --dataset glyphs --threads 1 --manifest ",
                       what.manifest, " --index ", i, " ", what.device_options)),
          folder / concat("device-", i, ".log"));
  }
  using Clock = std::chrono::steady_clock;
  const auto give_up = Clock::now() + std::chrono::seconds(120);
  for (;;) {
    REQUIRE_MESSAGE(Clock::now() < give_up,
                    "no end in sight: " << *read_text_file(folder / "server.log"));
    const Child::State state = server->state();
    if (state == Child::State::done) break;
    REQUIRE_MESSAGE(state != Child::State::failed, *read_text_file(folder / "server.log"));
    if (state == Child::State::killed) {
      const std::lock_guard lock(starting);
      server->arguments_ =
          words(concat(bin, "iotsl server --resume ", run, " ", what.resume_options, listen));
      server->start();
    }
    for (std::size_t i = 0; i < 2; ++i) {
      const Child::State device = devices[i]->state();
      REQUIRE_MESSAGE(device != Child::State::failed,
                      *read_text_file(folder / concat("device-", i, ".log")));
      if (device != Child::State::killed) continue;
      const std::lock_guard lock(starting);
      devices[i]->start();
    }
    if (kill.at_moment && kills == 0 && kill.at_moment(run)) strike(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  out.weights = sha256_in(*read_text_file(folder / "server.log"));
  out.history = history_of(run);
  out.preparation = preparation();
  out.kills = std::min<int>(kills, 1);
  return out;
}

}  // namespace iotsl::test
