// Runs whose front is frozen: nothing comes back to the devices.

#include <doctest/doctest.h>

#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"

namespace frozen_front_test {

using namespace tiny;

TEST_CASE("frozen front: the same weights without a split, in memory and over TCP") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  for (const Index replay : {Index{0}, Index{20}}) {
    RunConfig config = iotsl_config();
    config.training.frozen_front = true;
    config.training.replay = replay;
    const auto [none, inproc, tcp] = run_everywhere(config, train, test, samples);
    CHECK(inproc.weights_sha256 == none.weights_sha256);
    CHECK(tcp.weights_sha256 == none.weights_sha256);
    CHECK(tcp.epochs.back().loss == none.epochs.back().loss);
    // Nothing but the fields of GRAD comes down, and the books say so.
    CHECK(tcp.bill.gradient == 0);
    CHECK(tcp.bill.smashed > 0);
    CHECK(tcp.bill.total() == tcp.bytes_up + tcp.bytes_down);
    CHECK(tcp.bill.formula() == 4 * tcp.values_formula);
    RunConfig plain = config;
    plain.training.frozen_front = false;
    const auto usual = run_inproc(plain, {}, train, test, samples);
    REQUIRE(usual.ok());
    CHECK(usual->weights_sha256 != none.weights_sha256);
    CHECK(usual->bill.gradient == usual->bill.smashed);
  }
}

TEST_CASE("frozen front: its weights and running statistics stay, those of the back do not") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  RunConfig config = tiny::config();
  config.training.frozen_front = true;
  FrontHalf front(build_split_model(config).value().front, config.training.optimizer, config.seed,
                  true);
  const std::string before = state_sha256(front.layers());
  const data::Batch batch = data::fetch_batch(train, data::count_up(8));
  for (std::uint64_t step = 1; step < 3; ++step) {
    const Tensor<float> smashed = front.forward(batch.x, step).value();
    CHECK_FALSE(smashed.requires_grad());
    REQUIRE(front.backward({}).ok());
  }
  CHECK(state_sha256(front.layers()) == before);
  CHECK(front.optimizer().steps() == 0);

  BackHalf back(build_split_model(config).value().back, config.training.optimizer, config.seed,
                false);
  const std::string untrained = state_sha256(back.layers());
  const auto out = back.train(front.forward(batch.x, 3).value(), batch.labels, 3);
  REQUIRE(out.ok());
  CHECK_FALSE(out->gradient.defined());
  CHECK(state_sha256(back.layers()) != untrained);
}

TEST_CASE("frozen front: it is an option of split learning") {
  RunConfig config = tiny::config();
  config.training.frozen_front = true;
  CHECK(check_config(config).ok());
  config.method = Method::random_gradient;
  CHECK(check_config(config).failure().message ==
        "--frozen-front on: for split learning only, not for --method local");
}

}  // namespace frozen_front_test
