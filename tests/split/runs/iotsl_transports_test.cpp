// Method iotsl: the same numbers over every transport, and its books.

#include <doctest/doctest.h>

#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

namespace iotsl_transports_test {

using namespace tiny;

namespace {

/// What must be the same over every transport.
std::string history(const RunSummary& summary) {
  std::string out = summary.weights_sha256;
  for (const measure::EpochRecord& r : summary.epochs)
    out += concat("\n", r.epoch, " ", r.device, " ", r.steps, " ", r.samples, " ", r.values_formula,
                  " ", to_text(Json(r.loss)), " ", to_text(Json(r.train_accuracy)), " ",
                  to_text(Json(r.test_accuracy)));
  return out;
}

}  // namespace

TEST_CASE("iotsl: the same weights and numbers without a split, in memory and over TCP") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  const RunConfig config = iotsl_config();
  const auto none = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(none.ok(), none.failure().message);
  const auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  CHECK(history(*inproc) == history(*none));
  TcpRun tcp{config, train, samples};
  const auto summary = tcp.run(test);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(history(*summary) == history(*none));
  CHECK(summary->weights_sha256 == none->weights_sha256);

  // Two classes of 13 and of 8 were added, so that a turn goes over 25 + 26 or 16 + 16 samples.
  REQUIRE(none->epochs.size() == 3);
  CHECK(none->epochs[0].samples == 51);
  CHECK(none->epochs[0].steps == 7);
  CHECK(none->epochs[1].samples == 32);
  const std::uint64_t smashed = 4 * 8 * 8, front = (9 + 1) * 4 + 8 + (36 + 1) * 4 + 8;
  const std::uint64_t formula = (51 + 32 + 51) * (2 * smashed + 1) + 3 * front;
  CHECK(summary->values_formula == formula);
  CHECK(summary->bill.formula() == 4 * formula);

  // Every byte is accounted for, and the turns' books leave the preparation out.
  const measure::ByteBill& bill = summary->bill;
  CHECK(bill.total() == summary->bytes_up + summary->bytes_down);
  std::uint64_t up = 0, down = 0, turns_up = 0, turns_down = 0;
  for (const auto& device : tcp.outcomes) {
    REQUIRE_MESSAGE(device.ok(), device.failure().message);
    up += device->bytes_up;
    down += device->bytes_down;
  }
  CHECK(up == summary->bytes_up);
  CHECK(down == summary->bytes_down);
  for (const auto& epoch : summary->epochs) {
    turns_up += epoch.bytes_up;
    turns_down += epoch.bytes_down;
  }
  REQUIRE(summary->preparation.has_value());
  const PreparationRecord& prepared = *summary->preparation;
  CHECK(prepared.bytes_up() > 2 * 4 * prepared.generators[0].values);
  CHECK(bill.generators_up > 2 * 4 * prepared.generators[0].values);
  CHECK(bill.generators_up < prepared.bytes_up());  // which counts the frames as well
  CHECK(bill.generators_down > bill.generators_up - 100);
  CHECK(bill.imputation_plans > 0);
  // What is neither in the turns nor in the preparation is the last BYE and TURN_COMMITTED.
  CHECK(turns_up + prepared.bytes_up() <= up);
  CHECK(turns_up + prepared.bytes_up() + 400 > up);
  CHECK(turns_down + prepared.bytes_down() <= down);
  CHECK(turns_down + prepared.bytes_down() + 400 > down);

  // Both sums of cost, by values and by bytes, the same for every transport.
  CHECK(prepared.values() == 4 * prepared.generators[0].values);
  REQUIRE(none->preparation.has_value());
  CHECK(none->preparation->values() == prepared.values());
  CHECK(none->preparation->bytes_down() == prepared.bytes_down());
  CHECK(none->preparation->pretraining.test_accuracy == prepared.pretraining.test_accuracy);
  CHECK(none->preparation->generators[0].seconds_training > 0);
}

TEST_CASE("iotsl: pre-training and imputation are two things, each with its own effect") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  const TemporaryFolder folder;
  RunConfig both = iotsl_config();
  both.out = folder / "both";
  const auto first = run_one_net(both, {}, train, test, samples);
  REQUIRE(first.ok());
  RunConfig config = iotsl_config();
  config.preparation.generators = folder / "both/generators";  // the same ones
  std::vector<std::string> weights{first->weights_sha256};
  for (const auto& [pretrain, impute] : {std::pair{true, false}, {false, true}}) {
    config.preparation.pretrain = pretrain;
    config.preparation.impute = impute;
    const auto none = run_one_net(config, {}, train, test, samples);
    REQUIRE_MESSAGE(none.ok(), none.failure().message);
    const auto inproc = run_inproc(config, {}, train, test, samples);
    REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
    CHECK(history(*inproc) == history(*none));
    CHECK(none->epochs[0].samples == (impute ? 51 : 25));
    CHECK(none->preparation->pretraining.done == pretrain);
    CHECK(none->preparation->planned == impute);
    CHECK(none->preparation->bytes_up() == first->preparation->bytes_up());
    CHECK(inproc->bill.generators_up == 0);
    CHECK((inproc->bill.generators_down > 0) == impute);
    for (const std::string& other : weights) CHECK(none->weights_sha256 != other);
    weights.push_back(none->weights_sha256);
  }
  // With both switched on and the same generators: the first run's weights.
  config.preparation.pretrain = config.preparation.impute = true;
  CHECK(run_inproc(config, {}, train, test, samples)->weights_sha256 == first->weights_sha256);
  // The rivals against forgetting go with it, and pre-training is none of the turns that they
  // remember.
  config.training.replay = 8;
  config.training.optimizer.ewc = 10;
  const auto rivals = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(rivals.ok(), rivals.failure().message);
  const auto rivals_inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(rivals_inproc.ok(), rivals_inproc.failure().message);
  CHECK(history(*rivals_inproc) == history(*rivals));
  CHECK(rivals->weights_sha256 != first->weights_sha256);
  CHECK(rivals->preparation->pretraining.test_loss == first->preparation->pretraining.test_loss);
  config.preparation.pretrain = config.preparation.impute = false;
  const auto nothing = run_one_net(config, {}, train, test, samples);
  REQUIRE_FALSE(nothing.ok());
  CHECK(nothing.failure().message.find("--method sl") != std::string::npos);
}

TEST_CASE("iotsl: an optimiser of pre-training's own changes no step of the turns") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  const TemporaryFolder folder;
  const auto run = [&](const RunConfig& config) {
    auto none = run_one_net(config, {}, train, test, samples);
    REQUIRE_MESSAGE(none.ok(), none.failure().message);
    return *none;
  };
  RunConfig sgd = iotsl_config();
  sgd.training.optimizer = {.kind = OptimizerKind::sgd, .lr = 0.02, .momentum = 0.5};
  sgd.out = folder / "sgd";
  const RunSummary all_sgd = run(sgd);
  RunConfig adam = iotsl_config();
  adam.training.optimizer = {.kind = OptimizerKind::adam, .lr = 0.002};
  adam.preparation.generators = folder / "sgd/generators";
  const RunSummary all_adam = run(adam);

  RunConfig mixed = sgd;
  mixed.out = folder / "mixed";
  mixed.preparation.pretrain_optimizer = {.kind = OptimizerKind::adam, .lr = 0.002, .momentum = {}};
  const RunSummary none = run(mixed);
  const auto test_loss = [](const RunSummary& r) { return r.preparation->pretraining.test_loss; };
  CHECK(test_loss(none) == test_loss(all_adam));
  CHECK(test_loss(none) != test_loss(all_sgd));
  CHECK(none.weights_sha256 != all_sgd.weights_sha256);
  CHECK(none.weights_sha256 != all_adam.weights_sha256);
  // What follows are the turns of the first run, from other weights.
  RunConfig turns = sgd;
  turns.out.clear();
  turns.init = folder / "mixed/pretrained.safetensors";
  turns.preparation.generators = folder / "mixed/generators";
  turns.preparation.pretrain = false;
  CHECK(history(run(turns)) == history(none));

  mixed.out.clear();
  const auto inproc = run_inproc(mixed, {}, train, test, samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  CHECK(history(*inproc) == history(none));
  TcpRun tcp{mixed, train, samples};
  const auto over_tcp = tcp.run(test);
  REQUIRE_MESSAGE(over_tcp.ok(), over_tcp.failure().message);
  CHECK(history(*over_tcp) == history(none));
}

TEST_CASE("iotsl: a device with a generator of other data is turned away") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  const TemporaryFolder folder;
  RunConfig config = iotsl_config();
  config.out = folder / "run";
  REQUIRE(run_one_net(config, {}, train, test, samples).ok());
  config.preparation.generators = folder / "run/generators";
  config.out.clear();
  const std::vector<std::vector<Index>> swapped{samples[1], samples[0]};
  for (const auto& outcome : {run_one_net(config, {}, train, test, swapped),
                              run_inproc(config, {}, train, test, swapped)}) {
    REQUIRE_FALSE(outcome.ok());
    CHECK_MESSAGE(outcome.failure().message.find("class 0") != std::string::npos,
                  outcome.failure().message);
  }
}

TEST_CASE("iotsl: a stop in any phase, then --resume, ends where the whole run would") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  const TemporaryFolder folder;
  RunConfig config = iotsl_config();
  config.out = folder / "whole";
  const auto whole = run_one_net(config, {}, train, test, samples);
  REQUIRE(whole.ok());
  // Every question whether to stop is a place to stop at: in the training of the first generator
  // and of the second, in pre-training, and in the turns.
  struct Stop {
    int calls = 0;
    static bool ask(void* self) { return --static_cast<Stop*>(self)->calls < 0; }
  };
  config.out = folder / "uploads";
  const auto uploads = run_inproc(config, {}, train, test, samples);
  REQUIRE(uploads.ok());
  REQUIRE(uploads->bill.generators_up > 0);
  for (const bool inproc : {false, true}) {
    for (const int calls : {1, 3, 5, 9, 14}) {
      RunConfig again = config;
      again.out = folder / concat(inproc ? "inproc-" : "none-", calls);
      const auto run = [&](const RunHooks& hooks) {
        return inproc ? run_inproc(again, hooks, train, test, samples)
                      : run_one_net(again, hooks, train, test, samples);
      };
      Stop stop{calls};
      RunHooks hooks;
      hooks.context = &stop;
      hooks.should_stop = &Stop::ask;
      const auto stopped = run(hooks);
      REQUIRE_FALSE(stopped.ok());
      CHECK_MESSAGE(stopped.failure().message.find("--resume") != std::string::npos,
                    stopped.failure().message);
      again.resume = true;
      const auto resumed = run({});
      REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
      INFO((inproc ? "inproc" : "none") << ", stop at question " << calls);
      CHECK(history(*resumed) == history(*whole));
      // Generators that came before the stop are in no barrier.
      if (inproc) CHECK(resumed->bill.generators_up == uploads->bill.generators_up);
    }
  }
}

}  // namespace iotsl_transports_test
