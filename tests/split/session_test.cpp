#include <doctest/doctest.h>

#include "iotsl/split/session_inproc.hpp"
#include "iotsl/split/session_none.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace {

/// Random images, so that nothing in the numbers is special; labels spread over the classes.
data::Dataset tiny_set(Index count, std::uint64_t seed) {
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

RunConfig tiny_config() {
  RunConfig config;
  config.dataset = "tiny";
  config.model = {
      .name = "vgg16bn-compact", .width = 4, .height = 16, .width_px = 16, .classes = 4};
  config.devices = 2;
  config.epochs = 4;
  config.batch = 8;
  config.seed = 7;
  return config;
}

std::vector<Index> range(Index begin, Index end) {
  std::vector<Index> out;
  for (Index i = begin; i < end; ++i) out.push_back(i);
  return out;
}

}  // namespace

TEST_CASE("session: none and inproc give the same weights, bit for bit") {
  const data::Dataset train = tiny_set(41, 1), test = tiny_set(24, 2);
  // 25 samples in batches of 8: the last one joins the batch before.
  const std::vector<std::vector<Index>> samples{range(0, 25), range(25, 41)};
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::sgd}) {
    RunConfig config = tiny_config();
    config.optimizer.kind = kind;
    if (kind == OptimizerKind::sgd) {
      config.optimizer.momentum = 0.9;
      config.optimizer.weight_decay = 1e-4;
      config.schedule = Schedule::cosine;
      config.local_epochs = 2;
    }
    const auto none = run_none(config, {}, train, test, samples);
    REQUIRE_MESSAGE(none.ok(), none.failure().message);
    const auto inproc = run_inproc(config, {}, train, test, samples);
    REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
    CHECK(inproc->weights_sha256 == none->weights_sha256);
    REQUIRE(inproc->epochs.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(inproc->epochs[i].loss == none->epochs[i].loss);
      CHECK(inproc->epochs[i].train_accuracy == none->epochs[i].train_accuracy);
      CHECK(inproc->epochs[i].test_accuracy == none->epochs[i].test_accuracy);
    }
  }
}
