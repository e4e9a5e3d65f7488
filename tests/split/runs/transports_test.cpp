#include <doctest/doctest.h>

#include "split/runs/tcp_run.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace transports_test {

namespace {

std::vector<Sha256Digest> fingerprints(const data::Dataset& train,
                                       const std::vector<std::vector<Index>>& samples) {
  std::vector<Sha256Digest> out;
  for (const auto& device : samples) out.push_back(data::fingerprint(train.sha256, device));
  return out;
}

}  // namespace

TEST_CASE("transports: none and inproc give the same weights, bit for bit") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  // 25 samples in batches of 8: the last one joins the batch before.
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::sgd}) {
    RunConfig config = tiny::config();
    config.training.optimizer.kind = kind;
    if (kind == OptimizerKind::sgd) {
      config.training.optimizer.momentum = 0.9;
      config.training.optimizer.weight_decay = 1e-4;
      config.training.schedule = Schedule::cosine;
      config.training.local_epochs = 2;
    }
    const auto none = run_one_net(config, {}, train, test, samples);
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

#if IOTSL_TLS
TEST_CASE("transports: over TLS the weights have the same bits and the bill the same bytes") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const RunConfig config = tiny::config();
  tiny::TcpRun plain{config, train, samples};
  const auto in_plain_text = plain.run(test);
  REQUIRE_MESSAGE(in_plain_text.ok(), in_plain_text.failure().message);
  const TemporaryFolder folder;
  tiny::enroll_all(folder.path, samples.size());
  tiny::TcpRun sealed{config, train, samples};
  sealed.keys = folder.path;
  const auto over_tls = sealed.run(test);
  REQUIRE_MESSAGE(over_tls.ok(), over_tls.failure().message);
  CHECK(over_tls->weights_sha256 == in_plain_text->weights_sha256);
  CHECK(over_tls->bill.formula() == in_plain_text->bill.formula());
  CHECK(in_plain_text->tls_bytes == 0);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    REQUIRE_MESSAGE(sealed.outcomes[i].ok(), sealed.outcomes[i].failure().message);
    CHECK(sealed.outcomes[i]->complete);
  }
  // What the devices' sockets have passed is the bill and what TLS has added to it.
  std::uint64_t passed = 0;
  for (const auto& each : sealed.outcomes) passed += each->bytes_up + each->bytes_down;
  CHECK(over_tls->bytes_up + over_tls->bytes_down + over_tls->tls_bytes == passed);
  CHECK(over_tls->tls_bytes > 0);
  CHECK(over_tls->tls_bytes < passed / 50);
}
#endif

TEST_CASE("transports: elastic weight consolidation gives the same weights over every transport") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  RunConfig config = tiny::config();
  const auto plain = run_one_net(config, {}, train, test, samples);
  REQUIRE(plain.ok());
  config.training.optimizer.ewc = 0.5;
  const auto [none, inproc, tcp] = tiny::run_everywhere(config, train, test, samples);
  // Nothing pulls in the first turn, nor in the first of the second turn's two steps.
  CHECK(none.epochs[1].loss == plain->epochs[1].loss);
  CHECK(none.epochs[2].loss != plain->epochs[2].loss);
  CHECK(inproc.weights_sha256 == none.weights_sha256);
  CHECK(tcp.weights_sha256 == none.weights_sha256);
  // Adam's two slots and three more for each value of the front, both ways in four turns.
  CHECK(tcp.bill.optimizer == 5 * (2 * tcp.bill.front));
  config.training.optimizer.ewc = -1;
  CHECK(run_one_net(config, {}, train, test, samples).failure().message ==
        "--ewc -1: expected 0 to 1e12");
  config.training.optimizer.ewc = 1;
  config.method = Method::central;
  CHECK(run_one_net(config, {}, train, test, samples).failure().message ==
        "--ewc 1: for split learning only, not for --method central");
}

TEST_CASE("transports: replay gives the same weights over every transport, and after a stop") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  RunConfig config = tiny::config();
  const auto plain = run_one_net(config, {}, train, test, samples);
  REQUIRE(plain.ok());
  config.training.replay = 10;
  const auto [none, inproc, tcp] = tiny::run_everywhere(config, train, test, samples);
  CHECK(none.epochs[0].loss == plain->epochs[0].loss);  // there is nobody to replay yet
  CHECK(none.epochs[1].loss != plain->epochs[1].loss);
  CHECK(none.values_formula == plain->values_formula);
  CHECK(inproc.weights_sha256 == none.weights_sha256);
  for (std::size_t i = 0; i < 4; ++i) CHECK(inproc.epochs[i].loss == none.epochs[i].loss);
  CHECK(tcp.weights_sha256 == none.weights_sha256);

  // Stopped in the second turn, and taken up again: with both rivals at once.
  const TemporaryFolder folder;
  config.training.optimizer.ewc = 0.5;
  const auto whole = run_one_net(config, {}, train, test, samples);
  REQUIRE(whole.ok());
  config.out = folder / "run";
  struct Stop {
    int steps = 0;
  } stop;
  RunHooks hooks;
  hooks.context = &stop;
  hooks.should_stop = [](void* self) { return ++static_cast<Stop*>(self)->steps == 4; };
  REQUIRE_FALSE(run_one_net(config, hooks, train, test, samples).ok());
  config.resume = true;
  const auto resumed = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
  CHECK(resumed->weights_sha256 == whole->weights_sha256);
}

TEST_CASE("transports: bfloat16 in the server half, over every transport and after a stop") {
  if (!simd::multiplies_bfloat16()) {
    SKIP_TEST("no AVX-512 BF16 here");
    return;
  }
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  RunConfig config = tiny::config();
  const auto plain = run_one_net(config, {}, train, test, samples);
  REQUIRE(plain.ok());
  config.server_precision = ServerPrecision::bf16;
  for (const Index replay : {Index{0}, Index{10}}) {
    config.training.replay = replay;
    const auto [none, inproc, tcp] = tiny::run_everywhere(config, train, test, samples);
    CHECK(none.weights_sha256 != plain->weights_sha256);
    CHECK(none.epochs[0].loss == doctest::Approx(plain->epochs[0].loss).epsilon(0.02));
    CHECK(inproc.weights_sha256 == none.weights_sha256);
    CHECK(tcp.weights_sha256 == none.weights_sha256);
  }

  const TemporaryFolder folder;
  const auto whole = run_one_net(config, {}, train, test, samples);
  REQUIRE(whole.ok());
  config.out = folder / "run";
  int steps = 0;
  RunHooks hooks;
  hooks.context = &steps;
  hooks.should_stop = [](void* taken) { return ++*static_cast<int*>(taken) == 4; };
  REQUIRE_FALSE(run_one_net(config, hooks, train, test, samples).ok());
  config.resume = true;
  const auto resumed = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
  CHECK(resumed->weights_sha256 == whole->weights_sha256);
}

TEST_CASE("transports: a memory for replay that makes no sense is refused") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const auto error = [&](RunConfig config) {
    const auto inproc = run_inproc(config, {}, train, test, samples);
    REQUIRE_FALSE(inproc.ok());
    return inproc.failure().message;
  };
  RunConfig config = tiny::config();
  config.training.replay = 1;
  CHECK(error(config) == "--replay 1: expected at least one sample for each of 2 devices");
  config.training.replay = 10'000'000;
  CHECK(error(config) ==
        "--replay 10000000: a smashed sample takes 1028 bytes; expected at most 2088991 samples, "
        "2048 MiB");
  config.training.replay = -1;
  CHECK(error(config) == "--replay -1: expected at least 0");
  config.training.replay = 5;
  config.method = Method::random_gradient;
  CHECK(error(config) == "--replay 5: for split learning only, not for --method local");
  config = tiny::config();
  config.training.replay = 5;
  config.devices = 1;
  CHECK(run_one_net(config, {}, train, test, {tiny::range(0, 41)}).failure().message ==
        "--replay 5: replays other devices' samples, there is only one");
}

TEST_CASE("transports: tcp gives the same weights, and every byte is accounted for") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const RunConfig config = tiny::config();
  const auto none = run_one_net(config, {}, train, test, samples);
  REQUIRE(none.ok());
  tiny::TcpRun tcp{config, train, samples};
  ServerOptions options;
  options.expected.fingerprints = fingerprints(train, samples);
  const auto summary = tcp.run(test, options);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(summary->weights_sha256 == none->weights_sha256);
  CHECK(summary->final_test_accuracy == none->final_test_accuracy);

  // Table I: F = 4 channels of 8x8, w = conv 1->4, BN 4, conv 4->4, BN 4; two turns of each device.
  const std::uint64_t smashed = 4 * 8 * 8, front = (9 + 1) * 4 + 8 + (36 + 1) * 4 + 8;
  const std::uint64_t formula = 2 * (41 * (2 * smashed + 1) + 2 * front);
  CHECK(summary->values_formula == formula);
  CHECK(none->values_formula == formula);
  const measure::ByteBill& bill = summary->bill;
  CHECK(bill.formula() == 4 * formula);
  CHECK(bill.smashed == 4 * 82 * smashed);
  CHECK(bill.labels == 4 * 82);
  CHECK(bill.gradient == 4 * 82 * smashed);
  CHECK(bill.front == 4 * 4 * front);
  CHECK(bill.front_relay == bill.front);
  CHECK(bill.batch_norm == 2 * 4 * 4 * 16);
  CHECK(bill.optimizer == 2 * 4 * 4 * 2 * front);
  CHECK(bill.total() == summary->bytes_up + summary->bytes_down);

  // What the devices' sockets saw is what the server counted.
  std::uint64_t up = 0, down = 0;
  for (const auto& device : tcp.outcomes) {
    REQUIRE_MESSAGE(device.ok(), device.failure().message);
    up += device->bytes_up;
    down += device->bytes_down;
  }
  CHECK(up == summary->bytes_up);
  CHECK(down == summary->bytes_down);
  std::uint64_t epochs_up = 0;
  for (const auto& epoch : summary->epochs) epochs_up += epoch.bytes_up;
  CHECK(epochs_up <= summary->bytes_up);
  CHECK(epochs_up > summary->bytes_up * 9 / 10);
}

TEST_CASE("transports: barriers inside turns hand nothing over in the formula's part") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const TemporaryFolder folder;
  RunConfig config = tiny::config();
  const auto few = run_inproc(config, {}, train, test, samples);
  config.out = folder / "run";
  config.barriers = {.steps = 1, .seconds = 0};
  const auto many = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(few.ok(), few.failure().message);
  REQUIRE_MESSAGE(many.ok(), many.failure().message);
  CHECK(many->weights_sha256 == few->weights_sha256);
  CHECK(many->values_formula == few->values_formula);
  for (const RunSummary* run : {&*few, &*many}) {
    CHECK(run->bill.formula() == 4 * run->values_formula);
    CHECK(run->bill.total() == run->bytes_up + run->bytes_down);
  }
  CHECK(few->bill.front_inside == 0);
  const std::uint64_t one = many->bill.front / 4;  // two turns of each device
  CHECK(many->bill.front_inside >= 2 * one);
  CHECK(many->bill.front_inside % one == 0);

  // The same where the server starts again in between.
  struct Stop {
    int asked = 0;
    static bool now(void* self) { return ++static_cast<Stop*>(self)->asked == 9; }
  } stop;
  RunHooks hooks;
  hooks.context = &stop;
  hooks.should_stop = &Stop::now;
  config.out = folder / "stopped";
  REQUIRE_FALSE(run_inproc(config, hooks, train, test, samples).ok());
  config.resume = true;
  const auto resumed = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
  CHECK(resumed->weights_sha256 == few->weights_sha256);
  CHECK(resumed->bill.front == few->bill.front);
}

TEST_CASE("transports: a schedule that is longer than the run, and a validation part") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const data::Dataset validation = tiny::dataset(12, 3);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  RunConfig config = tiny::config();
  config.training.schedule = Schedule::cosine;
  config.training.epochs = 8;
  const auto whole = run_one_net(config, {}, train, {test, validation}, samples);
  config.training.epochs = 4;
  config.training.schedule_epochs = 8;
  const auto none = run_one_net(config, {}, train, {test, validation}, samples);
  const auto inproc = run_inproc(config, {}, train, {test, validation}, samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  CHECK(inproc->weights_sha256 == none->weights_sha256);
  tiny::TcpRun tcp{config, train, samples};
  const auto sockets = tcp.run(test);  // what it is judged by changes no weight
  REQUIRE_MESSAGE(sockets.ok(), sockets.failure().message);
  CHECK(sockets->weights_sha256 == none->weights_sha256);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(inproc->epochs[i].learning_rate == whole->epochs[i].learning_rate);
    CHECK(inproc->epochs[i].loss == whole->epochs[i].loss);
    CHECK(inproc->epochs[i].has_validation);
    CHECK(inproc->epochs[i].validation_accuracy == whole->epochs[i].validation_accuracy);
    CHECK_FALSE(sockets->epochs[i].has_validation);
  }
  CHECK(sockets->chosen.epoch == 4);
}

TEST_CASE("transports: the same bytes in memory as over sockets") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const RunConfig config = tiny::config();
  const auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE(inproc.ok());
  tiny::TcpRun tcp{config, train, samples};
  const auto sockets = tcp.run(test);
  REQUIRE_MESSAGE(sockets.ok(), sockets.failure().message);
  // Only heartbeats depend on time; this run is over before the first regular one.
  CHECK(inproc->bill.smashed == sockets->bill.smashed);
  CHECK(inproc->bill.fields == sockets->bill.fields);
  CHECK(inproc->bill.transfers == sockets->bill.transfers);
}

TEST_CASE("transports: local trains the front alone and sends no batch") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  RunConfig config = tiny::config();
  config.method = Method::random_gradient;
  tiny::TcpRun tcp{config, train, samples};
  const auto summary = tcp.run(test);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(summary->bill.smashed + summary->bill.labels + summary->bill.gradient == 0);
  CHECK(summary->bill.front > 0);
  CHECK_FALSE(summary->epochs[0].has_training);
  const auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE(inproc.ok());
  CHECK(inproc->weights_sha256 == summary->weights_sha256);
  const auto trained = run_one_net(tiny::config(), {}, train, test, samples);
  CHECK(trained->weights_sha256 != summary->weights_sha256);
}

TEST_CASE("transports: central trains on all data together") {
  const data::Dataset train = tiny::dataset(64, 1), test = tiny::dataset(24, 2);
  RunConfig config = tiny::config();
  config.method = Method::central;
  config.training.epochs = 30;
  config.training.eval_every = 100;
  config.training.optimizer.lr = 3e-3;
  const auto summary =
      run_one_net(config, {}, train, test, {tiny::range(0, 30), tiny::range(30, 64)});
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(summary->epochs[0].samples == 64);
  CHECK(summary->epochs.back().loss < 0.5 * summary->epochs.front().loss);
  CHECK_FALSE(summary->epochs[0].evaluated);
  CHECK(summary->final_test_accuracy > 0.5);
}

TEST_CASE("transports: a device with other data than the manifest's is refused") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  RunConfig config = tiny::config();
  tiny::TcpRun tcp{config, train, samples};
  ServerOptions options;
  options.expected.fingerprints = fingerprints(train, {tiny::range(1, 26), tiny::range(25, 41)});
  options.gather_limit = net::second_us;
  const auto summary = tcp.run(test, options);
  REQUIRE_FALSE(summary.ok());
  CHECK(summary.failure().message.find("1 of 2 devices came") != std::string::npos);
  REQUIRE_FALSE(tcp.outcomes[0].ok());
  CHECK(tcp.outcomes[0].failure().message.find("other samples than the manifest") !=
        std::string::npos);
  CHECK_FALSE(tcp.outcomes[1].ok());
}

TEST_CASE("transports: a connection that is lost before the device has joined is made again") {
  const data::Dataset train = tiny::dataset(8, 1);
  asio::io_context context;
  auto listener = net::Listener::open(context, {"127.0.0.1", 0}, false);
  REQUIRE(listener.ok());
  int connections = 0;
  std::thread server([&] {
    while (connections < 2 &&
           net::detail::wait_socket(listener->handle(), POLLIN, 20 * net::second_us))
      connections += listener->accept().ok();  // and closed at once
    // Nobody listens any more: the device gives up at its limit.
    const auto gone = std::move(listener).value();
  });
  DeviceOptions options;
  options.server = {"127.0.0.1", listener->port()};
  options.identity.dataset = "tiny";
  options.identity.label_counts = {2, 2, 2, 2};
  options.connect.first_delay = 1000;
  options.connect.longest_delay = 2000;
  options.connect.total_limit = net::second_us;
  const auto outcome = run_device(options, train, tiny::range(0, 8));
  server.join();
  REQUIRE_FALSE(outcome.ok());
  CHECK(outcome.failure().code == ErrorCode::network);
  CHECK(connections == 2);
}

TEST_CASE("transports: NaN never enters the weights") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  RunConfig config = tiny::config();
  config.training.optimizer = {.kind = OptimizerKind::sgd, .lr = 1e5, .momentum = 0.9};
  config.training.epochs = 40;
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE_FALSE(inproc.ok());
  // The server does not wait for NaN: values that explode are refused before.
  CHECK_MESSAGE(inproc.failure().message.find("has values beyond 1e+09") != std::string::npos,
                inproc.failure().message);
  const auto none = run_one_net(config, {}, train, test, samples);
  REQUIRE_FALSE(none.ok());
  CHECK(none.failure().message.find("NaN or Inf") != std::string::npos);
}

}  // namespace transports_test
