#pragma once
// Who is put aside, leaves for good or may come back: on the disk, and told to the user.

#include "iotsl/core/failpoint.hpp"
#include "iotsl/split/protocol/server/server_machine.hpp"
#include "iotsl/split/records/quarantine_file.hpp"
#include "iotsl/split/records/run_recorder.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class QuarantineWork {
 public:
  QuarantineWork(const RunConfig& config, const RunHooks& hooks) : config_(config), hooks_(hooks) {}

  Result<void> open() {
    Result<QuarantineBook> opened =
        QuarantineBook::open(config_.out, config_.resume, config_.devices);
    if (!opened) return opened.failure();
    book_ = std::move(opened).value();
    return {};
  }
  const QuarantineBook& book() const { return book_; }

  // Actions of the machine.

  Result<void> carry_out(const server_action::PutAside& action, const ServerMachine& machine) {
    const QuarantinedDevice& device = action.device;
    hooks_.note(concat(device.gone ? concat("device '", device.name, "' leaves the run for good")
                                   : concat("quarantine: device '", device.name, "' is put aside"),
                       " in turn ", device.turn + 1, ", after step ", device.step, ": ",
                       device.gone ? std::string() : concat(device.reason, "; "),
                       machine.quarantine().left(), " of ", config_.devices,
                       " devices are left; it may come back after: ",
                       release_command(device.name, config_.out.empty() ? "RUN" : config_.out)));
    IOTSL_FAILPOINT("server.quarantine.add");
    Result<void> written = book_.add(device);
    IOTSL_FAILPOINT("server.quarantine.added");
    return written;
  }
  Result<void> carry_out(const server_action::PlaceTaken& action, const ServerMachine& machine) {
    hooks_.note(concat("device '", machine.devices()[action.device].name, "' takes place ",
                       action.device, ", which '", action.left_by, "' has left"));
    return book_.release(action.device);
  }

  /// A device asks to leave: as where a user says so. It is told once that is on the disk.
  Result<void> carry_out(const server_action::Leave& action, ServerMachine& machine,
                         const RunRecorder& books) {
    const std::optional<Known> known = find(machine, books, action.name);
    const std::optional<std::uint32_t> left = book_.left_by(action.name);
    if (known ? machine.quarantine().is_gone(known->device) : left.has_value()) {
      machine.confirm_leave(action.connection, known ? known->device : *left);
      return {};
    }
    const std::string who = concat("device '", action.name, "'");
    if (!known) {
      machine.refuse_leave(action.connection, concat(who, " has no place in this run"));
      return {};
    }
    if (machine.leave(known->device, known->record, action.connection)) return {};
    if (!waits_for_plateau()) {
      machine.refuse_leave(action.connection,
                           concat(who,
                                  " may go: nothing is asked of it any more, and its samples "
                                  "stay in the run"));
      return {};
    }
    const Result<void> kept = book_.add_leaving(action.name);
    if (kept) machine.confirm_leave(action.connection, known->device);
    return kept;
  }

  /// Looks at what commands have said. The run's books tell the places of devices that were not
  /// here since this server began. True where the machine was told of a device that leaves.
  bool on_time(ServerMachine& machine, const RunRecorder& books, net::Microseconds now) {
    Result<QuarantineBook::Changes> changes = book_.take_changes(now);
    if (!changes) {
      hooks_.note(changes.failure().message);
      return false;
    }
    for (const std::uint32_t device : changes->released) release(machine, device);
    if (changes->leaving) leaving_ = std::move(*changes->leaving);
    bool told = false;
    std::erase_if(leaving_, [&](const std::string& name) {
      const std::optional<Known> known = find(machine, books, name);
      // One that the run was not asked for may still come before it begins.
      if (!known && machine.phase() == ServerMachine::Phase::gathering) return false;
      if (known && machine.leave(known->device, known->record)) return told = true;
      if (known && waits_for_plateau()) return false;
      strike(name,
             known ? "nothing is asked of it any more" : "no device of this run has that name");
      return true;
    });
    return told;
  }

 private:
  struct Known {
    std::uint32_t device = 0;
    DeviceRecord record;
  };

  /// Of devices that nothing is asked of, something will be once the front is trained again.
  bool waits_for_plateau() const { return config_.unfreeze_on_plateau > 0 && !config_.unfrozen; }
  void release(ServerMachine& machine, std::uint32_t device) {
    const bool now_back = machine.release(device);
    hooks_.note(concat("device '", machine.devices()[device].name,
                       "' is released from quarantine: its place waits for it",
                       now_back ? "" : " when the server starts again (--resume)"));
  }
  static std::optional<Known> find(const ServerMachine& machine, const RunRecorder& books,
                                   const std::string& name) {
    for (std::uint32_t d = 0; d < machine.devices().size(); ++d)
      if (machine.devices()[d].name == name) return Known{d, machine.devices()[d]};
    if (const EpochBooks::Turn* turn = books.books().newest_turn_of(name);
        turn != nullptr && turn->device < machine.devices().size()) {
      if (!machine.devices()[turn->device].name.empty()) return std::nullopt;  // another's by now
      DeviceRecord record;
      record.name = name;
      record.samples = turn->samples;
      return Known{turn->device, std::move(record)};
    }
    // It has had no turn yet.
    const std::vector<std::string>& places = books.numbers().places;
    for (std::uint32_t d = 0; d < std::min(places.size(), machine.devices().size()); ++d) {
      if (places[d] != name || !machine.devices()[d].name.empty()) continue;
      DeviceRecord record;
      record.name = name;
      return Known{d, std::move(record)};
    }
    return std::nullopt;
  }
  void strike(const std::string& name, const char* why) {
    hooks_.note(concat("device '", name, "' is not made to leave: ", why));
    if (const Result<void> struck = book_.strike_leaving(name); !struck)
      hooks_.note(struck.failure().message);
  }

  RunConfig config_;
  RunHooks hooks_;
  QuarantineBook book_;
  std::vector<std::string> leaving_;  // not found yet
};

}  // namespace split
IOTSL_NAMESPACE_END
