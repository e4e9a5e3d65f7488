#pragma once
// A run over TCP in one process: the server in the test's thread, every device in one of its own.

#include <thread>

#include "iotsl/split/simulate/every_transport.hpp"
#include "split/runs/tiny_run.hpp"

namespace tiny {

struct TcpRun {
  const RunConfig& config;
  const data::Dataset& train;
  const std::vector<std::vector<Index>>& samples;
  LayerTypes<float> layers = config.layers;  ///< that the devices can build
  std::string state = {};  ///< where the devices keep their generators; empty: nowhere
  std::vector<std::thread> threads = {};
  std::vector<Result<DeviceSummary>> outcomes = {};

  Result<RunSummary> run(const data::Dataset& test, ServerOptions options = {}) {
    RunHooks hooks;
    hooks.context = this;
    hooks.on_listening = [](void* self, std::uint16_t port) {
      static_cast<TcpRun*>(self)->start_devices(port);
    };
    auto summary = run_server(config, hooks, options, test);
    for (std::thread& thread : threads) thread.join();
    return summary;
  }

 private:
  void start_devices(std::uint16_t port) {
    outcomes.resize(samples.size(), Failure{});
    for (std::size_t i = 0; i < samples.size(); ++i)
      threads.emplace_back([this, i, port] {
        DeviceOptions options;
        options.server = {"127.0.0.1", port};
        options.identity = identity(config, train, samples[i], i);
        options.files.state = state;
        options.layers = layers;
        outcomes[i] = run_device(options, train, samples[i]);
      });
  }
};

/// A run without a split, in memory and over TCP.
struct EveryTransport {
  RunSummary none, inproc, tcp;
};
inline EveryTransport run_everywhere(const RunConfig& config, const data::Dataset& train,
                                     const data::Dataset& test,
                                     const std::vector<std::vector<Index>>& samples) {
  auto none = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(none.ok(), none.failure().message);
  auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  TcpRun run{config, train, samples};
  auto tcp = run.run(test);
  REQUIRE_MESSAGE(tcp.ok(), tcp.failure().message);
  return {std::move(none).value(), std::move(inproc).value(), std::move(tcp).value()};
}

}  // namespace tiny
