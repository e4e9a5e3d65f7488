#include "iotsl/split/records/run_config.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace iotsl;
using namespace iotsl::split;

namespace run_config_test {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The failure of a default configuration of `method` with one change; empty where it is good.
template <class Change>
std::string error(Method method, const Change& change) {
  RunConfig config;
  config.method = method;
  change(config);
  const Result<void> good = check_config(config);
  return good ? std::string() : good.failure().message;
}
template <class Change>
std::string error(const Change& change) {
  return error(Method::split_learning, change);
}

constexpr Method all_methods[] = {Method::split_learning, Method::iotsl,
                                  Method::federated_averaging, Method::central,
                                  Method::random_gradient};

}  // namespace

TEST_CASE("run config: what is the default is good for every method") {
  for (const Method method : all_methods) {
    INFO(to_string(method));
    CHECK(error(method, [](RunConfig&) {}) == "");
  }
}

TEST_CASE("run config: devices, barriers and absence, on both sides of every limit") {
  const auto devices = [](Index n) { return error([&](RunConfig& c) { c.devices = n; }); };
  CHECK(devices(1) == "");
  CHECK(devices(1024) == "");
  CHECK(devices(0) == "--devices 0: expected 1 to 1024");
  CHECK(devices(1025) == "--devices 1025: expected 1 to 1024");

  const auto steps = [](Index n) { return error([&](RunConfig& c) { c.barriers.steps = n; }); };
  CHECK(steps(1) == "");
  CHECK(steps(0) == "--barrier-steps 0: expected at least 1");
  const auto seconds = [](double s) {
    return error([&](RunConfig& c) { c.barriers.seconds = s; });
  };
  CHECK(seconds(0) == "");
  CHECK(seconds(-0.5) == "--barrier-seconds -0.5: expected a number of at least 0");
  CHECK(seconds(nan) == "--barrier-seconds nan: expected a number of at least 0");
  CHECK(seconds(infinity) == "--barrier-seconds inf: expected a number of at least 0");
  const auto offline = [](double s) { return error([&](RunConfig& c) { c.offline_seconds = s; }); };
  CHECK(offline(0) == "");
  const std::string expected = ": expected a number of at least 0; 0 is no limit";
  CHECK(offline(-1) == "--offline-limit -1" + expected);
  CHECK(offline(nan) == "--offline-limit nan" + expected);
  CHECK(offline(infinity) == "--offline-limit inf" + expected);
}

TEST_CASE("run config: the training's options are checked, whatever the method") {
  for (const Method method : all_methods) {
    INFO(to_string(method));
    CHECK(error(method, [](RunConfig& c) { c.training.batch = 1; }) ==
          "--batch 1: expected 2 to 4096");
    CHECK(error(method, [](RunConfig& c) { c.training.optimizer.lr = -1; }) ==
          "--lr -1: expected 0 or more and below 1e6");
  }
}

TEST_CASE("run config: a round of federated averaging is a turn of every device") {
  const auto epochs = [](Method method, Index all, Index local) {
    return error(method, [&](RunConfig& c) {
      c.devices = 3;
      c.training.epochs = all;
      c.training.local_epochs = local;
    });
  };
  CHECK(epochs(Method::federated_averaging, 3, 1) == "");
  CHECK(epochs(Method::federated_averaging, 12, 2) == "");
  CHECK(epochs(Method::federated_averaging, 4, 1) ==
        "--epochs 4: expected a multiple of 3, a round of --method fedavg, which ends in "
        "a mean");
  CHECK(epochs(Method::federated_averaging, 10, 2) ==
        "--epochs 10: expected a multiple of 6, a round of --method fedavg, which ends in "
        "a mean");
  CHECK(epochs(Method::split_learning, 4, 1) == "");
}

TEST_CASE("run config: who takes part in a round") {
  const auto participation = [](Method method, double part, Index least = 1) {
    return error(method, [&](RunConfig& c) {
      c.participation = part;
      c.min_devices = least;
      c.training.epochs = 6;
    });
  };
  for (const double part : {1e-9, 0.5, 1.0})
    CHECK(participation(Method::split_learning, part) == "");
  for (const double part : {0.0, -1.0, 1.5, nan})
    CHECK(participation(Method::split_learning, part) ==
          concat("--participation ", part, ": expected more than 0, at most 1"));
  CHECK(participation(Method::split_learning, 0.6, 3) == "");
  CHECK(participation(Method::iotsl, 0.4, 3) ==
        "--participation 0.4: 2 of 5 devices take part in a round, expected at least 3 "
        "(--min-devices)");
  // A round of federated averaging is that of those who take part.
  CHECK(participation(Method::federated_averaging, 0.6) == "");
  CHECK(participation(Method::federated_averaging, 0.8) ==
        "--epochs 6: expected a multiple of 4, a round of --method fedavg, which ends in a mean");
  CHECK(participation(Method::central, 0.5) ==
        "--participation 0.5: --method central has no devices that take turns");
  CHECK(error(Method::central, [](RunConfig& c) { c.order = OrderPolicy::shuffled; }) ==
        "--order shuffled: --method central has no devices that take turns");
  for (const Method method : {Method::split_learning, Method::iotsl, Method::cached,
                              Method::federated_averaging, Method::random_gradient})
    CHECK(error(method, [&](RunConfig& c) {
            c.order = OrderPolicy::shuffled;
            c.training.frozen_front = caches(method);
          }) == "");
}

TEST_CASE("run config: replay and consolidation belong to split learning") {
  for (const Method method : all_methods) {
    const std::string other =
        splits(method) ? std::string()
                       : concat(": for split learning only, not for --method ", to_string(method));
    CHECK(error(method, [](RunConfig& c) { c.training.optimizer.ewc = 2; }) ==
          (other.empty() ? other : "--ewc 2" + other));
    CHECK(error(method, [](RunConfig& c) { c.training.replay = 5; }) ==
          (other.empty() ? other : "--replay 5" + other));
  }
  const auto devices = [](Index n) {
    return error([&](RunConfig& c) {
      c.training.replay = 5;
      c.devices = n;
    });
  };
  CHECK(devices(2) == "");
  CHECK(devices(1) == "--replay 5: replays other devices' samples, there is only one");
}

TEST_CASE("run config: a precision of the server half is one of split learning, and of the CPU") {
  const auto bf16 = [](RunConfig& c) { c.server_precision = ServerPrecision::bf16; };
  for (const Method method : all_methods)
    if (!splits(method))
      CHECK(error(method, bf16) ==
            concat("--server-precision bf16: for split learning only, not for --method ",
                   to_string(method)));
  if (simd::multiplies_bfloat16()) CHECK(error(bf16) == "");
  const simd::Target before = simd::active_target();
  simd::set_target(simd::reachable_targets().front());  // has no such products on any CPU
  CHECK(error(bf16) ==
        concat("--server-precision bf16: needs a CPU with AVX-512 BF16, this one runs the target ",
               simd::name(simd::active_target()), " without it; expected float"));
  simd::set_target(before);
}

TEST_CASE("run config: the model") {
  CHECK(error([](RunConfig& c) { c.model.name = "resnet"; }) ==
        "unknown model 'resnet'; expected one of vgg16bn-compact, vgg16bn-paper, vanilla5");
  CHECK(error([](RunConfig& c) { c.model.width = 0; }) == "width 0; expected 2 to 1024");
}

TEST_CASE("run config: preparation, on both sides of every limit") {
  const auto with = [](const auto& change) {
    return error(Method::iotsl, [&](RunConfig& c) { change(c.preparation); });
  };
  using P = PreparationOptions;
  CHECK(with([](P& p) { p.pretrain = false; }) == "");
  CHECK(with([](P& p) { p.impute = false; }) == "");
  CHECK(with([](P& p) { p.pretrain = p.impute = false; }) ==
        "--pretrain off --impute off: nothing is left of method iotsl; use --method sl");
  const auto iterations = [&](Index n) { return with([&](P& p) { p.pretrain_iterations = n; }); };
  CHECK(iterations(1) == "");
  CHECK(iterations(10000000) == "");
  CHECK(iterations(0) == "--pretrain-iterations 0: expected 1 to 10000000");
  CHECK(iterations(10000001) == "--pretrain-iterations 10000001: expected 1 to 10000000");
  const auto batch = [&](Index n) { return with([&](P& p) { p.pretrain_batch = n; }); };
  CHECK(batch(2) == "");
  CHECK(batch(4096) == "");
  CHECK(batch(1) == "--pretrain-batch 1: expected 2 to 4096");
  CHECK(batch(4097) == "--pretrain-batch 4097: expected 2 to 4096");
  const auto scarce = [&](double part) { return with([&](P& p) { p.scarce = part; }); };
  CHECK(scarce(0) == "");
  CHECK(scarce(1) == "");
  CHECK(scarce(-0.1) == "--scarce -0.1: expected 0 to 1");
  CHECK(scarce(1.5) == "--scarce 1.5: expected 0 to 1");
  CHECK(scarce(nan) == "--scarce nan: expected 0 to 1");
  CHECK(with([](P& p) { p.generator.net.iterations = 0; }) ==
        "GAN: 0 iterations; expected 1 to 10000000");
  CHECK(with([](P& p) { p.generator.net.width = 0; }) ==
        "generator: width 0; expected an even number from 2 to 1024");
  // Generators make images of the model's input.
  CHECK(error(Method::iotsl, [](RunConfig& c) { c.model.images.channels = 17; }) ==
        "generator: images of 17x28x28; expected 1 to 16 channels and 8 to 1024 pixels a side");
}

TEST_CASE("run config: an optimiser of pre-training's own, on both sides of every limit") {
  const auto with = [](OptimizerKind turns, const auto& change) {
    return error(Method::iotsl, [&](RunConfig& c) {
      c.training.optimizer = {.kind = turns, .lr = 0.1};
      change(c.preparation.pretrain_optimizer);
    });
  };
  using O = PretrainOptimizer;
  constexpr OptimizerKind adam = OptimizerKind::adam, sgd = OptimizerKind::sgd;
  const auto rate = [&](double lr) { return with(adam, [&](O& o) { o.lr = lr; }); };
  CHECK(rate(1e-9) == "");
  CHECK(rate(999999) == "");
  CHECK(rate(0) == "--pretrain-lr 0: expected more than 0 and below 1e6");
  CHECK(rate(1e6) == "--pretrain-lr 1e+06: expected more than 0 and below 1e6");
  CHECK(rate(nan) == "--pretrain-lr nan: expected more than 0 and below 1e6");
  const auto momentum = [&](double m) { return with(sgd, [&](O& o) { o.momentum = m; }); };
  CHECK(momentum(0) == "");
  CHECK(momentum(0.999) == "");
  CHECK(momentum(1) == "--pretrain-momentum 1: expected 0 <= m < 1");
  CHECK(momentum(-0.1) == "--pretrain-momentum -0.1: expected 0 <= m < 1");
  CHECK(momentum(nan) == "--pretrain-momentum nan: expected 0 <= m < 1");
  // Whose momentum it would be: of sgd alone, by its own kind or that of the turns.
  const auto both = [&](OptimizerKind turns, std::optional<OptimizerKind> kind) {
    return with(turns, [&](O& o) { o = {.kind = kind, .lr = {}, .momentum = 0.9}; });
  };
  CHECK(both(adam, sgd) == "");
  CHECK(both(sgd, std::nullopt) == "");
  CHECK(both(sgd, adam) == "--pretrain-momentum 0.9: only for --pretrain-optimizer sgd");
  CHECK(both(adam, std::nullopt) ==
        "--pretrain-momentum 0.9: only for --pretrain-optimizer sgd, which is --optimizer adam "
        "where it is not given");
}

TEST_CASE("run config: what is not chosen for pre-training is as in the turns") {
  const OptimizerOptions turns{
      .kind = OptimizerKind::sgd, .lr = 0.1, .weight_decay = 0.01, .momentum = 0.9, .ewc = 3};
  const auto text = [](const OptimizerOptions& o) { return to_text(to_json_fields(o)); };
  const auto own = [&](const PretrainOptimizer& o) { return text(o.beside(turns)); };
  const auto like_turns = [&](const auto& change) {
    OptimizerOptions out = turns;
    change(out);
    return text(out);
  };
  using O = OptimizerOptions;
  CHECK(own({}) == text(turns));
  CHECK(own({.kind = {}, .lr = 0.2, .momentum = {}}) == like_turns([](O& o) { o.lr = 0.2; }));
  CHECK(own({.kind = {}, .lr = {}, .momentum = 0}) == like_turns([](O& o) { o.momentum = 0; }));
  CHECK(own({.kind = OptimizerKind::adam, .lr = {}, .momentum = {}}) == like_turns([](O& o) {
          o.kind = OptimizerKind::adam;
          o.momentum = 0;
        }));
}

TEST_CASE("run config: without generators what would make them is not looked at") {
  for (const Method method : all_methods) {
    if (has_generators(method)) continue;
    INFO(to_string(method));
    CHECK(error(method, [](RunConfig& c) {
            c.preparation.pretrain = c.preparation.impute = false;
            c.preparation.scarce = 7;
            c.preparation.generator.net.iterations = 0;
            c.model.images.channels = 17;
          }) == "");
  }
}

TEST_CASE("run config: rates of the turns") {
  RunConfig config;
  config.devices = 2;
  config.training.epochs = 8;
  config.training.local_epochs = 2;
  config.training.schedule = Schedule::linear;
  config.training.optimizer.lr = 1;
  CHECK(config.turns() == 4);
  for (std::uint64_t turn = 0; turn < 4; ++turn)
    CHECK(config.turn_rate(turn) == 1 - static_cast<double>(turn) / 4);
  config.method = Method::federated_averaging;  // whose round has one rate
  const double rates[] = {1, 1, 0.5, 0.5};
  for (std::uint64_t turn = 0; turn < 4; ++turn) CHECK(config.turn_rate(turn) == rates[turn]);
}

TEST_CASE("run config: the rates of a longer schedule are the same, however long the run is") {
  RunConfig run;
  run.devices = 2;
  run.training.schedule = Schedule::cosine;
  run.training.optimizer.lr = 1;
  run.training.epochs = 8;
  run.training.local_epochs = 2;
  RunConfig longer = run;
  run.training.schedule_epochs = longer.training.epochs = 40;
  CHECK(run.turns() == 4);
  CHECK(run.schedule_turns() == 20);
  CHECK(longer.schedule_turns() == 20);
  for (const Method method : {Method::split_learning, Method::federated_averaging})
    for (std::uint64_t turn = 0; turn < 4; ++turn) {
      run.method = longer.method = method;
      CHECK(run.turn_rate(turn) == longer.turn_rate(turn));
      CHECK(run.turn_rate(turn) > 0.9);
    }
  CHECK(check_config(run).ok());
  run.training.schedule_epochs = 42;
  CHECK(check_config(run).failure().message ==
        "--schedule-epochs 42: expected a multiple of 4, a round of --method fedavg");
}

TEST_CASE("run config: added epochs have their own rate, and change none before them") {
  RunConfig run;
  run.devices = 2;
  run.training.schedule = Schedule::cosine;
  run.training.optimizer.lr = 1;
  run.training.epochs = 8;
  RunConfig longer = run;
  longer.added = {{4, 0.25}, {2, 0.5}};
  longer.training.epochs = 14;
  for (const Method method : {Method::split_learning, Method::federated_averaging}) {
    run.method = longer.method = method;
    CHECK(check_config(longer).ok());
    CHECK(longer.turns() == 14);
    for (std::uint64_t turn = 0; turn < 8; ++turn)
      CHECK(longer.turn_rate(turn) == run.turn_rate(turn));
    for (std::uint64_t turn = 8; turn < 14; ++turn)
      CHECK(longer.turn_rate(turn) == (turn < 12 ? 0.25 : 0.5));
  }
  for (const std::uint64_t epoch : {8, 12, 14}) CHECK(longer.is_an_end(epoch));
  CHECK_FALSE(longer.is_an_end(10));
  longer.added[1].epochs = 1;
  CHECK(check_config(longer).failure().message == "--added-epochs 1: expected a multiple of 2");
  longer.method = Method::split_learning;
  longer.added[0].rate = nan;
  CHECK(check_config(longer).failure().message ==
        "--added-epochs: rate nan: expected more than 0, less than 1000000");
}

}  // namespace run_config_test
