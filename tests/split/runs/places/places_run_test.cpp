// Whole runs that a device leaves for good, that one comes to late, and that another takes a left
// place in.

#include <doctest/doctest.h>

#include "split/runs/fragile_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace places_run_test {

using namespace fragile;

namespace {

struct ThreeDevices {
  data::Dataset train = tiny::dataset(48, 1), test = tiny::dataset(24, 2);
  std::vector<std::vector<Index>> samples{tiny::range(0, 16), tiny::range(16, 32),
                                          tiny::range(32, 48)};
};

RunConfig three_rounds(const std::string& out) {
  RunConfig config = tiny::config();
  config.devices = 3;
  config.training.epochs = 9;
  config.out = out;
  return config;
}

/// Runs in one process until so many turns are over.
void run_for(const RunConfig& config, const ThreeDevices& data, int turns) {
  RunHooks hooks;
  hooks.context = &turns;
  hooks.should_stop = [](void* left) { return *static_cast<int*>(left) <= 0; };
  hooks.on_epoch = [](void* left, const measure::EpochRecord&) { --*static_cast<int*>(left); };
  REQUIRE_FALSE(run_inproc(config, hooks, data.train, data.test, data.samples).ok());
}

}  // namespace

TEST_CASE("places: a device that leaves for good is skipped from then on, whatever goes on") {
  const ThreeDevices data;
  const TemporaryFolder folder;
  for (const Method method : {Method::split_learning, Method::federated_averaging}) {
    INFO(to_string(method));
    RunConfig config = three_rounds(folder / to_string(method));
    config.method = method;
    run_for(config, data, 3);
    REQUIRE(let_device_leave(config.out, "device-1").ok());
    CHECK(let_device_leave(config.out, "device-1").failure().message ==
          concat("device 'device-1' is already about to leave the run ", config.out));
    config.resume = true;
    const auto rest = run_inproc(config, {}, data.train, data.test, data.samples);
    REQUIRE_MESSAGE(rest.ok(), rest.failure().message);
    REQUIRE(rest->epochs.size() == 9);
    for (std::size_t e = 0; e < 9; ++e) {
      CHECK(rest->epochs[e].skipped == (e >= 3 && e % 3 == 1));
      CHECK(rest->epochs[e].skip_reason == (e >= 3 && e % 3 == 1 ? left_for_good : ""));
    }
    REQUIRE(rest->quarantined.size() == 1);
    CHECK(rest->quarantined[0].gone);
    CHECK(rest->quarantined[0].name == "device-1");
    CHECK(rest->quarantined[0].samples == 16);
    CHECK(let_device_leave(config.out, "device-1").failure().message ==
          concat("device 'device-1' has already left the run ", config.out));
    // Neither is anybody waited for when the server starts again.
    const Result<QuarantineRecord> record = read_quarantine(config.out);
    REQUIRE(record.ok());
    CHECK(record->leaving.empty());
    CHECK(record->devices == rest->quarantined);
    if (method != Method::split_learning) continue;
    RunConfig config_away = three_rounds(folder / "away");
    config_away.offline_seconds = 1e-9;
    FragileRun away(config_away, data.train, data.test, data.samples);
    away.set_culprit({.device = 1, .leaves_at = 4});
    const auto skipped = away.run(Fault::none, 0);
    REQUIRE_MESSAGE(skipped.ok(), skipped.failure().message);
    CHECK(rest->weights_sha256 == skipped->weights_sha256);
  }
}

namespace {

/// What a server says, and what its folder holds at that moment.
struct Listener : ServerTransport {
  explicit Listener(std::string run) : folder(std::move(run)) {}
  void send(ConnectionId, net::Message message) override {
    const Result<QuarantineRecord> record = read_quarantine(folder);
    REQUIRE(record.ok());
    listed.push_back(record->devices.size());
    said.push_back(std::move(message));
  }
  void close(ConnectionId) override {}
  LinkTraffic traffic(ConnectionId) override { return {}; }
  LinkTraffic total() override { return {}; }

  std::string folder;
  std::vector<net::Message> said;
  std::vector<std::size_t> listed;  ///< devices in its quarantine.json, at each
};

}  // namespace

TEST_CASE("places: a device that leaves by itself is skipped as one that a user lets go") {
  const ThreeDevices data;
  const TemporaryFolder folder;
  std::string histories[2];
  for (const bool by_itself : {false, true}) {
    RunConfig config = three_rounds(folder / (by_itself ? "device" : "user"));
    run_for(config, data, 3);
    config.resume = true;
    if (!by_itself) REQUIRE(let_device_leave(config.out, "device-1").ok());
    // The second server begins where the first was killed, behind its answer.
    for (int server = 0; by_itself && server < 2; ++server) {
      Listener heard(config.out);
      const auto run = ServerRun::create(config, {}, data.test, {}, heard);
      REQUIRE_MESSAGE(run.ok(), run.failure().message);
      (*run)->on_open(5);
      (*run)->on_message(5, net::make_message(net::Leave{"for good", "device-1"}));
      REQUIRE(heard.said.size() == 1);
      REQUIRE(heard.said[0].type == net::MessageType::leave_ok);
      CHECK(net::decode<net::LeaveOk>(heard.said[0].payload)->index == 1);
      CHECK(heard.listed[0] == 1);  // before it was told
    }
    const auto rest = run_inproc(config, {}, data.train, data.test, data.samples);
    REQUIRE_MESSAGE(rest.ok(), rest.failure().message);
    REQUIRE(rest->quarantined.size() == 1);
    CHECK(rest->quarantined[0].gone);
    CHECK(rest->epochs[4].skip_reason == left_for_good);
    histories[by_itself ? 1 : 0] = history(*rest);

    // There is nothing to leave any more.
    Listener late(config.out);
    const auto over = ServerRun::create(config, {}, data.test, {}, late);
    REQUIRE(over.ok());
    REQUIRE((*over)->done());
    Farewells farewells = (*over)->begin_farewells(0);
    (*over)->on_late_message(6, net::make_message(net::Leave{"for good", "device-0"}), farewells);
    REQUIRE(late.said.size() == 1);
    REQUIRE(late.said[0].type == net::MessageType::bye);
    CHECK(net::decode<net::Bye>(late.said[0].payload)->reason == "the run is complete");
  }
  CHECK(histories[0] == histories[1]);
}

TEST_CASE("places: a name that no device of the run has changes nothing, and is told") {
  const ThreeDevices data;
  const TemporaryFolder folder;
  RunConfig config = three_rounds(folder / "run");
  run_for(config, data, 3);
  REQUIRE(let_device_leave(config.out, "stranger").ok());
  config.resume = true;
  std::string told;
  RunHooks hooks;
  hooks.context = &told;
  hooks.on_note = [](void* all, const std::string& text) {
    *static_cast<std::string*>(all) += text + "\n";
  };
  const auto rest = run_inproc(config, hooks, data.train, data.test, data.samples);
  REQUIRE_MESSAGE(rest.ok(), rest.failure().message);
  CHECK(rest->quarantined.empty());
  CHECK(told.find("device 'stranger' is not made to leave: no device of this run has that name") !=
        std::string::npos);
  CHECK(read_quarantine(config.out)->leaving.empty());
  config.resume = false;
  config.out.clear();
  const auto whole = run_inproc(config, {}, data.train, data.test, data.samples);
  CHECK(whole->weights_sha256 == rest->weights_sha256);
}

namespace {

/// Two places. One device begins alone, a second comes late and is made to leave, a third takes its
/// place.
struct ChangingRun {
  const ThreeDevices& data;
  RunConfig config;
  std::uint16_t port = 0;
  std::vector<std::thread> threads = {};
  Result<DeviceSummary> first = Failure{}, late = Failure{}, spare = Failure{};
  bool late_has_come = false, has_left = false;
  std::string notes = {};

  Result<DeviceSummary> run(std::size_t i, const std::string& name) {
    DeviceOptions options;
    options.server = {"127.0.0.1", port};
    options.identity = tiny::identity(config, data.train, data.samples[i], i);
    options.identity.name = name;
    options.identity.index = net::any_index;
    return run_device(options, data.train, data.samples[i]);
  }
  void on_listening(std::uint16_t listening) {
    port = listening;
    threads.emplace_back([this] { first = run(0, "first"); });
  }
  void on_epoch(const measure::EpochRecord& record) {
    if (record.skipped && !late_has_come) {
      late_has_come = true;
      threads.emplace_back([this] {
        late = run(1, "late");
        spare = run(2, "spare");
      });
    }
    if (record.device_name == "late" && !record.skipped && !has_left) {
      has_left = true;
      const Result<void> said = let_device_leave(config.out, "late");
      REQUIRE_MESSAGE(said.ok(), said.failure().message);
    }
    // The run must not be over before the devices are here.
    if (record.skipped || record.device_name == "late") ::usleep(100000);
  }
};

}  // namespace

TEST_CASE("places: over TCP one comes late, leaves for good, and another takes its place") {
  const ThreeDevices data;
  const TemporaryFolder folder;
  ChangingRun changing{.data = data, .config = tiny::config()};
  RunConfig& config = changing.config;
  config.start_with = 1;
  config.training.epochs = 400;
  config.training.eval_every = 400;
  config.training.batch = 16;
  config.out = folder / "run";
  RunHooks hooks;
  hooks.context = &changing;
  hooks.on_listening = [](void* self, std::uint16_t port) {
    static_cast<ChangingRun*>(self)->on_listening(port);
  };
  hooks.on_epoch = [](void* self, const measure::EpochRecord& record) {
    static_cast<ChangingRun*>(self)->on_epoch(record);
  };
  hooks.on_note = [](void* self, const std::string& text) {
    static_cast<ChangingRun*>(self)->notes += text + "\n";
  };
  const auto summary = run_server(config, hooks, {}, data.test);
  for (std::thread& thread : changing.threads) thread.join();
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  const auto told = [&](const char* text) {
    return changing.notes.find(text) != std::string::npos;
  };
  CHECK(told("the run begins without 1 of 2 devices, which may come later (--start-with)"));
  CHECK(told("device 'late' leaves the run for good in turn "));
  CHECK(told("device 'spare' takes place 1, which 'late' has left"));
  CHECK(changing.first.ok());
  REQUIRE_FALSE(changing.late.ok());
  CHECK(changing.late.failure().message.find(
            "device 'late' has left the run for good: somebody at the server said so") !=
        std::string::npos);
  REQUIRE_MESSAGE(changing.spare.ok(), changing.spare.failure().message);
  CHECK(changing.spare->complete);
  // The books know who had each turn, and why one was not taken.
  std::vector<std::string> seen;
  for (const measure::EpochRecord& epoch : summary->epochs) {
    if (epoch.device != 1) {
      CHECK(epoch.device_name == "first");
      CHECK_FALSE(epoch.skipped);
      continue;
    }
    const std::string what = epoch.skipped ? epoch.skip_reason : epoch.device_name;
    if (seen.empty() || seen.back() != what) seen.push_back(what);
    CHECK(epoch.skipped == !epoch.has_training);
  }
  // Where the third is quick, no turn passes without a device.
  std::erase(seen, left_for_good);
  CHECK(seen == std::vector<std::string>{not_here_yet, "late", "spare"});
  REQUIRE(summary->quarantined.size() == 1);
  CHECK(summary->quarantined[0].gone);
  CHECK(summary->quarantined[0].released);
}

}  // namespace places_run_test
