#pragma once
// quarantine.json in a run's folder: which devices are put aside, and why. The server adds to it, a
// command releases devices in it while the server runs or not; both change it under a lock.

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

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("devices", self.devices);
  }
};

/// Empty where the run has no such file.
inline Result<std::vector<QuarantinedDevice>> read_quarantine(const std::string& folder) {
  const std::string path = join_path(folder, quarantine_name);
  const Result<bool> there = look_for_file(path);
  if (!there) return there.failure();
  if (!*there) return std::vector<QuarantinedDevice>();
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
  return std::move(record->devices);
}

/// Changes the file, whatever others have made of it meanwhile. `apply(devices)` says whether it
/// may be; where it says no, nothing is written.
template <class Apply>
Result<void> change_quarantine(const std::string& folder, const Apply& apply) {
  const Result<FileLock> lock = FileLock::take(join_path(folder, quarantine_lock_name));
  if (!lock) return lock.failure();
  Result<std::vector<QuarantinedDevice>> devices = read_quarantine(folder);
  if (!devices) return devices.failure();
  const Result<void> applied = apply(*devices);
  if (!applied) return applied;
  const QuarantineRecord record{.devices = std::move(devices).value()};
  return write_file_atomic(join_path(folder, quarantine_name),
                           to_text(to_json_fields(record), 2) + "\n");
}

/// Lets the device come back to the run in `folder`.
inline Result<void> release_device(const std::string& folder, std::string_view name) {
  return change_quarantine(folder, [&](std::vector<QuarantinedDevice>& devices) -> Result<void> {
    bool found = false;
    std::string aside;
    for (QuarantinedDevice& each : devices) {
      if (each.released) continue;
      aside += concat(aside.empty() ? "" : ", ", each.name);
      if (each.name != name) continue;
      found = each.released = true;
    }
    if (found) return {};
    return failure(ErrorCode::usage, "device '", make_printable(name),
                   "' is not in quarantine in the run ", folder, "; ",
                   aside.empty() ? "no device is" : concat("these are: ", aside));
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
    out.seen_ = FileStamp::of(out.path());
    Result<std::vector<QuarantinedDevice>> found = read_quarantine(out.folder_);
    if (!found) return found.failure();
    for (const QuarantinedDevice& each : *found)
      if (each.device >= static_cast<std::uint64_t>(devices))
        return failure(ErrorCode::data, out.path(), ": has device ", each.device, " of a run with ",
                       devices);
    out.known_ = std::move(found).value();
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
    known_.push_back(entry);
    if (folder_.empty()) return {};
    return change_quarantine(folder_, [&](std::vector<QuarantinedDevice>& devices) -> Result<void> {
      devices.push_back(entry);
      return {};
    });
  }

  /// Looks at the file, twice a second at most: the places of the devices that a command has
  /// released since. A file that cannot be read changes nothing, and is told once.
  Result<std::vector<std::uint32_t>> take_released(net::Microseconds now) {
    std::vector<std::uint32_t> out;
    if (folder_.empty() || now - looked_ < net::second_us / 2) return out;
    looked_ = now;
    const FileStamp stamp = FileStamp::of(path());
    if (stamp == seen_) return out;
    seen_ = stamp;
    const Result<std::vector<QuarantinedDevice>> found = read_quarantine(folder_);
    if (!found) return found.failure();
    // Only this server adds to the list, so that the old entries are the first ones.
    for (std::size_t i = 0; i < std::min(known_.size(), found->size()); ++i) {
      if (known_[i].released || !(*found)[i].released) continue;
      known_[i].released = true;
      out.push_back(known_[i].device);
    }
    return out;
  }

 private:
  std::string path() const { return join_path(folder_, quarantine_name); }

  std::string folder_;
  std::vector<QuarantinedDevice> known_;
  FileStamp seen_;
  net::Microseconds looked_ = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
