#pragma once
// The device's side of ISL/1 as a state machine: events in, actions out. It knows no socket, no
// clock and no tensor; the driver carries out the actions in order and reports back.
//
//   connecting -> greeting (HELLO) -> building -> joining (JOIN) -> preparation, see
//   device_generator_exchange.hpp -> idle -> loading -> stepping ...
//   stepping: forward -> waiting for GRAD -> backward -> forward ... -> exporting the front at the
//   barrier -> waiting for BARRIER_COMMITTED -> stepping, or waiting for TURN_COMMITTED -> idle
//
// A lost connection leads back to connecting; the turn is kept, and after JOIN_OK the server is
// asked (RESUME) whether it may go on.

#include "iotsl/split/protocol/device_generator_exchange.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class DeviceMachine : public DeviceGenerators {
 public:
  explicit DeviceMachine(DeviceIdentity identity) : DeviceGenerators(std::move(identity)) {}

  State state() const {
    if (closed_) return State::closed;
    if (link_ != State::idle) return link_;
    return generator_state() != State::idle ? generator_state() : turn_;
  }
  std::uint64_t last_step() const { return step_; }
  // Events.

  void on_message(net::Message message) {
    using net::MessageType;
    if (closed_ || link_ == State::connecting) return;
    switch (message.type) {
      case MessageType::hello_ok:
        return on_hello_ok(message);
      case MessageType::join_ok:
        return on_join_ok(message);
      case MessageType::resume_ok:
        return on_resume_ok(message);
      case MessageType::gen_ack:
        return on_gen_ack(message);
      case MessageType::impute_plan:
        return on_impute_plan(message, state() == State::idle);
      case MessageType::gen_download:
        return on_gen_download(std::move(message));
      case MessageType::turn_grant:
        return on_turn_grant(std::move(message));
      case MessageType::grad:
        return on_grad(std::move(message));
      case MessageType::barrier:
        return on_barrier(message);
      case MessageType::barrier_committed:
        return on_barrier_committed(message);
      case MessageType::turn_committed:
        return on_turn_committed(message);
      case MessageType::error:
        return on_error(message);
      case MessageType::bye:
        return on_bye(message);
      default:
        refuse(message.type);
    }
  }

  /// `steps`: batches of the turn, all local epochs together.
  void on_loaded(const Result<std::uint64_t>& steps) {
    if (closed_ || turn_ != State::loading) return;
    if (!steps) return give_up(net::WireError::not_finite, steps.failure());
    if (turn_done_steps_ >= *steps)
      return give_up(net::WireError::gap,
                     failure(ErrorCode::network, "TURN_GRANT after step ", turn_done_steps_,
                             " of a turn of ", *steps, " steps"));
    turn_steps_ = *steps;
    costs_.assign(static_cast<std::size_t>(setup_.description.training.local_epochs), {});
    send_in_turn(net::make_message(net::TurnAccept{key_, turn_steps_}));
    next_step();
  }

  /// `labels` and `smashed` of the step that was asked for; `shape` of the smashed batch.
  void on_smashed(const Result<void>& done, std::vector<std::int32_t> labels = {},
                  ByteSpan smashed = {}, std::vector<std::uint32_t> shape = {}) {
    if (closed_ || turn_ != State::forward) return;
    if (!done) return give_up(net::WireError::not_finite, done.failure());
    if (is_local()) {
      DeviceAction& action = work(DeviceAction::Kind::backward, State::backward);
      action.step = step_ + 1;
      action.local = true;
      return;
    }
    turn_ = State::waiting_grad;
    if (link_ != State::idle) return;  // said when the connection is back
    net::Step step;
    step.key = key_;
    step.step = step_ + 1;
    step.labels = std::move(labels);
    step.smashed = smashed;
    send_in_turn(net::make_message(step, std::move(shape)));
  }

  /// The update of the step is done, or refused because of NaN or Inf. `cost` of forward and
  /// backward.
  void on_updated(const Result<void>& done, const net::EpochCost& cost) {
    if (closed_ || turn_ != State::backward) return;
    if (!done) return give_up(net::WireError::not_finite, done.failure());
    net::EpochCost& epoch = costs_[epoch_of(turn_done_steps_)];
    epoch.compute_us += cost.compute_us;
    epoch.peak_memory_bytes = std::max(epoch.peak_memory_bytes, cost.peak_memory_bytes);
    ++step_;
    ++turn_done_steps_;
    if (stop_ && is_local() && turn_done_steps_ < turn_steps_) return say_bye();
    next_step();
  }

  /// The front after the barrier's step.
  void on_exported(const net::FrontState& front) {
    if (closed_ || turn_ != State::exporting) return;
    net::BarrierAck ack;
    ack.key = key_;
    ack.id = barrier_.id;
    ack.step = step_;
    ack.costs = costs_;
    ack.front = front;
    net::Message message = net::make_message(ack);
    barrier_hash_ = sha256(message.payload);
    turn_ = State::waiting_committed;
    send_in_turn(std::move(message));
  }

  /// SIGTERM: the step under way is finished and put into a barrier, then BYE. Without a server, or
  /// where its gradient is not awaited, BYE at once.
  void request_stop() {
    if (closed_) return;
    stop_ = true;
    if (link_ != State::idle || turn_ == State::idle) return say_bye();
    if (!is_local()) send_in_turn(net::make_message(net::Leave{"stopped"}));
  }

  /// The connection was lost, or broke the rules of framing. The turn waits for the next one.
  void on_lost() override {
    if (closed_) return;
    link_ = State::connecting;
    drop_preparation();
    std::erase_if(actions_, [](const DeviceAction& action) {
      return !is_work(action.kind) && action.kind != DeviceAction::Kind::impute;
    });
    if (stop_) finish();
  }

 private:
  bool is_local() const { return !splits(setup_.description.method); }
  std::size_t epoch_of(std::uint64_t turn_step) const {
    const std::uint64_t per_epoch = std::max<std::uint64_t>(1, turn_steps_ / costs_.size());
    return std::min(costs_.size() - 1, static_cast<std::size_t>(turn_step / per_epoch));
  }

  net::Position position() const override {
    return has_turn() ? net::Position{key_, setup_.incarnation, step_} : net::Position{};
  }
  bool has_turn() const { return turn_ != State::idle; }

  void forget_run() override {
    drop_turn();
    forget_preparation();
    granted_ = false;
    step_ = 0;
  }
  void on_joined(bool generator_wanted) override {
    want_generator(generator_wanted);
    if (!has_turn()) return begin_generator();
    link_ = State::resuming;
    send(net::Resume{position(), turn_steps_});
  }

  void on_resume_ok(const net::Message& message) {
    if (link_ != State::resuming) return refuse(message.type);
    const Result<net::ResumeOk> ok = decoded<net::ResumeOk>(message);
    if (!ok) return;
    link_ = State::idle;
    if (!ok->proceed) {
      drop_turn();
      return begin_generator();
    }
    // A barrier's messages are said again by the server, a smashed batch by this side.
    if (turn_ != State::waiting_grad) return;
    DeviceAction& action = work(DeviceAction::Kind::repeat, State::forward);
    action.step = step_ + 1;
  }

  void on_turn_grant(net::Message message) {
    if (state() != State::idle) return refuse(message.type);
    Result<net::TurnGrant> grant = decoded<net::TurnGrant>(message);
    if (!grant) return;
    if (grant->key.run != setup_.run ||
        (granted_ && (grant->key.fence <= key_.fence || grant->key.turn < key_.turn)))
      return give_up(net::WireError::stale,
                     failure(ErrorCode::network, "TURN_GRANT of turn ", grant->key.turn, ", fence ",
                             grant->key.fence, " after turn ", key_.turn, ", fence ", key_.fence));
    granted_ = true;
    key_ = grant->key;
    step_ = grant->first_step + grant->done_steps;
    turn_done_steps_ = grant->done_steps;
    turn_steps_ = 0;
    barrier_pending_ = false;
    committed_ = 0;
    DeviceAction& action = work(DeviceAction::Kind::load, State::loading);
    action.grant = std::move(grant).value();
    action.message = std::move(message);
  }

  void on_grad(net::Message message) {
    if (state() != State::waiting_grad) return refuse(message.type);
    Result<net::Grad> grad = decoded<net::Grad>(message);
    if (!grad) return;
    if (grad->key != key_ || grad->step != step_ + 1)
      return give_up(
          grad->step > step_ + 1 ? net::WireError::gap : net::WireError::stale,
          failure(ErrorCode::network, "GRAD of step ", grad->step, ", expected ", step_ + 1));
    DeviceAction& action = work(DeviceAction::Kind::backward, State::backward);
    action.step = step_ + 1;
    action.grad = std::move(grad).value();
    action.message = std::move(message);
  }

  void on_barrier(const net::Message& message) {
    const State at = state();
    const bool in_turn = at == State::forward || at == State::backward ||
                         at == State::waiting_grad || at == State::waiting_barrier ||
                         at == State::exporting || at == State::waiting_committed;
    if (!in_turn) return refuse(message.type);
    const Result<net::Barrier> barrier = decoded<net::Barrier>(message);
    if (!barrier) return;
    if (barrier_pending_) {
      // After a lost connection the server says it again, in case it did not arrive.
      if (barrier->key != key_ || barrier->id != barrier_.id) return refuse(message.type);
      if (at == State::waiting_committed) work(DeviceAction::Kind::export_front, State::exporting);
      return;
    }
    if (barrier->key != key_ || barrier->step < step_ || barrier->id <= committed_)
      return give_up(net::WireError::stale, failure(ErrorCode::network, "BARRIER of step ",
                                                    barrier->step, ", the device is at ", step_));
    barrier_ = *barrier;
    barrier_pending_ = true;
    if (at == State::waiting_barrier) next_step();
  }

  void on_barrier_committed(const net::Message& message) {
    const State at = state();
    const Result<net::BarrierCommitted> committed = decoded<net::BarrierCommitted>(message);
    if (!committed) return;
    const bool same = has_turn() && link_ == State::idle && committed->key == key_ &&
                      committed->id == barrier_.id && committed->hash == barrier_hash_;
    if (same && committed->id == committed_) {  // said again after a lost connection
      if (at == State::waiting_turn_committed) say_done();
      return;
    }
    if (at != State::waiting_committed) return refuse(message.type);
    if (!same)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "BARRIER_COMMITTED of another state"));
    barrier_pending_ = false;
    committed_ = barrier_.id;
    if (turn_done_steps_ == turn_steps_) {
      turn_ = State::waiting_turn_committed;
      return say_done();
    }
    if (stop_) return say_bye();
    next_step();
  }

  void say_done() {
    net::TurnDone done;
    done.key = key_;
    done.last_step = step_;
    done.hash = barrier_hash_;
    send_in_turn(net::make_message(done));
  }

  void on_turn_committed(const net::Message& message) {
    if (state() != State::waiting_turn_committed) return refuse(message.type);
    const Result<net::TurnCommitted> committed = decoded<net::TurnCommitted>(message);
    if (!committed) return;
    if (committed->key != key_ || committed->last_step != step_)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "TURN_COMMITTED of another turn"));
    turn_ = State::idle;
    if (stop_) say_bye();
  }

  void on_bye(const net::Message& message) {
    const Result<net::Bye> bye = decoded<net::Bye>(message);
    if (!bye) return;
    if (bye->will_return && !stop_) return reconnect(0);
    if (has_turn() && !stop_)
      return close_with(failure(ErrorCode::network, "the server left: ", bye->reason));
    finish();
  }

  /// The barrier if its step is reached, else the next batch, else the wait for the barrier.
  void next_step() {
    if (barrier_pending_ && barrier_.step == step_) {
      work(DeviceAction::Kind::export_front, State::exporting);
      return;
    }
    if (turn_done_steps_ == turn_steps_) {
      if (barrier_pending_)
        return give_up(net::WireError::gap, failure(ErrorCode::network, "BARRIER at step ",
                                                    barrier_.step, ", the turn ends at ", step_));
      turn_ = State::waiting_barrier;
      return;
    }
    DeviceAction& action = work(DeviceAction::Kind::forward, State::forward);
    action.step = step_ + 1;
    action.batch = turn_done_steps_;
  }

  void drop_turn() {
    turn_ = State::idle;
    barrier_pending_ = false;
    std::erase_if(actions_, [](const DeviceAction& action) { return is_work(action.kind); });
  }
  /// What is not sent because the connection is down is said again when it is back.
  void send_in_turn(net::Message message) {
    if (link_ == State::idle) ask(DeviceAction::Kind::send).message = std::move(message);
  }
  static bool is_work(DeviceAction::Kind kind) {
    using Kind = DeviceAction::Kind;
    return kind == Kind::load || kind == Kind::forward || kind == Kind::repeat ||
           kind == Kind::backward || kind == Kind::export_front;
  }
  /// Adds a piece of the turn's work and goes to the turn's next state.
  DeviceAction& work(DeviceAction::Kind kind, State next) {
    turn_ = next;
    return ask(kind);
  }

  State turn_ = State::idle;
  bool granted_ = false;
  net::TurnKey key_;
  std::uint64_t step_ = 0;             ///< last applied step of the run
  std::uint64_t turn_steps_ = 0;       ///< batches of the turn; 0: not known yet
  std::uint64_t turn_done_steps_ = 0;  ///< of these, applied
  bool barrier_pending_ = false;       ///< asked for, not committed
  std::uint64_t committed_ = 0;        ///< the turn's last committed barrier
  net::Barrier barrier_;
  Sha256Digest barrier_hash_{};
  std::vector<net::EpochCost> costs_;
};

}  // namespace split
IOTSL_NAMESPACE_END
