#pragma once
// A run in memory that can lose its connections and both its sides, and of which one device can
// fail by itself.

#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>

#include "iotsl/split/simulate/run_inproc.hpp"
#include "split/runs/tiny_run.hpp"
#include "split/runs/trace_check.hpp"
#include "support/temporary_folder.hpp"

namespace fragile {

using namespace iotsl;
using namespace iotsl::split;

enum class Fault { none, cut, device_dies, server_dies };

/// Told of what passes, as TraceCheck is.
using Observer = std::function<void(Seen seen, std::size_t device, const net::Message* message)>;

/// A device that fails by itself.
struct Culprit {
  std::size_t device = 0;
  /// Changes what the device sends, where it is time for that.
  std::function<void(net::Message& message)> spoil = {};
  /// From the grant of this turn on it stays away; any turn where it fails in another way.
  std::uint64_t leaves_at = ~std::uint64_t{0};
};

/// A run in memory whose connections and both sides can be lost. Messages are numbered as they
/// arrive, in both directions; the fault comes in place of one of them.
class FragileRun {
 public:
  FragileRun(RunConfig config, const data::Dataset& train, EvaluationSets sets,
             const std::vector<std::vector<Index>>& samples, DeviceFiles files = {})
      : config_(std::move(config)),
        train_(train),
        sets_(sets),
        samples_(samples),
        files_(std::move(files)) {}

  void set_observer(Observer observer) { observer_ = std::move(observer); }
  /// One of the devices is to fail by itself.
  void set_culprit(Culprit culprit) { culprit_ = std::move(culprit); }
  Result<RunSummary> run(Fault fault, std::size_t at) {
    fault_ = fault;
    fault_at_ = at;
    for (std::size_t i = 0; i < samples_.size(); ++i) devices_.push_back(new_device(i));
    if (const Result<void> started = start_server(config_.resume); !started)
      return started.failure();
    std::size_t idle = 0;
    while (!server_->done() || goes_on_unfrozen()) {
      REQUIRE_MESSAGE(++idle < 4, "neither side has anything to do, fault at " << at);
      for (std::size_t i = 0; i < devices_.size() && !server_->done() && !alone_; ++i)
        if (serve(in_order(i))) idle = 0;
      server_->on_time(net::steady_now());
      if (!server_->has_work()) continue;
      if (alone_after_caching_) leave_server_alone();
      if (server_->has_work()) server_->work();
      idle = 0;
    }
    LinkTraffic all = wire_.total();
    return server_->finish(all);
  }
  /// With method cache: once nothing is asked of them any more all devices are switched off, and
  /// the server is restarted.
  void leave_server_alone_after_caching() { alone_after_caching_ = true; }
  std::size_t messages() const { return count_; }
  bool fault_happened() const { return count_ > fault_at_; }
  /// What a device that is over for good has ended with.
  const std::vector<std::string>& endings() const { return endings_; }
  /// What the server has said to its user.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Device {
    std::unique_ptr<DeviceMachine> machine;
    std::unique_ptr<DeviceWork> work;
    std::unique_ptr<net::Link> link, server_link;  // null: no connection
    ConnectionId connection = 0;
    bool over = false;  // nobody starts it again
  };
  struct Wire : ServerTransport {
    void send(ConnectionId connection, net::Message message) override {
      Device* const device = find(connection);
      if (device == nullptr) return;
      run->tell(Seen::server_sends, run->place_of(*device), &message);
      device->server_link->send(std::move(message));
    }
    void close(ConnectionId) override {}
    LinkTraffic traffic(ConnectionId connection) override {
      const Device* device = find(connection);
      if (device == nullptr) return {};
      return {device->server_link->traffic_in(), device->server_link->traffic_out()};
    }
    LinkTraffic total() override { return {}; }
    Device* find(ConnectionId connection) const {
      for (Device& device : *devices)
        if (device.server_link != nullptr && device.connection == connection) return &device;
      return nullptr;
    }
    std::vector<Device>* devices = nullptr;
    FragileRun* run = nullptr;
  };

  void tell(Seen seen, std::size_t device = 0, const net::Message* message = nullptr) const {
    if (observer_) observer_(seen, device, message);
  }
  std::size_t place_of(const Device& device) const {
    return static_cast<std::size_t>(&device - devices_.data());
  }

  Device new_device(std::size_t i) {
    tell(Seen::device_starts, i);
    DeviceIdentity identity = tiny::identity(config_, train_, samples_[i], i);
    identity.boot_nonce = ++boots_;
    Device out;
    out.machine = std::make_unique<DeviceMachine>(std::move(identity));
    DeviceFiles files = files_;
    files.data_fingerprint = data::fingerprint(train_.sha256, samples_[i]);
    out.work = std::make_unique<DeviceWork>(train_, samples_[i], std::move(files));
    return out;
  }
  Result<void> start_server(bool resume) {
    wire_.devices = &devices_;
    wire_.run = this;
    tell(Seen::server_starts);
    RunConfig config = config_;
    config.resume = resume;
    RunHooks hooks;
    hooks.context = this;
    hooks.on_note = [](void* self, const std::string& text) {
      static_cast<FragileRun*>(self)->notes_.push_back(text);
    };
    auto created = ServerRun::create(config, hooks, sets_, {}, wire_);
    if (!created) return created.failure();
    server_ = std::move(created).value();
    return {};
  }
  void start_server_again() {
    server_.reset();
    const Result<void> started = start_server(true);
    REQUIRE_MESSAGE(started.ok(), started.failure().message);
  }
  void connect(Device& device) {
    device.link = std::make_unique<net::Link>(net::LinkOptions{.timers = false});
    device.server_link =
        std::make_unique<net::Link>(net::LinkOptions{.server = true, .timers = false});
    set_transfer_limits(*device.server_link, server_->sizes(), true);
    device.connection = ++connections_;
    tell(Seen::connects, place_of(device));
    server_->on_open(device.connection);
    device.machine->on_connected();
  }
  void disconnect(Device& device, bool tell_server) {
    if (device.link == nullptr) return;
    tell(Seen::disconnects, place_of(device));
    if (tell_server) server_->on_lost(device.connection);
    device.link.reset();
    device.server_link.reset();
    device.machine->on_lost();
  }

  /// True where the server has ended so far only; another one has then taken the run up.
  bool goes_on_unfrozen() {
    if (!server_->goes_on_unfrozen()) return false;
    for (Device& each : devices_) disconnect(each, false);
    const Result<void> handed_on = server_->hand_on({});
    REQUIRE_MESSAGE(handed_on.ok(), handed_on.failure().message);
    start_server_again();
    return true;
  }

  /// With method fedavg the last device is served first, so that nets come ahead of their turns.
  std::size_t in_order(std::size_t i) const {
    return averages(config_.method) ? devices_.size() - 1 - i : i;
  }
  void leave_server_alone() {
    alone_after_caching_ = false;
    alone_ = true;
    for (Device& each : devices_) disconnect(each, true);
    start_server_again();
  }

  /// True where the fault came in place of this message.
  bool fails_now(std::size_t i) {
    if (count_++ != fault_at_) return false;
    Device& device = devices_[i];
    switch (fault_) {
      case Fault::none:
        return false;
      case Fault::cut:
        disconnect(device, true);
        break;
      case Fault::device_dies:
        disconnect(device, true);
        device = new_device(i);
        break;
      case Fault::server_dies:
        for (Device& each : devices_) disconnect(each, false);
        start_server_again();
        break;
    }
    return true;
  }

  bool is_culprit(std::size_t i) const { return culprit_ && culprit_->device == i; }
  /// True where the device has gone for good in place of the message that it was sent.
  bool leaves_now(std::size_t i, const net::Message& message) {
    if (!is_culprit(i) || message.type != net::MessageType::turn_grant) return false;
    if (net::decode<net::TurnGrant>(message.payload)->key.turn < culprit_->leaves_at) return false;
    devices_[i].over = true;
    disconnect(devices_[i], true);
    return true;
  }
  void end(Device& device, const Failure& why) {
    endings_.push_back(why.message);
    device.over = true;
    disconnect(device, true);
  }

  bool serve(std::size_t i) {
    Device& device = devices_[i];
    if (device.over) return false;
    bool active = false;
    if (device.link == nullptr) {
      connect(device);
      active = true;
    }
    net::Message message;
    if (split::detail::move_bytes(*device.server_link, *device.link).value() > 0) active = true;
    while (device.link->pop(message)) {
      active = true;
      if (fails_now(i) || leaves_now(i, message)) return true;
      tell(Seen::device_gets, i, &message);
      device.machine->on_message(std::move(message));
    }
    Failure problem;
    while (auto action = device.machine->pop()) {
      active = true;
      const DeviceStatus status =
          carry_out(*action, *device.machine, *device.work, *device.link, problem);
      REQUIRE_MESSAGE((status != DeviceStatus::failed || is_culprit(i)), problem.message);
      if (status == DeviceStatus::failed) {
        end(device, problem);
        return true;
      }
      if (status == DeviceStatus::disconnected) {
        disconnect(device, true);
        return true;
      }
    }
    if (split::detail::move_bytes(*device.link, *device.server_link).value() > 0) active = true;
    while (device.server_link != nullptr && device.server_link->pop(message)) {
      active = true;
      if (fails_now(i)) return true;
      if (is_culprit(i) && culprit_->spoil) culprit_->spoil(message);
      tell(Seen::server_gets, i, &message);
      server_->on_message(device.connection, std::move(message));
      if (server_->done()) break;
    }
    return active;
  }

  RunConfig config_;
  const data::Dataset& train_;
  EvaluationSets sets_;
  const std::vector<std::vector<Index>>& samples_;
  DeviceFiles files_;
  std::vector<Device> devices_;
  Wire wire_;
  std::unique_ptr<ServerRun> server_;
  Fault fault_ = Fault::none;
  std::size_t fault_at_ = 0, count_ = 0;
  bool alone_after_caching_ = false, alone_ = false;
  std::uint64_t boots_ = 0;
  ConnectionId connections_ = 0;
  std::optional<Culprit> culprit_;
  Observer observer_;
  std::vector<std::string> notes_, endings_;
};

/// What must not depend on faults.
inline std::string history(const RunSummary& summary) {
  std::string out = summary.weights_sha256;
  for (const measure::EpochRecord& r : summary.epochs)
    out += concat("\n", r.epoch, " ", r.round, " ", r.device, " ", r.steps, " ", r.values_formula,
                  " ", to_text(Json(r.loss)), " ", to_text(Json(r.train_accuracy)), " ",
                  to_text(Json(r.test_accuracy)));
  return out;
}

/// The fault at messages from `first` on, at every `stride`-th with IOTSL_EVERY_MESSAGE in the
/// environment and else at about every third of those, at least at twelve: each run must end as the
/// one that nothing happened to.
inline void check_faults(const RunConfig& base, const DeviceFiles& files,
                         const data::Dataset& train, const EvaluationSets& sets,
                         const std::vector<std::vector<Index>>& samples, Fault fault,
                         std::size_t first, std::size_t stride) {
  const TemporaryFolder folder;
  RunConfig config = base;
  config.out = folder / "whole";
  // With the rivals against forgetting the server changes a front's slots between two turns.
  const bool has_steps = (base.method == Method::split_learning || base.method == Method::iotsl) &&
                         base.training.optimizer.ewc == 0;
  const auto watched = [&](FragileRun& run, TraceCheck& trace) {
    if (has_steps)
      run.set_observer([&trace](Seen seen, std::size_t device, const net::Message* message) {
        trace.see(seen, device, message);
      });
  };
  const auto check_trace = [&](TraceCheck& trace, const RunSummary& summary) {
    if (!has_steps) return;
    std::uint64_t steps = 0;
    for (const measure::EpochRecord& each : summary.epochs) steps += each.steps;
    trace.end(steps);
    CHECK(trace.gradients() >= steps);
    CHECK_MESSAGE(trace.breaches().empty(), trace.text());
  };
  FragileRun whole(config, train, sets, samples, files);
  TraceCheck whole_trace(config.out, &train);
  watched(whole, whole_trace);
  const auto expected = whole.run(Fault::none, 0);
  REQUIRE_MESSAGE(expected.ok(), expected.failure().message);
  check_trace(whole_trace, *expected);
  REQUIRE(whole.messages() > 40);
  std::size_t runs = 0, step = stride;
  if (std::getenv("IOTSL_EVERY_MESSAGE") == nullptr)
    step = std::min(2 * stride + 1, std::max(stride, (whole.messages() - first) / 12));
  for (std::size_t at = first; at < whole.messages(); at += step) {
    config.out = folder / std::to_string(at);
    FragileRun broken(config, train, sets, samples, files);
    TraceCheck trace(config.out);
    watched(broken, trace);
    const auto summary = broken.run(fault, at);
    REQUIRE_MESSAGE(summary.ok(), "fault at message " << at << ": " << summary.failure().message);
    REQUIRE(broken.fault_happened());
    CHECK_MESSAGE(history(*summary) == history(*expected), "fault at message " << at);
    check_trace(trace, *summary);
    ++runs;
  }
  CHECK(runs >= 12);
}

}  // namespace fragile
