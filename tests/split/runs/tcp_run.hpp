#pragma once
// A run over TCP in one process: the server in the test's thread, every device in one of its own.

#include <functional>
#include <thread>

#include "iotsl/split/simulate/every_transport.hpp"
#include "split/runs/tiny_run.hpp"

namespace tiny {

/// Puts a server's key and those of `devices` below `folder`, as enrolments leave them.
inline void enroll_all(const std::string& folder, std::size_t devices) {
  auto server = net::ServerCredentials::open(folder + "/server");
  REQUIRE_MESSAGE(server.ok(), server.failure().message);
  for (std::size_t i = 0; i < devices; ++i) {
    const auto own = net::IdentityFolder::make(concat(folder, "/device-", i));
    REQUIRE(own.ok());
    const net::Pin pin = net::DeviceCredentials::make_next_key(*own)->pin();
    const net::EnrollToken token{{"127.0.0.1", 7400}, server->pin(), *net::new_enroll_secret()};
    const std::string name = concat("device-", i);
    const auto added = server->change([&](net::AllowList& list) -> Result<void> {
      const Result<void> waits = list.add(name, token.secret);
      if (!waits) return waits;
      const auto enrolled = list.enroll(net::enroll_id(token.secret),
                                        net::enroll_proof(token.secret, {}, pin), {}, pin);
      return enrolled ? Result<void>{} : enrolled.failure();
    });
    REQUIRE_MESSAGE(added.ok(), added.failure().message);
    REQUIRE(net::DeviceCredentials::complete(*own, name, token).ok());
  }
}

struct TcpRun {
  const RunConfig& config;
  const data::Dataset& train;
  const std::vector<std::vector<Index>>& samples;
  LayerTypes<float> layers = config.layers;  ///< that the devices can build
  std::string state = {};  ///< where the devices keep their generators; empty: nowhere
  std::string keys = {};   ///< of enroll_all: the run goes over TLS; empty: plain text
  /// What stands between a device and the server's port: the port that the device goes to.
  std::function<std::uint16_t(std::size_t device, std::uint16_t port)> wire = {};
  std::vector<std::thread> threads = {};
  std::vector<Result<DeviceSummary>> outcomes = {};

  Result<RunSummary> run(const EvaluationSets& sets, ServerOptions options = {}) {
    RunHooks hooks;
    hooks.context = this;
    hooks.on_listening = [](void* self, std::uint16_t port) {
      static_cast<TcpRun*>(self)->start_devices(port);
    };
    std::optional<net::ServerCredentials> own;
    if (!keys.empty()) {
      own = net::ServerCredentials::open(keys + "/server").value();
      options.credentials = &*own;
    }
    auto summary = run_server(config, hooks, options, sets);
    for (std::thread& thread : threads) thread.join();
    return summary;
  }

 private:
  void start_devices(std::uint16_t server) {
    outcomes.resize(samples.size(), Failure{});
    for (std::size_t i = 0; i < samples.size(); ++i)
      threads.emplace_back([this, i, port = wire ? wire(i, server) : server] {
        DeviceOptions options;
        options.server = {"127.0.0.1", port};
        options.identity = identity(config, train, samples[i], i);
        options.files.state = state;
        options.layers = layers;
        std::optional<net::DeviceCredentials> own;
        if (!keys.empty()) {
          own = net::DeviceCredentials::open(concat(keys, "/device-", i)).value();
          options.credentials = &*own;
        }
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
