#pragma once
// What a person sees of a generator while it is trained.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "host/report/progress.hpp"
#include "iotsl/generators/training.hpp"

namespace iotsl::tool {

/// Shows a training on standard error: a line that is redrawn, and ten or so that stay.
class TrainingReport {
 public:
  TrainingReport(const generators::GeneratorTraining& training, bool quiet)
      : is_net_(training.settings().kind == generators::GeneratorKind::net),
        total_(training.iterations()),
        first_(training.iteration()),
        every_(std::max<Index>(1, total_ / 10)),
        progress_(quiet) {}

  void note(const std::string& text) { progress_.line(text); }

  void step(const generators::TrainingProgress& now) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count(),
                 done = static_cast<double>(now.iteration - first_);
    const double rate = done / std::max(seconds, 1e-9);
    wasserstein_ += now.net.wasserstein;
    penalty_ += now.net.penalty;
    ++averaged_;
    char text[160];
    if (is_net_)
      std::snprintf(text, sizeof text, "Wasserstein %.3f  penalty %.4f  %.2f iterations/s",
                    wasserstein_ / averaged_, penalty_ / averaged_, rate);
    else
      std::snprintf(text, sizeof text, "%.2f iterations/s", rate);
    const double left = static_cast<double>(total_ - now.iteration) / rate;
    progress_.phase(concat("iteration ", now.iteration, "/", total_));
    progress_.draw(static_cast<double>(now.iteration) / static_cast<double>(total_), text, left);
    if (now.net.quality >= 0)
      note(
          concat("iteration ", now.iteration, "/", total_, "  quality ", percent(now.net.quality)));
    if (now.iteration % every_ != 0 && now.iteration != total_) return;
    note(concat("iteration ", now.iteration, "/", total_, "  ", text, "  ETA ",
                format_seconds(left)));
    wasserstein_ = penalty_ = 0;
    averaged_ = 0;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static std::string percent(double fraction) {
    char text[16];
    std::snprintf(text, sizeof text, "%.1f %%", 100 * fraction);
    return text;
  }

  bool is_net_;
  Index total_, first_, every_;
  Clock::time_point begin_ = Clock::now();
  double wasserstein_ = 0, penalty_ = 0;  // sums since the last line that stays
  int averaged_ = 0;
  Progress progress_;
};

}  // namespace iotsl::tool
