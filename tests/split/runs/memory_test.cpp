// Memory of the device's half in training: the largest sum of all buffers of the engine.

#include <doctest/doctest.h>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/split/simulate/run_one_net.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace memory_test {

namespace {

constexpr double mega = 1e6;

/// Three steps of the front at the published width.
double peak_of(const char* model, Index batch, const ImageSpec& images = {}) {
  RunConfig config;
  config.model.name = model;
  config.model.images = images;
  SplitModel halves = build_split_model(config).value();
  halves.back = {};
  halves.joined = {};
  FrontHalf front(std::move(halves.front), config.training.optimizer, 1);
  trim_memory();
  reset_memory_peak();
  for (std::uint64_t step = 1; step <= 3; ++step) {
    const Tensor<float> x =
        Tensor<float>::zeros(Shape{batch, images.channels, images.height, images.width});
    const auto smashed = front.forward(x, step);
    REQUIRE(smashed.ok());
    const Tensor<float> gradient = random_gradient(front.smashed_shape(), 1, step);
    REQUIRE(front.backward(gradient).ok());
  }
  return static_cast<double>(memory_statistics().peak_bytes) / mega;
}

}  // namespace

TEST_CASE("memory: the front's peak per model and batch") {
  set_threads(2);  // each has a little memory of its own
  struct Row {
    const char* model;
    Index batch;
    double megabytes;  ///< measured; the whole process takes about 6 more and its samples
  };
  for (const Row& row :
       {Row{"vgg16bn-compact", 8, 11.9}, Row{"vgg16bn-compact", 32, 34.9},
        Row{"vgg16bn-compact", 64, 65.7}, Row{"vanilla5", 8, 4.95}, Row{"vanilla5", 32, 10.3}}) {
    const double peak = peak_of(row.model, row.batch);
    INFO(std::string(row.model) << " batch " << row.batch << ": " << peak << " MB");
    CHECK(peak < 1.1 * row.megabytes);
    CHECK(peak > 0.9 * row.megabytes);
  }
}

TEST_CASE("memory: a front of 128x128 fits a device of 256 MB in batches of 8") {
  set_threads(2);
  const double peak = peak_of("vgg16bn-compact", 8, {3, 128, 128, 8});
  INFO(peak << " MB");
  CHECK(peak < 215);  // the program, its libraries and a few hundred images have the rest
}

}  // namespace memory_test
