// The mean of whole nets.

#include <doctest/doctest.h>

#include "iotsl/nn/state.hpp"
#include "iotsl/split/halves/model_mean.hpp"
#include "iotsl/split/server/split_model.hpp"
#include "split/runs/tiny_run.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace model_mean_test {

namespace {

/// A net with a batch norm, so that there are buffers and counters, all values near `value`.
Sequential<float> net_near(float value, std::int64_t batches) {
  RunConfig config = tiny::config();
  config.model.width = 2;
  Sequential<float> net = build_split_model(config)->joined;
  const auto fill = [&](const NamedTensor<float>& named) {
    Tensor<float> tensor = named.tensor;
    for (Index i = 0; i < tensor.size(); ++i)
      tensor.mutable_data()[i] = value + static_cast<float>(i % 4);
  };
  for (const auto& t : net.parameters()) fill(t);
  for (const auto& t : net.buffers()) fill(t);
  auto counters = net.counters();
  for (auto& c : counters) c.counter.set(batches);
  return net;
}

}  // namespace

TEST_CASE("model mean: it is weighted by samples and covers the running statistics") {
  const Sequential<float> a = net_near(1, 5), b = net_near(5, 9), out = net_near(0, 0);
  ModelMean mean(out);
  mean.add(model_state(a), 3);
  mean.add(model_state(b), 1);
  mean.store(out);
  const auto check = [](const NamedTensor<float>& named) {
    for (Index i = 0; i < named.tensor.size(); ++i)
      CHECK(named.tensor.data()[i] == 2.0f + static_cast<float>(i % 4));
  };
  for (const auto& t : out.parameters()) check(t);
  REQUIRE(!out.buffers().empty());
  for (const auto& t : out.buffers()) check(t);
  for (const auto& c : out.counters()) CHECK(c.counter.value() == 9);
  // It begins again: the mean of one net is that net.
  mean.add(model_state(b), 7);
  mean.store(out);
  CHECK(state_sha256(out) == state_sha256(b));
}

TEST_CASE("model mean: a sum under way comes back from its parts") {
  const Sequential<float> a = net_near(1, 5), b = net_near(5, 9);
  const Sequential<float> one = net_near(0, 0), two = net_near(0, 0);
  ModelMean first(one), second(two);
  first.add(model_state(a), 3);
  const auto from = first.parts(), to = second.parts();
  REQUIRE(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    REQUIRE(from[i].bytes == to[i].bytes);
    std::memcpy(to[i].data, from[i].data, from[i].bytes);
  }
  for (ModelMean* mean : {&first, &second}) mean->add(model_state(b), 2);
  first.store(one);
  second.store(two);
  CHECK(state_sha256(one) == state_sha256(two));
  CHECK(state_sha256(one) != state_sha256(b));
}

}  // namespace model_mean_test
