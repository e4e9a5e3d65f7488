#pragma once
// The device's turn: steps with the server's gradients, and barriers at which front and costs are
// handed over.
//
//   idle -> loading (TURN_GRANT) -> forward -> waiting for GRAD -> backward -> forward ...
//   -> exporting the front at the barrier -> waiting for BARRIER_COMMITTED -> forward ..., or
//   waiting for TURN_COMMITTED -> idle
//
// Work goes on without a connection; what is not sent because there is none is said again after
// RESUME_OK.

#include <algorithm>

#include "iotsl/split/protocol/device/device_outbox.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class DeviceTurn {
 public:
  enum class State {
    idle,
    loading,
    forward,
    waiting_grad,
    backward,
    waiting_barrier,
    exporting,
    waiting_committed,
    waiting_turn_committed,
    paused,  ///< as asked for: the device may leave
  };

  State state() const { return state_; }
  const net::TurnKey& key() const { return key_; }
  /// The last applied step of the run.
  std::uint64_t step() const { return step_; }
  /// Batches of the turn; 0: not known yet.
  std::uint64_t turn_steps() const { return turn_steps_; }
  bool pausing() const { return pausing_; }
  /// The batch of the turn behind the one whose gradient is awaited, if there is one: the next
  /// Forward, unless something happens to the turn.
  std::optional<std::uint64_t> batch_ahead() const {
    const bool has_one = state_ == State::waiting_grad && done_steps_ + 1 < turn_steps_;
    return has_one ? std::optional(done_steps_ + 1) : std::nullopt;
  }

  // What the driver has done. `ready`: the connection stands, else nothing is sent.

  /// `steps`: batches of the turn, all local epochs together.
  [[nodiscard]] DeviceVerdict on_loaded(const Result<std::uint64_t>& steps, bool ready,
                                        DeviceOutbox& out) {
    if (state_ != State::loading) return {};
    if (!steps) return DeviceRefusal{net::WireError::not_finite, steps.failure()};
    if (done_steps_ >= *steps)
      return DeviceRefusal::because(net::WireError::gap, "TURN_GRANT after step ", done_steps_,
                                    " of a turn of ", *steps, " steps");
    turn_steps_ = *steps;
    if (ready) out.send(net::TurnAccept{key_, turn_steps_});
    return next_step(out);
  }

  /// `labels` and `smashed` of the step that was asked for; `form` of the smashed batch.
  [[nodiscard]] DeviceVerdict on_smashed(const Result<void>& done, std::vector<std::int32_t> labels,
                                         ByteSpan smashed, net::BatchForm form, bool ready,
                                         DeviceOutbox& out) {
    if (state_ != State::forward) return {};
    if (!done) return DeviceRefusal{net::WireError::not_finite, done.failure()};
    if (alone_) {
      state_ = State::backward;
      out.ask(device_action::BackwardRandom{step_ + 1});
      return {};
    }
    state_ = State::waiting_grad;
    if (!ready) return {};
    net::Step step;
    step.key = key_;
    step.step = step_ + 1;
    step.labels = std::move(labels);
    step.smashed = smashed;
    out.send(step, std::move(form));
    return {};
  }

  /// The update of the step is done, or refused because of NaN or Inf. `cost` of forward and
  /// backward.
  [[nodiscard]] DeviceVerdict on_updated(const Result<void>& done, const net::EpochCost& cost,
                                         DeviceOutbox& out) {
    if (state_ != State::backward) return {};
    if (!done) return DeviceRefusal{net::WireError::not_finite, done.failure()};
    net::EpochCost& epoch = costs_[epoch_of(done_steps_)];
    epoch.compute_us += cost.compute_us;
    epoch.peak_memory_bytes = std::max(epoch.peak_memory_bytes, cost.peak_memory_bytes);
    ++step_;
    ++done_steps_;
    if (pausing_ && alone_ && done_steps_ < turn_steps_) {
      state_ = State::paused;
      return {};
    }
    return next_step(out);
  }

  /// The front after the barrier's step.
  void on_exported(const net::FrontState& front, bool ready, DeviceOutbox& out) {
    if (state_ != State::exporting) return;
    net::BarrierAck ack;
    ack.key = key_;
    ack.id = barrier_.id;
    ack.step = step_;
    ack.costs = costs_;
    ack.front = front;
    net::Message message = net::make_message(ack);
    barrier_hash_ = sha256(message.payload);
    state_ = State::waiting_committed;
    if (ready) out.ask(device_action::Send{std::move(message)});
  }

  // What the server says; the connection stands.

  [[nodiscard]] DeviceVerdict on_grant(net::Message message, const net::HelloOk& setup,
                                       DeviceOutbox& out) {
    if (state_ != State::idle) return DeviceRefusal::not_allowed(message.type);
    Result<net::TurnGrant> grant = net::decode<net::TurnGrant>(message.payload);
    if (!grant) return DeviceRefusal::damaged(grant.failure());
    if (grant->key.run != setup.run ||
        (granted_ && (grant->key.fence <= key_.fence || grant->key.turn < key_.turn)))
      return DeviceRefusal::because(net::WireError::stale, "TURN_GRANT of turn ", grant->key.turn,
                                    ", fence ", grant->key.fence, " after turn ", key_.turn,
                                    ", fence ", key_.fence);
    granted_ = true;
    key_ = grant->key;
    alone_ = is_alone(setup.description);
    costs_.assign(static_cast<std::size_t>(setup.description.training.local_epochs), {});
    step_ = grant->first_step + grant->done_steps;
    done_steps_ = grant->done_steps;
    turn_steps_ = 0;
    barrier_pending_ = false;
    committed_ = 0;
    state_ = State::loading;
    out.ask(device_action::Load{std::move(message), std::move(grant).value()});
    return {};
  }

  [[nodiscard]] DeviceVerdict on_grad(net::Message message, DeviceOutbox& out) {
    if (state_ != State::waiting_grad) return DeviceRefusal::not_allowed(message.type);
    Result<net::Grad> grad = net::decode<net::Grad>(message.payload);
    if (!grad) return DeviceRefusal::damaged(grad.failure());
    if (grad->key != key_ || grad->step != step_ + 1)
      return DeviceRefusal::because(
          grad->step > step_ + 1 ? net::WireError::gap : net::WireError::stale, "GRAD of step ",
          grad->step, ", expected ", step_ + 1);
    state_ = State::backward;
    out.ask(device_action::Backward{std::move(message), std::move(grad).value()});
    return {};
  }

  [[nodiscard]] DeviceVerdict on_barrier(const net::Message& message, DeviceOutbox& out) {
    if (!may_have_barrier()) return DeviceRefusal::not_allowed(message.type);
    const Result<net::Barrier> barrier = net::decode<net::Barrier>(message.payload);
    if (!barrier) return DeviceRefusal::damaged(barrier.failure());
    if (barrier_pending_) {
      // After a lost connection the server says it again, in case it did not arrive.
      if (barrier->key != key_ || barrier->id != barrier_.id)
        return DeviceRefusal::not_allowed(message.type);
      if (state_ == State::waiting_committed) export_front(out);
      return {};
    }
    if (barrier->key != key_ || barrier->step < step_ || barrier->id <= committed_)
      return DeviceRefusal::because(net::WireError::stale, "BARRIER of step ", barrier->step,
                                    ", the device is at ", step_);
    barrier_ = *barrier;
    barrier_pending_ = true;
    return state_ == State::waiting_barrier ? next_step(out) : DeviceVerdict{};
  }

  [[nodiscard]] DeviceVerdict on_barrier_committed(const net::Message& message, DeviceOutbox& out) {
    const Result<net::BarrierCommitted> committed =
        net::decode<net::BarrierCommitted>(message.payload);
    if (!committed) return DeviceRefusal::damaged(committed.failure());
    const bool same = state_ != State::idle && committed->key == key_ &&
                      committed->id == barrier_.id && committed->hash == barrier_hash_;
    if (same && committed->id == committed_) {  // said again after a lost connection
      if (state_ == State::waiting_turn_committed) say_done(out);
      return {};
    }
    if (state_ != State::waiting_committed) return DeviceRefusal::not_allowed(message.type);
    if (!same)
      return DeviceRefusal::because(net::WireError::protocol, "BARRIER_COMMITTED of another state");
    barrier_pending_ = false;
    committed_ = barrier_.id;
    if (done_steps_ == turn_steps_) {
      state_ = State::waiting_turn_committed;
      say_done(out);
      return {};
    }
    if (pausing_) {
      state_ = State::paused;
      return {};
    }
    return next_step(out);
  }

  [[nodiscard]] DeviceVerdict on_turn_committed(const net::Message& message) {
    if (state_ != State::waiting_turn_committed) return DeviceRefusal::not_allowed(message.type);
    const Result<net::TurnCommitted> committed = net::decode<net::TurnCommitted>(message.payload);
    if (!committed) return DeviceRefusal::damaged(committed.failure());
    if (committed->key != key_ || committed->last_step != step_)
      return DeviceRefusal::because(net::WireError::protocol, "TURN_COMMITTED of another turn");
    state_ = pausing_ ? State::paused : State::idle;
    return {};
  }

  // What becomes of the turn.

  /// Goes on after a lost connection. A barrier's messages are said again by the server, a smashed
  /// batch by this side.
  void resume(DeviceOutbox& out) {
    if (state_ != State::waiting_grad) return;
    state_ = State::forward;
    out.ask(device_action::Repeat{});
  }
  /// The step under way is finished and put into a barrier; then the state is `paused`. Without a
  /// gradient to wait for, the end of the step is enough.
  void request_pause(DeviceOutbox& out) {
    pausing_ = true;
    if (!alone_) out.send(net::Leave{"stopped"});
  }
  void drop(DeviceOutbox& out) {
    state_ = State::idle;
    barrier_pending_ = false;
    out.drop_turn();
  }
  /// The run is another one.
  void forget(DeviceOutbox& out) {
    drop(out);
    granted_ = false;
    step_ = 0;
  }

 private:
  /// Whether the device trains without the server's gradients, to compare energy.
  static bool is_alone(const net::RunDescription& run) { return !splits(run.method); }

  bool may_have_barrier() const {
    switch (state_) {
      case State::forward:
      case State::waiting_grad:
      case State::backward:
      case State::waiting_barrier:
      case State::exporting:
      case State::waiting_committed:
        return true;
      default:
        return false;
    }
  }
  std::size_t epoch_of(std::uint64_t turn_step) const {
    const std::uint64_t per_epoch = std::max<std::uint64_t>(1, turn_steps_ / costs_.size());
    return std::min(costs_.size() - 1, static_cast<std::size_t>(turn_step / per_epoch));
  }

  /// The barrier if its step is reached, else the next batch, else the wait for the barrier.
  DeviceVerdict next_step(DeviceOutbox& out) {
    if (barrier_pending_ && barrier_.step == step_) {
      export_front(out);
      return {};
    }
    if (done_steps_ == turn_steps_) {
      if (barrier_pending_)
        return DeviceRefusal::because(net::WireError::gap, "BARRIER at step ", barrier_.step,
                                      ", the turn ends at ", step_);
      state_ = State::waiting_barrier;
      return {};
    }
    state_ = State::forward;
    out.ask(device_action::Forward{step_ + 1, done_steps_});
    return {};
  }
  void export_front(DeviceOutbox& out) {
    state_ = State::exporting;
    out.ask(device_action::ExportFront{});
  }
  void say_done(DeviceOutbox& out) const {
    net::TurnDone done;
    done.key = key_;
    done.last_step = step_;
    done.hash = barrier_hash_;
    out.send(done);
  }

  State state_ = State::idle;
  bool alone_ = false;  ///< no gradient comes from the server
  bool pausing_ = false;
  bool granted_ = false;  ///< there was a turn in this run: key_ is the last one's
  net::TurnKey key_;
  std::uint64_t step_ = 0;
  std::uint64_t turn_steps_ = 0;
  std::uint64_t done_steps_ = 0;  ///< of these, applied
  bool barrier_pending_ = false;  ///< asked for, not committed
  std::uint64_t committed_ = 0;   ///< the turn's last committed barrier
  net::Barrier barrier_;
  Sha256Digest barrier_hash_{};
  std::vector<net::EpochCost> costs_;  ///< of each local epoch
};

}  // namespace split
IOTSL_NAMESPACE_END
