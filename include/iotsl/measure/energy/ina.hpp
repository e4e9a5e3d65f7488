#pragma once
// Sensors of TI's INA219 family between a board and its supply, as Linux shows them in
// /sys/class/hwmon (driver ina2xx).

#include "iotsl/measure/energy/sysfs.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Watts of all that hangs behind one sensor.
class InaMeter {
 public:
  /// `which`: a folder of hwmon, such as hwmon2; empty: the only sensor of the family. `root` as in
  /// RaplMeter.
  static Result<InaMeter> open(const std::string& root, const std::string& which = "") {
    const std::string folder = join_path(root, "sys/class/hwmon");
    std::string names;
    std::size_t found = 0;
    InaMeter out;
    for (const std::string& entry : list_folder(folder)) {
      if (!which.empty() && entry != which) continue;
      const Result<std::string> name =
          detail::read_line(join_path(join_path(folder, entry), "name"));
      if (!name || !name->starts_with("ina2")) continue;
      ++found;
      names += concat(names.empty() ? "" : ", ", entry, " (", make_printable(*name), ")");
      out.folder_ = join_path(folder, entry);
      out.name_ = make_printable(*name);
    }
    if (found == 0)
      return failure(ErrorCode::other, folder, ": ",
                     which.empty() ? std::string("has no sensor ina219, ina226 or a kin of them")
                                   : concat(make_printable(which), " is no such sensor"));
    if (found > 1)
      return failure(ErrorCode::usage, folder, ": has ", names, "; say which, as ina:hwmon0");
    const Result<double> now = out.watts();
    if (!now) return now.failure();
    return out;
  }

  /// power1_input in microwatts; a driver without it: in1_input (mV) times curr1_input (mA).
  Result<double> watts() const {
    const std::string power = join_path(folder_, "power1_input");
    if (::access(power.c_str(), F_OK) == 0) {
      const Result<std::uint64_t> microwatts = detail::read_count(power);
      if (!microwatts) return microwatts.failure();
      return static_cast<double>(*microwatts) * 1e-6;
    }
    const Result<std::uint64_t> millivolts = detail::read_count(join_path(folder_, "in1_input"));
    if (!millivolts) return millivolts.failure();
    // With hardly any load a sensor's offset may be more than the current.
    const auto milliamperes = detail::read_whole<std::int64_t>(join_path(folder_, "curr1_input"));
    if (!milliamperes) return milliamperes.failure();
    return static_cast<double>(*millivolts) * static_cast<double>(*milliamperes) * 1e-6;
  }

  std::string origin() const {
    return concat("measured by ", name_, " (", last_component(folder_),
                  ": all that it supplies, usually the whole board)");
  }

 private:
  std::string folder_, name_;
};

}  // namespace measure
IOTSL_NAMESPACE_END
