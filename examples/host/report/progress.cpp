#include "host/report/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "iotsl/core/error.hpp"
#include "iotsl/core/local_time.hpp"
#include "iotsl/core/text.hpp"

namespace iotsl::tool {

std::string format_bytes(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 1000 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

std::string format_seconds(double seconds) {
  const long whole = static_cast<long>(seconds + 0.5);
  char text[32];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

std::string cut_to_columns(const std::string& text, std::size_t columns) {
  std::size_t end = 0;
  for (; end < text.size() && columns > 0; --columns)
    end += std::max<std::size_t>(1, iotsl::detail::utf8_length(std::string_view(text).substr(end)));
  return text.substr(0, end);
}

namespace {

/// A line can be redrawn on a terminal that understands escape sequences and may be sent them.
bool can_redraw() {
  const auto value = [](const char* name) {
    const char* found = std::getenv(name);
    return std::string_view(found == nullptr ? "" : found);
  };
  return isatty(STDERR_FILENO) == 1 && value("TERM") != "dumb" && value("NO_COLOR").empty();
}

std::size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(bool quiet, LineTimes times)
    : quiet_(quiet),
      redraws_(can_redraw()),
      // A file is read on another day.
      stamp_(times == LineTimes::off      ? nullptr
             : isatty(STDERR_FILENO) == 1 ? "%H:%M:%S "
                                          : "%Y-%m-%d %H:%M:%S ") {}

bool Progress::due() const {
  return !quiet_ && redraws_ && Clock::now() - drawn_ >= std::chrono::milliseconds(100);
}

void Progress::step(double fraction, Index samples, double loss, double bytes) {
  if (start_fraction_ < 0) {
    start_ = Clock::now();
    start_fraction_ = fraction;
    samples = 0;
  }
  samples_ += samples;
  if (!due()) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double done = fraction - start_fraction_;
  const double remaining = done > 0 ? seconds * (1 - fraction) / done : 0;
  char accuracy[32] = "", text[128];
  if (accuracy_ >= 0) std::snprintf(accuracy, sizeof accuracy, "  test %.2f%%", 100 * accuracy_);
  std::snprintf(text, sizeof text, "%.0f/s  loss %.3f%s  %s",
                static_cast<double>(samples_) / std::max(seconds, 1e-3), loss, accuracy,
                format_bytes(bytes).c_str());
  draw(fraction, text, remaining);
}

void Progress::draw(double fraction, const std::string& text, double remaining_seconds) {
  if (!due()) return;
  drawn_ = Clock::now();
  const std::size_t columns = terminal_columns();
  const std::size_t width = columns >= 100 ? 24 : 10;
  std::string bar(static_cast<std::size_t>(fraction * static_cast<double>(width)), '#');
  bar.resize(width, '.');
  char percent[8];
  std::snprintf(percent, sizeof percent, "%3.0f%%", 100 * fraction);
  // What tells most comes first: the end is cut where the terminal is narrow.
  const std::string line = concat("[", bar, "] ", percent, "  ETA ",
                                  format_seconds(remaining_seconds), "  ", phase_, "  ", text);
  std::fprintf(stderr, "\r\033[K%s", cut_to_columns(line, columns - 1).c_str());
  std::fflush(stderr);
  dirty_ = true;
}

void Progress::clear() {
  if (dirty_) std::fprintf(stderr, "\r\033[K");
  dirty_ = false;
}

void Progress::line(const std::string& text) {
  if (quiet_) return;
  clear();
  const std::string time = stamp_ == nullptr ? std::string() : local_time(stamp_);
  std::fprintf(stderr, "%s%s\n", time.c_str(), make_printable(text, true).c_str());
}

}  // namespace iotsl::tool
