#pragma once
// The server's side of ISL/1 as a state machine: events in, actions out. It knows no socket, no
// clock and no tensor; the driver carries out the actions in order and reports back.
//
//   gathering (every device: HELLO, JOIN, LABEL_HIST) -> for each turn: granting -> stepping (STEP,
//   train, GRAD) ... -> waiting for BARRIER_ACK -> storing -> waiting for TURN_DONE -> next turn

#include <deque>

#include "iotsl/split/server_checks.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerMachine {
 public:
  enum class State {
    gathering,
    waiting_accept,
    stepping,
    training,
    waiting_ack,
    storing,
    waiting_done,
    closed
  };

  explicit ServerMachine(ServerPlan plan) : plan_(std::move(plan)), devices_(plan_.devices) {}

  State state() const { return state_; }
  std::uint64_t last_step() const { return step_; }
  const std::vector<DeviceRecord>& devices() const { return devices_; }
  std::uint32_t ready_devices() const { return ready_; }
  /// The turn that was granted last, with what is known of it so far.
  const TurnReport& turn() const { return report_; }
  bool pop(ServerAction& action) {
    if (actions_.empty()) return false;
    action = std::move(actions_.front());
    actions_.pop_front();
    return true;
  }

  // Events.

  void on_open(ConnectionId connection) { peers_.push_back({connection}); }

  void on_message(ConnectionId connection, net::Message message) {
    using net::MessageType;
    Peer* peer = find(connection);
    if (peer == nullptr || state_ == State::closed) return;
    switch (message.type) {
      case MessageType::hello:
        return on_hello(*peer, message);
      case MessageType::join:
        return on_join(*peer, message);
      case MessageType::label_hist:
        return on_label_hist(*peer, message);
      case MessageType::turn_accept:
        return on_turn_accept(*peer, message);
      case MessageType::step:
        return on_step(*peer, std::move(message));
      case MessageType::barrier_ack:
        return on_barrier_ack(*peer, std::move(message));
      case MessageType::turn_done:
        return on_turn_done(*peer, message);
      case MessageType::error:
        return on_farewell<net::ErrorMessage>(*peer, message);
      case MessageType::leave:
        return on_farewell<net::Leave>(*peer, message);
      case MessageType::bye:
        return on_farewell<net::Bye>(*peer, message);
      default:
        return refuse(*peer, message.type);
    }
  }

  /// The connection is gone, or broke the rules of framing.
  void on_lost(ConnectionId connection, const Failure& why) {
    if (Peer* peer = find(connection)) drop(*peer, why, false);
  }

  /// The step that was asked for is applied; `gradient` of the smashed batch.
  void on_trained(const Result<void>& done, double loss = 0, std::uint32_t correct = 0,
                  ByteSpan gradient = {}, std::vector<std::uint32_t> shape = {},
                  std::uint64_t server_us = 0) {
    if (state_ != State::training) return;
    if (!done) return end_run(net::WireError::not_finite, done.failure());
    EpochTally& epoch = report_.epochs[epoch_of(step_ - report_.first_step)];
    epoch.loss_sum += loss * static_cast<double>(pending_samples_);
    epoch.samples += pending_samples_;
    epoch.correct += correct;
    epoch.server_us += server_us;
    ++step_;
    net::Grad grad;
    grad.key = key_;
    grad.step = step_;
    grad.loss = loss;
    grad.correct = correct;
    grad.gradient = gradient;
    cached_grad_ = net::make_message(grad, std::move(shape));
    cached_hash_ = pending_hash_;
    cached_ = true;
    push_send(holder(), cached_grad_);
    state_ = State::stepping;
    if (step_ == report_.first_step + report_.steps) ask_barrier();
  }

  /// The barrier's state is taken over and written, or the run ends.
  void on_stored(const Result<void>& done) {
    if (state_ != State::storing) return;
    if (!done) return end_run(net::WireError::run_failed, done.failure());
    send(holder(), net::BarrierCommitted{key_, barrier_.id, barrier_hash_});
    state_ = State::waiting_done;
  }

  /// Ends the run: the user wants it, or devices did not come in time.
  void stop(Failure why) {
    if (state_ != State::closed) end_run(net::WireError::run_failed, std::move(why));
  }

 private:
  enum class PeerState { hello, join, label_hist, ready };
  struct Peer {
    ConnectionId connection = 0;
    PeerState state = PeerState::hello;
    std::uint32_t index = net::any_index;
    DeviceRecord record = {};
  };

  // Handshake.

  void on_hello(Peer& peer, const net::Message& message) {
    if (peer.state != PeerState::hello) return refuse(peer, message.type);
    Result<net::Hello> hello = decoded<net::Hello>(peer, message);
    if (!hello) return;
    std::vector<bool> taken(plan_.devices);
    for (const Peer& other : peers_)
      if (other.index != net::any_index) taken[other.index] = true;
    const bool begun = state_ != State::gathering;
    const HelloVerdict verdict = check_hello(plan_, *hello, taken, begun);
    if (!verdict.accepted)
      return give_up(peer, verdict.code, Failure{ErrorCode::network, verdict.text});
    peer.index = verdict.index;
    peer.record.name = std::move(hello->device);
    peer.record.samples = hello->samples;
    peer.record.connection = peer.connection;
    net::HelloOk ok = plan_.offer;
    ok.index = verdict.index;
    ok.devices = plan_.devices;
    peer.state = PeerState::join;
    send(peer.connection, ok);
  }

  void on_join(Peer& peer, const net::Message& message) {
    if (peer.state != PeerState::join) return refuse(peer, message.type);
    const Result<net::Join> join = decoded<net::Join>(peer, message);
    if (!join) return;
    if (join->run != plan_.offer.run)
      return give_up(peer, net::WireError::protocol,
                     failure(ErrorCode::network, "JOIN of another run"));
    peer.state = PeerState::label_hist;
    send(peer.connection, net::JoinOk{plan_.offer.run});
  }

  void on_label_hist(Peer& peer, const net::Message& message) {
    if (peer.state != PeerState::label_hist) return refuse(peer, message.type);
    Result<net::LabelHist> hist = decoded<net::LabelHist>(peer, message);
    if (!hist) return;
    const Result<void> good = check_label_hist(plan_, *hist, peer.record.samples);
    if (!good) return give_up(peer, net::WireError::data_mismatch, good.failure());
    peer.record.label_counts = std::move(hist->counts);
    peer.state = PeerState::ready;
    devices_[peer.index] = peer.record;
    if (++ready_ == plan_.devices) grant_turn();
  }

  // Turns.

  void grant_turn() {
    const std::uint32_t device = static_cast<std::uint32_t>(turn_ % plan_.devices);
    report_ = {};
    report_.turn = static_cast<std::uint32_t>(turn_);
    report_.round = static_cast<std::uint32_t>(turn_ / plan_.devices);
    report_.device = device;
    report_.first_step = step_;
    report_.epochs.resize(plan_.offer.description.local_epochs);
    key_ = {plan_.offer.run, report_.turn, ++fence_};
    cached_ = false;
    ServerAction& action = ask(ServerAction::Kind::grant, holder(), State::waiting_accept);
    action.grant.key = key_;
    action.grant.round = report_.round;
    action.grant.first_step = step_;
    action.grant.order_seed = plan_.offer.description.seed;
    action.grant.learning_rate =
        learning_rate(plan_.schedule, plan_.learning_rate, static_cast<std::int64_t>(turn_),
                      static_cast<std::int64_t>(plan_.turns));
  }

  void on_turn_accept(Peer& peer, const net::Message& message) {
    if (!is_holder(peer) || state_ != State::waiting_accept) return refuse(peer, message.type);
    const Result<net::TurnAccept> accept = decoded<net::TurnAccept>(peer, message);
    if (!accept) return;
    const std::uint64_t most = peer.record.samples * report_.epochs.size();
    if (accept->key != key_ || accept->steps == 0 || accept->steps > most ||
        accept->steps % report_.epochs.size() != 0)
      return give_up(
          peer, net::WireError::protocol,
          failure(ErrorCode::network, "TURN_ACCEPT of turn ", accept->key.turn, " with ",
                  accept->steps, " steps, expected turn ", key_.turn, " with 1 to ", most));
    report_.steps = accept->steps;
    state_ = State::stepping;
    if (plan_.offer.description.method == "local") ask_barrier();
  }

  void on_step(Peer& peer, net::Message message) {
    if (peer.state != PeerState::ready) return refuse(peer, message.type);
    Result<net::Step> step = decoded<net::Step>(peer, message);
    if (!step) return;
    const auto answer = [&](net::WireError code, const char* what) {
      complain(peer, code,
               concat("STEP ", step->step, " is ", what, ": the server is at ", step_, ", turn ",
                      key_.turn, ", fence ", key_.fence));
    };
    if (step->key.run == key_.run && step->key.fence < key_.fence)
      return answer(net::WireError::stale, "of an old turn");
    if (!is_holder(peer) || step->key != key_) return refuse(peer, message.type);
    const bool taking = state_ == State::stepping || state_ == State::waiting_ack;
    if (!taking) return refuse(peer, message.type);
    if (step->step == step_ && cached_) {
      if (message.hash == cached_hash_) return push_send(peer.connection, cached_grad_);
      return give_up(peer, net::WireError::nondeterminism,
                     failure(ErrorCode::network, "device '", peer.record.name, "' repeated step ",
                             step_, " with other content"));
    }
    if (step->step <= step_) return answer(net::WireError::stale, "old");
    if (step->step > step_ + 1) return answer(net::WireError::gap, "too far");
    if (state_ != State::stepping) return refuse(peer, message.type);
    const Result<void> good = check_step(plan_, *step, message.shape);
    if (!good) return give_up(peer, net::WireError::protocol, good.failure());
    pending_hash_ = message.hash;
    pending_samples_ = step->labels.size();
    ServerAction& action = ask(ServerAction::Kind::train, peer.connection, State::training);
    action.step = std::move(step).value();
    action.message = std::move(message);
  }

  void ask_barrier() {
    barrier_ = {key_, ++barriers_, report_.first_step + report_.steps};
    send(holder(), barrier_);
    state_ = State::waiting_ack;
  }

  void on_barrier_ack(Peer& peer, net::Message message) {
    if (!is_holder(peer) || state_ != State::waiting_ack) return refuse(peer, message.type);
    Result<net::BarrierAck> ack = decoded<net::BarrierAck>(peer, message);
    if (!ack) return;
    if (ack->key != key_ || ack->id != barrier_.id || ack->step != barrier_.step)
      return give_up(peer, net::WireError::protocol,
                     failure(ErrorCode::network, "BARRIER_ACK of barrier ", ack->id, " at step ",
                             ack->step, ", expected ", barrier_.id, " at ", barrier_.step));
    barrier_hash_ = message.digest;
    step_ = barrier_.step;
    ServerAction& action = ask(ServerAction::Kind::store, peer.connection, State::storing);
    action.ack = std::move(ack).value();
    action.message = std::move(message);
  }

  void on_turn_done(Peer& peer, const net::Message& message) {
    if (!is_holder(peer) || state_ != State::waiting_done) return refuse(peer, message.type);
    Result<net::TurnDone> done = decoded<net::TurnDone>(peer, message);
    if (!done) return;
    if (done->key != key_ || done->last_step != step_ || done->hash != barrier_hash_ ||
        done->epochs.size() != report_.epochs.size())
      return give_up(peer, net::WireError::protocol,
                     failure(ErrorCode::network, "TURN_DONE at step ", done->last_step,
                             " does not match the barrier at step ", step_));
    report_.costs = std::move(done->epochs);
    ask(ServerAction::Kind::report, peer.connection, state_).report = report_;
    send(peer.connection, net::TurnCommitted{key_, step_});
    if (++turn_ < plan_.turns) return grant_turn();
    for (const Peer& each : peers_) {
      send(each.connection, net::Bye{"the run is complete"});
      close(each.connection);
    }
    end(ServerAction::Kind::finish, {});
  }

  // Ends.

  template <class M>
  void on_farewell(Peer& peer, const net::Message& message) {
    const Result<M> farewell = decoded<M>(peer, message);
    if (!farewell) return;
    std::string text;
    if constexpr (std::is_same_v<M, net::ErrorMessage>)
      text = farewell->text;
    else
      text = farewell->reason;
    drop(peer, failure(ErrorCode::network, "device '", peer.record.name, "' left: ", text), true);
  }

  void refuse(Peer& peer, net::MessageType type) {
    give_up(peer, net::WireError::not_allowed,
            failure(ErrorCode::network, "device '", peer.record.name, "' sent ",
                    net::to_string(type), " where the protocol does not allow it"));
  }
  /// Tells the peer without ending anything.
  void complain(const Peer& peer, net::WireError code, const std::string& text) {
    send(peer.connection, net::ErrorMessage{code, false, 0, text.substr(0, net::max_text_bytes)});
  }
  void give_up(Peer& peer, net::WireError code, const Failure& why) {
    send(peer.connection,
         net::ErrorMessage{code, true, 0, why.message.substr(0, net::max_text_bytes)});
    drop(peer, why, true);
  }
  /// Forgets a peer. A run that has begun cannot go on without one of its devices.
  void drop(Peer& peer, const Failure& why, bool still_open) {
    const bool was_ready = peer.state == PeerState::ready;
    if (was_ready && state_ == State::gathering) --ready_;
    if (still_open) close(peer.connection);
    peers_.erase(peers_.begin() + (&peer - peers_.data()));
    if (was_ready && state_ != State::gathering && state_ != State::closed)
      end_run(net::WireError::run_failed, why);
  }
  void end_run(net::WireError code, Failure why) {
    for (const Peer& each : peers_) {
      send(
          each.connection,
          net::ErrorMessage{code, true, 0,
                            concat("the run ended: ", why.message).substr(0, net::max_text_bytes)});
      close(each.connection);
    }
    end(ServerAction::Kind::fail, std::move(why));
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
  ConnectionId holder() const { return devices_[report_.device].connection; }
  bool is_holder(const Peer& peer) const {
    return state_ != State::gathering && peer.connection == holder();
  }
  std::size_t epoch_of(std::uint64_t turn_step) const {
    const std::uint64_t per_epoch = report_.steps / report_.epochs.size();
    return static_cast<std::size_t>(turn_step / per_epoch);
  }
  template <class M>
  Result<M> decoded(Peer& peer, const net::Message& message) {
    Result<M> fields = net::decode<M>(message.payload);
    if (!fields) give_up(peer, net::WireError::protocol, fields.failure());
    return fields;
  }
  template <class M>
  void send(ConnectionId connection, const M& fields) {
    push_send(connection, net::make_message(fields));
  }
  void push_send(ConnectionId connection, net::Message message) {
    ask(ServerAction::Kind::send, connection, state_).message = std::move(message);
  }
  void close(ConnectionId connection) { ask(ServerAction::Kind::close, connection, state_); }
  /// Adds an action and goes to the next state.
  ServerAction& ask(ServerAction::Kind kind, ConnectionId connection, State next) {
    state_ = next;
    ServerAction& action = actions_.emplace_back();
    action.kind = kind;
    action.connection = connection;
    return action;
  }

  ServerPlan plan_;
  std::vector<DeviceRecord> devices_;
  std::vector<Peer> peers_;
  std::uint32_t ready_ = 0;
  State state_ = State::gathering;

  std::uint64_t turn_ = 0;
  std::uint64_t step_ = 0;  ///< last applied step
  std::uint32_t fence_ = 0;
  net::TurnKey key_;
  TurnReport report_;

  bool cached_ = false;
  std::uint64_t cached_hash_ = 0;
  net::Message cached_grad_;
  std::uint64_t pending_hash_ = 0, pending_samples_ = 0;
  std::uint64_t barriers_ = 0;
  net::Barrier barrier_;
  Sha256Digest barrier_hash_{};
  std::deque<ServerAction> actions_;
};

}  // namespace split
IOTSL_NAMESPACE_END
