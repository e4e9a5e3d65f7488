#pragma once
// Two devices with their samples, and generators that they train in a moment.

#include <doctest/doctest.h>

#include "iotsl/split/prepare/generator_training.hpp"
#include "split/runs/iotsl_run.hpp"

namespace tiny {

struct Setting {
  data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  std::vector<std::vector<Index>> samples = halves(train);
  RunConfig config = iotsl_config();

  std::vector<std::vector<std::uint64_t>> histograms() const {
    return {count_labels(train, samples[0]), count_labels(train, samples[1])};
  }
  GeneratorTask task(std::uint32_t device) const {
    return {config.preparation.gan, config.seed, device};
  }
};

/// Trains a generator from where the files stand; its file, and how many calls of step() it took:
/// one for each iteration, or one that finds the finished file.
struct Trained {
  std::vector<std::uint8_t> file;
  std::uint64_t steps = 0;
};
inline Trained train_generator(const Setting& s, std::uint32_t device,
                               const DeviceFiles& files = {}) {
  GeneratorWork work(s.train, s.samples[device], s.task(device), files);
  std::uint64_t steps = 0;
  for (;;) {
    const Result<bool> last = work.step();
    REQUIRE_MESSAGE(last.ok(), last.failure().message);
    ++steps;
    if (*last) break;
  }
  const Result<TrainedGenerator> made = work.finish();
  REQUIRE(made.ok());
  return {{made->file.begin(), made->file.end()}, steps};
}
}  // namespace tiny
