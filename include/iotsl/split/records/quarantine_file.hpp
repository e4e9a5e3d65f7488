#pragma once
// quarantine.json in a run's folder: which devices are put aside, and why. The server adds to it,
// commands release devices in it or say that one leaves for good, while the server runs or not; all
// change it under a lock.

#include "iotsl/core/files/shared_file.hpp"
#include "iotsl/core/shape.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/split/protocol/quarantine.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

inline constexpr const char* quarantine_name = "quarantine.json";
inline constexpr const char* quarantine_lock_name = "quarantine.lock";

/// Holds quarantine.json.
struct QuarantineRecord {
  std::string format = "iotsl-quarantine-1";
  std::vector<QuarantinedDevice> devices;
  /// Names of devices that are to leave for good: the server knows their places.
  std::vector<std::string> leaving;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("devices", self.devices);
    f.later("leaving", self.leaving);
  }
};

/// Empty where the run has no such file.
inline Result<QuarantineRecord> read_quarantine(const std::string& folder) {
  const std::string path = join_path(folder, quarantine_name);
  const Result<bool> there = look_for_file(path);
  if (!there) return there.failure();
  if (!*there) return QuarantineRecord();
  const auto wrong = [&](const Failure& why) {
    return failure(ErrorCode::data, path, ": ", why.message);
  };
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.failure();
  const Result<Json> json = parse_json(*text);
  if (!json) return wrong(json.failure());
  Result<QuarantineRecord> record = parse_json_fields<QuarantineRecord>(*json);
  if (!record) return wrong(record.failure());
  if (const std::string expected = QuarantineRecord().format; record->format != expected)
    return failure(ErrorCode::data, path, ": format '", record->format, "', expected '", expected,
                   "'");
  return record;
}

/// Changes the file, whatever others have made of it meanwhile. `apply(record)` says whether it
/// may be; where it says no, nothing is written.
template <class Apply>
Result<void> change_quarantine(const std::string& folder, const Apply& apply) {
  const Result<FileLock> lock = FileLock::take(join_path(folder, quarantine_lock_name));
  if (!lock) return lock.failure();
  Result<QuarantineRecord> record = read_quarantine(folder);
  if (!record) return record.failure();
  const Result<void> applied = apply(*record);
  if (!applied) return applied;
  return write_file_atomic(join_path(folder, quarantine_name),
                           to_text(to_json_fields(*record), 2) + "\n");
}

/// What releasing a device has come to.
enum class Released {
  stays,      ///< it was about to leave, which is taken back
  may_return  ///< its place waits for it
};

/// Lets the device come back to the run in `folder`, or stay in it.
inline Result<Released> release_device(const std::string& folder, std::string_view name) {
  Released out = Released::may_return;
  const Result<void> done =
      change_quarantine(folder, [&](QuarantineRecord& record) -> Result<void> {
        bool found = std::erase(record.leaving, name) > 0;
        if (found) out = Released::stays;
        std::string aside;
        for (QuarantinedDevice& each : record.devices) {
          if (each.released) continue;
          aside += concat(aside.empty() ? "" : ", ", each.name);
          if (each.name != name) continue;
          found = each.released = true;
          out = Released::may_return;
        }
        if (found) return {};
        return failure(ErrorCode::usage, "device '", make_printable(name),
                       "' is not in quarantine in the run ", folder, "; ",
                       aside.empty() ? "no device is" : concat("these are: ", aside));
      });
  if (!done) return done.failure();
  return out;
}

/// Says that the device leaves the run in `folder` for good.
inline Result<void> let_device_leave(const std::string& folder, std::string_view name) {
  return change_quarantine(folder, [&](QuarantineRecord& record) -> Result<void> {
    const auto refuse = [&](const char* why) {
      return failure(ErrorCode::usage, "device '", make_printable(name), "' ", why, " the run ",
                     folder);
    };
    for (const QuarantinedDevice& each : record.devices)
      if (each.name == name && each.gone && !each.released) return refuse("has already left");
    for (const std::string& each : record.leaving)
      if (each == name) return refuse("is already about to leave");
    record.leaving.emplace_back(name);
    return {};
  });
}

/// The server's side of the file. Without a folder the list is in memory only.
class QuarantineBook {
 public:
  /// Takes up the list of a run that goes on; a new run begins without one.
  static Result<QuarantineBook> open(std::string folder, bool resume, Index devices) {
    QuarantineBook out;
    out.folder_ = std::move(folder);
    if (out.folder_.empty()) return out;
    if (!resume) {
      ::unlink(out.path().c_str());
      return out;
    }
    Result<QuarantineRecord> found = read_quarantine(out.folder_);
    if (!found) return found.failure();
    for (const QuarantinedDevice& each : found->devices)
      if (each.device >= static_cast<std::uint64_t>(devices))
        return failure(ErrorCode::data, out.path(), ": has device ", each.device, " of a run with ",
                       devices);
    out.known_ = std::move(found->devices);
    return out;
  }

  const std::vector<QuarantinedDevice>& devices() const { return known_; }
  /// Whether the device is or was put aside.
  bool names(std::size_t device) const {
    return std::any_of(known_.begin(), known_.end(),
                       [&](const QuarantinedDevice& each) { return each.device == device; });
  }

  /// On the disk before anything follows from it.
  Result<void> add(const QuarantinedDevice& entry) {
    return change([&](QuarantineRecord& record) {
      std::erase(record.leaving, entry.name);
      release(record.devices, entry.device);  // what it was put aside for before
      record.devices.push_back(entry);
    });
  }
  /// The place belongs to a device again.
  Result<void> release(std::uint32_t device) {
    return change([&](QuarantineRecord& record) { release(record.devices, device); });
  }
  /// The device is to leave as soon as anything is asked of it again. It may be said twice.
  Result<void> add_leaving(std::string_view name) {
    return change([&](QuarantineRecord& record) {
      std::erase(record.leaving, name);
      record.leaving.emplace_back(name);
    });
  }
  /// The place that a device of this name has left for good, where it has.
  std::optional<std::uint32_t> left_by(std::string_view name) const {
    for (auto each = known_.rbegin(); each != known_.rend(); ++each)
      if (each->name == name && each->gone) return each->device;
    return std::nullopt;
  }
  /// No device of the run has this name.
  Result<void> strike_leaving(std::string_view name) {
    return change([&](QuarantineRecord& record) { std::erase(record.leaving, name); });
  }

  /// What commands have said since: places of devices that may come back.
  struct Changes {
    std::vector<std::uint32_t> released;
    /// Names of all that are to leave for good, where the file is another one than before.
    std::optional<std::vector<std::string>> leaving;
  };
  /// Looks at the file, twice a second at most. One that cannot be read changes nothing, and is
  /// told once.
  Result<Changes> take_changes(net::Microseconds now) {
    Changes out;
    if (folder_.empty() || now - looked_ < net::second_us / 2) return out;
    looked_ = now;
    const FileStamp stamp = FileStamp::of(path());
    if (stamp == seen_) return out;
    seen_ = stamp;
    Result<QuarantineRecord> found = read_quarantine(folder_);
    if (!found) return found.failure();
    // Only this server adds to the list, so that the old entries are the first ones.
    for (std::size_t i = 0; i < std::min(known_.size(), found->devices.size()); ++i) {
      if (known_[i].released || !found->devices[i].released) continue;
      known_[i].released = true;
      out.released.push_back(known_[i].device);
    }
    out.leaving = std::move(found->leaving);
    return out;
  }

 private:
  static void release(std::vector<QuarantinedDevice>& devices, std::uint32_t device) {
    for (QuarantinedDevice& each : devices)
      if (each.device == device) each.released = true;
  }
  /// In the file, where there is one, and here.
  template <class Apply>
  Result<void> change(const Apply& apply) {
    QuarantineRecord own{.devices = known_, .leaving = {}};
    apply(own);
    known_ = std::move(own.devices);
    if (folder_.empty()) return {};
    return change_quarantine(folder_, [&](QuarantineRecord& record) -> Result<void> {
      apply(record);
      return {};
    });
  }
  std::string path() const { return join_path(folder_, quarantine_name); }

  std::string folder_;
  std::vector<QuarantinedDevice> known_;
  FileStamp seen_;
  net::Microseconds looked_ = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
