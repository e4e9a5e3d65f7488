#pragma once
// The server's side of ISL/1 as a state machine: events in, actions out. It knows no socket, no
// clock and no tensor; the driver carries out the actions in order, reports back, and only then
// brings the next event.
//
//   gathering (every device: HELLO, JOIN, LABEL_HIST) -> preparation, see
//   server_generator_exchange.hpp ->
//   for each turn: waiting for the holder and its TURN_ACCEPT -> stepping (STEP, train, GRAD) ...
//   -> waiting for BARRIER_ACK -> storing -> stepping again, or waiting for TURN_DONE -> next turn
//
// A device that is lost keeps its place. Where it comes back with its state, the turn goes on;
// where it has lost it, or missed the server's restart, the run goes back to the last barrier.

#include "iotsl/split/protocol/server_generator_exchange.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerMachine : public ServerGenerators {
 public:
  explicit ServerMachine(ServerPlan plan)
      : ServerGenerators(std::move(plan)),
        committed_(plan_.start),
        turn_(committed_.report.turn),
        step_(committed_.step),
        fence_(plan_.last_fence),
        barriers_(committed_.id) {
    report_ = committed_.id == 0 ? fresh_report() : committed_.report;
    if (!committed_.turn_complete()) return;
    // The barrier was the turn's last: only the books are left to be closed.
    complete_turn();
  }

  std::uint64_t last_step() const { return step_; }
  std::uint32_t incarnation() const { return incarnation_; }
  /// What a server that starts again would go back to.
  const BarrierRecord& committed() const { return committed_; }
  /// The device whose turn it is, if it is away.
  const DeviceRecord* missing_holder() const {
    const bool in_turn = !before_turns() && state_ != State::closed;
    return in_turn && holder() == 0 ? &devices_[report_.device] : nullptr;
  }
  std::uint32_t holder_index() const { return report_.device; }
  /// The turn that was granted last, with what is known of it so far.
  const TurnReport& turn() const { return report_; }

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
      case MessageType::resume:
        return on_resume(*peer, message);
      case MessageType::gen_upload:
        return on_gen_upload(*peer, std::move(message));
      case MessageType::turn_accept:
        return on_turn_accept(*peer, message);
      case MessageType::step:
        return on_step(*peer, std::move(message));
      case MessageType::barrier_ack:
        return on_barrier_ack(*peer, std::move(message));
      case MessageType::turn_done:
        return on_turn_done(*peer, message);
      case MessageType::error:
        return on_error(*peer, message);
      case MessageType::leave:
        return on_leave(*peer, message);
      case MessageType::bye:
        return on_bye(*peer, message);
      default:
        return refuse(*peer, message.type);
    }
  }

  /// The connection is gone, or broke the rules of framing.
  void on_lost(ConnectionId connection) {
    if (Peer* peer = find(connection)) drop(*peer, false);
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
    state_ = State::stepping;
    // Ahead of the gradient, so that the device stops in time.
    if (step_ == report_.first_step + report_.steps || wants_barrier()) ask_barrier(step_);
    push_send(holder(), cached_grad_);
  }

  /// A regular barrier is due by the clock; it is asked for once enough steps have passed as well.
  void on_barrier_due() { barrier_due_ = true; }

  /// The barrier's state is taken over and written, or the run ends.
  void on_stored(const Result<void>& done) {
    if (state_ != State::storing) return;
    if (!done) return end_run(net::WireError::run_failed, done.failure());
    committed_ = pending_;
    barrier_due_ = leaving_ = false;
    send(holder(), net::BarrierCommitted{key_, barrier_.id, barrier_hash_});
    state_ = committed_.turn_complete() ? State::waiting_done : State::stepping;
    if (stopping_) pause();
  }

  /// The last barrier is loaded again, or the run ends.
  void on_rolled_back(const Result<void>& done) {
    if (state_ != State::rolling_back) return;
    if (!done) return end_run(net::WireError::run_failed, done.failure());
    ++incarnation_;
    step_ = committed_.step;
    const bool same_turn = committed_.id != 0 && committed_.report.turn == turn_;
    report_ = same_turn && !committed_.turn_complete() ? committed_.report : fresh_report();
    if (skipping_) return skip();
    grant_turn();
  }

  /// The holder has been away for too long: its turn ends where its last barrier stands, and the
  /// others go on.
  void skip_turn() {
    if (missing_holder() == nullptr || state_ == State::storing || state_ == State::training)
      return;
    skipping_ = true;
    go_back_or([this] { skip(); });
  }

  /// The user wants to stop: the turn is put into a barrier, and the devices are told to come back.
  void request_stop() {
    if (stopping_ || state_ == State::closed) return;
    stopping_ = true;
    const bool barrier_will_come =
        missing_holder() == nullptr && is_stepping() && splits(plan_.offer.description.method);
    if (!barrier_will_come) pause();
  }

 private:
  void take_in(Peer& peer, const net::Resume* resume) override {
    peer.state = PeerState::ready;
    devices_[peer.index] = peer.record;
    ++ready_;
    const ConnectionId connection = peer.connection;
    const bool is_turns = begun_ && peer.index == report_.device;
    const bool proceeds = is_turns && resume != nullptr && can_proceed(*resume);
    if (resume != nullptr) send(connection, net::ResumeOk{proceeds});
    if (proceeds) return catch_up(peer, *resume);
    impute(peer);
    if (!begun_ && ready_ == plan_.devices) return on_all_here();
    if (!is_turns || before_turns()) return;
    if (state_ == State::waiting_done) return complete_turn();
    if (state_ != State::storing && state_ != State::training && state_ != State::rolling_back)
      go_back_or([this] { grant_turn(); });
  }

  bool can_proceed(const net::Resume& resume) const {
    const std::uint64_t step = resume.position.step;
    const bool in_turn = state_ == State::waiting_accept || state_ == State::stepping ||
                         state_ == State::waiting_ack || state_ == State::waiting_done;
    return in_turn && resume.position.key == key_ &&
           (step == step_ || (cached_ && step + 1 == step_));
  }
  /// Says again what may have been lost on the way.
  void catch_up(Peer& peer, const net::Resume& resume) {
    if (state_ == State::waiting_accept && resume.turn_steps != 0)
      accept(peer, resume.turn_steps);
    else if (state_ == State::waiting_ack)
      send(peer.connection, barrier_);
    else if (barrier_.key == key_ && barrier_.id == committed_.id)
      send(peer.connection, net::BarrierCommitted{key_, barrier_.id, barrier_hash_});
  }

  // Turns.

  TurnReport fresh_report() const {
    return begin_report(turn_, plan_.devices,
                        static_cast<std::size_t>(plan_.offer.description.training.local_epochs),
                        step_);
  }

  void begin_turns() override { grant_turn(); }
  /// Goes on with the turn of `report_`, from step_ on.
  void grant_turn() {
    cached_ = barrier_due_ = leaving_ = false;
    state_ = State::waiting_holder;
    if (holder() == 0) return;
    key_ = {plan_.offer.run, report_.turn, ++fence_};
    report_.device_name = devices_[report_.device].name;
    report_.samples = devices_[report_.device].samples + added_samples(report_.device);
    costs_before_ = report_.costs;
    ServerAction& action = ask(ServerAction::Kind::grant, holder(), State::waiting_accept);
    action.grant.key = key_;
    action.grant.round = report_.round;
    action.grant.first_step = report_.first_step;
    action.grant.done_steps = step_ - report_.first_step;
    action.grant.order_seed = plan_.offer.description.seed;
    action.grant.learning_rate =
        learning_rate(plan_.schedule, plan_.learning_rate, static_cast<std::int64_t>(turn_),
                      static_cast<std::int64_t>(plan_.turns));
  }

  /// Calls `then` where no step was applied since the last barrier, else asks for that barrier.
  template <class Then>
  void go_back_or(const Then& then) {
    if (step_ == committed_.step) return then();
    if (!plan_.keeps_barriers)
      return end_run(net::WireError::run_failed,
                     failure(ErrorCode::network, "device '", devices_[report_.device].name,
                             "' has lost its state, and without a run folder (--out) there is no "
                             "barrier to go back to"));
    ask(ServerAction::Kind::roll_back, 0, State::rolling_back);
  }

  void on_turn_accept(Peer& peer, const net::Message& message) {
    if (!is_holder(peer) || state_ != State::waiting_accept) return refuse(peer, message.type);
    const Result<net::TurnAccept> accepted = decoded<net::TurnAccept>(peer, message);
    if (!accepted) return;
    if (accepted->key != key_)
      return give_up(peer, net::WireError::protocol,
                     failure(ErrorCode::network, "TURN_ACCEPT of turn ", accepted->key.turn,
                             ", expected turn ", key_.turn));
    accept(peer, accepted->steps);
  }
  void accept(Peer& peer, std::uint64_t steps) {
    const Result<void> good =
        check_turn_steps(report_, steps, peer.record.samples + added_samples(peer.index));
    if (!good) return give_up(peer, net::WireError::protocol, good.failure());
    report_.steps = steps;
    state_ = State::stepping;
    if (!splits(plan_.offer.description.method)) ask_barrier(report_.first_step + steps);
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

  bool wants_barrier() const {
    return stopping_ || leaving_ ||
           (barrier_due_ && step_ - committed_.step >= plan_.barrier_steps);
  }
  void ask_barrier(std::uint64_t step) {
    barrier_ = {key_, ++barriers_, step};
    send(holder(), barrier_);
    state_ = State::waiting_ack;
  }

  void on_barrier_ack(Peer& peer, net::Message message) {
    if (!is_holder(peer) || state_ != State::waiting_ack) return refuse(peer, message.type);
    Result<net::BarrierAck> ack = decoded<net::BarrierAck>(peer, message);
    if (!ack) return;
    if (ack->key != key_ || ack->id != barrier_.id || ack->step != barrier_.step ||
        ack->costs.size() != report_.epochs.size())
      return give_up(peer, net::WireError::protocol,
                     failure(ErrorCode::network, "BARRIER_ACK of barrier ", ack->id, " at step ",
                             ack->step, ", expected ", barrier_.id, " at ", barrier_.step));
    barrier_hash_ = message.digest;
    step_ = barrier_.step;
    for (std::size_t i = 0; i < report_.costs.size(); ++i)
      report_.costs[i] = net::add_costs(costs_before_[i], ack->costs[i]);
    pending_ = {barrier_.id, step_, report_};
    ServerAction& action = ask(ServerAction::Kind::store, peer.connection, State::storing);
    action.ack = std::move(ack).value();
    action.barrier = pending_;
    action.message = std::move(message);
  }

  void on_turn_done(Peer& peer, const net::Message& message) {
    if (!is_holder(peer) || state_ != State::waiting_done) return refuse(peer, message.type);
    Result<net::TurnDone> done = decoded<net::TurnDone>(peer, message);
    if (!done) return;
    if (done->key != key_ || done->last_step != step_ || done->hash != barrier_hash_)
      return give_up(peer, net::WireError::protocol,
                     failure(ErrorCode::network, "TURN_DONE at step ", done->last_step,
                             " does not match the barrier at step ", step_));
    send(holder(), net::TurnCommitted{key_, step_});
    complete_turn();
  }

  /// Closes the books of a turn whose last barrier is committed, or that is skipped.
  void complete_turn() {
    ask(ServerAction::Kind::report, holder(), state_).report = report_;
    if (++turn_ == plan_.turns) {
      for (const Peer& each : peers_) {
        send(each.connection, net::Bye{"the run is complete"});
        close(each.connection);
      }
      return end(ServerAction::Kind::finish, {});
    }
    report_ = fresh_report();
    if (begun_) grant_turn();
  }
  void skip() {
    skipping_ = false;
    report_.skipped = true;
    report_.device_name = devices_[report_.device].name;
    complete_turn();
  }

  // Ends.

  void on_leave(Peer& peer, const net::Message& message) {
    const Result<net::Leave> leave = decoded<net::Leave>(peer, message);
    if (!leave) return;
    if (is_holder(peer) && is_stepping())
      leaving_ = true;
    else if (!is_holder(peer) || state_ != State::waiting_done)
      drop(peer, true);
  }
  void on_dropped() override {
    if (stopping_ && missing_holder() != nullptr) pause();
  }
  ConnectionId holder() const { return devices_[report_.device].connection; }
  bool is_holder(const Peer& peer) const {
    return begun_ && peer.state == PeerState::ready && peer.connection == holder();
  }
  /// A step or a barrier of the turn is on its way.
  bool is_stepping() const {
    return state_ == State::stepping || state_ == State::training || state_ == State::waiting_ack ||
           state_ == State::storing;
  }
  std::size_t epoch_of(std::uint64_t turn_step) const {
    const std::uint64_t per_epoch = report_.steps / report_.epochs.size();
    return static_cast<std::size_t>(turn_step / per_epoch);
  }
  bool stopping_ = false, skipping_ = false;

  BarrierRecord committed_;  ///< the last barrier that is on disk
  std::uint64_t turn_;
  std::uint64_t step_;  ///< last applied step
  std::uint32_t fence_;
  net::TurnKey key_;
  TurnReport report_;
  std::vector<net::EpochCost> costs_before_;  ///< of the turn, up to its last grant

  bool cached_ = false;
  std::uint64_t cached_hash_ = 0;
  net::Message cached_grad_;
  std::uint64_t pending_hash_ = 0, pending_samples_ = 0;
  std::uint64_t barriers_;  ///< id of the last one that was asked for
  bool barrier_due_ = false, leaving_ = false;
  net::Barrier barrier_;
  BarrierRecord pending_;  ///< being written
  Sha256Digest barrier_hash_{};
};

}  // namespace split
IOTSL_NAMESPACE_END
