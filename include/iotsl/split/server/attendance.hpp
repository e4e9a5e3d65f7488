#pragma once
// Who is here and whom a run waits for: tells the user, and says when a wait has been long enough.

#include "iotsl/core/local_time.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/hub/repeated_lines.hpp"
#include "iotsl/split/protocol/server/server_machine.hpp"
#include "iotsl/split/records/run_config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class Attendance {
 public:
  Attendance(const RunConfig& config, const RunHooks& hooks)
      : hooks_(hooks),
        run_(config.out.empty() ? "RUN" : config.out),
        offline_seconds_(config.offline_seconds),
        devices_(static_cast<std::size_t>(config.devices)) {}

  /// After every event.
  void on_event(const ServerMachine& machine, net::Microseconds now) {
    for (std::size_t d = 0; d < devices_.size(); ++d) {
      const DeviceRecord& device = machine.devices()[d];
      const bool is_here = device.connection != 0;
      if (is_here == devices_[d].is_here) continue;
      devices_[d].is_here = is_here;
      if (is_here && devices_[d].name != device.name)
        devices_[d] = {.name = device.name, .is_here = true};
      if (is_here)
        tell_arrival(machine, device, devices_[d], now);
      else
        // Before the run begins a place may be left to another device.
        devices_[d].left = machine.phase() == ServerMachine::Phase::gathering ? 0 : now;
    }
    if (!told_begin_ && machine.phase() == ServerMachine::Phase::turns) {
      told_begin_ = true;
      if (const std::uint32_t missing = machine.missing_devices(); missing > 0)
        hooks_.note(concat("the run begins without ", missing, " of ", devices_.size(),
                           " devices, which may come later (--start-with)"));
    }
    if (machine.phase() != ServerMachine::Phase::collecting || told_collecting_) return;
    told_collecting_ = true;
    hooks_.note("every device is here; the run waits for their generators");
  }

  /// A device was refused, or has failed, and is not put aside.
  void on_sent_away(const server_action::SentAway& gone, const ServerMachine& machine,
                    net::Microseconds now) {
    const bool gathers = machine.phase() == ServerMachine::Phase::gathering;
    if (gathers) remember(gone);
    const auto line = lines_.add(
        concat("device '", gone.name,
               gone.had_place ? "' has no place any more: " : "' is sent away: ", gone.reason,
               gathers ? concat("; the run waits for ",
                                machine.wanted_devices() - machine.ready_devices(), " of ",
                                machine.wanted_devices(), " devices")
                       : std::string()),
        now, gone.had_place || gone.is_proven ? gone.name : std::string());
    if (line) hooks_.note(*line);
  }
  /// Why a run has not begun: what has become of those who came.
  std::string failed_before_the_run() const {
    std::string out;
    for (const server_action::SentAway& each : sent_away_)
      out += concat("; device '", each.name, "': ", each.reason);
    return out;
  }

  /// Whether the device of that place has been here since this server began.
  bool was_here(std::size_t place) const {
    return place < devices_.size() && (devices_[place].is_here || devices_[place].left != 0);
  }
  /// Devices that were lost since `from`, and are not back.
  std::vector<std::string> lost_since(const ServerMachine& machine, net::Microseconds from) const {
    std::vector<std::string> out;
    for (std::size_t d = 0; d < devices_.size(); ++d)
      if (!devices_[d].is_here && devices_[d].left > from &&
          !machine.quarantine().has(static_cast<std::uint32_t>(d)))
        out.push_back(machine.devices()[d].name);
    return out;
  }
  /// Looks at the clock. True where the device whose turn it is has been away for too long.
  bool on_time(const ServerMachine& machine, net::Microseconds now) {
    for (const std::string& line : lines_.take_due(now)) hooks_.note(line);
    if (machine.phase() == ServerMachine::Phase::collecting) tell_absent(machine);
    const std::optional<std::uint32_t> missing = machine.missing_holder();
    if (!missing) {
      waiting_since_ = 0;
      return false;
    }
    const std::string& name = machine.devices()[*missing].name;
    if (waiting_since_ == 0) {
      waiting_since_ = reminded_ = now;
      hooks_.note(concat(name, " is away and it is its turn; ", limit_text(machine, name, now)));
    }
    const double away = net::to_seconds(now - waiting_since_);
    if (is_limited(machine) && away >= offline_seconds_) {
      hooks_.note(concat(name, " has been away for ", offline_seconds_, " s; its turn is skipped"));
      waiting_since_ = 0;
      return true;
    }
    if (now - reminded_ >= reminder_interval) {
      reminded_ = now;
      hooks_.note(concat(name, " has been away for ", static_cast<std::uint64_t>(away), " s; ",
                         limit_text(machine, name, now)));
    }
    return false;
  }

 private:
  static constexpr net::Microseconds reminder_interval = 60 * net::second_us;

  struct Presence {
    std::string name = {};  // of the device that had the place last
    bool is_here = false;
    bool told_absent = false;    // its generator is waited for
    net::Microseconds left = 0;  // 0: it was not here since the run began
  };

  void tell_arrival(const ServerMachine& machine, const DeviceRecord& device,
                    const Presence& presence, net::Microseconds now) const {
    if (presence.left != 0)
      return hooks_.note(
          concat(device.name, " is back after ", (now - presence.left) / net::second_us, " s"));
    if (hooks_.on_device == nullptr) return;
    hooks_.on_device(hooks_.context, {.name = device.name,
                                      .label_counts = device.label_counts,
                                      .ready = machine.ready_devices(),
                                      .wanted = machine.quarantine().left()});
  }

  /// Where nobody is left, nobody could go on; the server alone where it keeps samples of devices.
  bool is_limited(const ServerMachine& machine) const {
    if (offline_seconds_ <= 0) return false;
    if (machine.ready_devices() > 0) return true;
    for (std::uint32_t d = 0; d < devices_.size(); ++d)
      if (machine.turns() != nullptr && !machine.turns()->needs(d)) return true;
    return false;
  }
  std::string limit_text(const ServerMachine& machine, std::string_view name,
                         net::Microseconds now) const {
    if (!is_limited(machine))
      return concat("the run waits for it without a limit, or until: ", leave_command(name, run_));
    const double left = offline_seconds_ - net::to_seconds(now - waiting_since_);
    return concat("the run waits for it until ", local_time("%H:%M:%S", left),
                  ", then the turn is skipped");
  }

  /// Who is away before the turns: a run without its generator would be another one, so that it
  /// waits.
  void tell_absent(const ServerMachine& machine) {
    for (std::uint32_t d = 0; d < devices_.size(); ++d) {
      const bool away =
          !devices_[d].is_here && !machine.has_generator(d) && !machine.quarantine().has(d);
      if (away && !devices_[d].told_absent)
        hooks_.note(concat(machine.devices()[d].name,
                           " is away; the run waits for its generator, or until: ",
                           leave_command(machine.devices()[d].name, run_)));
      devices_[d].told_absent = away;
    }
  }

  /// The last that is known of each name; names of strangers must not be kept without end.
  void remember(const server_action::SentAway& gone) {
    std::erase_if(sent_away_, [&](const auto& each) { return each.name == gone.name; });
    if (sent_away_.size() > devices_.size()) sent_away_.erase(sent_away_.begin());
    sent_away_.push_back(gone);
  }

  RunHooks hooks_;
  std::string run_;  // its folder, for commands
  double offline_seconds_;
  std::vector<Presence> devices_;
  net::Microseconds waiting_since_ = 0;  // for the device whose turn it is; 0: it is here
  net::Microseconds reminded_ = 0;
  bool told_collecting_ = false, told_begin_ = false;
  net::RepeatedLines lines_;                        // of devices that come and fail
  std::vector<server_action::SentAway> sent_away_;  // before the run began
};

}  // namespace split
IOTSL_NAMESPACE_END
