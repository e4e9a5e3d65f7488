#include "host/run/generator_report.hpp"

#include <algorithm>
#include <cstdio>

#include "host/run/progress.hpp"
#include "iotsl/data/source.hpp"

namespace iotsl::tool {
namespace {

LayerCost cost_of(const gan::GeneratorCard& card) { return lay_out(card.model).cost(); }

long as_long(std::uint64_t value) { return static_cast<long>(value); }

void print_model(const gan::GeneratorCard& card) {
  const GeneratorSpec& m = card.model;
  const LayerCost cost = cost_of(card);
  std::printf("model       %s, width %ld, %ld values of %s noise -> %ldx%ldx%ld, %ld classes\n",
              m.light ? "light" : "full", static_cast<long>(m.width), static_cast<long>(m.latent),
              card.settings.noise.c_str(), static_cast<long>(m.images.channels),
              static_cast<long>(m.images.height), static_cast<long>(m.images.width_px),
              static_cast<long>(m.images.classes));
  std::printf("            %ld parameters, %ld operations for one image\n",
              static_cast<long>(cost.parameters), static_cast<long>(cost.operations));
}

void print_training(const gan::GeneratorCard& card) {
  const gan::GanSettings& s = card.settings;
  std::printf("trained     %s, device %u, seed %llu: %ld of %ld iterations\n", card.dataset.c_str(),
              card.device, static_cast<unsigned long long>(card.seed), as_long(card.iterations),
              static_cast<long>(s.iterations));
  std::printf(
      "settings    %s: batch %ld, %ld critic steps, Adam %g (%g, %g), penalty %g, drift %g, "
      "average %g\n",
      s.preset.c_str(), static_cast<long>(s.batch), static_cast<long>(s.critic_steps), s.lr,
      s.beta1, s.beta2, s.penalty, s.drift, s.average);
  if (s.check_every > 0)
    std::printf("            a check every %ld iterations, patience %ld%s\n",
                static_cast<long>(s.check_every), static_cast<long>(s.patience),
                card.quality.checked ? "" : "; nothing could be checked, so no early stop");
}

void print_classes(const gan::GeneratorCard& card) {
  const gan::Quality& q = card.quality;
  const std::vector<std::uint32_t> failed = q.failed();
  std::printf("\n%-14s %8s %9s %9s %13s\n", "class", "samples", "held out", "accuracy",
              "informedness");
  for (const Index label : trained_classes(card)) {
    std::printf("%-14s %8ld", class_name(card, label).c_str(),
                as_long(card.label_counts[static_cast<std::size_t>(label)]));
    for (std::size_t i = 0; i < q.classes.size(); ++i)
      if (q.classes[i] == label)
        std::printf(
            " %9ld %7.1f %% %13.2f%s", as_long(q.class_held_out[i]), 100 * q.class_accuracy[i],
            q.class_informedness[i],
            std::binary_search(failed.begin(), failed.end(), q.classes[i]) ? "  FAILED" : "");
    std::printf("\n");
  }
  std::printf("\n");
}

void print_quality(const gan::GeneratorCard& card) {
  const gan::Quality& q = card.quality;
  if (!q.checked) {
    std::printf("quality     not checked: needs held-out samples of two classes or more\n");
  } else {
    std::printf(
        "quality     %.1f %% of real held-out samples are known to a classifier trained on "
        "generated ones;\n            informedness %.2f (guessing 0, no mistake 1)\n",
        100 * q.accuracy, q.informedness);
    if (const std::size_t failed = q.failed().size(); failed > 0)
      std::printf(
          "            %zu of %zu classes are BELOW %.2f: not used where others are better\n",
          failed, q.classes.size(), q.threshold);
  }
  std::printf("distinct    %.1f %% of the generated images are different from each other\n",
              100 * q.distinct);
  std::printf("distance    to the nearest training sample: %.2f generated, %.2f held out%s\n",
              q.nearest_generated, q.nearest_held_out,
              q.nearest_generated < q.nearest_held_out / 2 ? "; it repeats training samples" : "");
  std::printf("privacy     %s: %s\n", card.privacy.mode.c_str(), card.privacy.statement.c_str());
}

}  // namespace

std::vector<Index> trained_classes(const gan::GeneratorCard& card) {
  std::vector<Index> out;
  for (std::size_t label = 0; label < card.label_counts.size(); ++label)
    if (card.label_counts[label] > 0) out.push_back(static_cast<Index>(label));
  return out;
}

std::string class_name(const gan::GeneratorCard& card, Index label) {
  const auto place = static_cast<std::size_t>(label);
  return place < card.class_names.size() ? card.class_names[place]
                                         : data::class_name(card.dataset, label);
}

Json generator_json(const gan::GeneratorCard& card) {
  Json out = to_json_fields(card);
  const LayerCost cost = cost_of(card);
  out["parameters"] = cost.parameters;
  out["operations"] = cost.operations;
  return out;
}

void print_generator(const std::string& path, const gan::GeneratorCard& card) {
  std::printf("generator   %s\n", path.c_str());
  print_model(card);
  print_training(card);
  print_classes(card);
  print_quality(card);
}

}  // namespace iotsl::tool
