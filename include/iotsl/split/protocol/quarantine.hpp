#pragma once
// Devices that are put aside, because they have failed by themselves or have left for good: their
// turns are skipped, and the run goes on with the others until a user releases them.

#include <algorithm>

#include "iotsl/core/error.hpp"
#include "iotsl/core/json/fields.hpp"
#include "iotsl/core/text.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// A device that was put aside, with what a server that starts again must know of it.
struct QuarantinedDevice {
  std::uint32_t device = 0;  ///< its place in the order of turns
  std::string name;
  std::uint64_t samples = 0;
  std::vector<std::uint64_t> label_counts;
  std::string data_fingerprint;  ///< SHA-256
  std::uint64_t turn = 0;        ///< of the run, that was in hand
  std::uint64_t step = 0;        ///< of the last barrier
  std::string reason;
  bool released = false;  ///< it may come back, or has, or another device has its place
  bool gone = false;      ///< it has not failed, but left for good: its place is free for another

  friend bool operator==(const QuarantinedDevice&, const QuarantinedDevice&) = default;
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("device", self.device);
    f("name", self.name);
    f("samples", self.samples);
    f("label_counts", self.label_counts);
    f("data_fingerprint", self.data_fingerprint);
    f("turn", self.turn);
    f("step", self.step);
    f("reason", self.reason);
    f("released", self.released);
    f.later("gone", self.gone);
  }
};

/// Why a device is put aside that has not failed.
inline constexpr const char* left_for_good = "it has left the run for good";

/// What lets a device come back.
inline std::string release_command(std::string_view name, std::string_view run = "RUN") {
  return concat("iotsl device release ", name, " --run ", run);
}

/// What makes a run wait for a device no more.
inline std::string leave_command(std::string_view name, std::string_view run = "RUN") {
  return concat("iotsl device leave ", name, " --run ", run);
}

/// Who is put aside, in the order in which it happened; who was released stays on the list.
class Quarantine {
 public:
  /// `known` of an earlier start; `least`: devices without which the run stops.
  Quarantine(std::uint32_t devices, std::uint32_t least, std::vector<QuarantinedDevice> known = {})
      : devices_(devices), least_(least), entries_(std::move(known)) {}

  const std::vector<QuarantinedDevice>& entries() const { return entries_; }
  /// Why the device is put aside; null where it is not.
  const QuarantinedDevice* find(std::uint32_t device) const {
    for (const QuarantinedDevice& each : entries_)
      if (each.device == device && !each.released) return &each;
    return nullptr;
  }
  bool has(std::uint32_t device) const { return find(device) != nullptr; }
  /// Whether the device has left for good.
  bool is_gone(std::uint32_t device) const {
    const QuarantinedDevice* const aside = find(device);
    return aside != nullptr && aside->gone;
  }
  /// Whether a device has ever left for good: another may have its place.
  bool has_seen_leave() const {
    return std::any_of(entries_.begin(), entries_.end(),
                       [](const QuarantinedDevice& each) { return each.gone; });
  }
  /// Devices that are put aside.
  std::uint32_t count() const {
    return static_cast<std::uint32_t>(
        std::count_if(entries_.begin(), entries_.end(),
                      [](const QuarantinedDevice& each) { return !each.released; }));
  }
  /// Devices that the run goes on with.
  std::uint32_t left() const { return devices_ - count(); }

  const QuarantinedDevice& add(QuarantinedDevice entry) {
    release(entry.device);  // what it was put aside for before
    return entries_.emplace_back(std::move(entry));
  }
  void release(std::uint32_t device) {
    for (QuarantinedDevice& each : entries_)
      if (each.device == device) each.released = true;
  }

  /// Why the run cannot go on, where too few devices are left; `missing` of them were never here.
  Result<void> check(std::uint32_t missing = 0) const {
    const std::uint32_t here = left() - missing;
    if (here >= least_) return {};
    return failure(ErrorCode::network, here, " of ", devices_,
                   devices_ == 1 ? " device is left" : " devices are left",
                   missing == 0 ? std::string() : concat(", ", missing, " have not come yet"),
                   ", at least ", least_, least_ == 1 ? " is" : " are",
                   " needed (--min-devices): ", text());
  }
  /// Names and reasons of those that are put aside.
  std::string text() const {
    std::string out;
    for (const QuarantinedDevice& each : entries_)
      if (!each.released)
        out += concat(out.empty() ? "" : "; ", "device '", each.name, "': ", each.reason);
    return out;
  }

 private:
  std::uint32_t devices_, least_;
  std::vector<QuarantinedDevice> entries_;
};

}  // namespace split
IOTSL_NAMESPACE_END
