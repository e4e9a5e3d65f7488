// Trains a device's generator on one thread: what count_instructions.py counts.
//
// usage: generator_runs KIND IMAGES ITERATIONS
// KIND: moments, private-moments (epsilon 10), or a preset of a net (tiny, fast, paper). IMAGES of
// the built-in digits, ten classes of 28x28. ITERATIONS: 0 makes only the images; `all` trains to
// the end. Prints how far it came.

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/data/glyphs.hpp"
#include "iotsl/generators/training.hpp"
#include "iotsl/privacy/noise_key.hpp"

namespace {

using namespace iotsl;

Result<generators::GeneratorSettings> settings_of(const std::string& kind) {
  generators::GeneratorSettings out;
  if (kind == "moments" || kind == "private-moments") {
    out.kind = generators::GeneratorKind::moments;
    if (kind == "private-moments")
      out.privacy = {.mode = privacy::PrivacyMode::moments, .epsilon = 10};
  } else {
    Result<gan::GanSettings> preset = gan::gan_preset(kind);
    if (!preset) return preset.failure();
    out.net = std::move(*preset);
  }
  if (const Result<void> good = generators::apply_privacy(out); !good) return good.failure();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s KIND IMAGES ITERATIONS\n", argv[0]);
    return 2;
  }
  const Result<generators::GeneratorSettings> settings = settings_of(argv[1]);
  if (!settings) {
    std::fprintf(stderr, "%s: %s\n", argv[0], settings.failure().message.c_str());
    return 2;
  }
  set_threads(1);
  const data::Dataset images = data::make_glyphs(data::Split::train, std::atol(argv[2]));
  std::vector<Index> samples(static_cast<std::size_t>(images.size()));
  std::iota(samples.begin(), samples.end(), Index{0});
  const bool all = std::string(argv[3]) == "all";
  const long iterations = all ? std::numeric_limits<long>::max() : std::atol(argv[3]);
  if (iterations == 0) return 0;
  generators::GeneratorTraining training(images, std::move(samples), {*settings, 1, 0},
                                         privacy::seeded_noise_key(1));
  for (long i = 0; i < iterations && !training.done(); ++i) {
    if (const auto step = training.step(); !step) {
      std::fprintf(stderr, "%s: %s\n", argv[0], step.failure().message.c_str());
      return 1;
    }
  }
  std::printf("%s of %s iterations\n", std::to_string(training.iteration()).c_str(),
              std::to_string(training.iterations()).c_str());
  return 0;
}
