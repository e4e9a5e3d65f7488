#pragma once
// The peers of a hub, and what happens on each of their connections: bytes become messages, keys
// are looked at, who is refused is told why. Of the network thread alone.

#include <memory>

#include "iotsl/net/hub/keys.hpp"
#include "iotsl/net/hub/lobby.hpp"
#include "iotsl/net/hub/mailbox.hpp"
#include "iotsl/net/hub/poller.hpp"
#include "iotsl/net/hub/repeated_lines.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class HubPeers {
 public:
  using Id = std::uint64_t;

  /// `devices`, `strangers`: watch their sockets.
  HubPeers(const HubOptions& options, HubMailbox& mailbox, Link prototype, Poller devices,
           Poller strangers)
      : options_(options),
        mailbox_(mailbox),
        keys_(options.credentials),
        lobby_(options.strangers),
        prototype_(std::move(prototype)),
        devices_(std::move(devices)),
        strangers_(std::move(strangers)) {}

  bool empty() const { return connections_.empty(); }
  Poller& devices() { return devices_; }
  Poller& strangers() { return strangers_; }
  const Lobby& lobby() const { return lobby_; }

  // Strangers.

  /// A newcomer, for whom another may have to go.
  void enter(Channel channel, Microseconds now) {
    const Id id = ++last_id_;
    const std::string network = channel.peer_network();
    Link link = prototype_;
    link.restart(now);
    HubConnection& c =
        connections_
            .emplace(id, HubConnection(ChannelStream(std::move(channel), keys_.session()),
                                       std::move(link), options_.emulated, now))
            .first->second;
    dismiss(lobby_.enter(id, network));
    const Result<void> watched = watch(id, c, now);
    if (!watched) drop(id, c, watched.failure());
  }
  /// Whether one has gone, so that there is room.
  bool dismiss_oldest() {
    const Id oldest = lobby_.oldest();
    dismiss(oldest);
    return oldest != Lobby::nobody;
  }
  /// Answers the next ClientHello; false where none waits, or all sessions are taken.
  bool begin_session(Microseconds now) {
    const Lobby::Admission next = lobby_.next_session(now);
    dismiss(next.goes);
    const auto at = connections_.find(next.begins);
    if (at == connections_.end()) return false;
    HubConnection& c = at->second;
    finish(at->first, c, take(at->first, c, c.stream.answer_hello(buffers_), false, now), now);
    return true;
  }

  // Everybody.

  void send(Id id, Message message) {
    const auto at = connections_.find(id);
    if (at == connections_.end()) return;
    at->second.is_counted = false;
    at->second.link.send(std::move(message));
  }
  void close(Id id, Microseconds now) {
    const auto at = connections_.find(id);
    if (at != connections_.end()) at->second.begin_close(now + options_.close_limit);
  }
  /// What waits for it is not sent any more.
  void cut(Id id) {
    const auto at = connections_.find(id);
    if (at == connections_.end()) return;
    HubConnection& c = at->second;
    drop(id, c,
         failure(ErrorCode::network, c.peer(), ": does not take what it is sent, ",
                 c.link.queued_bytes(), " bytes wait for it"));
  }
  /// Closes all; strangers at once.
  void close_all(Microseconds now) {
    for_all([&](Id id, HubConnection& c) {
      if (!c.opened) return drop(id, c, {});
      c.begin_close(now + options_.close_limit);
      finish(id, c, {}, now);
    });
    for (std::string& line : refusals_.take_rest(now))
      note(0, {ErrorCode::network, std::move(line)});
  }
  /// Moves bytes and messages of a connection, which may be gone afterwards; of one that is gone
  /// nothing.
  void serve(Id id, Poller::Events ready, Microseconds now) {
    const auto at = connections_.find(id);
    if (at == connections_.end()) return;
    HubConnection& c = at->second;
    Result<void> state;
    if ((ready & (POLLIN | POLLHUP | POLLERR)) != 0) state = read(id, c, now);
    finish(id, c, std::move(state), now);
  }
  /// The same for all, where only time has passed.
  void serve_all(Microseconds now) {
    for_all([&](Id id, HubConnection& c) { finish(id, c, {}, now); });
  }
  /// What is due now and then: time limits, a change of the list of keys, lines that were counted.
  void look_at_all(Microseconds now) {
    take_change(0, keys_.refresh(now), now);
    if (const std::optional<Failure> told = keys_.refresh_own(now)) note(0, *told);
    for_all([&](Id id, HubConnection& c) {
      c.rest();
      keys_.tell_next(c);
      finish(id, c, {}, now);
    });
    for (std::string& line : refusals_.take_due(now))
      note(0, {ErrorCode::network, std::move(line)});
  }
  /// When an emulated network has something next.
  Microseconds next_arrival(Microseconds now) {
    Microseconds at = for_ever;
    for (auto& [id, c] : connections_) at = std::min(at, wait_of(id, c, now).until);
    return at;
  }

  /// For the user, once for many of a kind.
  void tell_refused(const Failure& why, Microseconds now) {
    std::optional<std::string> line = refusals_.add(why.message, now);
    if (line) tell(HubEvent::Kind::refused, 0, {why.code, std::move(*line)});
  }

  // Of connections that have gone.

  const Traffic& total_in() const { return total_in_; }
  const Traffic& total_out() const { return total_out_; }
  std::uint64_t socket_bytes_in() const { return socket_in_; }
  std::uint64_t socket_bytes_out() const { return socket_out_; }

 private:
  static constexpr std::size_t stranger_read = 4 << 10;

  /// `f` may drop the connection that it is called for.
  template <class F>
  void for_all(const F& f) {
    for (auto at = connections_.begin(); at != connections_.end();) {
      auto& [id, c] = *at++;
      f(id, c);
    }
  }

  /// It goes for a newcomer.
  void dismiss(Id id) {
    const auto at = connections_.find(id);
    if (at == connections_.end()) return;
    HubConnection& c = at->second;
    drop(id, c,
         c.closing ? c.why : failure(ErrorCode::network, c.peer(), ": no HELLO, and others wait"));
  }
  /// The rest, once what has arrived is read.
  void finish(Id id, HubConnection& c, Result<void> state, Microseconds now) {
    if (!state && !c.closing && c.stream.problem() != TlsProblem::none) {
      c.refuse_unsealed(state.failure(), close_by(c, now));
      state = {};
    }
    if (state && c.network) state = deliver(id, c, now);
    if (state) state = write(id, c, now);
    if (state && !c.closing) state = tick(id, c, now);
    if (!state) return drop(id, c, c.why.message.empty() ? state.failure() : Failure(c.why));
    const Channel& channel = c.stream.channel();
    if (c.closing) {
      if (!c.opened) lobby_.turn_away(id);
      const bool flushed = c.is_flushed();
      if (flushed && !c.finished) c.stream.finish_writing();
      c.finished = c.finished || flushed;
      if (channel.closed() || now > c.close_by) return drop(id, c, Failure(c.why));
    } else if (c.has_ended()) {
      return drop(id, c, failure(ErrorCode::network, "connection to ", channel.peer(), " closed"));
    } else if (c.stream.holds_hello()) {
      lobby_.ask_for_session(id);
    }
    const Result<void> watched = watch(id, c, now);
    if (!watched) drop(id, c, watched.failure());
  }

  /// It has said HELLO, or in its place LEAVE, which comes next.
  void admit(Id id, HubConnection& c, Microseconds now) {
    c.opened = true;
    lobby_.leave(id);
    if (c.watched >= 0) strangers_.remove(c.stream.channel().handle());
    c.watched = -1;
    mailbox_.open(id);
    HubEvent event;
    event.kind = HubEvent::Kind::opened;
    event.connection = id;
    event.device = c.device;
    mailbox_.post(std::move(event));
    limit_unjoined(id, c.device, now);
  }
  /// `device`: empty in plain text.
  void limit_unjoined(Id id, const std::string& device, Microseconds now) {
    std::erase_if(unjoined_, [&](Id each) {
      const auto at = connections_.find(each);
      return at == connections_.end() || at->second.link.joined() || at->second.closing;
    });
    unjoined_.push_back(id);
    const auto is_alike = [&](Id each) { return connections_.at(each).device == device; };
    const auto alike = std::count_if(unjoined_.begin(), unjoined_.end(), is_alike);
    if (static_cast<std::size_t>(alike) <=
        (device.empty() ? options_.max_unjoined : options_.max_unjoined_of_device))
      return;
    const Id oldest = *std::find_if(unjoined_.begin(), unjoined_.end(), is_alike);
    connections_.at(oldest).send_away("it has not joined, and others wait",
                                      now + options_.close_limit, WireError::full);
  }
  HubConnection::Wait wait_of(Id id, HubConnection& c, Microseconds now) {
    return c.wait(mailbox_.to_handle(id) < options_.max_pending_messages, now);
  }
  Result<void> watch(Id id, HubConnection& c, Microseconds now) {
    const pollfd wanted = wait_of(id, c, now).socket;
    Poller& poller = c.opened ? devices_ : strangers_;
    const int socket = c.stream.channel().handle();
    const short events = wanted.fd < 0 ? short{-1} : wanted.events;
    if (events == c.watched) return {};
    const bool is_new = c.watched < 0;
    c.watched = events;
    if (events < 0) {
      poller.remove(socket);
      return {};
    }
    return is_new ? poller.add(socket, id, events) : poller.change(socket, id, events);
  }

  Result<void> tick(Id id, HubConnection& c, Microseconds now) {
    const bool is_stranger = !c.opened && c.device.empty();
    const StrangerLimits& strangers = options_.strangers;
    const Microseconds limit = std::min(options_.link.handshake_limit, strangers.lifetime);
    if (!c.stream.ready() && now - c.accepted > limit)
      return failure(ErrorCode::network, c.peer(), ": no TLS session within ", limit / second_us,
                     " s");
    if (is_stranger && now - c.accepted > strangers.lifetime)
      return failure(ErrorCode::network, c.peer(), ": no HELLO within ",
                     strangers.lifetime / second_us, " s");
    if (!c.stream.ready()) return {};
    // What waits for the compute thread is not held against the peer.
    const std::size_t waiting = mailbox_.to_handle(id);
    c.link.set_waiting(waiting > 0, now);
    if (waiting >= options_.max_pending_messages) c.link.pause_reading(now);
    const Result<void> state = c.link.tick(now);
    if (state || c.opened) return state;
    return failure(state.failure().code, c.peer(), ": ", state.failure().message);
  }
  /// For the last bytes: a stranger has no more time for being refused.
  Microseconds close_by(const HubConnection& c, Microseconds now) const {
    const Microseconds by = now + options_.close_limit;
    return c.opened ? by : std::min(by, c.accepted + options_.strangers.lifetime);
  }

  Result<void> read(Id id, HubConnection& c, Microseconds now) {
    // What still comes of one that closes is read, so that the close is clean, but not used.
    if (c.closing) {
      const Result<std::size_t> ignored = c.stream.discard(buffers_);
      return ignored ? Result<void>{} : ignored.failure();
    }
    const bool was_ready = c.stream.ready();
    const std::size_t most = c.opened ? buffers_.socket.size() : stranger_read;
    return take(id, c, c.stream.read(buffers_, most), was_ready, now);
  }
  /// What the stream has given.
  Result<void> take(Id id, HubConnection& c, const Result<ChannelStream::Arrived>& arrived,
                    bool was_ready, Microseconds now) {
    if (!arrived) return arrived.failure();
    if (!was_ready && c.stream.ready()) {
      c.link.restart(now);  // its limits are for what follows the handshake
      keys_.let_in(c, close_by(c, now));
    }
    if (!c.network) return receive(id, c, arrived->plain, now);
    c.network->up.push(arrived->plain, now);
    return {};
  }
  /// What has come through the emulated network.
  Result<void> deliver(Id id, HubConnection& c, Microseconds now) {
    if (c.closing || mailbox_.to_handle(id) >= options_.max_pending_messages) return {};
    arrived_.clear();
    c.network->up.take(arrived_, now);
    return receive(id, c, arrived_, now);
  }

  Result<void> receive(Id id, HubConnection& c, ByteSpan bytes, Microseconds now) {
    const Result<void> taken = c.link.receive(bytes, now);
    // Messages that were complete before a failure are still handled.
    Message message;
    while (!c.closing && c.link.pop(message)) {
      if (message.type == MessageType::enroll && !c.opened) {
        enroll(id, c, message, now);
      } else if (message.type == MessageType::server_key_kept && c.opened && !c.device.empty()) {
        const Result<void> kept = keys_.on_key_kept(c, message);
        if (!kept) note(id, kept.failure());
      } else if (c.opened) {
        hand_over(id, c, std::move(message));
      } else if (keys_.required() && c.device.empty()) {
        c.refuse(concat("the key ", short_text(c.stream.tls()->peer_pin()), "... is not enrolled"),
                 close_by(c, now));
      } else if (message.type != MessageType::hello && message.type != MessageType::leave) {
        c.refuse(concat("got ", to_string(message.type), ", expected HELLO"), close_by(c, now),
                 WireError::not_allowed);
      } else {
        admit(id, c, now);
        // The device uses its key: an earlier one is not needed any more.
        if (!c.device.empty()) take_change(id, keys_.settle(c), now);
        hand_over(id, c, std::move(message));
      }
    }
    if (taken || c.opened) return taken;
    return failure(taken.failure().code, c.peer(), ": ", taken.failure().message);
  }

  void enroll(Id id, HubConnection& c, const Message& message, Microseconds now) {
    const std::optional<Failure> enrolled = keys_.enroll(c, message, close_by(c, now));
    if (!enrolled) return;
    note(id, *enrolled);
    close_revoked(now);
  }
  void hand_over(Id id, HubConnection& c, Message message) {
    HubEvent event;
    event.kind = HubEvent::Kind::message;
    event.connection = id;
    event.message = std::move(message);
    event.in = c.link.traffic_in();
    event.out = c.link.traffic_out();
    mailbox_.post(std::move(event));
  }

  Result<void> write(Id id, HubConnection& c, Microseconds now) {
    const std::size_t before = c.link.queued_bytes();
    const Result<void> written = c.write(buffers_, now);
    if (!written) return written;
    if (c.is_counted && c.link.queued_bytes() == before) return {};
    mailbox_.set_unsent(id, c.link.queued_bytes());
    c.is_counted = true;
    return {};
  }

  /// `why`: empty where nobody needs to be told.
  void drop(Id id, HubConnection& c, const Failure& why) {
    total_in_ += c.link.traffic_in();
    total_out_ += c.link.traffic_out();
    socket_in_ += c.stream.channel().bytes_in();
    socket_out_ += c.stream.channel().bytes_out() + c.unsent_bytes();
    HubEvent event;
    event.kind = HubEvent::Kind::lost;
    event.connection = id;
    event.why = why;
    const bool was_opened = c.opened;
    lobby_.leave(id);
    c.stream.channel().close();  // and with it what was watched
    connections_.erase(id);
    if (was_opened) return mailbox_.post_lost(std::move(event));
    if (event.why.message.empty()) return;
    std::optional<std::string> line = refusals_.add(event.why.message, steady_now());
    if (line) note(id, {event.why.code, std::move(*line)});
  }

  /// Sessions whose key is not on the list any more.
  void close_revoked(Microseconds now) {
    for (auto& [id, c] : connections_)
      if (keys_.is_revoked(c))
        c.refuse(concat("the key of device '", c.device, "' was revoked"), close_by(c, now));
  }
  /// What a change of the list, or the look at it, has come to.
  void take_change(Id id, const Result<bool>& changed, Microseconds now) {
    if (!changed) return note(id, changed.failure());
    if (*changed) close_revoked(now);
  }
  void note(Id id, const Failure& what) { tell(HubEvent::Kind::note, id, what); }
  void tell(HubEvent::Kind kind, Id id, const Failure& why) {
    HubEvent event;
    event.kind = kind;
    event.connection = id;
    event.why = why;
    mailbox_.post(std::move(event));
  }

  HubOptions options_;
  HubMailbox& mailbox_;
  HubKeys keys_;
  Lobby lobby_;
  Link prototype_;
  Poller devices_, strangers_;
  RepeatedLines refusals_;
  std::map<Id, HubConnection> connections_;
  std::deque<Id> unjoined_;  ///< in the order of their HELLOs
  Id last_id_ = 0;
  StreamBuffers buffers_{4 * chunk_content_bytes};
  Bytes arrived_;  ///< through an emulated network
  Traffic total_in_, total_out_;
  std::uint64_t socket_in_ = 0, socket_out_ = 0;
};

}  // namespace net
IOTSL_NAMESPACE_END
