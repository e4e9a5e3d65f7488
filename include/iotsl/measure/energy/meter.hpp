#pragma once
// What a machine takes from one mark to another: a meter of whatever kind, read by a thread of its
// own.

#include <pthread.h>
#include <time.h>

#include <memory>
#include <type_traits>

#include "iotsl/measure/energy/energy.hpp"
#include "iotsl/measure/energy/ina.hpp"
#include "iotsl/measure/energy/pmic.hpp"
#include "iotsl/measure/energy/rapl.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Watts over time become joules by straight lines between the readings (trapezoids).
class PowerIntegral {
 public:
  /// A reading at `seconds` of any clock; each later than the one before.
  void add(double seconds, double watts) {
    if (readings_ > 0) joules_ += 0.5 * (watts + last_watts_) * (seconds - last_seconds_);
    last_seconds_ = seconds;
    last_watts_ = watts;
    ++readings_;
  }
  double joules() const { return joules_; }

 private:
  double joules_ = 0, last_seconds_ = 0, last_watts_ = 0;
  std::uint64_t readings_ = 0;
};

/// What --meter names.
struct MeterChoice {
  std::string kind = "auto";  ///< auto, off, ina, pmic, rapl
  std::string which;          ///< of ina: the folder of hwmon
};

/// auto, off, rapl, pmic, ina or ina:FOLDER.
inline Result<MeterChoice> parse_meter(const std::string& text) {
  const std::size_t colon = text.find(':');
  MeterChoice out{text.substr(0, colon), ""};
  if (colon != text.npos) out.which = text.substr(colon + 1);
  for (const char* kind : {"auto", "off", "rapl", "pmic", "ina"})
    if (out.kind == kind && (colon == text.npos || (out.kind == "ina" && !out.which.empty())))
      return out;
  return failure(ErrorCode::usage, "meter '", make_printable(text),
                 "': expected auto, off, rapl, pmic, ina or ina:hwmon2");
}

/// A meter of one of the kinds.
class EnergyReader {
 public:
  /// The meter of `choice`, below `root`. auto: of those that can be read the one that sees most of
  /// the machine (INA, then PMIC, then RAPL); the failure says why each of them cannot.
  static Result<EnergyReader> open(const MeterChoice& choice, const std::string& root) {
    EnergyReader out;
    std::string reasons;
    const auto attempt = [&](const char* kind, auto& place, auto meter) {
      if (meter)
        place = std::make_unique<typename std::decay_t<decltype(place)>::element_type>(
            std::move(*meter));
      else
        reasons += concat(reasons.empty() ? "" : "; ", kind, ": ", meter.failure().message);
      return place != nullptr;
    };
    const auto wanted = [&](const char* kind) {
      return choice.kind == "auto" || choice.kind == kind;
    };
    if (wanted("ina") && attempt("ina", out.ina_, InaMeter::open(root, choice.which))) return out;
    if (wanted("pmic") && attempt("pmic", out.pmic_, PmicMeter::open(root))) return out;
    if (wanted("rapl") && attempt("rapl", out.rapl_, RaplMeter::open(root))) return out;
    return failure(ErrorCode::other, "no meter: ", reasons.empty() ? "switched off" : reasons);
  }

  /// Takes a reading at `seconds`.
  Result<void> read(double seconds) {
    if (first_seconds_ < 0) first_seconds_ = seconds;
    last_seconds_ = seconds;
    if (rapl_) {
      const Result<std::uint64_t> microjoules = rapl_->advance();
      if (!microjoules) return microjoules.failure();
      counted_joules_ += static_cast<double>(*microjoules) * 1e-6;
      return {};
    }
    const Result<double> watts = ina_ ? ina_->watts() : pmic_->watts();
    if (!watts) return watts.failure();
    power_.add(seconds, *watts);
    return {};
  }
  /// Between the first reading and the last.
  double joules() const { return counted_joules_ + power_.joules(); }
  double seconds() const { return last_seconds_ - first_seconds_; }
  std::string origin() const {
    return rapl_ ? rapl_->origin() : ina_ ? ina_->origin() : pmic_->origin();
  }

 private:
  EnergyReader() = default;

  std::unique_ptr<RaplMeter> rapl_;  // one of the three is there
  std::unique_ptr<InaMeter> ina_;
  std::unique_ptr<PmicMeter> pmic_;
  double first_seconds_ = -1, last_seconds_ = -1;
  double counted_joules_ = 0;
  PowerIntegral power_;
};

/// Reads a meter once a second, and at both ends, from start() to finish(). A program is run for
/// each reading of the PMIC: more often it would be seen in what is measured.
class EnergyMeter {
 public:
  /// `interval`: seconds between readings.
  static Result<std::unique_ptr<EnergyMeter>> start(EnergyReader reader, double interval = 1) {
    std::unique_ptr<EnergyMeter> out(new EnergyMeter(std::move(reader), interval));
    const Result<void> first = out->read_now();
    if (!first) return first.failure();
    out->running_ = ::pthread_create(&out->thread_, nullptr, &EnergyMeter::run, out.get()) == 0;
    if (!out->running_) return failure(ErrorCode::other, "meter: no thread for its readings");
    return out;
  }
  EnergyMeter(const EnergyMeter&) = delete;
  EnergyMeter& operator=(const EnergyMeter&) = delete;
  ~EnergyMeter() {
    stop();
    ::pthread_cond_destroy(&wake_);
  }

  /// What was taken since start(). A failure where a reading has failed meanwhile: what is missing
  /// is not guessed.
  Result<Energy> finish() {
    stop();
    if (status_) status_ = read_now();
    if (!status_) return status_.failure();
    return Energy{reader_.joules(), reader_.seconds(), reader_.origin()};
  }

 private:
  EnergyMeter(EnergyReader reader, double interval)
      : reader_(std::move(reader)), interval_(interval) {
    ::pthread_condattr_t clock;
    ::pthread_condattr_init(&clock);
    ::pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    ::pthread_cond_init(&wake_, &clock);
    ::pthread_condattr_destroy(&clock);
  }

  static timespec clock_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return t;
  }
  static double now() {
    const timespec t = clock_now();
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  }
  Result<void> read_now() { return reader_.read(now()); }

  static void* run(void* self) {
    static_cast<EnergyMeter*>(self)->sample();
    return nullptr;
  }
  void sample() {
    ::pthread_mutex_lock(&lock_);
    while (!stopping_ && status_) {
      timespec until = clock_now();
      const auto nanoseconds = until.tv_nsec + static_cast<std::int64_t>(1e9 * interval_);
      until.tv_sec += static_cast<time_t>(nanoseconds / 1'000'000'000);
      until.tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000);
      ::pthread_cond_timedwait(&wake_, &lock_, &until);
      if (!stopping_) status_ = read_now();
    }
    ::pthread_mutex_unlock(&lock_);
  }
  void stop() {
    if (running_) {
      ::pthread_mutex_lock(&lock_);
      stopping_ = true;
      ::pthread_cond_signal(&wake_);
      ::pthread_mutex_unlock(&lock_);
      ::pthread_join(thread_, nullptr);
    }
    running_ = false;
  }

  EnergyReader reader_;  // touched by the thread alone while it runs
  double interval_;
  Result<void> status_;
  bool running_ = false, stopping_ = false;
  ::pthread_t thread_{};
  ::pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
  ::pthread_cond_t wake_;
};

}  // namespace measure
IOTSL_NAMESPACE_END
