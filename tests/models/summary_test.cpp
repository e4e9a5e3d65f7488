// The golden numbers: what the paper counts for its models (section V-C).

#include "iotsl/models/summary.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

using iotsl::Index;
using iotsl::ModelSpec;
using iotsl::ModelSummary;
using iotsl::Shape;

ModelSummary summary_of(const ModelSpec& spec, const char* cut = "") {
  const auto model = iotsl::build_model<float>(spec);
  const auto layers = iotsl::find_cut(model, spec, cut);
  REQUIRE(layers.ok());
  return iotsl::summarize(model, spec, *layers);
}

void check_front(const ModelSummary& summary) {
  CHECK(summary.front_layers == 7);
  CHECK(summary.front.parameters == 37824);
  CHECK(summary.front.operations == 29804544);
  CHECK(summary.front.activation_bytes == 1254400);
  CHECK(summary.smashed_values == 12544);
  CHECK(summary.layers[6].output == Shape{1, 64, 14, 14});
  CHECK(summary.front.parameters + summary.back.parameters == summary.total.parameters);
  CHECK(summary.front.operations + summary.back.operations == summary.total.operations);
  CHECK(summary.front.activation_bytes + summary.back.activation_bytes ==
        summary.total.activation_bytes);
}

}  // namespace

TEST_CASE("golden numbers: vgg16bn-compact") {
  const ModelSummary summary = summary_of({});
  CHECK(summary.total.parameters == 14727114);
  CHECK(summary.total.operations == 206032128);
  CHECK(summary.total.activation_bytes == 2528808);
  check_front(summary);

  Index multiply_adds = 0;
  for (const iotsl::LayerSummary& layer : summary.layers) {
    const std::string type = layer.type;
    if (type == "conv2d") multiply_adds += layer.cost.operations - layer.output.elements();
    if (type == "linear") multiply_adds += layer.cost.operations;
  }
  CHECK(multiply_adds == 205125632);
}

// Slow only where it is emulated, and the same on every target.
TEST_CASE("golden numbers: vgg16bn-paper" * doctest::test_suite("slow")) {
  const ModelSummary summary = summary_of({.name = "vgg16bn-paper"});
  CHECK(summary.total.parameters == 134308810);
  CHECK(summary.total.operations == 3028565504);
  CHECK(summary.total.activation_bytes == 11789352);
  check_front(summary);
}

TEST_CASE("the front of the CelebA variant has 262,144 smashed values") {
  const ModelSummary summary =
      summary_of({.name = "vgg16bn-compact",
                  .images = {.channels = 3, .height = 128, .width = 128, .classes = 8}});
  CHECK(summary.smashed_values == 262144);
}

TEST_CASE("vanilla5 is cut after the second pool") {
  const ModelSummary summary = summary_of({.name = "vanilla5", .images = {.classes = 4}});
  CHECK(summary.front_layers == 6);
  CHECK(summary.layers[5].name == "features.5");
  CHECK(summary.smashed_values == 64 * 7 * 7);
  // Convolutions 1-32-64-128-128-128 and 128-4, weights and biases.
  CHECK(summary.total.parameters ==
        9 * (1 * 32 + 32 * 64 + 64 * 128 + 2 * 128 * 128) + 32 + 64 + 3 * 128 + 128 * 4 + 4);
}

TEST_CASE("narrow nets scale every layer") {
  for (const char* name : iotsl::model_names) {
    CAPTURE(name);
    const ModelSpec spec{.name = name, .width = 8};
    const ModelSummary summary = summary_of(spec);
    CHECK(summary.layers[0].output[1] == (spec.name == "vanilla5" ? 4 : 8));
    CHECK(summary.layers.back().output == Shape{1, 10});
  }
}

TEST_CASE("a net of any size is counted without its weights") {
  const ModelSpec large{.name = "vgg16bn-paper",
                        .width = 1024,
                        .images = {.channels = 3, .height = 1024, .width = 1024}};
  iotsl::reset_memory_peak();
  const std::size_t before = iotsl::memory_statistics().in_use_bytes;
  const iotsl::ShapesOnly no_weights;
  CHECK(summary_of(large).total.parameters > Index{1} << 40);
  CHECK(iotsl::memory_statistics().peak_bytes - before < (1 << 20));
}
