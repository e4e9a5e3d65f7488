#pragma once
// A small run that every transport test can do in a moment.

#include "iotsl/split/simulate/run_one_net.hpp"

namespace tiny {

using namespace iotsl;
using namespace iotsl::split;

/// Random images, so that nothing in the numbers is special; labels spread over the classes.
inline data::Dataset dataset(Index count, std::uint64_t seed) {
  data::Dataset set;
  set.name = "tiny";
  set.height = set.width = 16;
  set.classes = 4;
  const Random random(seed, Stream::user);
  for (Index i = 0; i < count; ++i) {
    const auto label = static_cast<std::uint8_t>(i % 4);
    set.labels.push_back(label);
    for (Index p = 0; p < 256; ++p)
      set.pixels.push_back(
          static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(i * 256 + p), 128) +
                                    (p / 64 == label ? 100 : 0)));
  }
  set.full_size = count;
  set.sha256 = data::idx_sha256(set);
  return set;
}

inline RunConfig config() {
  RunConfig out;
  out.dataset = "tiny";
  out.model = {
      .name = "vgg16bn-compact", .width = 4, .images = {.height = 16, .width = 16, .classes = 4}};
  out.devices = 2;
  out.training.epochs = 4;
  out.training.batch = 8;
  out.seed = 7;
  return out;
}

inline std::vector<Index> range(Index begin, Index end) {
  std::vector<Index> out;
  for (Index i = begin; i < end; ++i) out.push_back(i);
  return out;
}

/// What two devices have, and what the run is tested on.
struct TwoDevices {
  data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  std::vector<std::vector<Index>> samples{range(0, 25), range(25, 41)};
};

/// Random values in [0,1).
inline Tensor<float> uniform(const Shape& shape, std::uint64_t seed) {
  Tensor<float> out = Tensor<float>::uninitialized(shape);
  const Random numbers(seed, Stream::user);
  float* values = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i)
    values[i] = static_cast<float>(numbers.uniform(static_cast<std::uint64_t>(i)));
  return out;
}

inline DeviceIdentity identity(const RunConfig& config, const data::Dataset& train,
                               const std::vector<Index>& samples, std::size_t index) {
  DeviceIdentity out;
  out.name = concat("device-", index);
  out.index = static_cast<std::uint32_t>(index);
  out.dataset = config.dataset;
  out.label_counts = data::count_labels(train, samples);
  out.data_fingerprint = data::fingerprint(train.sha256, samples);
  return out;
}

}  // namespace tiny
