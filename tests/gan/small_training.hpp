#pragma once
// A training that takes seconds, for the tests of this folder.

#include "iotsl/data/glyphs.hpp"
#include "iotsl/gan/trainer.hpp"

namespace small_training {

using namespace iotsl;

/// Built-in digits of the wanted classes only.
inline data::Dataset digits(Index count, Index below_class = 10) {
  const data::Dataset all = data::make_glyphs(data::Split::train, count);
  std::vector<Index> kept;
  for (Index i = 0; i < all.size(); ++i)
    if (all.labels[static_cast<std::size_t>(i)] < below_class) kept.push_back(i);
  data::Dataset out = data::select_samples(all, kept);
  out.sha256 = "digits of a test";
  return out;
}

inline gan::GanSettings settings(Index iterations) {
  gan::GanSettings s = *gan::gan_preset("tiny");
  s.width = 4;
  s.batch = 8;
  s.critic_steps = 2;
  s.lr = 2e-3;
  s.iterations = iterations;
  return s;
}

/// Overwrites the first number of the first tensor of a stopped training whose name begins so.
inline void poison_state(const std::string& path, const std::string& prefix, float value,
                         const char* kind = "gan-training") {
  const Container file = load_container(path, kind).value();
  std::vector<Section> sections = file.sections;
  std::vector<std::uint8_t> altered;
  for (Section& each : sections) {
    if (!altered.empty() || !each.name.starts_with(prefix)) continue;
    altered.assign(each.bytes.begin(), each.bytes.end());
    std::memcpy(altered.data(), &value, sizeof value);
    each.bytes = ByteSpan(altered);
  }
  if (altered.empty()) fail("poison_state: ", path, " has no tensor ", prefix);
  if (const auto saved = save_container(path, file.kind, sections); !saved)
    fail(saved.failure().message);
}

inline std::vector<Index> all_of(const data::Dataset& set) { return data::count_up(set.size()); }

}  // namespace small_training
