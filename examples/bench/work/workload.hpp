#pragma once
// What is measured: something that can be run again and again, and how much work one run is.

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "iotsl/core/shape.hpp"

namespace iotsl::bench {

/// Work by the plain definition: what a faster algorithm saves counts all the same.
struct Work {
  double flops = 0;  ///< a multiply-add is two
  double bytes = 0;

  Work& operator+=(const Work& other) {
    flops += other.flops;
    bytes += other.bytes;
    return *this;
  }
  friend Work operator+(Work a, const Work& b) { return a += b; }
  friend Work operator*(double times, const Work& work) {
    return {times * work.flops, times * work.bytes};
  }
};

using Run = std::function<void()>;

struct Workload {
  std::string name;
  Work work;
  double memory_bytes = 0;       ///< roughly what it takes while it is measured
  std::function<Run()> prepare;  ///< the run owns what it works on
};

using Workloads = std::vector<Workload>;

/// Batches of the rows, and how long each is measured.
struct Scale {
  Index kernel_batch, small_step_batch, step_batch, gan_batch, gan_width;
  int rounds;      ///< passes over all rows, so that a slow minute does not hit one row
  double seconds;  ///< per row and round, beside its first run
  // Of one run, for each thread. In full long enough that the start of the threads does not count.
  Index multiply_add_rounds;
  double l2_bytes;
  double memory_bytes_least;  ///< of all threads
};
inline constexpr Scale full_scale{64, 32, 64, 32, 64, 3, 0.1, 2'000'000, 400e6, 96e6};
inline constexpr Scale quick_scale{4, 2, 4, 2, 16, 1, 0.02, 50'000, 8e6, 24e6};

/// Appends the seconds of single runs. The first run is not counted; short ones are timed several
/// at a time.
inline void take_samples(const Run& run, double seconds, std::vector<double>& samples) {
  using Clock = std::chrono::steady_clock;
  const auto timed = [&](long runs) {
    const auto begin = Clock::now();
    for (long i = 0; i < runs; ++i) run();
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  double once = timed(1);
  // Of a short run the first may have waited for memory; the second tells how long one is.
  if (once < seconds) once = timed(1);
  constexpr double least_seconds = 1e-3;
  const long runs =
      once >= least_seconds ? 1 : static_cast<long>(least_seconds / (once + 1e-8)) + 1;
  double spent = 0;
  do {
    const double taken = timed(runs);
    samples.push_back(taken / static_cast<double>(runs));
    spent += taken;
  } while (spent < seconds);
}

}  // namespace iotsl::bench
