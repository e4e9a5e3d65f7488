#include "host/report/progress.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

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

namespace {

/// Whether standard error shows a line that is drawn again and again: a terminal that obeys escape
/// sequences, and a user who wants them (no-color.org).
bool can_redraw() {
  const char* terminal = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && *terminal != '\0' &&
         std::string_view(terminal) != "dumb" && (no_color == nullptr || *no_color == '\0');
}

}  // namespace

Progress::Progress(Index total_steps, bool quiet)
    : total_steps_(total_steps), quiet_(quiet), terminal_(can_redraw()) {}

bool Progress::due() const {
  return !quiet_ && terminal_ && Clock::now() - drawn_ >= std::chrono::milliseconds(100);
}

void Progress::step(Index steps_done, Index samples, double loss, double bytes) {
  samples_ += samples;
  if (!due()) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double fraction =
      total_steps_ > 0 ? static_cast<double>(steps_done) / static_cast<double>(total_steps_) : 0;
  const double remaining = fraction > 0 ? seconds * (1 - fraction) / fraction : 0;
  char accuracy[32] = "", text[128];
  if (accuracy_ >= 0) std::snprintf(accuracy, sizeof accuracy, "  test %.2f%%", 100 * accuracy_);
  std::snprintf(text, sizeof text, "%.0f samples/s  loss %.3f%s  %s",
                static_cast<double>(samples_) / seconds, loss, accuracy,
                format_bytes(bytes).c_str());
  draw(fraction, text, remaining);
}

void Progress::draw(double fraction, const std::string& text, double remaining_seconds) {
  if (!due()) return;
  drawn_ = Clock::now();
  constexpr int width = 24;
  std::string bar(static_cast<std::size_t>(fraction * width), '#');
  bar.resize(width, '.');
  std::fprintf(stderr, "\r\033[K%s [%s] %3.0f%%  %s  ETA %s", phase_.c_str(), bar.c_str(),
               100 * fraction, text.c_str(), format_seconds(remaining_seconds).c_str());
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
  std::fprintf(stderr, "%s\n", text.c_str());
}

}  // namespace iotsl::tool
