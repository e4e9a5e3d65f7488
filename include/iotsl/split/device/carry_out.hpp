#pragma once
// The driver of a device's state machine: carries out what DeviceMachine asks for, whatever moves
// the bytes.

#include "iotsl/core/failpoint.hpp"
#include "iotsl/net/link/link.hpp"
#include "iotsl/split/device/device_work.hpp"
#include "iotsl/split/protocol/device/device_machine.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// How carrying out an action ended.
enum class DeviceStatus { running, disconnected, finished, failed };

namespace detail {

/// A function for each kind of action.
class DeviceDriver {
 public:
  DeviceDriver(DeviceMachine& machine, DeviceWork& work, net::Link& link, Failure& problem)
      : machine_(machine), work_(work), link_(link), problem_(problem) {}

  DeviceStatus operator()(device_action::Reconnect&) { return DeviceStatus::disconnected; }
  DeviceStatus operator()(device_action::Finish&) {
    IOTSL_FAILPOINT("device.finish");
    return DeviceStatus::finished;
  }
  DeviceStatus operator()(device_action::Fail& action) {
    problem_ = std::move(action.problem);
    return DeviceStatus::failed;
  }
  template <class Action>
  DeviceStatus operator()(Action& action) {
    carry_out(action);
    return DeviceStatus::running;
  }

 private:
  void carry_out(device_action::Send& action) {
    IOTSL_FAILPOINT("device.send");
    link_.set_last_step(machine_.last_step());
    link_.send(std::move(action.message));
  }
  void carry_out(device_action::Build& action) {
    IOTSL_FAILPOINT("device.front.build");
    const auto front = net::decode<net::FrontInit>(action.message.payload);
    const Result<Sha256Digest> built = front ? work_.build(action.setup, *front) : front.failure();
    if (built) set_transfer_limits(link_, work_.sizes(), false);
    machine_.on_built(built);
  }
  void carry_out(device_action::Agree& action) {
    IOTSL_FAILPOINT("device.agreed");
    link_.set_transfer_limit(net::MessageType::front_init, net::max_front_init_bytes);
    if (work_.has_front()) set_transfer_limits(link_, work_.sizes(), false);
    link_.set_heartbeat(net::Microseconds{action.setup.heartbeat_ms} * 1000,
                        net::Microseconds{action.setup.dead_ms} * 1000,
                        net::Microseconds{action.setup.busy_cap_ms} * 1000);
  }
  void carry_out(device_action::TrainGenerator&) {
    machine_.on_generator_trained(work_.take_generator().step());
  }
  void carry_out(device_action::FinishGenerator&) {
    IOTSL_FAILPOINT("device.generator.finished");
    machine_.on_generator_finished(work_.take_generator().finish());
  }
  void carry_out(device_action::Impute& action) {
    IOTSL_FAILPOINT("device.impute");
    machine_.on_imputed(work_.impute(action.plan, action.downloads));
  }
  void carry_out(device_action::Load& action) {
    IOTSL_FAILPOINT("device.turn.load");
    machine_.on_loaded(work_.load(action.grant));
  }
  void carry_out(device_action::Forward& action) {
    IOTSL_FAILPOINT("device.step.forward");
    Result<DeviceWork::Smashed> smashed = work_.forward(action.step, action.batch);
    if (!smashed) return machine_.on_smashed(smashed.failure());
    hand_over(std::move(smashed).value());
  }
  void carry_out(device_action::Repeat&) {
    IOTSL_FAILPOINT("device.step.repeat");
    hand_over(work_.repeat());
  }
  void carry_out(device_action::Backward& action) {
    IOTSL_FAILPOINT("device.step.backward");
    const Result<void> done = work_.backward(action.grad, action.message.form.dtype);
    IOTSL_FAILPOINT("device.step.applied");
    machine_.on_updated(done, work_.cost());
  }
  void carry_out(device_action::BackwardRandom& action) {
    const Result<void> done = work_.backward_random(action.step);
    machine_.on_updated(done, work_.cost());
  }
  void carry_out(device_action::ExportFront&) {
    IOTSL_FAILPOINT("device.barrier.export");
    machine_.on_exported(work_.state());
  }
  void carry_out(device_action::LoadModel& action) {
    IOTSL_FAILPOINT("device.model.load");
    machine_.on_model_loaded(work_.load_model(action.global));
  }
  void carry_out(device_action::TrainBatch&) {
    IOTSL_FAILPOINT("device.model.batch");
    machine_.on_batch_trained(work_.train_batch());
  }
  void carry_out(device_action::ExportModel&) {
    IOTSL_FAILPOINT("device.model.export");
    machine_.on_model_exported(work_.trained_model());
  }

  void hand_over(DeviceWork::Smashed smashed) {
    const net::WireFormat& format = work_.sizes().format;
    const net::EncodedBatch sent = format.encode_smashed(smashed.values, smashed.chance);
    machine_.on_smashed(
        {}, std::move(smashed.labels), sent.bytes(),
        {wire_shape(smashed.values.shape()), format.type_of(net::MessageType::step)});
  }

  DeviceMachine& machine_;
  DeviceWork& work_;
  net::Link& link_;
  Failure& problem_;
};

}  // namespace detail

/// Carries out one action; what is to be sent goes to `link`. `problem` is set where it failed.
inline DeviceStatus carry_out(DeviceAction& action, DeviceMachine& machine, DeviceWork& work,
                              net::Link& link, Failure& problem) {
  return std::visit(detail::DeviceDriver(machine, work, link, problem), action);
}

}  // namespace split
IOTSL_NAMESPACE_END
