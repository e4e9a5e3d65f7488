// Method cache with --unfreeze-on-plateau: behind a plateau the front is trained again.

#include <doctest/doctest.h>

#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

namespace unfreeze_test {

using namespace tiny;

namespace {

/// A rate of nearly nothing: no evaluation of the second round is better than the one before it.
RunConfig plateau_config(WireCoding coding = WireCoding::fp32) {
  RunConfig out = cache_config(coding);
  out.training.epochs = 8;  // of two devices: four rounds
  out.training.optimizer.lr = 1e-7;
  out.unfreeze_on_plateau = 2;
  return out;
}

struct LinkBytes {
  std::uint64_t up = 0, down = 0;
};

measure::EpochRecord evaluated(std::uint64_t epoch, std::uint64_t round, double accuracy) {
  measure::EpochRecord out;
  out.epoch = epoch;
  out.round = static_cast<std::uint32_t>(round);
  out.evaluated = out.has_validation = true;
  out.validation_accuracy = accuracy;
  return out;
}

}  // namespace

TEST_CASE(
    "unfreeze: evaluations without gain are those since the best one but for the first round") {
  measure::Plateau plateau;
  std::uint64_t epochs = 0;
  const auto after = [&](std::uint64_t round, double accuracy) {
    plateau.add(evaluated(++epochs, round, accuracy));
    return plateau.evaluations_without_gain();
  };
  CHECK(plateau.evaluations_without_gain() == 0);
  CHECK(after(0, 0.5) == 0);
  CHECK(after(0, 0.25) == 0);
  CHECK(after(1, 0.5) == 1);  // as good is no gain
  CHECK(after(1, 0.375) == 2);
  CHECK(after(2, 0.625) == 0);
  plateau.add({});  // not evaluated
  CHECK(plateau.evaluations_without_gain() == 0);
  CHECK(after(3, 0.5) == 1);
}

TEST_CASE("unfreeze: the same weights over every transport, and turns that train the front") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2), validation = dataset(20, 3);
  const EvaluationSets sets(test, validation);
  const auto samples = halves(train);
  for (const WireCoding coding : {WireCoding::fp32, WireCoding::int8}) {
    const TemporaryFolder folder;
    RunConfig config = plateau_config(coding);
    config.out = folder / "none";
    std::vector<std::string> notes;
    RunHooks hooks;
    hooks.context = &notes;
    hooks.on_note = [](void* list, const std::string& text) {
      static_cast<std::vector<std::string>*>(list)->push_back(text);
    };
    const auto none = run_one_net(config, hooks, train, sets, samples);
    REQUIRE_MESSAGE(none.ok(), none.failure().message);
    CHECK(none->unfrozen_after == 4);
    CHECK(notes.back() ==
          "validation accuracy has not risen for 2 evaluations: after device epoch 4 the front is "
          "trained again, and every device is needed for its turns");
    CHECK_FALSE(folder_exists(config.out + "/cache"));

    config.out = folder / "inproc";
    const auto inproc = run_inproc(config, {}, train, sets, samples);
    REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
    config.out = folder / "tcp";
    TcpRun over_tcp{config, train, samples};
    const auto tcp = over_tcp.run(sets);
    REQUIRE_MESSAGE(tcp.ok(), tcp.failure().message);
    LinkBytes of_devices;
    for (const auto& device : over_tcp.outcomes) {
      REQUIRE_MESSAGE(device.ok(), device.failure().message);
      of_devices.up += device->bytes_up;
      of_devices.down += device->bytes_down;
    }
    // Of both sessions, to the last byte: heartbeats and what is said between them as well.
    CHECK(tcp->bytes_up == of_devices.up);
    CHECK(tcp->bytes_down == of_devices.down);
    for (const auto* each : {&inproc, &tcp}) {
      const RunSummary& run = **each;
      CHECK(fragile::history(run) == fragile::history(*none));
      CHECK(run.unfrozen_after == 4);
      CHECK_FALSE(folder_exists(config.out + "/cache"));
      CHECK(run.bill.total() == run.bytes_up + run.bytes_down);
      std::uint64_t cached = 0, trained = 0;  // samples that were sent
      for (const measure::EpochRecord& epoch : run.epochs) {
        if (epoch.round == 0) cached += epoch.samples;
        if (epoch.epoch > 4) trained += epoch.samples;
        CHECK((epoch.values_formula == 0) == (epoch.round == 1));
      }
      const net::WireFormat format = net::WireFormat::of(config.training);
      CHECK(run.bill.smashed == format.smashed_bytes(cached + trained, run.smashed_values));
      CHECK(run.bill.gradient > 0);
    }

    // It is the front that learns: the same run without the option ends with other weights.
    config.out = folder / "frozen";
    config.unfreeze_on_plateau = 0;
    const auto frozen = run_one_net(config, {}, train, sets, samples);
    REQUIRE_MESSAGE(frozen.ok(), frozen.failure().message);
    CHECK(frozen->weights_sha256 != none->weights_sha256);
    CHECK(frozen->unfrozen_after == 0);
  }
}

TEST_CASE("unfreeze: a run of one process goes on from either side of it") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2), validation = dataset(20, 3);
  const EvaluationSets sets(test, validation);
  const auto samples = halves(train);
  const TemporaryFolder folder;
  RunConfig config = plateau_config();
  config.barriers.steps = 2;
  config.barriers.seconds = 0;
  config.out = folder / "whole";
  const auto whole = run_one_net(config, {}, train, sets, samples);
  REQUIRE_MESSAGE(whole.ok(), whole.failure().message);
  for (const int stop_at : {3, 4, 5, 7}) {
    struct Counter {
      int epochs = 0, stop_at = 0;
    } counter{0, stop_at};
    RunHooks hooks;
    hooks.context = &counter;
    hooks.on_epoch = [](void* count, const measure::EpochRecord&) {
      ++static_cast<Counter*>(count)->epochs;
    };
    hooks.should_stop = [](void* count) {
      const Counter& c = *static_cast<Counter*>(count);
      return c.epochs == c.stop_at;
    };
    config.out = folder / std::to_string(stop_at);
    config.resume = false;
    const auto stopped = run_one_net(config, hooks, train, sets, samples);
    REQUIRE_FALSE(stopped.ok());
    config.resume = true;
    const auto resumed = run_one_net(config, {}, train, sets, samples);
    REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
    CHECK(fragile::history(*resumed) == fragile::history(*whole));
    CHECK(resumed->unfrozen_after == whole->unfrozen_after);
  }
}

TEST_CASE("unfreeze: a cut or a death at any message changes nothing") {
  using fragile::Fault;
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2), validation = dataset(20, 3);
  const std::vector<std::vector<Index>> samples{range(0, 25), range(25, 41)};
  RunConfig config = plateau_config(WireCoding::int8);
  config.training.epochs = 6;
  config.barriers.steps = 2;
  config.barriers.seconds = 0;
  config.offline_seconds = 0;
  config.preparation.pretrain = false;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "devices";
  constexpr std::size_t first = 16;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    fragile::check_faults(config, files, train, {test, validation}, samples, fault, first,
                          fault == Fault::cut ? 5 : 3);
}

TEST_CASE("unfreeze: where the barrier behind it is damaged the run goes on from the one before") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2), validation = dataset(20, 3);
  const EvaluationSets sets(test, validation);
  const auto samples = halves(train);
  const TemporaryFolder folder;
  RunConfig config = plateau_config();
  config.out = folder / "whole";
  const auto whole = run_inproc(config, {}, train, sets, samples);
  REQUIRE_MESSAGE(whole.ok(), whole.failure().message);
  // Stopped as soon as the front is to be trained: that barrier is the newest.
  bool stop = false;
  RunHooks hooks;
  hooks.context = &stop;
  hooks.on_note = [](void* s, const std::string& text) {
    if (text.find("the front is trained again") != text.npos) *static_cast<bool*>(s) = true;
  };
  hooks.should_stop = [](void* s) { return *static_cast<bool*>(s); };
  config.out = folder / "run";
  REQUIRE_FALSE(run_inproc(config, hooks, train, sets, samples).ok());
  const std::string checkpoints = config.out + "/checkpoints";
  const std::uint64_t newest = split::detail::barrier_ids(checkpoints)->back();
  REQUIRE(read_newest_record(config.out)->unfrozen_after > 0);
  CHECK(folder_exists(config.out + "/cache"));
  const std::string damaged = join_path(checkpoints, split::detail::barrier_name(newest));
  REQUIRE(::truncate(damaged.c_str(), 100) == 0);
  config.resume = true;
  const auto resumed = run_inproc(config, {}, train, sets, samples);
  REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
  CHECK(fragile::history(*resumed) == fragile::history(*whole));
  CHECK(resumed->unfrozen_after == whole->unfrozen_after);
  CHECK_FALSE(folder_exists(config.out + "/cache"));
}

TEST_CASE("unfreeze: what it cannot be given with, and who cannot take part") {
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  const std::vector<std::vector<Index>> samples{range(0, 25), range(25, 41)};
  const TemporaryFolder folder;
  RunConfig config = plateau_config();
  config.out = folder / "run";
  const auto refusal = [&](const RunConfig& c) {
    return run_one_net(c, {}, train, test, samples).failure().message;
  };
  CHECK(refusal(config) ==
        "--unfreeze-on-plateau 2: needs a validation part (--validation) to see the plateau on");
  config.unfreeze_on_plateau = -1;
  CHECK(refusal(config) == "--unfreeze-on-plateau -1: expected 0 to 1000 evaluations");
  config.unfreeze_on_plateau = 1;
  config.method = Method::iotsl;
  CHECK(refusal(config) ==
        "--unfreeze-on-plateau 1: only for --method cache, not for --method iotsl");

  ServerPlan plan;
  plan.order.devices = 1;
  plan.offer.description.dataset = "tiny";
  plan.may_unfreeze = true;
  net::Hello hello;
  hello.device = "pi";
  hello.dataset = "tiny";
  hello.samples = 8;
  const std::vector<DeviceRecord> nobody(1);
  CHECK(std::holds_alternative<std::uint32_t>(
      check_hello(plan, hello, nobody, false, Quarantine(1, 1))));
  hello.capabilities &= ~net::unfreezing_capability;
  const HelloVerdict verdict = check_hello(plan, hello, nobody, false, Quarantine(1, 1));
  REQUIRE(std::holds_alternative<PeerFault>(verdict));
  CHECK(std::get<PeerFault>(verdict).text ==
        "the run may train the front later (--unfreeze-on-plateau), which the program of device "
        "'pi' cannot");
}

}  // namespace unfreeze_test
