#pragma once
// The server's network thread: accepts connections, keeps their links alive, and hands complete
// messages to the compute thread. A long computation therefore never looks like a dead server.

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "iotsl/net/channel_hub_keys.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

struct HubOptions {
  Address address;
  bool insecure = false;  ///< plain text off loopback, too
  /// With them every connection is TLS, and only keys on their list get in. Of the hub's thread
  /// from its start to its end.
  ServerCredentials* credentials = nullptr;
  std::size_t max_unjoined = 64;             ///< connections that have not joined: handshakes, too
  std::size_t max_queued = 8 << 20;          ///< bytes that wait to be sent on one connection
  std::size_t max_pending_messages = 2;      ///< received on one connection and not yet handled
  Microseconds close_limit = 5 * second_us;  ///< for the last bytes of a connection
  LinkOptions link = {};                     ///< time limits of the connections
  /// Every connection is made as slow as one over such a network, if its own is faster.
  std::optional<LinkSpeed> emulated = {};
};

/// What happened on a connection. `refused`: one that waits cannot be accepted, it has no number.
/// `note`: of the keys, for the user, in `why`. A connection that never showed a key of the list
/// may be `lost` without having been `opened`.
struct HubEvent {
  enum class Kind { none, opened, message, lost, refused, note };
  Kind kind = Kind::none;
  std::uint64_t connection = 0;
  std::string device;  ///< of `opened`: whose key was shown; empty in plain text
  Message message;
  Failure why;
  Traffic in, out;  ///< counted up to this event
};

/// Several connections, served by one thread of its own.
class Hub {
 public:
  /// `prepare` sets up the link of a new connection, such as its transfer limits.
  template <class Prepare>
  static Result<std::unique_ptr<Hub>> start(const HubOptions& options, const Prepare& prepare) {
    auto context = std::make_unique<asio::io_context>();
    Result<Listener> listener = Listener::open(*context, options.address,
                                               options.insecure || options.credentials != nullptr);
    if (!listener) return listener.failure();
    int wake[2];
    if (::pipe(wake) != 0) return failure(ErrorCode::network, "cannot make a pipe: errno ", errno);
    std::unique_ptr<Hub> hub(
        new Hub(options, std::move(context), std::move(listener).value(), wake[0], wake[1]));
    LinkOptions limits = options.link;
    limits.server = true;
    Link prototype(limits);
    prepare(prototype);
    hub->prototype_ = std::make_unique<Link>(std::move(prototype));
    hub->thread_ = std::thread([raw = hub.get()] { raw->run(); });
    return hub;
  }
  ~Hub() {
    stop();
    ::close(wake_read_);
    ::close(wake_write_);
  }
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  std::uint16_t port() const { return port_; }

  /// The next event; kind `none` after `limit`.
  HubEvent wait(Microseconds limit) {
    std::unique_lock lock(mutex_);
    event_ready_.wait_for(lock, std::chrono::microseconds(limit), [&] { return !events_.empty(); });
    if (events_.empty()) return {};
    HubEvent event = std::move(events_.front());
    events_.pop_front();
    if (event.kind == HubEvent::Kind::message) {
      const auto at = pending_.find(event.connection);
      if (at != pending_.end()) --at->second;
      lock.unlock();
      wake();  // the connection may be read again
    }
    return event;
  }

  /// Queues a message; waits while more than `max_queued` bytes of the connection are unsent.
  void send(std::uint64_t connection, Message message) {
    std::unique_lock lock(mutex_);
    queue_drained_.wait(lock, [&] {
      const auto at = queued_.find(connection);
      return stopping_ || at == queued_.end() || at->second < options_.max_queued;
    });
    const auto at = queued_.find(connection);
    if (at == queued_.end()) return;  // lost in the meantime; the event is on its way
    at->second += message.payload.size();
    commands_.push_back({connection, std::move(message), false});
    lock.unlock();
    wake();
  }
  /// Closes when everything queued has been sent.
  void close(std::uint64_t connection) {
    {
      const std::lock_guard lock(mutex_);
      commands_.push_back({connection, {}, true});
    }
    wake();
  }

  /// Flushes and closes all connections and ends the thread; the traffic of the hub's whole life,
  /// and the bytes of its sockets, hold afterwards. What a lost connection had yet to send counts
  /// as sent in both.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    queue_drained_.notify_all();
    wake();
    if (thread_.joinable()) thread_.join();
  }
  const Traffic& total_in() const { return total_in_; }
  const Traffic& total_out() const { return total_out_; }
  /// In plain text the same as the traffic; with TLS the handshakes and 22 bytes for each record of
  /// up to 16 KiB come to it.
  std::uint64_t socket_bytes_in() const { return socket_in_; }
  std::uint64_t socket_bytes_out() const { return socket_out_; }

 private:
  struct Command {
    std::uint64_t connection;
    Message message;
    bool close;
  };

  Hub(const HubOptions& options, std::unique_ptr<asio::io_context> context, Listener listener,
      int wake_read, int wake_write)
      : options_(options),
        keys_(options.credentials),
        context_(std::move(context)),
        listener_(std::move(listener)),
        wake_read_(wake_read),
        wake_write_(wake_write),
        port_(listener_.port()) {}

  void wake() {
    const char byte = 0;
    // A full pipe already wakes the thread.
    [[maybe_unused]] const ssize_t ignored = ::write(wake_write_, &byte, 1);
  }

  void run() {
    for (;;) {
      const Microseconds now = steady_now();
      const bool stopping = take_commands(now);
      if (stopping && connections_.empty()) return;
      take_change(0, keys_.refresh(now), now);
      poll_once(now, stopping);
    }
  }

  /// True once the hub is to stop.
  bool take_commands(Microseconds now) {
    std::deque<Command> commands;
    bool stopping = false;
    {
      const std::lock_guard lock(mutex_);
      commands.swap(commands_);
      stopping = stopping_;
    }
    for (Command& command : commands) {
      const auto at = connections_.find(command.connection);
      if (at == connections_.end()) continue;
      if (command.close) {
        at->second.begin_close(close_by(now));
      } else {
        at->second.link.send(std::move(command.message));
      }
    }
    if (stopping)
      for (auto& [id, connection] : connections_) connection.begin_close(close_by(now));
    return stopping;
  }

  Microseconds close_by(Microseconds now) const { return now + options_.close_limit; }

  void poll_once(Microseconds now, bool stopping) {
    std::vector<pollfd> items{{wake_read_, POLLIN, 0}};
    const bool accepting = !stopping && now >= accept_again_;
    if (accepting) items.push_back({listener_.handle(), POLLIN, 0});
    const std::size_t first = items.size();
    std::vector<std::uint64_t> ids;
    Microseconds until = now + tick_interval;
    {
      const std::lock_guard lock(mutex_);
      for (auto& [id, c] : connections_) {
        const HubConnection::Wait wait = c.wait(pending_[id] < options_.max_pending_messages, now);
        items.push_back(wait.socket);
        until = std::min(until, wait.until);
        ids.push_back(id);
      }
    }
    detail::wait_sockets(items, until - now);
    now = steady_now();
    if ((items[0].revents & POLLIN) != 0) {
      char drain[256];
      [[maybe_unused]] const ssize_t ignored = ::read(wake_read_, drain, sizeof drain);
    }
    if (accepting && (items[1].revents & POLLIN) != 0) accept(now);
    for (std::size_t i = 0; i < ids.size(); ++i) serve(ids[i], items[first + i].revents, now);
  }

  void accept(Microseconds now) {
    Result<Channel> channel = listener_.accept();
    if (!channel) return on_refused(channel.failure(), now);
    std::size_t unjoined = 0;
    for (const auto& [id, c] : connections_) unjoined += !c.link.joined();
    if (unjoined >= options_.max_unjoined) return;  // the channel closes as it goes out of scope
    const std::uint64_t id = ++last_id_;
    Link link = *prototype_;
    link.restart(now);
    auto& c =
        connections_
            .emplace(id, HubConnection(ChannelStream(std::move(channel).value(), keys_.session()),
                                       std::move(link), options_.emulated, now))
            .first->second;
    {
      const std::lock_guard lock(mutex_);
      queued_[id] = 0;
      pending_[id] = 0;
    }
    if (!keys_.required()) open(id, c);
  }

  void open(std::uint64_t id, HubConnection& c) {
    c.opened = true;
    HubEvent event;
    event.kind = HubEvent::Kind::opened;
    event.connection = id;
    event.device = c.device;
    const std::lock_guard lock(mutex_);
    post(std::move(event));
  }

  /// Without a handle or memory the connection goes on waiting: looking at it all the time would
  /// help nobody.
  void on_refused(const Failure& why, Microseconds now) {
    if (why.code == ErrorCode::network) return;  // it has gone again
    accept_again_ = now + second_us;
    if (told_refused_) return;
    told_refused_ = true;
    HubEvent event;
    event.kind = HubEvent::Kind::refused;
    event.why = why;
    const std::lock_guard lock(mutex_);
    post(std::move(event));
  }

  void serve(std::uint64_t id, short ready, Microseconds now) {
    HubConnection& c = connections_.at(id);
    Result<void> state;
    if ((ready & (POLLIN | POLLHUP | POLLERR)) != 0) state = read(id, c, now);
    if (!state && !c.closing && c.stream.problem() != TlsProblem::none) {
      c.refuse_unsealed(state.failure(), close_by(now));
      state = {};
    }
    if (state && c.network) state = deliver(id, c, now);
    if (state) state = write(id, c, now);
    if (state && !c.closing) state = tick(id, c, now);
    if (!state) return drop(id, c, c.why.message.empty() ? state.failure() : Failure(c.why));
    const Channel& channel = c.stream.channel();
    if (c.closing) {
      const bool flushed = c.is_flushed();
      if (flushed && !c.finished) c.stream.finish_writing();
      c.finished = c.finished || flushed;
      if (channel.closed() || now > c.close_by) drop(id, c, Failure(c.why));
    } else if (c.has_ended()) {
      drop(id, c, failure(ErrorCode::network, "connection to ", channel.peer(), " closed"));
    }
  }

  Result<void> tick(std::uint64_t id, HubConnection& c, Microseconds now) {
    const Microseconds limit = options_.link.handshake_limit;
    if (!c.stream.ready() && now - c.accepted > limit)
      return failure(ErrorCode::network, c.peer(), ": no TLS session within ", limit / second_us,
                     " s");
    if (!c.stream.ready()) return {};
    // What waits for the compute thread is not held against the peer.
    const std::size_t waiting = pending_messages(id);
    c.link.set_waiting(waiting > 0, now);
    if (waiting >= options_.max_pending_messages) c.link.pause_reading(now);
    return c.link.tick(now);
  }

  /// Sessions whose key is not on the list any more.
  void close_revoked(Microseconds now) {
    for (auto& [id, c] : connections_)
      if (keys_.is_revoked(c))
        c.refuse(concat("the key of device '", c.device, "' was revoked"), close_by(now));
  }
  /// What a change of the list, or the look at it, has come to.
  void take_change(std::uint64_t id, const Result<bool>& changed, Microseconds now) {
    if (!changed) return note(id, changed.failure());
    if (*changed) close_revoked(now);
  }
  void note(std::uint64_t id, const Failure& what) {
    HubEvent event;
    event.kind = HubEvent::Kind::note;
    event.connection = id;
    event.why = what;
    const std::lock_guard lock(mutex_);
    post(std::move(event));
  }

  Result<void> read(std::uint64_t id, HubConnection& c, Microseconds now) {
    // What still comes of one that closes is read, so that the close is clean, but not used.
    if (c.closing) {
      const Result<std::size_t> ignored = c.stream.discard(buffers_);
      return ignored ? Result<void>{} : ignored.failure();
    }
    const bool was_ready = c.stream.ready();
    const Result<ChannelStream::Arrived> arrived = c.stream.read(buffers_);
    if (!arrived) return arrived.failure();
    if (!was_ready && c.stream.ready()) {
      c.link.restart(now);  // its limits are for what follows the handshake
      if (keys_.let_in(c, close_by(now))) open(id, c);
    }
    if (!c.network) return receive(id, c, arrived->plain, now);
    c.network->up.push(arrived->plain, now);
    return {};
  }
  /// What has come through the emulated network.
  Result<void> deliver(std::uint64_t id, HubConnection& c, Microseconds now) {
    if (c.closing || pending_messages(id) >= options_.max_pending_messages) return {};
    arrived_.clear();
    c.network->up.take(arrived_, now);
    return receive(id, c, arrived_, now);
  }

  Result<void> receive(std::uint64_t id, HubConnection& c, ByteSpan bytes, Microseconds now) {
    const Result<void> taken = c.link.receive(bytes, now);
    // Messages that were complete before a failure are still handled.
    Message message;
    while (!c.closing && c.link.pop(message)) {
      if (message.type == MessageType::enroll)
        enroll(id, c, message, now);
      else if (c.opened)
        hand_over(id, c, std::move(message), now);
      else
        c.refuse(concat("the key ", short_text(c.stream.tls()->peer_pin()), "... is not enrolled"),
                 close_by(now));
    }
    return taken;
  }

  void enroll(std::uint64_t id, HubConnection& c, const Message& message, Microseconds now) {
    const std::optional<Failure> enrolled = keys_.enroll(c, message, close_by(now));
    if (!enrolled) return;
    note(id, *enrolled);
    close_revoked(now);
  }
  void hand_over(std::uint64_t id, HubConnection& c, Message message, Microseconds now) {
    // The device uses its key: an earlier one is not needed any more.
    if (message.type == MessageType::hello && !c.device.empty())
      take_change(id, keys_.settle(c), now);
    HubEvent event;
    event.kind = HubEvent::Kind::message;
    event.connection = id;
    event.message = std::move(message);
    event.in = c.link.traffic_in();
    event.out = c.link.traffic_out();
    const std::lock_guard lock(mutex_);
    ++pending_[id];
    post(std::move(event));
  }

  Result<void> write(std::uint64_t id, HubConnection& c, Microseconds now) {
    const Result<void> written = c.write(buffers_, now);
    if (!written) return written;
    const std::lock_guard lock(mutex_);
    std::size_t waiting = c.link.queued_bytes();
    for (const Command& command : commands_)
      if (command.connection == id) waiting += command.message.payload.size();
    queued_[id] = waiting;
    queue_drained_.notify_all();
    return {};
  }

  void drop(std::uint64_t id, HubConnection& c, const Failure& why) {
    total_in_ += c.link.traffic_in();
    total_out_ += c.link.traffic_out();
    socket_in_ += c.stream.channel().bytes_in();
    socket_out_ += c.stream.channel().bytes_out() + c.unsent_bytes();
    HubEvent event;
    event.kind = HubEvent::Kind::lost;
    event.connection = id;
    event.why = why;
    c.stream.channel().close();
    connections_.erase(id);
    const std::lock_guard lock(mutex_);
    queued_.erase(id);
    pending_.erase(id);
    queue_drained_.notify_all();
    // Behind its own last message, but ahead of other connections: where the compute thread was
    // busy, a device that comes back must find its old connection gone.
    const auto own = [&](const HubEvent& e) { return e.connection == id; };
    const auto last = std::find_if(events_.rbegin(), events_.rend(), own).base();
    events_.insert(last, std::move(event));
    event_ready_.notify_one();
  }

  std::size_t pending_messages(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    return pending_[id];
  }
  /// Call with the mutex held.
  void post(HubEvent event) {
    events_.push_back(std::move(event));
    event_ready_.notify_one();
  }

  HubOptions options_;
  HubKeys keys_;  // of the network thread
  std::unique_ptr<asio::io_context> context_;
  Listener listener_;
  int wake_read_, wake_write_;
  std::uint16_t port_;
  std::unique_ptr<Link> prototype_;
  std::thread thread_;

  // Of the network thread.
  std::map<std::uint64_t, HubConnection> connections_;
  std::uint64_t last_id_ = 0;
  Microseconds accept_again_ = 0;
  bool told_refused_ = false;
  StreamBuffers buffers_{4 * chunk_content_bytes};
  Bytes arrived_;  ///< through an emulated network
  Traffic total_in_, total_out_;
  std::uint64_t socket_in_ = 0, socket_out_ = 0;

  // Shared.
  std::mutex mutex_;
  std::condition_variable event_ready_, queue_drained_;
  std::deque<HubEvent> events_;
  std::deque<Command> commands_;
  std::map<std::uint64_t, std::size_t> queued_;   ///< bytes that wait to be sent
  std::map<std::uint64_t, std::size_t> pending_;  ///< messages that wait to be handled
  bool stopping_ = false;
};

}  // namespace net
IOTSL_NAMESPACE_END
