#pragma once
// What a board tells about itself below /sys: governor, frequency, temperature, and whether it has
// to slow down. Where a file is missing the board does not tell.

#include <algorithm>
#include <string>
#include <vector>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/fields.hpp"

namespace iotsl::bench {

/// Cores that share a clock.
struct ClockPolicy {
  std::string governor;
  std::uint64_t frequency_khz = 0;  ///< 0: not told
  std::uint64_t most_khz = 0;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("governor", self.governor);
    f("frequency_khz", self.frequency_khz);
    f("most_khz", self.most_khz);
  }
  friend bool operator==(const ClockPolicy&, const ClockPolicy&) = default;
};

/// The board at one moment.
struct BoardState {
  std::vector<ClockPolicy> clocks;  ///< none: not told
  bool tells_temperature = false;
  double temperature_celsius = 0;  ///< of the hottest zone
  bool tells_throttling = false;   ///< whether `pi_flags` are of a Raspberry Pi's firmware
  /// Bits 0 to 3: under-voltage, frequency capped, throttled, soft temperature limit, each now;
  /// bits 16 to 19 the same since the board was switched on.
  std::uint64_t pi_flags = 0;
  std::uint64_t throttle_events = 0;  ///< of x86 cores, counted since the start
  bool is_cooled = false;             ///< the kernel holds the clock down against heat

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("clocks", self.clocks);
    f("tells_temperature", self.tells_temperature);
    f("temperature_celsius", self.temperature_celsius);
    f("tells_throttling", self.tells_throttling);
    f("pi_flags", self.pi_flags);
    f("throttle_events", self.throttle_events);
    f("is_cooled", self.is_cooled);
  }
  friend bool operator==(const BoardState&, const BoardState&) = default;
};

namespace detail {

/// The text of a file of one line, without its end; empty where there is none.
inline std::string read_line(const std::string& path) {
  const Result<std::string> text = read_text_file(path, 1 << 16);
  if (!text) return {};
  // The device tree ends its texts with a zero.
  return text->substr(0, text->find_first_of(std::string_view("\n\0", 2)));
}

/// The whole number in a file; false where there is none.
inline bool read_number(const std::string& path, int base, std::uint64_t& out) {
  const std::string text = read_line(path);
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text.c_str(), &end, base);
  if (text.empty() || text[0] == '-' || *end != '\0') return false;
  out = value;
  return true;
}

/// Paths of the entries of a folder whose names begin with `begin`.
inline std::vector<std::string> entries(const std::string& folder, std::string_view begin) {
  std::vector<std::string> out;
  for (const std::string& name : list_folder(folder))
    if (name.starts_with(begin)) out.push_back(join_path(folder, name));
  return out;
}

/// The firmware's file of a Raspberry Pi, whose place has moved between models: soc/soc:firmware,
/// soc@107c000000/soc@107c000000:firmware.
inline bool read_pi_flags(const std::string& platform, std::uint64_t& flags) {
  for (const std::string& soc : entries(platform, "soc")) {
    if (read_number(soc + "/get_throttled", 16, flags)) return true;
    for (const std::string& part : entries(soc, "soc"))
      if (read_number(part + "/get_throttled", 16, flags)) return true;
  }
  return false;
}

}  // namespace detail

/// `sysfs` is /sys, or what a test has in its place.
inline BoardState read_board(const std::string& sysfs) {
  using detail::entries;
  BoardState out;
  const std::string cpus = join_path(sysfs, "devices/system/cpu");
  for (const std::string& policy : entries(cpus + "/cpufreq", "policy")) {
    ClockPolicy clock{.governor = detail::read_line(policy + "/scaling_governor")};
    detail::read_number(policy + "/scaling_cur_freq", 10, clock.frequency_khz);
    detail::read_number(policy + "/cpuinfo_max_freq", 10, clock.most_khz);
    out.clocks.push_back(std::move(clock));
  }
  for (const std::string& zone : entries(join_path(sysfs, "class/thermal"), "thermal_zone")) {
    std::uint64_t millidegrees = 0;
    if (!detail::read_number(zone + "/temp", 10, millidegrees)) continue;
    out.tells_temperature = true;
    out.temperature_celsius =
        std::max(out.temperature_celsius, 1e-3 * static_cast<double>(millidegrees));
  }
  for (const std::string& cooler : entries(join_path(sysfs, "class/thermal"), "cooling_device")) {
    std::uint64_t level = 0;
    const bool is_clock = detail::read_line(cooler + "/type").find("cpufreq") != std::string::npos;
    if (is_clock && detail::read_number(cooler + "/cur_state", 10, level))
      out.is_cooled = out.is_cooled || level > 0;
  }
  for (const std::string& cpu : entries(cpus, "cpu")) {
    std::uint64_t count = 0;
    if (detail::read_number(cpu + "/thermal_throttle/core_throttle_count", 10, count))
      out.throttle_events += count;
  }
  out.tells_throttling = detail::read_pi_flags(join_path(sysfs, "devices/platform"), out.pi_flags);
  return out;
}

/// A board during a measurement.
struct BoardRecord {
  BoardState begin, end;
  double highest_celsius = 0;
  std::uint64_t pi_flags_seen = 0;  ///< bits that were set at any look
  bool was_cooled = false;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("begin", self.begin);
    f("end", self.end);
    f("highest_celsius", self.highest_celsius);
    f("pi_flags_seen", self.pi_flags_seen);
    f("was_cooled", self.was_cooled);
  }
  friend bool operator==(const BoardRecord&, const BoardRecord&) = default;
};

/// Adds a look at the board. The first one is the begin.
inline void add_look(BoardRecord& record, const BoardState& now, bool first) {
  if (first) {
    record = {};
    record.begin = now;
  }
  record.end = now;
  record.highest_celsius = std::max(record.highest_celsius, now.temperature_celsius);
  record.pi_flags_seen |= now.pi_flags;
  record.was_cooled = record.was_cooled || now.is_cooled;
}

/// Why figures of this run are not those of a board at its full speed; none where all is well.
inline std::vector<std::string> board_warnings(const BoardRecord& record) {
  std::vector<std::string> out;
  std::vector<std::string> governors;
  for (const ClockPolicy& clock : record.begin.clocks)
    if (!clock.governor.empty() && clock.governor != "performance" &&
        std::find(governors.begin(), governors.end(), clock.governor) == governors.end())
      governors.push_back(clock.governor);
  for (const std::string& governor : governors)
    out.push_back(concat("the governor is ", governor, ", not performance: the clock changes"));
  constexpr const char* causes[] = {"under-voltage: the power supply is too weak",
                                    "the frequency was capped", "throttled against heat",
                                    "the soft temperature limit was active"};
  for (unsigned i = 0; i < 4; ++i) {
    const std::uint64_t now = std::uint64_t{1} << i, ever = now << 16;
    const bool since_begin = (record.end.pi_flags & ~record.begin.pi_flags & ever) != 0;
    if ((record.pi_flags_seen & now) != 0 || since_begin)
      out.push_back(concat("during the run: ", causes[i]));
    else if ((record.begin.pi_flags & ever) != 0)
      out.push_back(concat("since the board was switched on, perhaps during the run: ", causes[i]));
  }
  if (record.end.throttle_events > record.begin.throttle_events)
    out.push_back(concat("during the run: the cores were throttled ",
                         record.end.throttle_events - record.begin.throttle_events, " times"));
  if (record.was_cooled)
    out.push_back("during the run: the kernel held the clock down against heat");
  return out;
}

}  // namespace iotsl::bench
