#pragma once
// The server's side of ISL/1 as a state machine: events in, actions out. It knows no socket, no
// clock and no tensor; the driver carries out the actions in order and reports back.
//
//   gathering (every device: HELLO, JOIN, LABEL_HIST) -> for each turn: granting -> stepping (STEP,
//   train, GRAD) ... -> waiting for BARRIER_ACK -> storing -> waiting for TURN_DONE -> next turn

#include <deque>

#include "iotsl/net/bulk_messages.hpp"
#include "iotsl/net/transfer.hpp"
#include "iotsl/optim/schedule.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

using ConnectionId = std::uint64_t;

/// What the machine must know about a run.
struct ServerPlan {
  net::HelloOk offer;  ///< run, heartbeat, description and model hash; index is filled in
  std::uint32_t devices = 1;
  std::uint64_t turns = 1;
  Schedule schedule = Schedule::constant;
  double learning_rate = 1e-3;
  std::uint64_t smashed_values = 0;  ///< F
  std::uint64_t largest_batch = 0;
  std::vector<Sha256Digest> fingerprints;  ///< of each device's data; empty: any
};

/// A device that has joined, as the driver and the reports see it.
struct DeviceRecord {
  std::string name;
  std::vector<std::uint64_t> label_counts;
  std::uint64_t samples = 0;
  ConnectionId connection = 0;
};

/// What the server saw of one local epoch.
struct EpochTally {
  double loss_sum = 0;  ///< over samples
  std::uint64_t samples = 0;
  std::uint64_t correct = 0;  ///< before each update
  std::uint64_t server_us = 0;
};

struct TurnReport {
  std::uint32_t turn = 0, round = 0, device = 0;
  std::uint64_t first_step = 0, steps = 0;
  std::vector<EpochTally> epochs;
  std::vector<net::EpochCost> costs;  ///< the device's
};

struct ServerAction {
  enum class Kind {
    send,    ///< `message` to `connection`
    close,   ///< flush, then close `connection`
    grant,   ///< `grant`, completed with the front, to `connection`
    train,   ///< `step`; answer on_trained
    store,   ///< take over and write `ack`; answer on_stored
    report,  ///< a turn is over
    finish,  ///< the run is complete; every connection has been told
    fail,    ///< the run is over with `problem`; every connection has been told
  };
  Kind kind{};
  ConnectionId connection = 0;
  net::Message message;  ///< what is sent, or the content that `step` or `ack` look into
  net::TurnGrant grant;
  net::Step step;
  net::BarrierAck ack;
  TurnReport report;
  Failure problem;
};

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
    const auto reject = [&](net::WireError code, std::string why) {
      give_up(peer, code, Failure{ErrorCode::network, std::move(why)});
    };
    if (hello->version_min > net::protocol_major || hello->version_max < net::protocol_major)
      return reject(net::WireError::version,
                    concat("this server speaks ISL version ", net::protocol_major, " only"));
    if (state_ != State::gathering) return reject(net::WireError::full, "the run has begun");
    if (hello->dataset != plan_.offer.description.dataset)
      return reject(net::WireError::data_mismatch,
                    concat("the run trains on '", plan_.offer.description.dataset, "', device '",
                           hello->device, "' has '", hello->dataset, "'"));
    if (hello->samples < 2)
      return reject(net::WireError::data_mismatch,
                    concat("device '", hello->device, "' has ", hello->samples,
                           " samples, at least 2 are needed"));
    std::uint32_t index = hello->index;
    if (index == net::any_index)
      for (index = 0; index < plan_.devices && taken(index);) ++index;
    if (index >= plan_.devices)
      return reject(net::WireError::full, concat("the run has places 0 to ", plan_.devices - 1,
                                                 " and no free one for '", hello->device, "'"));
    if (taken(index)) return reject(net::WireError::full, concat("place ", index, " is taken"));
    if (!plan_.fingerprints.empty() && plan_.fingerprints[index] != hello->data_fingerprint)
      return reject(net::WireError::data_mismatch,
                    concat("device '", hello->device,
                           "' holds other samples than the manifest's "
                           "device ",
                           index));
    peer.index = index;
    peer.record.name = std::move(hello->device);
    peer.record.samples = hello->samples;
    peer.record.connection = peer.connection;
    net::HelloOk ok = plan_.offer;
    ok.index = index;
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
    std::uint64_t sum = 0;
    for (std::uint64_t count : hist->counts) sum += count;
    if (hist->counts.size() != plan_.offer.description.classes || sum != peer.record.samples)
      return give_up(peer, net::WireError::data_mismatch,
                     failure(ErrorCode::network, "LABEL_HIST has ", hist->counts.size(),
                             " classes and ", sum, " samples, expected ",
                             plan_.offer.description.classes, " and ", peer.record.samples));
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
    ServerAction action;
    action.kind = ServerAction::Kind::grant;
    action.connection = holder();
    action.grant.key = key_;
    action.grant.round = report_.round;
    action.grant.first_step = step_;
    action.grant.order_seed = plan_.offer.description.seed;
    action.grant.learning_rate =
        learning_rate(plan_.schedule, plan_.learning_rate, static_cast<std::int64_t>(turn_),
                      static_cast<std::int64_t>(plan_.turns));
    state_ = State::waiting_accept;
    push(std::move(action));
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
    const Result<void> good = check_step(*step, message.shape);
    if (!good) return give_up(peer, net::WireError::protocol, good.failure());
    pending_hash_ = message.hash;
    pending_samples_ = step->labels.size();
    ServerAction action;
    action.kind = ServerAction::Kind::train;
    action.connection = peer.connection;
    action.step = std::move(step).value();
    action.message = std::move(message);
    state_ = State::training;
    push(std::move(action));
  }

  Result<void> check_step(const net::Step& step, const std::vector<std::uint32_t>& shape) const {
    const std::uint64_t n = step.labels.size();
    if (n < 2 || n > plan_.largest_batch || step.smashed.size() != 4 * n * plan_.smashed_values)
      return failure(ErrorCode::network, "STEP ", step.step, ": ", n, " labels and ",
                     step.smashed.size(), " bytes, expected 2 to ", plan_.largest_batch, " and ",
                     4 * plan_.smashed_values, " for each");
    std::uint64_t values = shape.empty() ? 0 : 1;
    for (std::uint32_t extent : shape) values *= extent;
    if (values != n * plan_.smashed_values || shape[0] != n)
      return failure(ErrorCode::network, "STEP ", step.step, ": its shape is not that of ", n,
                     " smashed samples");
    for (std::int32_t label : step.labels)
      if (label < 0 || label >= std::int32_t{plan_.offer.description.classes})
        return failure(ErrorCode::network, "STEP ", step.step, ": label ", label, " of ",
                       plan_.offer.description.classes, " classes");
    return {};
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
    ServerAction action;
    action.kind = ServerAction::Kind::store;
    action.connection = peer.connection;
    action.ack = std::move(ack).value();
    action.message = std::move(message);
    state_ = State::storing;
    push(std::move(action));
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
    ServerAction action;
    action.kind = ServerAction::Kind::report;
    action.report = report_;
    push(std::move(action));
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
    state_ = State::closed;
    ServerAction action;
    action.kind = kind;
    action.problem = std::move(why);
    push(std::move(action));
  }

  // Small things.

  Peer* find(ConnectionId connection) {
    for (Peer& peer : peers_)
      if (peer.connection == connection) return &peer;
    return nullptr;
  }
  bool taken(std::uint32_t index) const {
    for (const Peer& peer : peers_)
      if (peer.index == index) return true;
    return false;
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
    ServerAction action;
    action.kind = ServerAction::Kind::send;
    action.connection = connection;
    action.message = std::move(message);
    push(std::move(action));
  }
  void close(ConnectionId connection) {
    ServerAction action;
    action.kind = ServerAction::Kind::close;
    action.connection = connection;
    push(std::move(action));
  }
  void push(ServerAction action) { actions_.push_back(std::move(action)); }

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
