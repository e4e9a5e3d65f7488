#pragma once
// Which devices a run waits for: tells the user, and says when a wait has been long enough.

#include "iotsl/net/clock.hpp"
#include "iotsl/split/protocol/server_machine.hpp"
#include "iotsl/split/records/run_config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class Attendance {
 public:
  Attendance(const RunConfig& config, const RunHooks& hooks)
      : hooks_(hooks),
        offline_seconds_(config.offline_seconds),
        told_absent_(static_cast<std::size_t>(config.devices)) {}

  /// After every event.
  void on_event(const ServerMachine& machine) {
    const bool more = machine.ready_devices() > told_ready_;
    told_ready_ = machine.ready_devices();
    if (more && hooks_.on_device != nullptr)
      hooks_.on_device(hooks_.context, told_ready_,
                       static_cast<std::uint32_t>(machine.devices().size()));
    if (machine.phase() != ServerMachine::Phase::collecting || told_collecting_) return;
    told_collecting_ = true;
    note("every device is here; the run waits for their generators");
  }

  /// Looks at the clock. True where the device whose turn it is has been away for too long.
  bool on_time(const ServerMachine& machine, net::Microseconds now) {
    if (machine.phase() == ServerMachine::Phase::collecting) tell_absent(machine);
    const std::optional<std::uint32_t> missing = machine.missing_holder();
    if (!missing) {
      away_since_ = 0;
      return false;
    }
    if (away_since_ == 0) {
      away_since_ = now;
      note(concat("device ", *missing, " is away; the run waits for it"));
    }
    // Where nobody is left, nobody could go on.
    const bool too_long = offline_seconds_ > 0 && machine.ready_devices() > 0 &&
                          net::to_seconds(now - away_since_) >= offline_seconds_;
    if (!too_long) return false;
    note(concat("device ", *missing, " has been away for ", offline_seconds_,
                " s; its turn is skipped"));
    away_since_ = 0;
    return true;
  }

 private:
  /// Who is away before the turns: a run without its generator would be another one, so that it
  /// waits.
  void tell_absent(const ServerMachine& machine) {
    for (std::uint32_t d = 0; d < told_absent_.size(); ++d) {
      const bool away = machine.devices()[d].connection == 0 && !machine.has_generator(d);
      if (away && !told_absent_[d])
        note(concat("device ", d, " is away; the run waits for its generator"));
      told_absent_[d] = away;
    }
  }
  void note(const std::string& text) {
    if (hooks_.on_note != nullptr) hooks_.on_note(hooks_.context, text);
  }

  RunHooks hooks_;
  double offline_seconds_;
  net::Microseconds away_since_ = 0;  // of the device whose turn it is; 0: it is here
  std::uint32_t told_ready_ = 0;
  bool told_collecting_ = false;
  std::vector<bool> told_absent_;  // devices whose generator is waited for
};

}  // namespace split
IOTSL_NAMESPACE_END
