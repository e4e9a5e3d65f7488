#pragma once
// The power chip of a Raspberry Pi 5. Linux has no file of its currents: the firmware tells them to
// the program vcgencmd, which is run for every reading.

#include <charconv>
#include <cstdio>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/text.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Watts of all rails that have both a current and a voltage in what `vcgencmd pmic_read_adc`
/// prints: lines as "   1V1_SYS_A current(5)=0.17566740A" and "   1V1_SYS_V volt(13)=1.10439400V".
/// EXT5V and BATT have no current: what hangs on the 5 V of the board (USB, HATs) is not among
/// them, nor is the loss of the converters.
inline Result<double> parse_pmic_watts(std::string_view text) {
  struct Rail {
    std::string_view name;
    double amperes = -1, volts = -1;
  };
  std::vector<Rail> rails;
  const auto wrong = [](std::string_view line) {
    return failure(ErrorCode::data, "vcgencmd pmic_read_adc: line '",
                   make_printable(std::string(line.substr(0, 60))),
                   "', expected NAME_A current(N)=...A or NAME_V volt(N)=...V");
  };
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const std::string_view channel = line.substr(0, line.find(' '));
    const std::size_t equals = line.rfind('=');
    if (equals == line.npos || channel.size() < 3) return wrong(line);
    const char unit = channel.back();
    double value = 0;
    const char* const end = line.data() + line.size() - 1;
    const auto [stop, error] = std::from_chars(line.data() + equals + 1, end, value);
    const bool whole = error == std::errc() && stop == end && line.back() == unit;
    if (!whole || !channel.substr(0, channel.size() - 1).ends_with('_') || !(value >= 0) ||
        (unit != 'A' && unit != 'V'))
      return wrong(line);
    const std::string_view name = channel.substr(0, channel.size() - 2);
    auto rail =
        std::find_if(rails.begin(), rails.end(), [&](const Rail& r) { return r.name == name; });
    if (rail == rails.end()) rail = rails.insert(rails.end(), Rail{name});
    (unit == 'A' ? rail->amperes : rail->volts) = value;
  }
  double watts = 0;
  std::size_t metered = 0;
  for (const Rail& rail : rails)
    if (rail.amperes >= 0 && rail.volts >= 0) watts += rail.amperes * rail.volts, ++metered;
  if (metered == 0)
    return failure(ErrorCode::other,
                   "vcgencmd pmic_read_adc: tells no rail's current and voltage; only the power "
                   "chip of a Raspberry Pi 5 does");
  return watts;
}

class PmicMeter {
 public:
  /// `root` as in RaplMeter; the program is root/usr/bin/vcgencmd.
  static Result<PmicMeter> open(const std::string& root) {
    PmicMeter out;
    out.program_ = join_path(root, "usr/bin/vcgencmd");
    if (::access(out.program_.c_str(), X_OK) != 0)
      return failure(ErrorCode::other, out.program_, ": cannot be run: ", std::strerror(errno));
    if (out.program_.find('\'') != std::string::npos)
      return failure(ErrorCode::usage, out.program_, ": has a quote in its path");
    const Result<double> now = out.watts();
    if (!now) return now.failure();
    return out;
  }

  Result<double> watts() const {
    const std::string command = concat("'", program_, "' pmic_read_adc 2>&1");
    FILE* const pipe = ::popen(command.c_str(), "re");
    if (pipe == nullptr)
      return failure(ErrorCode::other, program_, ": cannot be run: ", std::strerror(errno));
    std::string text(1 << 14, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), pipe));
    const int status = ::pclose(pipe);
    if (status != 0)
      return failure(ErrorCode::other, program_,
                     " pmic_read_adc has failed: ", make_printable(text.substr(0, text.find('\n'))),
                     "; it needs a Raspberry Pi 5 and a user of group video");
    return parse_pmic_watts(text);
  }

  std::string origin() const {
    return "measured by the power chip of a Raspberry Pi 5 (sum of its rails; without what hangs on "
           "5 V, and the converters' losses)";
  }

 private:
  std::string program_;
};

}  // namespace measure
IOTSL_NAMESPACE_END
