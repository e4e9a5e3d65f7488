#pragma once
// The device's part in a round of federated averaging: it trains the whole net that the server
// sends on its own samples, a batch at a time, and sends it back.
//
//   idle -> loading (GLOBAL_MODEL) -> training ... -> exporting -> waiting for TURN_COMMITTED
//   (LOCAL_MODEL) -> idle
//
// Work goes on without a connection; the net is said after RESUME_OK where there was none, and once
// more where its TURN_COMMITTED did not come.

#include "iotsl/net/messages/model_messages.hpp"
#include "iotsl/split/protocol/device/device_outbox.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class DeviceRound {
 public:
  enum class State {
    idle,
    loading,
    training,
    exporting,
    waiting_committed,
    paused,  ///< as asked for: the device may leave
  };

  State state() const { return state_; }
  const net::TurnKey& key() const { return key_; }
  /// The last applied step of the run.
  std::uint64_t step() const { return first_step_ + done_steps_; }
  /// Batches of the turn; 0: not known yet.
  std::uint64_t turn_steps() const { return turn_steps_; }
  bool pausing() const { return pausing_; }

  // What the driver has done. `ready`: the connection stands, else nothing is sent.

  /// `steps`: batches of the turn, all local epochs together.
  [[nodiscard]] DeviceVerdict on_loaded(const Result<std::uint64_t>& steps, DeviceOutbox& out) {
    if (state_ != State::loading) return {};
    if (!steps) return DeviceRefusal{net::WireError::not_finite, steps.failure()};
    turn_steps_ = *steps;
    state_ = State::training;
    next_batch(out);
    return {};
  }

  /// One batch is trained on.
  [[nodiscard]] DeviceVerdict on_trained(const Result<void>& done, DeviceOutbox& out) {
    if (state_ != State::training) return {};
    if (!done) return DeviceRefusal{net::WireError::not_finite, done.failure()};
    ++done_steps_;
    next_batch(out);
    return {};
  }

  /// The trained net.
  void on_exported(const net::LocalModel& model, bool ready, DeviceOutbox& out) {
    if (state_ != State::exporting) return;
    state_ = pausing_ ? State::paused : State::waiting_committed;
    if (ready) out.send(model);
  }

  // What the server says; the connection stands.

  [[nodiscard]] DeviceVerdict on_global_model(net::Message message, const net::HelloOk& setup,
                                              DeviceOutbox& out) {
    if (state_ != State::idle) return DeviceRefusal::not_allowed(message.type);
    Result<net::GlobalModel> global = net::decode<net::GlobalModel>(message.payload);
    if (!global) return DeviceRefusal::damaged(global.failure());
    // Of the same round once more: its barrier was lost, and the turn is in hand again.
    if (global->key.run != setup.run || global->key.fence < key_.fence)
      return DeviceRefusal::because(net::WireError::stale, "GLOBAL_MODEL of turn ",
                                    global->key.turn, ", fence ", global->key.fence, " after turn ",
                                    key_.turn, ", fence ", key_.fence);
    key_ = global->key;
    first_step_ = global->first_step;
    done_steps_ = turn_steps_ = 0;
    state_ = State::loading;
    out.ask(device_action::LoadModel{std::move(message), std::move(global).value()});
    return {};
  }

  [[nodiscard]] DeviceVerdict on_turn_committed(const net::Message& message) {
    if (state_ != State::waiting_committed) return DeviceRefusal::not_allowed(message.type);
    const Result<net::TurnCommitted> committed = net::decode<net::TurnCommitted>(message.payload);
    if (!committed) return DeviceRefusal::damaged(committed.failure());
    if (committed->key != key_ || committed->last_step != step())
      return DeviceRefusal::because(net::WireError::protocol, "TURN_COMMITTED of another turn");
    state_ = State::idle;
    return {};
  }

  // What becomes of the turn.

  /// Goes on after a lost connection, over which the net may have been lost.
  void resume(DeviceOutbox& out) {
    if (state_ == State::waiting_committed) export_model(out);
  }
  /// The batch under way is finished, or the net sent; then the state is `paused`. What is trained
  /// is lost, unless it has been sent.
  void request_pause() {
    pausing_ = true;
    if (state_ != State::training && state_ != State::exporting) state_ = State::paused;
  }
  void drop(DeviceOutbox& out) {
    state_ = State::idle;
    out.drop_turn();
  }
  /// The run is another one.
  void forget(DeviceOutbox& out) {
    drop(out);
    key_ = {};
    first_step_ = done_steps_ = 0;
  }

 private:
  void next_batch(DeviceOutbox& out) {
    if (done_steps_ == turn_steps_) return export_model(out);
    if (pausing_)
      state_ = State::paused;
    else
      out.ask(device_action::TrainBatch{});
  }
  void export_model(DeviceOutbox& out) {
    state_ = State::exporting;
    out.ask(device_action::ExportModel{});
  }

  State state_ = State::idle;
  bool pausing_ = false;
  net::TurnKey key_;  ///< of the turn in hand, or of the last one; fence 0: there was none
  std::uint64_t first_step_ = 0;
  std::uint64_t done_steps_ = 0;
  std::uint64_t turn_steps_ = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
