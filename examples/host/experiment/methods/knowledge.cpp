#include "host/experiment/methods/knowledge.hpp"

namespace iotsl::tool {

std::string server_learns(const RunOptions& o) {
  if (pools_data(o.method)) return "all images and labels";
  if (averages(o.method)) return "each device's weights, label counts";
  if (!splits(o.method)) return "label counts";  // method local
  const bool noised = chosen_mode(o.generator) != privacy::PrivacyMode::off;
  const std::string generators = chosen_kind(o.generator) == generators::GeneratorKind::moments
                                     ? (noised ? "sums over images with noise" : "sums over images")
                                     : (noised ? "generators trained with noise" : "generators");
  if (o.preparation.generator_only && has_generators(o.method))
    return concat("label counts, ", generators);
  std::string out = caches(o.method)        ? "labels and smashed data, sent once and kept"
                    : o.training.replay > 0 ? "labels and smashed data, some kept"
                                            : "labels and smashed data";
  if (has_generators(o.method)) out += ", " + generators;
  return out;
}

}  // namespace iotsl::tool
