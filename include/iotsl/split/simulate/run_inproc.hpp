#pragma once
// A whole run in one process and one thread: the same machines and the same bytes as over TCP,
// moved from link to link through memory.

#include "iotsl/split/device/carry_out.hpp"
#include "iotsl/split/server/server_work.hpp"
#include "iotsl/split/server/sessions.hpp"
#include "iotsl/split/simulate/memory_wire.hpp"
#include "iotsl/split/simulate/preparation_inproc.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

namespace detail {

/// One device and both ends of its connection.
struct InprocDevice {
  DeviceMachine machine;
  DeviceWork work;
  net::Link link{net::LinkOptions{.timers = false}};
  net::Link server_link{net::LinkOptions{.server = true, .timers = false}};
};

class InprocTransport : public ServerTransport {
 public:
  void send(ConnectionId connection, net::Message message) override {
    devices[connection - 1]->server_link.send(std::move(message));
  }
  void close(ConnectionId) override {}
  LinkTraffic traffic(ConnectionId connection) override {
    const net::Link& link = devices[connection - 1]->server_link;
    return {link.traffic_in(), link.traffic_out()};
  }
  LinkTraffic total() override {
    LinkTraffic all;
    for (const auto& device : devices) {
      all.up += device->server_link.traffic_in();
      all.down += device->server_link.traffic_out();
    }
    return all;
  }
  std::vector<std::unique_ptr<InprocDevice>> devices;
};

/// One device for each list of sample numbers, connected to `run`.
inline Result<void> connect_devices(InprocTransport& transport, ServerRun& run,
                                    const RunConfig& config, const data::Dataset& train,
                                    const std::vector<std::vector<Index>>& samples) {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    DeviceIdentity identity;
    identity.name = concat("device-", i);
    identity.index = static_cast<std::uint32_t>(i);
    identity.dataset = config.dataset;
    identity.label_counts = data::count_labels(train, samples[i]);
    Result<DeviceFiles> files =
        inproc_files(config, i, data::fingerprint(train.sha256, samples[i]));
    if (!files) return files.failure();
    identity.data_fingerprint = files->data_fingerprint;
    identity.generator_only = config.preparation.generator_only;
    transport.devices.push_back(std::unique_ptr<InprocDevice>(new InprocDevice{
        .machine = DeviceMachine(identity),
        .work = DeviceWork(train, samples[i], std::move(files).value(), {}, config.layers)}));
    set_transfer_limits(transport.devices.back()->server_link, run.sizes(), true);
    run.on_open(i + 1);  // 0 is no connection
    transport.devices.back()->machine.on_connected();
  }
  return {};
}

/// After an iteration of a device's generator: tells the user, and false where the user has
/// stopped.
inline bool go_on_training(InprocDevice& device, const RunHooks& hooks) {
  GeneratorWork& generator = device.work.take_generator();
  if (const std::string note = generator.take_note(); !note.empty()) hooks.note(note);
  if (!hooks.stop_requested()) return true;
  [[maybe_unused]] const Result<void> saved = generator.save();  // else it is only done again
  return false;
}

/// Moves what is under way on one device's connection, and lets both sides handle it. False where
/// there was nothing to do.
inline Result<bool> serve(InprocDevice& device, ConnectionId connection, ServerRun& run,
                          const RunHooks& hooks) {
  bool active = false;
  const Result<std::size_t> down = move_bytes(device.server_link, device.link);
  if (!down) return down.failure();
  net::Message message;
  while (device.link.pop(message)) {
    active = true;
    device.machine.on_message(std::move(message));
  }
  Failure problem;
  while (std::optional<DeviceAction> action = device.machine.pop()) {
    active = true;
    using namespace device_action;
    const bool trains_generator = is_any_of<TrainGenerator>(*action);
    const bool trains_net = is_any_of<TrainBatch>(*action);
    // In a run that has begun the server hears why, and goes on with the other devices.
    if (carry_out(*action, device.machine, device.work, device.link, problem) ==
            DeviceStatus::failed &&
        run.gathering() && !run.is_put_aside(connection - 1))
      run.abort(problem);
    if (trains_generator && !go_on_training(device, hooks)) break;
    if (trains_net && hooks.stop_requested()) break;
  }
  const Result<std::size_t> up = move_bytes(device.link, device.server_link);
  if (!up) return up.failure();
  while (device.server_link.pop(message)) {
    active = true;
    run.on_message(connection, std::move(message));
  }
  return active;
}

/// What the server has sent last, which nobody handles any more but which counts.
inline Result<void> deliver_rest(InprocDevice& device) {
  net::Message left;
  while (device.server_link.wants_to_send()) {
    const Result<std::size_t> moved = move_bytes(device.server_link, device.link);
    if (!moved) return moved.failure();
    while (device.link.pop(left)) {
    }
  }
  return {};
}

/// One session, see run_sessions().
inline Result<std::optional<RunSummary>> run_inproc_session(
    const RunConfig& config, const RunHooks& hooks, const data::Dataset& train,
    const EvaluationSets& sets, const std::vector<std::vector<Index>>& samples) {
  InprocTransport transport;
  auto created = ServerRun::create(config, hooks, sets, {}, transport);
  if (!created) return created.failure();
  ServerRun& run = **created;
  const Result<void> connected = connect_devices(transport, run, config, train, samples);
  if (!connected) return connected.failure();

  std::size_t idle = 0;  // rounds in a row
  while (!run.done() && idle < 2) {
    ++idle;
    for (std::size_t i = 0; i < transport.devices.size(); ++i) {
      const Result<bool> active = serve(*transport.devices[i], i + 1, run, hooks);
      if (!active) return active.failure();
      if (*active) idle = 0;
    }
    if (run.has_work()) {
      run.work();
      idle = 0;
    }
    run.on_time(net::steady_now());
    if (hooks.stop_requested()) run.request_pause();
  }
  if (!run.done()) return failure(ErrorCode::other, "inproc: neither side has anything to do");
  for (const auto& device : transport.devices) {
    const Result<void> delivered = deliver_rest(*device);
    if (!delivered) return delivered.failure();
  }
  if (run.goes_on_unfrozen()) {
    const Result<void> done = run.hand_on(transport.total());
    return done ? Result<std::optional<RunSummary>>(std::optional<RunSummary>()) : done.failure();
  }
  Result<RunSummary> summary = run.finish(transport.total());
  if (!summary) return summary.failure();
  return std::optional<RunSummary>(std::move(summary).value());
}

}  // namespace detail

/// Runs `config` with one device for each list of sample numbers in `samples`. `method` sl,
/// iotsl, cache, local or fedavg.
inline Result<RunSummary> run_inproc(const RunConfig& config, const RunHooks& hooks,
                                     const data::Dataset& train, const EvaluationSets& sets,
                                     const std::vector<std::vector<Index>>& samples) {
  if (static_cast<Index>(samples.size()) != config.devices)
    return failure(ErrorCode::usage, "--devices ", config.devices, ", but the partition has ",
                   samples.size());
  return run_sessions(config, [&](const RunConfig& session) {
    return detail::run_inproc_session(session, hooks, train, sets, samples);
  });
}

}  // namespace split
IOTSL_NAMESPACE_END
