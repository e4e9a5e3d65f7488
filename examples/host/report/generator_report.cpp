#include "host/report/generator_report.hpp"

#include <algorithm>
#include <cstdio>

#include "host/report/progress.hpp"
#include "iotsl/data/source.hpp"
#include "iotsl/privacy/statement.hpp"

namespace iotsl::tool {
namespace {

using generators::GeneratorCard;
using generators::GeneratorFile;
using generators::GeneratorKind;

long as_long(std::uint64_t value) { return static_cast<long>(value); }

void print_model(const GeneratorFile& file) {
  const GeneratorCard& card = file.card;
  const ImageSpec& images = card.images;
  if (card.settings.kind == GeneratorKind::net) {
    const gan::GanSettings& net = card.settings.net;
    std::printf("model       %s net, width %ld, %ld values of %s noise", net.generator.c_str(),
                static_cast<long>(net.width), static_cast<long>(net.latent), net.noise.c_str());
  } else {
    std::printf("model       moments of the lowest cosine coefficients, no net");
  }
  std::printf(" -> %ldx%ldx%ld, %ld classes\n", static_cast<long>(images.channels),
              static_cast<long>(images.height), static_cast<long>(images.width),
              static_cast<long>(images.classes));
  std::printf("            %ld numbers", as_long(file.generator.values()));
  if (card.settings.kind == GeneratorKind::net)
    std::printf(", %ld operations for one image", as_long(file.generator.operations()));
  std::printf("\n");
}

void print_net_settings(const GeneratorCard& card) {
  const gan::GanSettings& s = card.settings.net;
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

void print_training(const GeneratorCard& card) {
  std::printf("trained     %s, device %u, seed %llu", card.dataset.c_str(), card.device,
              static_cast<unsigned long long>(card.seed));
  if (card.settings.kind == GeneratorKind::net)
    std::printf(": %ld of %ld iterations", as_long(card.iterations),
                static_cast<long>(card.settings.net.iterations));
  std::printf("\n");
  if (card.settings.kind == GeneratorKind::net) print_net_settings(card);
}

void print_classes(const GeneratorCard& card) {
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

void print_quality(const GeneratorCard& card) {
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
  // 0 would mean exact copies of training samples; without held-out ones there is no distance.
  char held_out[32] = "-";
  if (q.checked || q.nearest_held_out > 0)
    std::snprintf(held_out, sizeof held_out, "%.2f", q.nearest_held_out);
  std::printf("distance    to the nearest training sample: %.2f generated, %s held out%s\n",
              q.nearest_generated, held_out,
              q.nearest_generated < q.nearest_held_out / 2 ? "; it repeats training samples" : "");
}

}  // namespace

std::vector<Index> trained_classes(const GeneratorCard& card) {
  std::vector<Index> out;
  for (std::size_t label = 0; label < card.label_counts.size(); ++label)
    if (card.label_counts[label] > 0) out.push_back(static_cast<Index>(label));
  return out;
}

std::string class_name(const GeneratorCard& card, Index label) {
  const auto place = static_cast<std::size_t>(label);
  return place < card.class_names.size() ? card.class_names[place]
                                         : data::class_name(card.dataset, label);
}

Json generator_json(const GeneratorFile& file) {
  Json out = to_json_fields(file.card);
  out["parameters"] = file.generator.values();
  out["operations"] = file.generator.operations();
  return out;
}

void print_generator(const std::string& path, const GeneratorFile& file) {
  std::printf("generator   %s\n", path.c_str());
  print_model(file);
  print_training(file.card);
  print_classes(file.card);
  if (!file.card.settings.privacy.is_private()) print_quality(file.card);
  std::fputs(privacy::describe(file.card.privacy).c_str(), stdout);
}

}  // namespace iotsl::tool
