#pragma once
// The energy counters of Intel's and AMD's processors (RAPL), as Linux shows them in
// /sys/class/powercap.

#include <vector>

#include "iotsl/measure/energy/sysfs.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Joules of all processor packages together: cores, caches and graphics of whatever runs on them,
/// without memory, disks and the power supply.
class RaplMeter {
 public:
  /// `root`: "/" but for tests and containers.
  static Result<RaplMeter> open(const std::string& root) {
    const std::string folder = join_path(root, "sys/class/powercap");
    RaplMeter out;
    for (const std::string& entry : list_folder(folder)) {
      if (!is_zone(entry)) continue;
      const std::string zone = join_path(folder, entry);
      const Result<std::string> name = detail::read_line(join_path(zone, "name"));
      if (!name) return name.failure();
      if (!name->starts_with("package")) continue;  // psys would count the packages again
      const Result<std::uint64_t> range =
          detail::read_count(join_path(zone, "max_energy_range_uj"));
      if (!range) return range.failure();
      Counter counter{join_path(zone, "energy_uj"), *range, 0};
      const Result<std::uint64_t> now = counter.read();
      if (!now) return now.failure();
      counter.last_uj = *now;
      out.counters_.push_back(counter);
    }
    if (out.counters_.empty())
      return failure(ErrorCode::other, folder,
                     ": has no zone of a processor package (intel-rapl:0 and so on)");
    return out;
  }

  /// Microjoules since the last time. A counter that shows less than before has begun again at 0,
  /// behind its max_energy_range_uj: it must be read before it does so twice (a quarter of an hour
  /// at 300 W, where the range is 262 kJ).
  Result<std::uint64_t> advance() {
    std::uint64_t sum = 0;
    for (Counter& counter : counters_) {
      const Result<std::uint64_t> now = counter.read();
      if (!now) return now.failure();
      sum += *now - counter.last_uj + (*now < counter.last_uj ? counter.range_uj : 0);
      counter.last_uj = *now;
    }
    return sum;
  }

  std::string origin() const {
    const std::size_t n = counters_.size();
    return concat("measured by RAPL (", n, n == 1 ? " whole package" : " whole packages",
                  ", shared by all programs of this machine; without memory and power supply)");
  }

 private:
  struct Counter {
    std::string path;
    std::uint64_t range_uj = 0;
    std::uint64_t last_uj = 0;

    Result<std::uint64_t> read() const {
      const Result<std::uint64_t> now = detail::read_count(path);
      // Read very often, the counter tells what others compute: only root may.
      if (!now && ::access(path.c_str(), F_OK) == 0 && ::access(path.c_str(), R_OK) != 0)
        return failure(ErrorCode::other, path,
                       ": no permission to read it; root gives it with chmod a+r ", path);
      if (now && *now > range_uj)
        return failure(ErrorCode::data, path, ": shows ", *now, ", more than its range ", range_uj);
      return now;
    }
  };

  /// "intel-rapl:0", not its parts "intel-rapl:0:1", nor "intel-rapl-mmio:0", which counts again.
  static bool is_zone(std::string_view entry) {
    constexpr std::string_view begin = "intel-rapl:";
    return entry.starts_with(begin) && entry.size() > begin.size() &&
           entry.find_first_not_of("0123456789", begin.size()) == entry.npos;
  }

  std::vector<Counter> counters_;
};

}  // namespace measure
IOTSL_NAMESPACE_END
