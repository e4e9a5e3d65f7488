#include "iotsl/net/link/emulated_line.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "iotsl/net/hub/hub.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace emulated_line_test {

namespace {

std::string refusal(const char* text) {
  const auto speed = parse_link_speed(text);
  return speed ? "" : speed.failure().message;
}

/// The time at which `line` has given all that it holds, looked at every `interval`.
Microseconds time_of_last(EmulatedLine& line, std::size_t expected, Microseconds interval) {
  Bytes out;
  Microseconds now = 0;
  for (; out.size() < expected; now += interval) line.take(out, now);
  CHECK(line.empty());
  return now - interval;
}

}  // namespace

TEST_CASE("link speed: rates and round trips in their units") {
  const auto parsed = [](const char* text) { return parse_link_speed(text).value(); };
  CHECK(parsed("50mbit,20ms") == LinkSpeed{50'000'000, 20'000});
  CHECK(parsed("256kbit") == LinkSpeed{256'000, 0});
  CHECK(parsed("1gbit,500us") == LinkSpeed{1'000'000'000, 500});
  CHECK(parsed("2.5mbit,0.5ms") == LinkSpeed{2'500'000, 500});
  for (const char* text : {"50mbit,20ms", "256kbit", "1gbit,500us", "2500kbit",
                           "1234.567kbit,999999us", "10888888.889kbit", "200.001kbit"})
    CHECK(to_string(parsed(text)) == text);
  CHECK(parsed("10mbit").seconds(1'250'000) == doctest::Approx(1));
}

TEST_CASE("link speed: what is wrong is said with what was given") {
  for (const char* text : {"", "50", "50mbits", "mbit", "50mbit,", "50mbit,20", "50mbit,20s",
                           "50mbit 20ms", "20ms,50mbit", "-5mbit", "5mbit,-1ms", "nanmbit"}) {
    INFO(concat(text, ": ", refusal(text)));
    CHECK(refusal(text).find(concat("link '", text, "': expected a rate")) == 0);
  }
  CHECK(refusal("100kbit") == "link '100kbit': the rate must be from 200kbit to 100gbit");
  CHECK(refusal("1e9gbit").find("to 100gbit") != std::string::npos);
  CHECK(refusal("5mbit,1001ms") == "link '5mbit,1001ms': the round trip must be at most 1000ms");
}

TEST_CASE("emulated line: bytes take their time one after the other, then half a round trip") {
  const LinkSpeed speed = parse_link_speed("8mbit,10ms").value();  // a byte each microsecond
  EmulatedLine line(speed);
  CHECK(line.next_arrival() == for_ever);
  line.push(Bytes(20'000, 1), 0);
  line.push(Bytes(10'000, 2), 15'000);  // behind the first
  CHECK(line.held_bytes() == 30'000);
  CHECK(line.next_arrival() == 1'500 + 5'000);
  Bytes out;
  line.take(out, 10'000 + 5'000);
  CHECK(out.size() >= 10'000 - 1'500);
  CHECK(out.size() <= 10'000);
  line.take(out, 30'000 + 5'000 - 1);
  CHECK(out.size() < 30'000);
  line.take(out, 30'000 + 5'000);
  CHECK(out.size() == 30'000);
  CHECK(std::count(out.begin(), out.begin() + 20'000, 1) == 20'000);
  CHECK(line.empty());
  // A line that was idle is no faster for it.
  line.push(Bytes(1'000, 3), 100'000);
  CHECK(line.next_arrival() == 101'000 + 5'000);
}

TEST_CASE("emulated line: late looks do not add up, and a fast line wakes nobody too often") {
  const LinkSpeed speed = parse_link_speed("800mbit").value();  // 100 bytes each microsecond
  for (const Microseconds interval : {7, 3'000}) {
    EmulatedLine line(speed);
    for (int i = 0; i < 10; ++i) line.push(Bytes(200'000, 0), i * 1'000);
    const Microseconds end = time_of_last(line, 2'000'000, interval);
    CHECK(end >= 20'000);
    CHECK(end < 20'000 + interval);
  }
  EmulatedLine line(speed);
  line.push(Bytes(2'000'000, 0), 0);
  int arrivals = 0;
  for (Bytes out; !line.empty(); ++arrivals) line.take(out, line.next_arrival());
  CHECK(arrivals == 20);
}

TEST_CASE("emulated line: it takes bytes only a little ahead") {
  EmulatedLine line(parse_link_speed("8mbit").value());
  CHECK(line.accepts(0));
  line.push(Bytes(50'000, 0), 0);
  CHECK_FALSE(line.accepts(0));
  CHECK(line.accepts_from() == 40'000);
  CHECK(line.accepts(40'000));
}

TEST_CASE("hub: an emulated network has its rate and round trip in both directions") {
  const LinkSpeed speed = parse_link_speed("16mbit,60ms").value();
  HubOptions options;
  options.address = {"127.0.0.1", 0};
  options.emulated = speed;
  auto started =
      Hub::start(options, [](Link& link) { link.set_transfer_limit(MessageType::step, 1 << 20); });
  REQUIRE(started.ok());
  Hub& hub = **started;

  // The other side echoes: a small message at once, a large one as it is.
  std::vector<float> values(100'000, 0.5F);  // 0.2 s each way
  Step step;
  step.labels = {1};
  step.smashed = bytes_of(values.data(), values.size());
  const Message large = make_message(step, {{1, 100'000}});
  struct Times {
    double round_trip = 0, both_ways = 0;
  } times;
  Traffic counted;
  std::thread device([&] {
    asio::io_context context;
    Channel channel =
        Channel::connect(context, {"127.0.0.1", hub.port()}, false, second_us).value();
    Link link(LinkOptions{}, steady_now());
    link.set_transfer_limit(MessageType::step, 1 << 20);
    const auto exchange = [&](Message message) {
      link.send(std::move(message));
      Bytes out, in(1 << 16);
      std::size_t sent = 0;
      Message answer;
      const Microseconds start = steady_now();
      while (!link.pop(answer)) {
        if (sent == out.size()) {
          out.clear();
          sent = 0;
          link.produce(out, 1 << 16, steady_now());
        }
        if (sent < out.size()) sent += channel.write_some(ByteSpan(out).subspan(sent)).value();
        channel.wait(sent < out.size() || link.wants_to_send(), second_us / 10);
        const std::size_t got = channel.read_some(in).value();
        const auto taken = link.receive(ByteSpan(in).first(got), steady_now());
        if (!taken || channel.closed()) return -1.0;
      }
      return to_seconds(steady_now() - start);
    };
    times.round_trip = exchange(make_message(Hello{}));
    exchange(make_message(Join{}));
    times.both_ways = exchange(large);
    // Nothing is faster than the line; a busy machine may be slower now and then.
    for (int i = 0; i < 2; ++i) {
      times.round_trip = std::min(times.round_trip, exchange(make_message(TurnDone{})));
      times.both_ways = std::min(times.both_ways, exchange(large));
    }
    counted = link.traffic_out();
  });
  HelloOk offer;
  offer.heartbeat_ms = 10'000;
  offer.dead_ms = 25'000;
  int handled = 0;
  while (handled < 7) {
    HubEvent event = hub.wait(10 * second_us);
    REQUIRE(event.kind != HubEvent::Kind::none);
    if (event.kind != HubEvent::Kind::message) continue;
    ++handled;
    if (event.message.type == MessageType::hello) event.message = make_message(offer);
    if (event.message.type == MessageType::join) event.message = make_message(JoinOk{});
    hub.send(event.connection, std::move(event.message));
  }
  device.join();
  hub.stop();
  const double least = 2 * speed.seconds(4 * 100'000) + 0.06;
  MESSAGE("round trip ", 1e3 * times.round_trip, " ms, 400 kB both ways ", 1e3 * times.both_ways,
          " ms, at least ", 1e3 * least);
  CHECK(times.round_trip >= 0.06);
  CHECK(times.both_ways >= least);
  // Sanitizers slow down the processes, not the line, and their tests run beside others.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(times.round_trip < 0.16);
  CHECK(times.both_ways < 1.25 * least);
#endif
  CHECK(hub.total_in() == counted);
  CHECK(hub.total_in().total_bytes() == hub.socket_bytes_in());
  CHECK(hub.total_out().total_bytes() == hub.socket_bytes_out());
}

TEST_CASE("hub: what is on an emulated line reaches the hub when its sender has gone") {
  HubOptions options;
  options.address = {"127.0.0.1", 0};
  options.emulated = parse_link_speed("1mbit,200ms").value();
  auto started = Hub::start(options, [](Link&) {});
  REQUIRE(started.ok());
  Hub& hub = **started;
  {
    asio::io_context context;
    Channel channel =
        Channel::connect(context, {"127.0.0.1", hub.port()}, false, second_us).value();
    Bytes out;
    FrameWriter().write(out, MessageType::hello, 0, encode(Hello{}));
    REQUIRE(channel.write_some(out).value() == out.size());
  }
  const Microseconds start = steady_now();
  CHECK(hub.wait(10 * second_us).kind == HubEvent::Kind::opened);
  CHECK(hub.wait(10 * second_us).message.type == MessageType::hello);
  CHECK(steady_now() - start >= 90'000);
  CHECK(hub.wait(10 * second_us).kind == HubEvent::Kind::lost);
  // With an answer that can go nowhere: the counted bytes are those that were handed over.
  hub.stop();
  CHECK(hub.total_out().total_bytes() == hub.socket_bytes_out());
}

}  // namespace emulated_line_test
