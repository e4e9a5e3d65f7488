#include "iotsl/options/training.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace iotsl;

namespace training_test {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The failure of default options with one change; empty where they are good.
template <class Change>
std::string error(const Change& change) {
  TrainingOptions options;
  change(options);
  const Result<void> good = check_training(options);
  return good ? std::string() : good.failure().message;
}

}  // namespace

TEST_CASE("training options: counts, on both sides of every limit") {
  const auto local_epochs = [](Index local, Index all) {
    return error([&](TrainingOptions& t) {
      t.local_epochs = local;
      t.epochs = all;
    });
  };
  CHECK(local_epochs(1, 1) == "");
  CHECK(local_epochs(1024, 1024) == "");
  CHECK(local_epochs(0, 1) == "--local-epochs 0: expected 1 to 1024");
  CHECK(local_epochs(1025, 1025) == "--local-epochs 1025: expected 1 to 1024");
  CHECK(local_epochs(1, 1000000) == "");
  CHECK(local_epochs(1, 0) ==
        "--epochs 0: expected 1 to 1000000 and a multiple of --local-epochs 1");
  CHECK(local_epochs(1, 1000001) ==
        "--epochs 1000001: expected 1 to 1000000 and a multiple of --local-epochs 1");
  CHECK(local_epochs(3, 6) == "");
  CHECK(local_epochs(3, 7) ==
        "--epochs 7: expected 1 to 1000000 and a multiple of --local-epochs 3");

  const auto batch = [](Index n) { return error([&](TrainingOptions& t) { t.batch = n; }); };
  CHECK(batch(2) == "");
  CHECK(batch(4096) == "");
  CHECK(batch(1) == "--batch 1: expected 2 to 4096");
  CHECK(batch(4097) == "--batch 4097: expected 2 to 4096");

  CHECK(error([](TrainingOptions& t) { t.eval_every = 1; }) == "");
  CHECK(error([](TrainingOptions& t) { t.eval_every = 0; }) ==
        "--eval-every 0: expected at least 1");
  CHECK(error([](TrainingOptions& t) { t.replay = 0; }) == "");
  CHECK(error([](TrainingOptions& t) { t.replay = -1; }) == "--replay -1: expected at least 0");
}

TEST_CASE("training options: the optimizer's, on both sides of every limit") {
  const auto with = [](double OptimizerOptions::*member, double value) {
    return error([&](TrainingOptions& t) { t.optimizer.*member = value; });
  };
  const double below_one = std::nextafter(1.0, 0.0);
  CHECK(with(&OptimizerOptions::lr, 0) == "");
  CHECK(with(&OptimizerOptions::lr, std::nextafter(1e6, 0)) == "");
  CHECK(with(&OptimizerOptions::lr, -0.5) == "--lr -0.5: expected 0 or more and below 1e6");
  CHECK(with(&OptimizerOptions::lr, 1e6) == "--lr 1e+06: expected 0 or more and below 1e6");
  CHECK(with(&OptimizerOptions::lr, nan) == "--lr nan: expected 0 or more and below 1e6");
  CHECK(with(&OptimizerOptions::momentum, 0) == "");
  CHECK(with(&OptimizerOptions::momentum, below_one) == "");
  CHECK(with(&OptimizerOptions::momentum, -0.1) == "--momentum -0.1: expected 0 <= m < 1");
  CHECK(with(&OptimizerOptions::momentum, 1) == "--momentum 1: expected 0 <= m < 1");
  CHECK(with(&OptimizerOptions::momentum, nan) == "--momentum nan: expected 0 <= m < 1");
  CHECK(with(&OptimizerOptions::weight_decay, 0) == "");
  CHECK(with(&OptimizerOptions::weight_decay, -1) ==
        "--weight-decay -1: expected 0 or more and below 1e6");
  CHECK(with(&OptimizerOptions::weight_decay, nan) ==
        "--weight-decay nan: expected 0 or more and below 1e6");
  CHECK(with(&OptimizerOptions::weight_decay, infinity) ==
        "--weight-decay inf: expected 0 or more and below 1e6");
  CHECK(with(&OptimizerOptions::ewc, 1e12) == "");
  CHECK(with(&OptimizerOptions::ewc, -1) == "--ewc -1: expected 0 to 1e12");
  CHECK(with(&OptimizerOptions::ewc, infinity) == "--ewc inf: expected 0 to 1e12");
  CHECK(with(&OptimizerOptions::ewc, nan) == "--ewc nan: expected 0 to 1e12");

  // What only a server can set.
  CHECK(with(&OptimizerOptions::beta1, below_one) == "");
  CHECK(with(&OptimizerOptions::beta1, 1) == "betas 1 and 0.999: expected 0 <= beta < 1");
  CHECK(with(&OptimizerOptions::beta2, 0) == "");
  CHECK(with(&OptimizerOptions::beta2, -0.5) == "betas 0.9 and -0.5: expected 0 <= beta < 1");
  CHECK(with(&OptimizerOptions::beta2, nan) == "betas 0.9 and nan: expected 0 <= beta < 1");
  CHECK(with(&OptimizerOptions::eps, 0) == "");
  CHECK(with(&OptimizerOptions::eps, -1) == "eps -1: expected 0 or more and below 1e6");
  CHECK(with(&OptimizerOptions::eps, infinity) == "eps inf: expected 0 or more and below 1e6");
  const auto nesterov = [](double momentum) {
    return error([&](TrainingOptions& t) {
      t.optimizer.nesterov = true;
      t.optimizer.momentum = momentum;
    });
  };
  CHECK(nesterov(0.5) == "");
  CHECK(nesterov(0) == "Nesterov needs a momentum above 0");
}

TEST_CASE("training options: an optimizer has a name, and no other") {
  CHECK(std::string(to_string(OptimizerKind::sgd)) == "sgd");
  CHECK(std::string(to_string(OptimizerKind::adam)) == "adam");
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adam})
    CHECK(parse_optimizer(to_string(kind)).value() == kind);
  CHECK(parse_optimizer("rmsprop").failure().message ==
        "optimizer 'rmsprop'; expected sgd or adam");
}

TEST_CASE("learning-rate schedules: ends and middle") {
  CHECK(learning_rate(Schedule::constant, 0.1, 7, 10) == 0.1);
  CHECK(learning_rate(Schedule::linear, 0.1, 0, 10) == 0.1);
  CHECK(learning_rate(Schedule::linear, 0.1, 5, 10) == doctest::Approx(0.05));
  CHECK(learning_rate(Schedule::linear, 0.1, 10, 10) == 0);
  CHECK(learning_rate(Schedule::cosine, 0.1, 0, 10) == 0.1);
  CHECK(learning_rate(Schedule::cosine, 0.1, 5, 10) == doctest::Approx(0.05));
  CHECK(learning_rate(Schedule::cosine, 0.1, 12, 10) == doctest::Approx(0).epsilon(1e-12));
  CHECK_THROWS_WITH_AS(learning_rate(Schedule::linear, 0.1, 0, 0),
                       "learning_rate: 0 steps in total; expected at least 1", Error);
  for (Schedule s : {Schedule::constant, Schedule::linear, Schedule::cosine})
    CHECK(*parse_schedule(to_string(s)) == s);
  CHECK(parse_schedule("step").failure().message ==
        "learning-rate schedule 'step'; expected constant, linear or cosine");
}

TEST_CASE("training options: the schedule's length, on both sides of every limit") {
  const auto length = [](Index schedule, Index epochs, Index local, Schedule kind) {
    return error([&](TrainingOptions& t) {
      t.schedule_epochs = schedule;
      t.epochs = epochs;
      t.local_epochs = local;
      t.schedule = kind;
    });
  };
  CHECK(length(0, 4, 1, Schedule::constant) == "");
  CHECK(length(4, 4, 1, Schedule::cosine) == "");
  CHECK(length(1000000, 4, 1, Schedule::linear) == "");
  CHECK(length(3, 4, 1, Schedule::cosine) ==
        "--schedule-epochs 3: expected --epochs 4 to 1000000, since behind its end the rate is 0");
  CHECK(length(1000001, 4, 1, Schedule::cosine) ==
        "--schedule-epochs 1000001: expected --epochs 4 to 1000000, since behind its end the rate "
        "is 0");
  CHECK(length(-1, 4, 1, Schedule::cosine) ==
        "--schedule-epochs -1: expected --epochs 4 to 1000000, since behind its end the rate is 0");
  CHECK(length(6, 4, 2, Schedule::cosine) == "");
  CHECK(length(7, 4, 2, Schedule::cosine) ==
        "--schedule-epochs 7: expected a multiple of --local-epochs 2");
  CHECK(
      length(8, 4, 1, Schedule::constant) ==
      "--schedule-epochs 8: with --lr-schedule constant there is nothing to fall; expected linear "
      "or cosine");
}

}  // namespace training_test
