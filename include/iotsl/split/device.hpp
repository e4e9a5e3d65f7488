#pragma once
// The device's side of ISL/1 as a state machine: events in, actions out. It knows no socket, no
// clock and no tensor; the driver carries out the actions in order and reports back.
//
//   connecting -> greeting (HELLO) -> building -> joining (JOIN) -> idle -> loading -> stepping ...
//   stepping: forward -> waiting for GRAD -> backward -> forward ... -> exporting the front at the
//   barrier -> waiting for BARRIER_COMMITTED -> waiting for TURN_COMMITTED -> idle

#include <deque>

#include "iotsl/split/device_types.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class DeviceMachine {
 public:
  enum class State {
    connecting,
    greeting,
    building,
    joining,
    idle,
    loading,
    forward,
    waiting_grad,
    backward,
    waiting_barrier,
    exporting,
    waiting_committed,
    waiting_turn_committed,
    closed,
  };

  explicit DeviceMachine(DeviceIdentity identity) : identity_(std::move(identity)) {}

  State state() const { return state_; }
  std::uint64_t last_step() const { return step_; }
  /// The next action to carry out; false when there is none.
  bool pop(DeviceAction& action) {
    if (actions_.empty()) return false;
    action = std::move(actions_.front());
    actions_.pop_front();
    return true;
  }

  // Events.

  void on_connected() {
    if (state_ != State::connecting) return;
    net::Hello hello;
    hello.device = identity_.name;
    hello.index = identity_.index;
    hello.boot_nonce = identity_.boot_nonce;
    hello.dataset = identity_.dataset;
    hello.samples = identity_.samples();
    hello.data_fingerprint = identity_.data_fingerprint;
    send(hello);
    state_ = State::greeting;
  }

  void on_message(net::Message message) {
    using net::MessageType;
    if (state_ == State::closed) return;
    switch (message.type) {
      case MessageType::hello_ok:
        return on_hello_ok(message);
      case MessageType::join_ok:
        return on_join_ok(message);
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

  /// `model_hash`: structure_sha256 of the front that was built.
  void on_built(const Result<Sha256Digest>& model_hash) {
    if (state_ != State::building) return;
    if (!model_hash) return give_up(net::WireError::model_mismatch, model_hash.failure());
    if (*model_hash != setup_.model_hash)
      return give_up(net::WireError::model_mismatch,
                     failure(ErrorCode::network, "the front built here is not the server's"));
    send(net::Join{setup_.run});
    state_ = State::joining;
  }

  /// `steps`: batches of the turn, all local epochs together.
  void on_loaded(const Result<std::uint64_t>& steps) {
    if (state_ != State::loading) return;
    if (!steps) return give_up(net::WireError::not_finite, steps.failure());
    turn_steps_ = *steps;
    turn_done_steps_ = 0;
    costs_.assign(setup_.description.local_epochs, {});
    send(net::TurnAccept{key_, turn_steps_});
    next_step();
  }

  /// `labels` and `smashed` of the step that was asked for; `shape` of the smashed batch.
  void on_smashed(const Result<void>& done, std::vector<std::int32_t> labels = {},
                  ByteSpan smashed = {}, std::vector<std::uint32_t> shape = {}) {
    if (state_ != State::forward) return;
    if (!done) return give_up(net::WireError::not_finite, done.failure());
    if (is_local()) {
      DeviceAction& action = ask(DeviceAction::Kind::backward, State::backward);
      action.step = step_ + 1;
      action.local = true;
      return;
    }
    net::Step step;
    step.key = key_;
    step.step = step_ + 1;
    step.labels = std::move(labels);
    step.smashed = smashed;
    push_send(net::make_message(step, std::move(shape)));
    state_ = State::waiting_grad;
  }

  /// The update of the step is done, or refused because of NaN or Inf. `cost` of forward and
  /// backward.
  void on_updated(const Result<void>& done, const net::EpochCost& cost) {
    if (state_ != State::backward) return;
    if (!done) return give_up(net::WireError::not_finite, done.failure());
    net::EpochCost& epoch = costs_[epoch_of(turn_done_steps_)];
    epoch.compute_us += cost.compute_us;
    epoch.peak_memory_bytes = std::max(epoch.peak_memory_bytes, cost.peak_memory_bytes);
    ++step_;
    ++turn_done_steps_;
    if (stop_ && turn_done_steps_ < turn_steps_) return say_bye();
    next_step();
  }

  /// The front after the barrier's step.
  void on_exported(const net::FrontState& front) {
    if (state_ != State::exporting) return;
    net::BarrierAck ack;
    ack.key = key_;
    ack.id = barrier_.id;
    ack.step = step_;
    ack.front = front;
    net::Message message = net::make_message(ack);
    barrier_hash_ = sha256(message.payload);
    push_send(std::move(message));
    state_ = State::waiting_committed;
  }

  /// SIGTERM: the step under way is finished, then BYE; a turn whose steps are done is completed.
  void request_stop() {
    stop_ = true;
    if (state_ == State::greeting || state_ == State::joining || state_ == State::idle) say_bye();
  }

  /// The connection was lost, or broke the rules of framing.
  void on_lost(Failure why) {
    if (state_ == State::closed) return;
    close_with(std::move(why));
  }

 private:
  bool is_local() const { return setup_.description.method == "local"; }
  std::size_t epoch_of(std::uint64_t turn_step) const {
    const std::uint64_t per_epoch = std::max<std::uint64_t>(1, turn_steps_ / costs_.size());
    return std::min(costs_.size() - 1, static_cast<std::size_t>(turn_step / per_epoch));
  }

  void on_hello_ok(const net::Message& message) {
    if (state_ != State::greeting) return refuse(message.type);
    Result<net::HelloOk> ok = decoded<net::HelloOk>(message);
    if (!ok) return;
    if (ok->version != net::protocol_major)
      return give_up(net::WireError::version,
                     failure(ErrorCode::network, "the server chose version ", ok->version,
                             ", this device speaks ", net::protocol_major));
    const net::RunDescription& run = ok->description;
    if (run.dataset != identity_.dataset)
      return give_up(net::WireError::data_mismatch,
                     failure(ErrorCode::usage, "the run trains on '", run.dataset,
                             "', this device has '", identity_.dataset, "'"));
    if (run.classes != identity_.label_counts.size())
      return give_up(net::WireError::data_mismatch,
                     failure(ErrorCode::usage, "the run has ", run.classes,
                             " classes, this device's data ", identity_.label_counts.size()));
    setup_ = std::move(ok).value();
    ask(DeviceAction::Kind::build, State::building).setup = setup_;
  }

  void on_join_ok(const net::Message& message) {
    if (state_ != State::joining) return refuse(message.type);
    const Result<net::JoinOk> ok = decoded<net::JoinOk>(message);
    if (!ok) return;
    if (ok->run != setup_.run)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "JOIN_OK of another run"));
    send(net::LabelHist{identity_.label_counts});
    state_ = State::idle;
  }

  void on_turn_grant(net::Message message) {
    if (state_ != State::idle) return refuse(message.type);
    Result<net::TurnGrant> grant = decoded<net::TurnGrant>(message);
    if (!grant) return;
    if (grant->key.run != setup_.run ||
        (granted_ && (grant->key.fence <= key_.fence || grant->key.turn <= key_.turn ||
                      grant->first_step < step_)))
      return give_up(net::WireError::stale,
                     failure(ErrorCode::network, "TURN_GRANT of turn ", grant->key.turn, ", fence ",
                             grant->key.fence, " after turn ", key_.turn, ", fence ", key_.fence));
    granted_ = true;
    key_ = grant->key;
    step_ = grant->first_step;
    barrier_pending_ = false;
    DeviceAction& action = ask(DeviceAction::Kind::load, State::loading);
    action.grant = std::move(grant).value();
    action.message = std::move(message);
  }

  void on_grad(net::Message message) {
    if (state_ != State::waiting_grad) return refuse(message.type);
    Result<net::Grad> grad = decoded<net::Grad>(message);
    if (!grad) return;
    if (grad->key != key_ || grad->step != step_ + 1)
      return give_up(
          grad->step > step_ + 1 ? net::WireError::gap : net::WireError::stale,
          failure(ErrorCode::network, "GRAD of step ", grad->step, ", expected ", step_ + 1));
    DeviceAction& action = ask(DeviceAction::Kind::backward, State::backward);
    action.step = step_ + 1;
    action.grad = std::move(grad).value();
    action.message = std::move(message);
  }

  void on_barrier(const net::Message& message) {
    const bool in_turn = state_ == State::forward || state_ == State::backward ||
                         state_ == State::waiting_grad || state_ == State::waiting_barrier;
    if (!in_turn || barrier_pending_) return refuse(message.type);
    const Result<net::Barrier> barrier = decoded<net::Barrier>(message);
    if (!barrier) return;
    if (barrier->key != key_ || barrier->step < step_)
      return give_up(net::WireError::stale, failure(ErrorCode::network, "BARRIER of step ",
                                                    barrier->step, ", the device is at ", step_));
    barrier_ = *barrier;
    barrier_pending_ = true;
    if (state_ == State::waiting_barrier) next_step();
  }

  void on_barrier_committed(const net::Message& message) {
    if (state_ != State::waiting_committed) return refuse(message.type);
    const Result<net::BarrierCommitted> committed = decoded<net::BarrierCommitted>(message);
    if (!committed) return;
    if (committed->key != key_ || committed->id != barrier_.id || committed->hash != barrier_hash_)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "BARRIER_COMMITTED of another state"));
    barrier_pending_ = false;
    if (turn_done_steps_ < turn_steps_) return next_step();
    net::TurnDone done;
    done.key = key_;
    done.last_step = step_;
    done.hash = barrier_hash_;
    done.epochs = costs_;
    send(done);
    state_ = State::waiting_turn_committed;
  }

  void on_turn_committed(const net::Message& message) {
    if (state_ != State::waiting_turn_committed) return refuse(message.type);
    const Result<net::TurnCommitted> committed = decoded<net::TurnCommitted>(message);
    if (!committed) return;
    if (committed->key != key_ || committed->last_step != step_)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "TURN_COMMITTED of another turn"));
    state_ = State::idle;
    if (stop_) say_bye();
  }

  void on_error(const net::Message& message) {
    const Result<net::ErrorMessage> error = decoded<net::ErrorMessage>(message);
    if (!error) return;
    const bool data = error->code == net::WireError::data_mismatch;
    close_with(
        failure(data ? ErrorCode::usage : ErrorCode::network, "the server says: ", error->text));
  }

  void on_bye(const net::Message& message) {
    const Result<net::Bye> bye = decoded<net::Bye>(message);
    if (!bye) return;
    if (state_ != State::idle)
      return close_with(failure(ErrorCode::network, "the server left: ", bye->reason));
    finish();
  }

  /// The barrier if its step is reached, else the next batch, else the wait for the barrier.
  void next_step() {
    if (barrier_pending_ && barrier_.step == step_) {
      ask(DeviceAction::Kind::export_front, State::exporting);
      return;
    }
    if (turn_done_steps_ == turn_steps_) {
      if (barrier_pending_)
        return give_up(net::WireError::gap, failure(ErrorCode::network, "BARRIER at step ",
                                                    barrier_.step, ", the turn ends at ", step_));
      state_ = State::waiting_barrier;
      return;
    }
    DeviceAction& action = ask(DeviceAction::Kind::forward, State::forward);
    action.step = step_ + 1;
    action.batch = turn_done_steps_;
  }

  template <class M>
  Result<M> decoded(const net::Message& message) {
    Result<M> fields = net::decode<M>(message.payload);
    if (!fields) give_up(net::WireError::protocol, fields.failure());
    return fields;
  }
  void refuse(net::MessageType type) {
    give_up(net::WireError::not_allowed,
            failure(ErrorCode::network, "the server sent ", net::to_string(type),
                    " where the protocol does not allow it"));
  }
  /// Says why to the server, and ends.
  void give_up(net::WireError code, Failure why) {
    if (state_ == State::closed) return;
    net::ErrorMessage error;
    error.code = code;
    error.text = why.message.substr(0, net::max_text_bytes);
    send(error);
    close_with(std::move(why));
  }
  void close_with(Failure why) {
    ask(DeviceAction::Kind::fail, State::closed).problem = std::move(why);
  }
  void say_bye() {
    send(net::Bye{"stopped"});
    finish();
  }
  void finish() { ask(DeviceAction::Kind::finish, State::closed); }

  template <class M>
  void send(const M& fields) {
    push_send(net::make_message(fields));
  }
  void push_send(net::Message message) {
    ask(DeviceAction::Kind::send, state_).message = std::move(message);
  }
  /// Adds an action and goes to the next state.
  DeviceAction& ask(DeviceAction::Kind kind, State next) {
    state_ = next;
    actions_.emplace_back().kind = kind;
    return actions_.back();
  }

  DeviceIdentity identity_;
  State state_ = State::connecting;
  net::HelloOk setup_;
  net::TurnKey key_;
  bool granted_ = false;
  bool stop_ = false;
  std::uint64_t step_ = 0;             ///< last applied step of the run
  std::uint64_t turn_steps_ = 0;       ///< batches of the turn
  std::uint64_t turn_done_steps_ = 0;  ///< of these, applied
  bool barrier_pending_ = false;
  net::Barrier barrier_;
  Sha256Digest barrier_hash_{};
  std::vector<net::EpochCost> costs_;
  std::deque<DeviceAction> actions_;
};

}  // namespace split
IOTSL_NAMESPACE_END
