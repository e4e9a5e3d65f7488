#pragma once
// Progress on standard error: one line that is redrawn on a terminal, plain lines otherwise.

#include <chrono>
#include <cstdio>
#include <string>

#include "iotsl/core/shape.hpp"

namespace iotsl::tool {

/// 1234567 bytes as "1.2 MB".
std::string format_bytes(double bytes);
/// 3725 seconds as "1:02:05", 65 as "1:05".
std::string format_seconds(double seconds);

/// `text` cut to so many columns, a column for each character.
std::string cut_to_columns(const std::string& text, std::size_t columns);

/// Whether lines begin with the time of day, as those of a server that runs for days.
enum class LineTimes { off, on };

class Progress {
 public:
  /// A quiet progress prints nothing.
  explicit Progress(bool quiet, LineTimes times = LineTimes::off);

  /// After a training step: redraws the line, at most ten times a second. `fraction` of the run.
  void step(double fraction, Index samples, double loss, double bytes);
  /// Redraws the line, at most ten times a second: a bar for `fraction`, `text`, the time that is
  /// left.
  void draw(double fraction, const std::string& text, double remaining_seconds);
  /// A line that stays.
  void line(const std::string& text);
  /// The last test accuracy, a fraction; shown from then on.
  void accuracy(double fraction) { accuracy_ = fraction; }
  /// Names what runs now, such as "round 2 device 3".
  void phase(std::string name) { phase_ = std::move(name); }

 private:
  using Clock = std::chrono::steady_clock;
  bool due() const;  // whether the line is to be drawn again
  void clear();

  bool quiet_, redraws_;
  const char* stamp_;  // of a line's time; null: none
  std::string phase_;
  double accuracy_ = -1;  // below 0: none yet
  Clock::time_point start_{}, drawn_{};
  double start_fraction_ = -1;  // done before the first step that was seen; below 0: none yet
  Index samples_ = 0;
  bool dirty_ = false;
};

}  // namespace iotsl::tool
