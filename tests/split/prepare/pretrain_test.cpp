#include "iotsl/split/prepare/pretrain.hpp"

#include "iotsl/split/prepare/server_pretraining.hpp"
#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace pretrain_test {

using namespace tiny;

TEST_CASE("pre-training: a tenth of each class is held out") {
  const data::Dataset set = dataset(61, 3);  // 16, 15, 15, 15
  const data::HeldOutSplit parts = hold_out(set, 5);
  CHECK(parts.train.size() + parts.held_out.size() == 61);
  std::vector<int> held(4);
  for (const Index i : parts.held_out) {
    ++held[set.labels[static_cast<std::size_t>(i)]];
    CHECK_FALSE(std::binary_search(parts.train.begin(), parts.train.end(), i));
  }
  CHECK(held == std::vector<int>{2, 2, 2, 2});
  CHECK(hold_out(set, 5).held_out == parts.held_out);
  CHECK(hold_out(set, 6).held_out != parts.held_out);
}

TEST_CASE("pre-training: learns, keeps the best weights, and stops when nothing improves") {
  // Real samples stand for generated ones: their classes are bright quarters of the image. Some
  // labels are wrong: who learns these by heart gets worse on others.
  data::Dataset set = dataset(120, 1);
  for (std::size_t i = 0; i < 120; i += 7)
    set.labels[i] = static_cast<data::Label>((set.labels[i] + 1) % 4);
  const RunConfig config = tiny::config();
  Sequential<float> net = new_net(config);
  const PretrainOptions options{.optimizer = config.training.optimizer,
                                .iterations = 400,
                                .batch = 16,
                                .patience = 3,
                                .seed = 3};
  const auto report = pretrain(net, set, options, {});
  REQUIRE_MESSAGE(report.ok(), report.failure().message);
  CHECK(report->samples == 120);
  CHECK(report->held_out == 12);
  CHECK(report->held_out_accuracy > 0.6);
  CHECK(report->iterations < 400);  // it has stopped by itself
  CHECK(report->best_iteration <= report->iterations);
  // What is left are the weights of the best iteration.
  Sequential<float> shorter = new_net(config);
  PretrainOptions until_best = options;
  until_best.iterations = static_cast<Index>(report->best_iteration);
  REQUIRE(pretrain(shorter, set, until_best, {}).ok());
  CHECK(state_sha256(shorter) == state_sha256(net));
  CHECK(train::evaluate(net, data::select_samples(set, hold_out(set, 3).held_out)).loss ==
        report->held_out_loss);
}

TEST_CASE("pre-training: no NaN goes unnoticed, and a stop is no failure") {
  const data::Dataset set = dataset(60, 1);
  RunConfig config = tiny::config();
  Sequential<float> net = new_net(config);
  config.training.optimizer = {.kind = OptimizerKind::sgd, .lr = 1e6, .momentum = 0.9};
  const auto wild = pretrain(net, set, {.optimizer = config.training.optimizer, .batch = 16}, {});
  REQUIRE_FALSE(wild.ok());
  CHECK(wild.failure().message.find("NaN or Inf") != std::string::npos);
  StopAfter stop{3};
  const auto stopped = pretrain(net = new_net(tiny::config()), set,
                                {.optimizer = tiny::config().training.optimizer}, hooks_of(stop));
  REQUIRE(stopped.ok());
  CHECK(stopped->stopped);
  CHECK(stopped->iterations == 3);
}

TEST_CASE("pre-training: steps with an optimiser of its own, or with that of the turns") {
  Setting s;
  GeneratorStore store(s.config, {});
  keep_both(store, s);
  const auto generated = generate_dataset(log_of(store, s), s.config.model.images,
                                          [&](std::size_t d) { return store.load(d); });
  REQUIRE(generated.ok());
  const auto expected = [&](const OptimizerOptions& optimizer) {
    Sequential<float> net = new_net(s.config);
    const PreparationOptions& p = s.config.preparation;
    REQUIRE(pretrain(net, *generated,
                     {.optimizer = optimizer,
                      .iterations = p.pretrain_iterations,
                      .batch = p.pretrain_batch,
                      .seed = s.config.seed},
                     {})
                .ok());
    return state_sha256(net);
  };
  const auto pretrained = [&](const OptimizerOptions& turns, const PretrainOptimizer& own) {
    s.config.training.optimizer = turns;
    s.config.preparation.pretrain_optimizer = own;
    ServerPretraining work(s.config, {}, store);
    Sequential<float> net = new_net(s.config);
    REQUIRE(work.run(net, s.test, log_of(store, s)).value());
    return state_sha256(net);
  };
  const OptimizerOptions adam{.kind = OptimizerKind::adam, .lr = 0.002},
      sgd{.kind = OptimizerKind::sgd, .lr = 0.05, .momentum = 0.5}, plain{.lr = 0.05};
  REQUIRE(expected(adam) != expected(sgd));
  REQUIRE(expected(plain) != expected(sgd));
  CHECK(pretrained(adam, {}) == expected(adam));
  CHECK(pretrained(sgd, {}) == expected(sgd));
  CHECK(pretrained(sgd, {.kind = adam.kind, .lr = adam.lr, .momentum = {}}) == expected(adam));
  CHECK(pretrained(adam, {.kind = sgd.kind, .lr = sgd.lr, .momentum = 0.5}) == expected(sgd));
  CHECK(pretrained(sgd, {.kind = {}, .lr = {}, .momentum = 0}) == expected(plain));
}

TEST_CASE("pre-training: its weights are kept with the record; after a stop there is neither") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  GeneratorStore store(s.config, {});
  keep_both(store, s);
  StopAfter stop{1};
  ServerPretraining stopped(s.config, hooks_of(stop), store);
  Sequential<float> net = new_net(s.config);
  CHECK(stopped.run(net, s.test, log_of(store, s)).value() == false);
  CHECK_FALSE(stopped.record().done);
  CHECK_FALSE(file_exists(join_path(s.config.out, pretrained_name)));

  ServerPretraining whole(s.config, {}, store);
  net = new_net(s.config);
  REQUIRE(whole.run(net, s.test, log_of(store, s)).value());
  CHECK(whole.record().training.samples == 41);
  ServerPretraining later(s.config, {}, store);
  later.take_up(whole.record());
  Sequential<float> loaded = new_net(s.config);
  REQUIRE(later.load(loaded).ok());
  CHECK(state_sha256(loaded) == state_sha256(net));
}

}  // namespace pretrain_test
