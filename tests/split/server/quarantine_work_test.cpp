// What the server makes of the commands that change a run's quarantine.json.

#include "iotsl/split/server/quarantine_work.hpp"

#include "split/protocol/server_fixture.hpp"
#include "split/runs/tiny_run.hpp"
#include "support/temporary_folder.hpp"

namespace quarantine_work_test {

using namespace server_fixture;

namespace {

/// A server that has begun again, and gathers; the run has three places.
struct Gathering {
  TemporaryFolder folder;
  data::Dataset test = tiny::dataset(8, 2);
  RunConfig config;
  RunRecorder books{config, {}, test};
  QuarantineWork work{config, {}};
  std::optional<ServerMachine> own_machine;
  ServerMachine& machine;
  net::Microseconds now = 0;
  ConnectionId asked = 20;  ///< over which a device has asked for something

  /// `out`: the folder of an earlier one, or its own.
  explicit Gathering(const std::string& out = {})
      : config([&] {
          RunConfig made = tiny::config();
          made.devices = 3;
          made.out = out.empty() ? folder / "run" : out;
          made.resume = true;
          return made;
        }()),
        machine((own_machine.emplace(take_up()), *own_machine)) {
    REQUIRE(books.keep_places({"pi-0", "pi-1", "pi-2"}).ok());
  }
  ServerPlan take_up() {
    REQUIRE(create_folders(config.out).ok());
    REQUIRE(work.open().ok());
    ServerPlan out = plan();
    out.order.devices = 3;
    out.turns = 9;
    out.keeps_barriers = true;
    out.quarantined = work.book().devices();
    return out;
  }
  bool look() {
    now += net::second_us;
    const bool told = work.on_time(machine, books, now);
    for (const ServerAction& action : drain(machine))
      if (is<PutAside>(action)) CHECK(work.carry_out(as<PutAside>(action), machine).ok());
    return told;
  }
  void enter(std::uint32_t place) {
    const ConnectionId connection = place + 1;
    machine.on_open(connection);
    net::Hello fields = hello(place);
    fields.device = concat("pi-", place);
    give(machine, connection, fields);
    give(machine, connection, net::Join{77});
    give(machine, connection, net::LabelHist{{2, 2}});
  }
};

}  // namespace

TEST_CASE("quarantine: who has had no turn yet may leave while the server gathers") {
  Gathering run;
  run.enter(0);
  run.enter(2);
  CHECK(run.machine.phase() == Phase::gathering);
  REQUIRE(let_device_leave(run.config.out, "pi-1").ok());
  CHECK(run.look());
  CHECK(run.machine.quarantine().is_gone(1));
  CHECK(run.machine.phase() == Phase::turns);  // nobody waits for it
  // A place that is another's by now tells nothing of a name.
  REQUIRE(let_device_leave(run.config.out, "pi-7").ok());
  CHECK_FALSE(run.look());
  CHECK(read_quarantine(run.config.out)->leaving.empty());
}

namespace {

/// A device asks to leave over a connection of its own: what it is told.
net::Message ask_to_leave(Gathering& run, const std::string& name) {
  const ConnectionId connection = ++run.asked;
  run.machine.on_open(connection);
  const auto asked = give(run.machine, connection, net::Leave{"for good", name});
  CHECK(run.work.carry_out(as<server_action::Leave>(asked.at(0)), run.machine, run.books).ok());
  net::Message answer;
  for (const ServerAction& action : drain(run.machine)) {
    if (is<PutAside>(action)) CHECK(run.work.carry_out(as<PutAside>(action), run.machine).ok());
    if (is<Send>(action) && as<Send>(action).connection == connection)
      answer = as<Send>(action).message;
  }
  return answer;
}
std::uint32_t place_in(const net::Message& answer) {
  REQUIRE(answer.type == MessageType::leave_ok);
  return net::decode<net::LeaveOk>(answer.payload)->index;
}

}  // namespace

TEST_CASE("quarantine: a device leaves by itself, as often as it says so") {
  Gathering run;
  run.enter(0);
  run.enter(2);
  // Not here since this server began: the run's books know its place.
  for (int times = 0; times < 3; ++times) CHECK(place_in(ask_to_leave(run, "pi-1")) == 1);
  const Result<QuarantineRecord> record = read_quarantine(run.config.out);
  REQUIRE(record.ok());
  REQUIRE(record->devices.size() == 1);
  CHECK(record->devices[0].gone);
  CHECK(record->devices[0].name == "pi-1");
  CHECK(run.machine.phase() == Phase::turns);

  // Another server on the same books, and one in which another device has the place.
  Gathering again(run.config.out);
  CHECK(place_in(ask_to_leave(again, "pi-1")) == 1);
  run.machine.on_open(90);
  net::Hello spare = hello(1);
  spare.device = "spare";
  give(run.machine, 90, spare);
  give(run.machine, 90, net::Join{77});
  for (const ServerAction& action : give(run.machine, 90, net::LabelHist{{2, 2}}))
    if (is<server_action::PlaceTaken>(action))
      CHECK(run.work.carry_out(as<server_action::PlaceTaken>(action), run.machine).ok());
  CHECK(place_in(ask_to_leave(run, "pi-1")) == 1);
  CHECK(run.machine.devices()[1].name == "spare");
  CHECK_FALSE(run.machine.quarantine().has(1));

  const net::Message stranger = ask_to_leave(run, "pi-7");
  REQUIRE(stranger.type == MessageType::error);
  CHECK(net::decode<net::ErrorMessage>(stranger.payload)->text ==
        "device 'pi-7' has no place in this run");
  CHECK(read_quarantine(run.config.out)->devices.size() == 1);
}

TEST_CASE("quarantine: a device that is released may leave once more") {
  Gathering run;
  run.enter(0);
  run.enter(1);
  run.enter(2);
  CHECK(place_in(ask_to_leave(run, "pi-1")) == 1);
  REQUIRE(release_device(run.config.out, "pi-1").ok());
  run.look();
  CHECK_FALSE(run.machine.quarantine().has(1));
  CHECK(place_in(ask_to_leave(run, "pi-1")) == 1);
  CHECK(run.machine.quarantine().is_gone(1));
  CHECK(read_quarantine(run.config.out)->devices.size() == 2);
}

TEST_CASE("quarantine: what cannot be written is not said to have been") {
  Gathering run;
  run.enter(0);
  run.enter(1);
  run.enter(2);
  REQUIRE(create_folders(join_path(run.config.out, quarantine_lock_name)).ok());
  run.machine.on_open(60);
  const auto asked = give(run.machine, 60, net::Leave{"for good", "pi-1"});
  CHECK(run.work.carry_out(as<server_action::Leave>(asked.at(0)), run.machine, run.books).ok());
  ServerAction action;
  bool failed = false;
  while (run.machine.pop(action)) {
    if (is<Send>(action)) CHECK(as<Send>(action).message.type != MessageType::leave_ok);
    if (!is<PutAside>(action)) continue;
    const Result<void> written = run.work.carry_out(as<PutAside>(action), run.machine);
    REQUIRE_FALSE(written.ok());
    run.machine.abort(written.failure());  // as the driver does
    failed = true;
  }
  CHECK(failed);
}

TEST_CASE("quarantine, method cache: who has sent all its samples leaves when it is asked again") {
  for (const bool may_unfreeze : {true, false}) {
    Gathering run;
    run.config.unfreeze_on_plateau = may_unfreeze ? 2 : 0;
    QuarantineWork work(run.config, {});
    REQUIRE(work.open().ok());
    ServerPlan cache = plan();
    cache.order.devices = 3;
    cache.turns = 9;
    cache.offer.description.method = Method::cached;
    cache.offer.description.training.batch = 2;
    cache.cached.assign(3, CachedDevice{"pi", 4});
    ServerMachine alone(cache);
    alone.start();
    drain(alone);
    for (int times = 0; times < 2; ++times) {
      const ConnectionId connection = 70 + static_cast<ConnectionId>(times);
      alone.on_open(connection);
      const auto asked = give(alone, connection, net::Leave{"for good", "pi-1"});
      CHECK(work.carry_out(as<server_action::Leave>(asked.at(0)), alone, run.books).ok());
      const auto told = drain(alone);
      if (may_unfreeze)
        CHECK(sent<net::LeaveOk>(told.at(0)).index == 1);
      else
        CHECK(sent<net::ErrorMessage>(told.at(0)).text ==
              "device 'pi-1' may go: nothing is asked of it any more, and its samples stay in the "
              "run");
      CHECK(is<Close>(told.at(1)));
    }
    const std::vector<std::string> waiting(may_unfreeze ? 1 : 0, "pi-1");
    CHECK(read_quarantine(run.config.out)->leaving == waiting);
  }
}

TEST_CASE("quarantine: a leave that the server has seen, but not carried out, is taken back") {
  Gathering run;
  run.enter(0);
  REQUIRE(let_device_leave(run.config.out, "late").ok());
  CHECK_FALSE(run.look());  // it may still come
  const Result<Released> released = release_device(run.config.out, "late");
  REQUIRE(released.ok());
  CHECK(*released == Released::stays);
  CHECK_FALSE(run.look());
  run.enter(1);
  run.machine.on_open(3);
  net::Hello fields = hello(2);
  fields.device = "late";
  give(run.machine, 3, fields);
  give(run.machine, 3, net::Join{77});
  give(run.machine, 3, net::LabelHist{{2, 2}});
  CHECK(run.machine.phase() == Phase::turns);
  CHECK_FALSE(run.look());
  CHECK(run.machine.quarantine().entries().empty());
  CHECK(release_device(run.config.out, "late").failure().message.find("is not in quarantine") !=
        std::string::npos);
}

}  // namespace quarantine_work_test
