#pragma once
// Two devices with their samples, and generators that they train in a moment.

#include <doctest/doctest.h>

#include "iotsl/split/prepare/generator_store.hpp"
#include "iotsl/split/prepare/generator_training.hpp"
#include "iotsl/split/prepare/server_preparation.hpp"
#include "iotsl/split/server/split_model.hpp"
#include "split/runs/iotsl_run.hpp"

namespace tiny {

struct Setting {
  data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  std::vector<std::vector<Index>> samples = halves(train);
  RunConfig config = iotsl_config();

  std::vector<std::vector<std::uint64_t>> histograms() const {
    return {data::count_labels(train, samples[0]), data::count_labels(train, samples[1])};
  }
  GeneratorTask task(std::uint32_t device) const {
    return {config.preparation.generator, config.seed, device};
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
  const TrainedGenerator made = work.finish();
  return {{made.file.begin(), made.file.end()}, steps};
}

/// The generator of `device` in the Setting as it is, trained once for all tests.
inline const Trained& trained(std::uint32_t device) {
  static const Trained made[] = {train_generator({}, 0), train_generator({}, 1)};
  return made[device];
}

/// What a device that has trained for two seconds sends; a view of `made`.
inline net::GenUpload upload_of(const Trained& made) {
  net::GenUpload out;
  out.file = made.file;
  out.cost.compute_us = 2000000;
  return out;
}

/// Keeps `made` as the generator of `device`.
inline void keep(GeneratorStore& store, const Setting& s, std::uint32_t device,
                 const Trained& made) {
  const auto good = store.check({}, s.histograms()[device], upload_of(made));
  REQUIRE_MESSAGE(good.ok(), good.failure().message);
  REQUIRE(store.keep(device, *good, made.file).ok());
}
/// A store with the generators of both devices.
inline void keep_both(GeneratorStore& store, const Setting& s) {
  REQUIRE(store.create().ok());
  for (std::uint32_t d = 0; d < 2; ++d) keep(store, s, d, trained(d));
}

/// Both generators stored in a new preparation.
inline void store_all(Preparation& preparation, const Setting& s) {
  REQUIRE(preparation.open().ok());
  for (std::uint32_t d = 0; d < 2; ++d) {
    const net::GenUpload upload = upload_of(trained(d));
    const auto good = preparation.check(data::fingerprint(s.train.sha256, s.samples[d]),
                                        data::count_labels(s.train, s.samples[d]), upload);
    REQUIRE_MESSAGE(good.ok(), good.failure().message);
    const auto stored = preparation.store(d, *good, upload.file);
    REQUIRE_MESSAGE(stored.ok(), stored.failure().message);
  }
}
/// The generation log of both devices, whose generators `store` has.
inline impute::GenerationLog log_of(const GeneratorStore& store, const Setting& s) {
  return make_generation_log(s.histograms(), store.records(), s.config.seed).value();
}

/// Where the generator of `device` lies in a run's folder.
inline std::string generator_path(const RunConfig& config, std::size_t device) {
  return join_path(join_path(config.out, generator_folder), generator_name(device));
}

/// Changes one bit in the middle of a file.
inline void damage(const std::string& path) {
  auto bytes = read_file(path).value();
  bytes[bytes.size() / 2] ^= 1;
  REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
}

/// Hooks that keep what the user is told.
inline RunHooks hooks_of(std::vector<std::string>& notes) {
  RunHooks out;
  out.context = &notes;
  out.on_note = [](void* self, const std::string& text) {
    static_cast<std::vector<std::string>*>(self)->push_back(text);
  };
  return out;
}

inline Sequential<float> new_net(const RunConfig& config) {
  return build_split_model(config).value().joined;
}

/// Goes on for `calls` questions whether to stop.
struct StopAfter {
  int calls;
  static bool ask(void* self) { return --static_cast<StopAfter*>(self)->calls < 0; }
};
inline RunHooks hooks_of(StopAfter& stop) {
  RunHooks out;
  out.context = &stop;
  out.should_stop = &StopAfter::ask;
  return out;
}

}  // namespace tiny
