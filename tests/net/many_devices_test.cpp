// Thousands of devices that are connected and have nothing to do: what they cost the server, and
// the one that works. $IOTSL_IDLE_DEVICES says how many; the campaign asks for 2,000.

#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/wait.h>

#include <cstdlib>

#include "iotsl/core/files/file.hpp"
#include "iotsl/net/channel_enroll.hpp"
#include "iotsl/net/hub/hub.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"

#if IOTSL_TLS

using namespace iotsl;
using namespace iotsl::net;

namespace many_devices_test {

namespace {

constexpr std::size_t step_bytes = 200'000;
constexpr int steps = 40;

/// What the process of the devices tells that of the server.
struct Told {
  enum class What : int { active_alone, idle_here, active_among_idle, failed } what;
  Microseconds step = 0;  ///< median
};

Message step_of(MessageType type) {
  Message out;
  out.type = type;
  out.payload.resize(step_bytes);
  out.form.shape = {1, step_bytes / 4};
  return out;
}

struct Device {
  ChannelStream stream;
  Link link;

  Device(asio::io_context& context, std::uint16_t port, const DeviceCredentials& own)
      : stream(Channel::connect(context, {"127.0.0.1", port}, false, 5 * second_us).value(),
               TlsSession::client(own.context(), own.server_pins()).value()),
        link({}, steady_now()) {
    link.set_transfer_limit(MessageType::grad, step_bytes);
  }
  /// The next message, or an empty one after ten seconds.
  Message exchange(StreamBuffers& buffers, Message message) {
    link.send(std::move(message));
    Message answer;
    for (const Microseconds end = steady_now() + 10 * second_us;
         !link.pop(answer) && steady_now() < end;) {
      const auto put =
          stream.write(buffers, [&](Bytes& out) { link.produce(out, 1 << 16, steady_now()); });
      if (!put) return {};
      stream.channel().wait(stream.is_unsent() || (stream.ready() && link.wants_to_send()),
                            second_us / 10);
      const auto arrived = stream.read(buffers);
      if (!arrived || !link.receive(arrived->plain, steady_now())) return {};
    }
    return answer;
  }
  bool join(StreamBuffers& buffers) {
    return exchange(buffers, make_message(Hello{})).type == MessageType::join_ok;
  }
};

/// Steps one after the other.
std::optional<Microseconds> time_steps(Device& device, StreamBuffers& buffers) {
  std::vector<Microseconds> times;
  for (int i = 0; i < steps; ++i) {
    const Microseconds begin = steady_now();
    if (device.exchange(buffers, step_of(MessageType::step)).type != MessageType::grad) return {};
    times.push_back(steady_now() - begin);
  }
  std::nth_element(times.begin(), times.begin() + steps / 2, times.end());
  return times[steps / 2];
}

void run_devices(std::uint16_t port, const std::string& identity, std::size_t idle, int tell,
                 int go_on) {
  const auto say = [&](Told told) {
    [[maybe_unused]] const ssize_t put = ::write(tell, &told, sizeof told);
  };
  asio::io_context context;
  const auto own = DeviceCredentials::open(identity);
  StreamBuffers buffers(1 << 18);
  Device active(context, port, *own);
  const bool joined = active.join(buffers);
  const auto alone = joined ? time_steps(active, buffers) : std::nullopt;
  if (!alone) return say({Told::What::failed});
  say({Told::What::active_alone, *alone});
  char byte = 0;
  if (::read(go_on, &byte, 1) != 1) return;
  std::vector<std::unique_ptr<Device>> others;
  for (std::size_t i = 0; i < idle; ++i) {
    others.push_back(std::make_unique<Device>(context, port, *own));
    if (!others.back()->join(buffers)) return say({Told::What::failed});
  }
  say({Told::What::idle_here});
  if (::read(go_on, &byte, 1) != 1) return;
  const auto among = time_steps(active, buffers);
  if (!among) return say({Told::What::failed});
  say({Told::What::active_among_idle, *among});
}

/// What this process has computed so far: unlike the time that passes it does not depend on what
/// else the machine does.
Microseconds processor_time() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return Microseconds{time.tv_sec} * second_us + time.tv_nsec / 1000;
}

/// Of this process. What is resident can be memory that earlier work has left, so that only the
/// bytes in use say what the devices take in a process that has done something before.
struct Memory {
  double in_use = 0, resident = 0;
  static Memory now() {
    const struct mallinfo2 heap = ::mallinfo2();
    const std::string text = read_text_file("/proc/self/status").value();
    return {static_cast<double>(heap.uordblks + heap.hblkhd),
            1024 * std::strtod(text.c_str() + text.find("VmRSS:") + 6, nullptr)};
  }
};

}  // namespace

TEST_CASE("hub: idle devices cost memory, little of it, and no time") {
  const char* const wanted = std::getenv("IOTSL_IDLE_DEVICES");
  const std::size_t idle = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 100;
  if (!ensure_handles(idle)) {
    SKIP_TEST("the system allows too few open files");
    return;
  }
  const TemporaryFolder folder;
  ServerCredentials credentials = ServerCredentials::open(folder / "server").value();
  HubOptions options;
  options.address = {"127.0.0.1", 0};
  options.credentials = &credentials;
  options.link.dead_limit = 300 * second_us;  // these devices do not answer PING
  const auto hub = Hub::start(options, [](Link& link) {
                     link.set_transfer_limit(MessageType::step, step_bytes);
                   }).value();
  const EnrollSecret secret = new_enroll_secret().value();
  REQUIRE(ServerCredentials::open(folder / "server")
              ->change([&](AllowList& list) { return list.add("pi", secret); })
              .ok());
  REQUIRE(
      enroll_device(folder / "pi", {{"127.0.0.1", hub->port()}, credentials.pin(), secret}, {}));

  int told[2], go_on[2];
  REQUIRE(::pipe(told) == 0);
  REQUIRE(::pipe(go_on) == 0);
  const pid_t devices = ::fork();
  REQUIRE(devices >= 0);
  if (devices == 0) {
    ::signal(SIGPIPE, SIG_IGN);
    run_devices(hub->port(), folder / "pi", idle, told[1], go_on[0]);
    ::_exit(0);
  }
  Memory before, after;
  Microseconds begin = processor_time(), cost_alone = 0, cost_among = 0;
  Microseconds alone = 0, among = 0;
  const auto serve = [&](Microseconds span) {
    const Microseconds end = steady_now() + span;
    for (Microseconds left = span; left > 0; left = end - steady_now()) {
      const HubEvent event = hub->wait(std::min(left, second_us / 100));
      if (event.message.type == MessageType::hello)
        hub->send(event.connection, make_message(JoinOk{}));
      if (event.message.type == MessageType::step)
        hub->send(event.connection, step_of(MessageType::grad));
      pollfd item{told[0], POLLIN, 0};
      if (::poll(&item, 1, 0) > 0) return true;
    }
    return false;
  };
  Told news{};
  do {
    REQUIRE(serve(120 * second_us));
    REQUIRE(::read(told[0], &news, sizeof news) == sizeof news);
    const Microseconds cost = (processor_time() - begin) / steps;
    if (news.what == Told::What::active_alone) cost_alone = cost;
    if (news.what == Told::What::active_among_idle) cost_among = cost, among = news.step;
    if (news.what == Told::What::active_alone || news.what == Told::What::idle_here) {
      serve(second_us);  // what larger messages took is given back
      (news.what == Told::What::idle_here ? after : before) = Memory::now();
      if (news.what == Told::What::active_alone) alone = news.step;
      begin = processor_time();
      CHECK(::write(go_on[1], "x", 1) == 1);
    }
  } while (news.what != Told::What::active_among_idle && news.what != Told::What::failed);
  CHECK(news.what == Told::What::active_among_idle);
  ::waitpid(devices, nullptr, 0);
  for (const int handle : {told[0], told[1], go_on[0], go_on[1]}) ::close(handle);
  const auto each = [&](double Memory::*what) {
    return (after.*what - before.*what) / static_cast<double>(idle);
  };
  const auto number = [](Microseconds time) { return static_cast<long long>(time); };
  std::printf(
      "idle devices %zu, bytes of each %.0f in use, %.0f resident, step alone %lld us, among them "
      "%lld us, of which the server computes %lld us and %lld us\n",
      idle, each(&Memory::in_use), each(&Memory::resident), number(alone), number(among),
      number(cost_alone), number(cost_among));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(each(&Memory::in_use) > 1 << 10);
  CHECK(each(&Memory::in_use) < 64 << 10);
  CHECK(each(&Memory::resident) < 64 << 10);
#endif
  CHECK(cost_among < 2 * cost_alone);
}

}  // namespace many_devices_test

#endif
