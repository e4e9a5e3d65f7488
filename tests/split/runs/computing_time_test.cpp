// What is booked as computing is what was computed, however busy the machine is with other work.

#include <doctest/doctest.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/split/simulate/run_inproc.hpp"
#include "split/runs/iotsl_run.hpp"
#include "support/skip.hpp"

namespace computing_time_test {

using namespace tiny;

namespace {

/// Keeps the calling thread, and those that it starts, on one processor.
class OneProcessor {
 public:
  OneProcessor() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(std::max(0, ::sched_getcpu())), &one);
    held_ = ::sched_getaffinity(0, sizeof before_, &before_) == 0 &&
            ::sched_setaffinity(0, sizeof one, &one) == 0;
  }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;
  ~OneProcessor() {
    if (held_) ::sched_setaffinity(0, sizeof before_, &before_);
  }
  bool held() const { return held_; }

 private:
  cpu_set_t before_{};
  bool held_ = false;
};

/// Computes as long as it lives.
class BusyNeighbour {
 public:
  BusyNeighbour()
      : thread_([this] {
          while (!done_.load(std::memory_order_relaxed)) continue;
        }) {}
  BusyNeighbour(const BusyNeighbour&) = delete;
  BusyNeighbour& operator=(const BusyNeighbour&) = delete;
  ~BusyNeighbour() {
    done_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("seconds of computing: a neighbour on the same processor adds nothing to them") {
  const OneProcessor one;
  if (!one.held()) {
    SKIP_TEST("a thread cannot be kept on one processor here");
    return;
  }
  const data::Dataset train = dataset(200, 1), test = dataset(24, 2);
  const std::vector<std::vector<Index>> samples{range(0, 100), range(100, 200)};
  RunConfig config = iotsl_config();
  config.model.width = 8;
  config.training.epochs = 8;
  config.preparation.generator.net.iterations = 10;
  const int threads = iotsl::threads();
  set_threads(1);
  net::Microseconds computed = 0, clock = 0;
  Result<RunSummary> run = failure(ErrorCode::other, "has not begun");
  {
    const BusyNeighbour neighbour;
    const net::Microseconds computed_before = net::thread_time(), before = net::steady_now();
    run = run_inproc(config, {}, train, test, samples);
    computed = net::thread_time() - computed_before;
    clock = net::steady_now() - before;
  }
  set_threads(threads);
  REQUIRE_MESSAGE(run.ok(), run.failure().message);
  const PreparationRecord& prepared = *run->preparation;
  double booked = prepared.generators[0].seconds_training + prepared.generators[1].seconds_training;
  double network = 0;
  for (const measure::EpochRecord& r : run->epochs) {
    CHECK(r.seconds_device > 0);
    CHECK(r.seconds_server > 0);
    booked += r.seconds_device + r.seconds_server + r.seconds_update;
    network += r.seconds_network;
  }
  MESSAGE("booked ", booked, " s, computed ", net::to_seconds(computed), " s in ",
          net::to_seconds(clock), " s by the clock, left to the network ", network, " s");
  CHECK(booked < net::to_seconds(computed));
  // And it is most of it: what is left are pre-training, evaluation, messages.
  CHECK(booked > 0.4 * net::to_seconds(computed));
  // The neighbour had its half.
  CHECK(clock > computed * 3 / 2);
}

}  // namespace computing_time_test
