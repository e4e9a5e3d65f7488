#pragma once
// A small run of method iotsl: two devices, each with one half of the classes.

#include "split/runs/tiny_run.hpp"

namespace tiny {

/// Generators of width 4, two iterations each: what they make is noise, but the same noise
/// anywhere.
inline RunConfig iotsl_config() {
  RunConfig out = config();
  out.method = Method::iotsl;
  out.training.epochs = 3;
  out.preparation.generator.net.preset = "tiny";
  out.preparation.generator.net.width = 4;
  out.preparation.generator.net.iterations = 2;
  out.preparation.generator.net.critic_steps = 2;
  out.preparation.generator.net.batch = 4;
  out.preparation.pretrain_iterations = 4;
  out.preparation.pretrain_batch = 16;
  return out;
}

/// The same devices with method cache and moments.
inline RunConfig cache_config(WireCoding coding = WireCoding::fp32) {
  RunConfig out = iotsl_config();
  out.method = Method::cached;
  out.training.frozen_front = true;
  out.training.local_epochs = 1;
  out.training.epochs = 6;  // of two devices: three rounds
  out.training.wire = coding;
  out.preparation.generator.kind = generators::GeneratorKind::moments;
  return out;
}

/// 13 samples of class 0 and 12 of class 1 for the first device; 8 each of classes 2 and 3 for the
/// second.
inline std::vector<std::vector<Index>> halves(const data::Dataset& set) {
  std::vector<std::vector<Index>> out(2);
  for (Index i = 0; i < set.size(); ++i) {
    const data::Label label = set.labels[static_cast<std::size_t>(i)];
    std::vector<Index>& device = out[label < 2 ? 0 : 1];
    const Index kept = label == 0 ? 13 : label == 1 ? 12 : 8;
    Index held = 0;
    for (const Index other : device) held += set.labels[static_cast<std::size_t>(other)] == label;
    if (held < kept) device.push_back(i);
  }
  return out;
}

}  // namespace tiny
