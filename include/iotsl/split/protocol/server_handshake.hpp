#pragma once
// The server's connections: who is at the other end, the handshake, the queue of actions, and how
// a run ends for all of them.

#include <algorithm>
#include <deque>

#include "iotsl/split/protocol/server_checks.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerPeers {
 public:
  const std::vector<DeviceRecord>& devices() const { return devices_; }
  std::uint32_t ready_devices() const { return ready_; }
  using State = ServerState;
  State state() const { return state_; }
  /// Stopped by the user; the run can go on from committed().
  bool paused() const { return paused_; }
  /// Ends the run: devices did not come in time, or one cannot go on.
  void stop(Failure why) {
    if (state_ != State::closed) end_run(net::WireError::run_failed, std::move(why));
  }
  /// The next action to carry out; false when there is none.
  bool pop(ServerAction& action) {
    if (actions_.empty()) return false;
    action = std::move(actions_.front());
    actions_.pop_front();
    return true;
  }

 protected:
  enum class PeerState { hello, join, label_hist, resume, ready };
  struct Peer {
    ConnectionId connection = 0;
    PeerState state = PeerState::hello;
    std::uint32_t index = net::any_index;
    bool has_turn = false;   ///< it said so in HELLO: RESUME follows
    Sha256Digest imputed{};  ///< the plan that its data is completed with, as it said in JOIN
    DeviceRecord record = {};
  };

  explicit ServerPeers(ServerPlan plan)
      : plan_(std::move(plan)), devices_(plan_.devices), incarnation_(plan_.offer.incarnation) {}
  ServerPeers(const ServerPeers&) = default;
  ServerPeers& operator=(const ServerPeers&) = default;
  virtual ~ServerPeers() = default;

  /// Whether the device is to send its generator.
  virtual bool wants_generator(const Peer& peer) const = 0;
  /// The device is ready. `resume`: what it has in hand, or null.
  virtual void take_in(Peer& peer, const net::Resume* resume) = 0;
  /// A device has been taken in, up to its turn in hand.
  virtual void on_place_taken(const Peer& peer) = 0;
  /// A connection has been forgotten.
  virtual void on_dropped() = 0;

  // Handshake.

  void on_hello(Peer& peer, const net::Message& message) {
    if (peer.state != PeerState::hello) return refuse(peer, message.type);
    Result<net::Hello> hello = decoded<net::Hello>(peer, message);
    if (!hello) return;
    std::vector<DeviceRecord> places = devices_;
    for (const Peer& other : peers_)
      if (other.index != net::any_index) places[other.index] = other.record;
    const HelloVerdict verdict = check_hello(plan_, *hello, places, begun_);
    if (!verdict.accepted) {
      send(peer.connection, net::ErrorMessage{verdict.code, verdict.retry_after_ms == 0,
                                              verdict.retry_after_ms, shortened(verdict.text)});
      return drop(peer, true);
    }
    const ConnectionId connection = peer.connection;
    for (Peer& other : peers_)
      if (other.index == verdict.index) {  // its own dead connection
        drop(other, true);
        break;
      }
    Peer* again = find(connection);
    if (again == nullptr) return;  // the run has ended over it
    Peer& joining = *again;
    joining.index = verdict.index;
    joining.has_turn = hello->position.key.run == plan_.offer.run;
    joining.record.name = std::move(hello->device);
    joining.record.samples = hello->samples;
    joining.record.boot_nonce = hello->boot_nonce;
    joining.record.data_fingerprint = hello->data_fingerprint;
    joining.record.connection = connection;
    net::HelloOk ok = plan_.offer;
    ok.incarnation = incarnation_;
    ok.index = verdict.index;
    ok.devices = plan_.devices;
    joining.state = PeerState::join;
    send(connection, ok);
  }

  void on_join(Peer& peer, const net::Message& message) {
    if (peer.state != PeerState::join) return refuse(peer, message.type);
    const Result<net::Join> join = decoded<net::Join>(peer, message);
    if (!join) return;
    if (join->run != plan_.offer.run)
      return give_up(peer, net::WireError::protocol,
                     failure(ErrorCode::network, "JOIN of another run"));
    peer.state = PeerState::label_hist;
    peer.imputed = join->imputed;
    send(peer.connection, net::JoinOk{plan_.offer.run, wants_generator(peer)});
  }

  void on_label_hist(Peer& peer, const net::Message& message) {
    if (peer.state != PeerState::label_hist) return refuse(peer, message.type);
    Result<net::LabelHist> hist = decoded<net::LabelHist>(peer, message);
    if (!hist) return;
    const Result<void> good =
        check_label_hist(plan_, *hist, peer.record.samples, peer.index, !wants_generator(peer));
    if (!good) return give_up(peer, net::WireError::data_mismatch, good.failure());
    peer.record.label_counts = std::move(hist->counts);
    on_place_taken(peer);
    if (peer.has_turn)
      peer.state = PeerState::resume;
    else
      take_in(peer, nullptr);
  }

  void on_resume(Peer& peer, const net::Message& message) {
    if (peer.state != PeerState::resume) return refuse(peer, message.type);
    const Result<net::Resume> resume = decoded<net::Resume>(peer, message);
    if (resume) take_in(peer, &*resume);
  }

  void on_bye(Peer& peer, const net::Message& message) {
    const Result<net::Bye> bye = decoded<net::Bye>(peer, message);
    if (bye) drop(peer, true);
  }
  /// A device that gives up by itself, for example because of NaN, would do so again.
  void on_error(Peer& peer, const net::Message& message) {
    const Result<net::ErrorMessage> error = decoded<net::ErrorMessage>(peer, message);
    if (!error) return;
    const Failure why =
        failure(ErrorCode::network, "device '", peer.record.name, "' has failed: ", error->text);
    const bool ends = begun_ && peer.state == PeerState::ready;
    drop(peer, true);
    if (ends && state_ != State::closed) end_run(net::WireError::run_failed, why);
  }

  void refuse(Peer& peer, net::MessageType type) {
    give_up(peer, net::WireError::not_allowed,
            failure(ErrorCode::network, "device '", peer.record.name, "' sent ",
                    net::to_string(type), " where the protocol does not allow it"));
  }
  static std::string shortened(const std::string& text) {
    return text.substr(0, net::max_text_bytes);
  }
  /// Tells the peer without ending anything.
  void complain(const Peer& peer, net::WireError code, const std::string& text) {
    send(peer.connection, net::ErrorMessage{code, false, 0, shortened(text)});
  }
  void give_up(Peer& peer, net::WireError code, const Failure& why) {
    send(peer.connection, net::ErrorMessage{code, true, 0, shortened(why.message)});
    drop(peer, true);
  }
  /// Forgets a connection. The device keeps its place once the run has begun.
  void drop(Peer& peer, bool still_open) {
    if (still_open) close(peer.connection);
    if (peer.state == PeerState::ready) {
      --ready_;
      if (begun_)
        devices_[peer.index].connection = 0;
      else
        devices_[peer.index] = {};
    }
    peers_.erase(peers_.begin() + (&peer - peers_.data()));
    on_dropped();
  }
  void end_run(net::WireError code, Failure why) {
    for (const Peer& each : peers_) {
      send(each.connection,
           net::ErrorMessage{code, true, 0, shortened(concat("the run ended: ", why.message))});
      close(each.connection);
    }
    end(ServerAction::Kind::fail, std::move(why));
  }
  /// Ends this server's part of a run that can go on later.
  void pause() {
    for (const Peer& each : peers_) {
      send(each.connection, net::Bye{"the server was stopped", true});
      close(each.connection);
    }
    paused_ = true;
    end(ServerAction::Kind::fail, failure(ErrorCode::other, "stopped"));
  }
  void end(ServerAction::Kind kind, Failure why) {
    peers_.clear();
    ask(kind, 0, State::closed).problem = std::move(why);
  }

  Peer* find(ConnectionId connection) {
    for (Peer& peer : peers_)
      if (peer.connection == connection) return &peer;
    return nullptr;
  }
  template <class M>
  Result<M> decoded(Peer& peer, const net::Message& message) {
    Result<M> fields = net::decode<M>(message.payload);
    if (!fields) give_up(peer, net::WireError::protocol, fields.failure());
    return fields;
  }
  template <class M>
  void send(ConnectionId connection, const M& fields) {
    if (connection != 0) push_send(connection, net::make_message(fields));
  }
  void push_send(ConnectionId connection, net::Message message) {
    if (connection != 0) push(ServerAction::Kind::send, connection).message = std::move(message);
  }
  void close(ConnectionId connection) { push(ServerAction::Kind::close, connection); }
  ServerAction& push(ServerAction::Kind kind, ConnectionId connection) {
    ServerAction& action = actions_.emplace_back();
    action.kind = kind;
    action.connection = connection;
    return action;
  }

  /// Adds an action and goes to the next state.
  ServerAction& ask(ServerAction::Kind kind, ConnectionId connection, State next) {
    state_ = next;
    return push(kind, connection);
  }

  ServerPlan plan_;
  State state_ = State::gathering;
  std::vector<DeviceRecord> devices_;
  std::vector<Peer> peers_;
  std::uint32_t ready_ = 0;
  std::uint32_t incarnation_;
  bool paused_ = false;
  bool begun_ = false;  ///< all devices were here once, since this server began
  std::deque<ServerAction> actions_;
};

}  // namespace split
IOTSL_NAMESPACE_END
