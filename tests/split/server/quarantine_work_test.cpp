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
  RunConfig config = [this] {
    RunConfig out = tiny::config();
    out.devices = 3;
    out.out = folder / "run";
    out.resume = true;
    return out;
  }();
  RunRecorder books{config, {}, test};
  QuarantineWork work{config, {}};
  ServerMachine machine{[] {
    ServerPlan out = plan();
    out.order.devices = 3;
    out.turns = 9;
    out.keeps_barriers = true;
    return out;
  }()};
  net::Microseconds now = 0;

  Gathering() {
    REQUIRE(create_folders(config.out).ok());
    REQUIRE(work.open().ok());
    REQUIRE(books.keep_places({"pi-0", "pi-1", "pi-2"}).ok());
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
