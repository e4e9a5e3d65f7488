// That the checker of traces finds what is wrong: a run's own trace, with one thing changed.

#include "split/runs/fragile_run.hpp"

namespace trace_check_test {

using namespace fragile;

namespace {

struct Event {
  Seen seen;
  std::size_t device;
  std::optional<net::Message> message;
};

/// The trace of a run of two devices, and how many steps it has.
struct Trace {
  tiny::TwoDevices data;
  std::vector<Event> events;
  std::uint64_t steps = 0;
  Trace() {
    RunConfig config = tiny::config();
    config.training.epochs = 2;
    config.training.local_epochs = 1;
    const TemporaryFolder folder;
    config.out = folder / "run";
    FragileRun run(config, data.train, data.test, data.samples);
    run.set_observer([this](Seen seen, std::size_t device, const net::Message* message) {
      events.push_back({seen, device,
                        message == nullptr ? std::nullopt : std::optional<net::Message>(*message)});
    });
    const auto summary = run.run(Fault::none, 0);
    REQUIRE(summary.ok());
    for (const auto& each : summary->epochs) steps += each.steps;
  }
  /// What is found after `change` of the message number `nth` of a type, in the direction `seen`.
  template <class M, class Change>
  std::string found(Seen seen, std::size_t nth, const Change& change) const {
    TraceCheck check("", &data.train);
    std::size_t count = 0;
    for (const Event& each : events) {
      const net::Message* message = each.message ? &*each.message : nullptr;
      net::Message changed;
      if (message != nullptr && each.seen == seen && message->type == M::type && count++ == nth) {
        auto fields = net::decode<M>(message->payload).value();
        if (!change(fields)) continue;  // it is not there
        changed = *message;
        changed.payload = net::encode(fields);
        message = &changed;
      }
      check.see(each.seen, each.device, message);
    }
    check.end(steps);
    CHECK(count > nth);
    return check.text();
  }
};

}  // namespace

TEST_CASE("trace check: a good trace has no breach, and each change of it is found") {
  const Trace trace;
  const auto same = [](auto&) { return true; };
  const auto gone = [](auto&) { return false; };
  const auto has = [](const std::string& text, int invariant) {
    return text.find(concat("invariant ", invariant, ":")) != std::string::npos;
  };
  CHECK(trace.found<net::Grad>(Seen::server_sends, 0, same).empty());
  CHECK(has(trace.found<net::Grad>(Seen::server_sends, 1, gone), 1));
  CHECK(has(trace.found<net::Step>(Seen::server_gets, 1, gone), 1));
  CHECK(has(trace.found<net::BarrierCommitted>(Seen::server_sends, 1, gone), 1));
  CHECK(has(trace.found<net::TurnGrant>(Seen::server_sends, 1, gone), 2));
  CHECK(has(trace.found<net::Grad>(Seen::server_sends, 2,
                                   [](net::Grad& grad) { return ++grad.key.fence != 0; }),
            2));
  CHECK(has(trace.found<net::TurnGrant>(Seen::server_sends, 1,
                                        [](net::TurnGrant& grant) {
                                          grant.key.fence = 1;
                                          return true;
                                        }),
            5));
  CHECK(has(trace.found<net::TurnGrant>(Seen::server_sends, 1,
                                        [](net::TurnGrant& grant) {
                                          grant.first_step = 0;
                                          return true;
                                        }),
            7));
  CHECK(has(trace.found<net::BarrierAck>(Seen::server_gets, 0, gone), 7));
  std::vector<std::uint8_t> values;
  const auto spoil = [&](net::FrontState& front, float value) {
    ByteSpan& first = front.tensors[0].values;
    values.assign(first.begin(), first.end());
    std::memcpy(values.data(), &value, sizeof value);
    first = ByteSpan(values);
    return true;
  };
  CHECK(has(
      trace.found<net::TurnGrant>(
          Seen::server_sends, 1, [&](net::TurnGrant& grant) { return spoil(grant.front, 0.125F); }),
      8));
  CHECK(has(trace.found<net::BarrierAck>(Seen::server_gets, 0,
                                         [&](net::BarrierAck& ack) {
                                           return spoil(ack.front,
                                                        std::numeric_limits<float>::quiet_NaN());
                                         }),
            12));
  CHECK(has(trace.found<net::Step>(Seen::server_gets, 0,
                                   [&](net::Step& step) {
                                     step.smashed = ByteSpan(trace.data.train.pixels);
                                     return true;
                                   }),
            14));
}

}  // namespace trace_check_test
