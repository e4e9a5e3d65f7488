#pragma once
// The server's network thread: accepts connections, keeps their links alive, and hands complete
// messages to the compute thread. A long computation therefore never looks like a dead server.
// Devices are served first; who has not said HELLO waits in the lobby, and has a share of the time.

#include <memory>
#include <thread>

#include "iotsl/net/hub/peers.hpp"
#include "iotsl/net/hub/time_share.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Several connections, served by one thread of its own.
class Hub {
 public:
  /// `prepare` sets up the link of a new connection, such as its transfer limits.
  template <class Prepare>
  static Result<std::unique_ptr<Hub>> start(const HubOptions& options, const Prepare& prepare) {
    LinkOptions limits = options.link;
    limits.server = true;
    Link prototype(limits);
    prepare(prototype);
    auto context = std::make_unique<asio::io_context>();
    Result<Listener> listener = Listener::open(*context, options.address,
                                               options.insecure || options.credentials != nullptr);
    if (!listener) return listener.failure();
    Result<Poller> devices = Poller::make(), strangers = Poller::make();
    if (!devices) return devices.failure();
    if (!strangers) return strangers.failure();
    std::unique_ptr<Hub> hub(new Hub(options, std::move(context), std::move(*listener),
                                     std::move(*devices), std::move(*strangers),
                                     std::move(prototype)));
    const Result<void> opened = hub->mailbox_.open();
    if (!opened) return opened.failure();
    hub->thread_ = std::thread([raw = hub.get()] { raw->run(); });
    return hub;
  }
  ~Hub() { stop(); }
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  std::uint16_t port() const { return port_; }

  /// The next event; kind `none` after `limit`.
  HubEvent wait(Microseconds limit) { return mailbox_.wait(limit); }
  /// Queues a message; waits while more than `max_queued` bytes of the connection are unsent.
  void send(std::uint64_t connection, Message message) {
    mailbox_.send(connection, std::move(message));
  }
  /// Queues the last message of the connection, behind which it is closed.
  void send_last(std::uint64_t connection, Message message) {
    mailbox_.send_last(connection, std::move(message));
  }
  /// Closes when everything queued has been sent.
  void close(std::uint64_t connection) { mailbox_.close(connection); }

  /// Flushes and closes all connections and ends the thread; the traffic of the hub's whole life,
  /// and the bytes of its sockets, hold afterwards. What a lost connection had yet to send counts
  /// as sent in both.
  void stop() {
    mailbox_.stop();
    if (thread_.joinable()) thread_.join();
  }
  const Traffic& total_in() const { return peers_.total_in(); }
  const Traffic& total_out() const { return peers_.total_out(); }
  /// In plain text the same as the traffic; with TLS the handshakes and 22 bytes for each record of
  /// up to 16 KiB come to it.
  std::uint64_t socket_bytes_in() const { return peers_.socket_bytes_in(); }
  std::uint64_t socket_bytes_out() const { return peers_.socket_bytes_out(); }

 private:
  static constexpr std::size_t strangers_per_turn = 32, accepts_per_turn = 16;
  static constexpr Microseconds sessions_turn = 1000;  ///< computing time

  Hub(const HubOptions& options, std::unique_ptr<asio::io_context> context, Listener listener,
      Poller devices, Poller strangers, Link prototype)
      : options_(options),
        context_(std::move(context)),
        listener_(std::move(listener)),
        port_(listener_.port()),
        mailbox_(options.max_queued, patience_of(options.link)),
        peers_(options, mailbox_, std::move(prototype), std::move(devices), std::move(strangers)),
        door_(options.strangers.time_share / 2, options.strangers.time_ahead / 2),
        sessions_(door_) {}

  static HubMailbox::Patience patience_of(const LinkOptions& link) {
    const Microseconds seconds = link.dead_limit / second_us;
    return {link.slow_bytes_per_second * static_cast<std::size_t>(seconds), link.dead_limit};
  }

  void run() {
    for (;;) {
      take_orders(steady_now());
      if (stopping_ && peers_.empty()) return;
      turn();
    }
  }

  void take_orders(Microseconds now) {
    HubMailbox::Orders orders = mailbox_.take_orders();
    for (HubMailbox::Command& command : orders.commands) {
      using enum HubMailbox::Command::Kind;
      switch (command.kind) {
        case send:
          peers_.send(command.connection, std::move(command.message));
          break;
        case close:
          peers_.close(command.connection, now);
          break;
        case cut:
          peers_.cut(command.connection);
          break;
      }
    }
    for (const HubMailbox::Command& command : orders.commands)
      peers_.serve(command.connection, 0, now);
    for (const std::uint64_t id : orders.read_again) peers_.serve(id, 0, now);
    if (orders.stopping && !stopping_) peers_.close_all(now);
    stopping_ = orders.stopping;
  }

  /// Devices, then strangers within their share, then what time brings.
  void turn() {
    Microseconds now = steady_now();
    door_.grow(now);
    sessions_.grow(now);
    const bool is_open = !stopping_ && door_.has_some();
    const bool accepts = is_open && now >= accept_again_;
    // poll passes over -1.
    pollfd items[] = {{mailbox_.wake_handle(), POLLIN, 0},
                      {peers_.devices().handle(), POLLIN, 0},
                      {is_open ? peers_.strangers().handle() : -1, POLLIN, 0},
                      {accepts ? listener_.handle() : -1, POLLIN, 0}};
    detail::wait_sockets(items, wake_at(now) - now);
    now = steady_now();
    const bool all_served = serve_devices(now);
    if (options_.emulated) peers_.serve_all(now);
    if (is_open) serve_strangers(items[3].revents != 0, items[2].revents != 0, now);
    if (!stopping_ && sessions_.has_some()) begin_sessions(now);
    // What has arrived is read before anybody's silence is judged, unless there is no end of it.
    if (now < look_again_ || (!all_served && now < look_again_ + second_us)) return;
    look_again_ = now + tick_interval;
    peers_.look_at_all(now);
  }
  Microseconds wake_at(Microseconds now) {
    Microseconds at = look_again_;
    if (options_.emulated) at = std::min(at, peers_.next_arrival(now));
    if (stopping_) return at;
    if (!door_.has_some()) at = std::min(at, now + door_.wait());
    const Lobby& lobby = peers_.lobby();
    if (lobby.can_begin()) at = std::min(at, now + sessions_.wait());
    if (lobby.is_crowded()) at = std::min(at, now + options_.strangers.session_grace / 8);
    return at;
  }

  /// False where more of them may be ready.
  bool serve_devices(Microseconds now) {
    const auto ready = peers_.devices().take(Poller::most_at_once);
    for (const Poller::Ready& each : ready) peers_.serve(each.id, each.events, now);
    return ready.size() < Poller::most_at_once;
  }
  void serve_strangers(bool some_new, bool some_ready, Microseconds now) {
    const Microseconds begin = thread_time();
    for (std::size_t i = 0; some_new && i < accepts_per_turn; ++i) some_new = accept(now);
    if (some_ready)
      for (const Poller::Ready& each : peers_.strangers().take(strangers_per_turn))
        peers_.serve(each.id, each.events, now);
    door_.spend(thread_time() - begin);
  }
  void begin_sessions(Microseconds now) {
    if (!peers_.lobby().is_asked()) return;
    const Microseconds begin = thread_time();
    while (thread_time() - begin < sessions_turn && peers_.begin_session(now)) {
    }
    sessions_.spend(thread_time() - begin);
  }

  /// False where nobody more is to be let in now.
  bool accept(Microseconds now) {
    Result<Channel> channel = listener_.accept();
    if (!channel) return on_refused(channel.failure(), now);
    // The last handles are for files.
    const HandleLimits limits = handle_limits();
    const auto handle = static_cast<std::uint64_t>(channel->handle());
    if (handle + file_handles >= limits.soft && !peers_.dismiss_oldest())
      return on_refused(
          failure(ErrorCode::other, "no handle is left for ", channel->peer(),
                  ": all connections are of devices (limit ", limits.soft, ", ulimit -n)"),
          now);
    peers_.enter(std::move(*channel), now);
    return true;
  }
  /// Without a handle or memory a stranger goes; where none is here, who waits goes on waiting:
  /// looking at it all the time would help nobody.
  bool on_refused(const Failure& why, Microseconds now) {
    if (why.code == ErrorCode::network) return false;  // it has gone again, or nobody is there
    if (peers_.dismiss_oldest()) return true;
    accept_again_ = now + second_us;
    peers_.tell_refused(why, now);
    return false;
  }

  // Of the network thread, but for the mailbox.
  HubOptions options_;
  std::unique_ptr<asio::io_context> context_;
  Listener listener_;
  std::uint16_t port_;
  HubMailbox mailbox_;
  HubPeers peers_;
  TimeShare door_, sessions_;
  Microseconds look_again_ = 0;
  Microseconds accept_again_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace net
IOTSL_NAMESPACE_END
