#include "iotsl/net/channel.hpp"

#include "iotsl/net/messages/codec.hpp"

#include <doctest/doctest.h>

using namespace iotsl;
using namespace iotsl::net;

TEST_CASE("channel: addresses") {
  const auto good = parse_address("pi.local:7000");
  REQUIRE(good.ok());
  CHECK(good->host == "pi.local");
  CHECK(good->port == 7000);
  CHECK(parse_address("[::1]:1")->host == "::1");
  for (const char* bad : {"", "host", ":1", "host:", "host:65536", "host:1x", "host:99999999999",
                          "[[::1]]:1", "a]b:1", "[::1:1", "[]:1"}) {
    INFO(bad);
    const auto result = parse_address(bad);
    REQUIRE_FALSE(result.ok());
    CHECK(result.failure().code == ErrorCode::usage);
  }
}

TEST_CASE("channel: bytes pass, are counted, and the end is seen") {
  asio::io_context context;
  auto listener = Listener::open(context, {"127.0.0.1", 0}, false);
  REQUIRE(listener.ok());
  auto client = Channel::connect(context, {"127.0.0.1", listener->port()}, false, second_us);
  REQUIRE(client.ok());
  REQUIRE(net::detail::wait_socket(listener->handle(), POLLIN, second_us));
  auto served = listener->accept();
  REQUIRE(served.ok());
  CHECK_FALSE(served->wait(false, 0));
  std::uint8_t buffer[16];
  CHECK(*served->read_some(buffer) == 0);
  const Bytes hello{1, 2, 3};
  REQUIRE(*client->write_some(hello) == 3);
  REQUIRE(served->wait(false, second_us));
  REQUIRE(*served->read_some(buffer) == 3);
  CHECK(buffer[2] == 3);
  CHECK(served->bytes_in() == 3);
  CHECK(client->bytes_out() == 3);
  client->finish_writing();
  REQUIRE(served->wait(false, second_us));
  CHECK(*served->read_some(buffer) == 0);
  CHECK(served->closed());
  // Back-pressure: a full socket takes nothing more and does not block.
  const Bytes lump(1 << 20);
  std::size_t put = 1;
  for (int i = 0; i < 64 && put != 0; ++i) put = *served->write_some(lump);
  CHECK(put == 0);
}

TEST_CASE("channel: off loopback only with consent") {
  asio::io_context context;
  const auto refused = Channel::connect(context, {"192.0.2.1", 9}, false, second_us);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().code == ErrorCode::usage);
  CHECK(refused.failure().message.find("--insecure") != std::string::npos);
  CHECK_FALSE(Listener::open(context, {"0.0.0.0", 0}, false).ok());
  CHECK(Listener::open(context, {"0.0.0.0", 0}, true).ok());
}

TEST_CASE("channel: connecting again has full jitter and an end") {
  ConnectOptions options;
  Microseconds limit = options.first_delay;
  bool differs = false;
  for (std::uint32_t attempt = 1; attempt < 12; ++attempt) {
    options.jitter_seed = 1;
    const Microseconds one = retry_delay(options, attempt);
    options.jitter_seed = 2;
    differs = differs || one != retry_delay(options, attempt);
    CHECK(one >= 0);
    CHECK(one <= std::min(limit, options.longest_delay));
    limit = std::min(limit * 2, options.longest_delay);
  }
  CHECK(differs);

  asio::io_context context;
  std::uint16_t free_port = 0;
  {
    auto listener = Listener::open(context, {"127.0.0.1", 0}, false);
    REQUIRE(listener.ok());
    free_port = listener->port();
  }
  options.first_delay = 1000;
  options.longest_delay = 2000;
  options.total_limit = 10000;
  const auto nobody = connect_patiently(context, {"127.0.0.1", free_port}, options);
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.failure().code == ErrorCode::network);
  CHECK(nobody.failure().message.find("tried") != std::string::npos);
}
