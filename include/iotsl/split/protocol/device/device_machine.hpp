#pragma once
// The device's side of ISL as a state machine: events in, actions out. It knows no socket, no
// clock and no tensor; the driver carries out the actions in order and reports back.
//
// Its parts have states of their own: the handshake (device_handshake.hpp), what comes before the
// turns of an IoTSL run (device_generator_exchange.hpp) and the turn (device_turn.hpp), or with
// method fedavg the device's part in a round (device_round.hpp). Only where the handshake is ready
// do the others hear of messages, and at most one of them is not idle.
//
// A lost connection leads back to connecting; the turn is kept, and after FRONT_INIT the server is
// asked (RESUME) whether it may go on.

#include "iotsl/split/protocol/device/device_generator_exchange.hpp"
#include "iotsl/split/protocol/device/device_handshake.hpp"
#include "iotsl/split/protocol/device/device_round.hpp"
#include "iotsl/split/protocol/device/device_turn.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class DeviceMachine {
 public:
  explicit DeviceMachine(DeviceIdentity identity) : handshake_(std::move(identity)) {}

  DeviceHandshake::State handshake_state() const { return handshake_.state(); }
  DeviceGeneratorExchange::State generator_state() const { return generators_.state(); }
  DeviceTurn::State turn_state() const { return turn_.state(); }
  DeviceRound::State round_state() const { return round_.state(); }
  /// Whether a turn is in hand, of whichever kind.
  bool has_turn() const {
    return turn_.state() != DeviceTurn::State::idle || round_.state() != DeviceRound::State::idle;
  }
  /// See DeviceTurn.
  std::optional<std::uint64_t> batch_ahead() const { return turn_.batch_ahead(); }
  /// True once a server has taken this device in.
  bool has_joined() const { return handshake_.has_joined(); }
  /// Whether the server has said that the run is complete.
  bool run_is_over() const { return run_is_over_; }
  /// What the server has said of the run and this device's place in it.
  const net::HelloOk& setup() const { return handshake_.setup(); }
  /// The last step of the run that this device has applied.
  std::uint64_t last_step() const { return in_rounds() ? round_.step() : turn_.step(); }

  /// The next action to carry out, if there is one.
  std::optional<DeviceAction> pop() { return outbox_.pop(); }

  // What happens to the connection.

  void on_connected() { handshake_.on_connected(position(), outbox_); }

  void on_message(net::Message message) {
    using net::MessageType;
    if (!handshake_.connected()) return;
    switch (message.type) {
      case MessageType::hello_ok:
        return on_hello_ok(message);
      case MessageType::join_ok:
        go_on(handshake_.on_join_ok(message));
        return;
      case MessageType::front_init:
        return on_front_init(std::move(message));
      case MessageType::resume_ok:
        return on_resume_ok(message);
      case MessageType::error:
        return on_error(message);
      case MessageType::bye:
        return on_bye(message);
      default:
        break;
    }
    if (!is_ready()) return give_up(DeviceRefusal::not_allowed(message.type));
    go_on(on_run_message(std::move(message)));
  }

  /// The connection was lost, or broke the rules of framing. The turn waits for the next one.
  void on_lost() {
    if (is_closed()) return;
    handshake_.on_lost();
    generators_.on_lost();
    outbox_.drop_connection();
    if (is_pausing()) finish();
  }

  /// SIGTERM: the step under way is finished and put into a barrier, then BYE, so that the device
  /// can come back later. Without a server, or where its gradient is not awaited, BYE at once.
  void request_pause() {
    if (is_closed()) return;
    if (!is_ready() || !has_turn()) return say_bye();
    if (!in_rounds()) return turn_.request_pause(outbox_);
    round_.request_pause();
    go_on({});
  }

  // What the driver has done.

  /// `model_hash`: structure_sha256 of the front that was built.
  void on_built(const Result<Sha256Digest>& model_hash) {
    if (handshake_.state() != DeviceHandshake::State::building) return;
    if (go_on(handshake_.on_built(model_hash, outbox_))) begin_generator();
  }

  /// One iteration is done; true: it was the last.
  void on_generator_trained(const Result<bool>& last) {
    if (!is_closed()) go_on(generators_.on_trained(last, outbox_));
  }
  void on_generator_finished(const Result<TrainedGenerator>& generator) {
    if (!is_closed()) go_on(generators_.on_finished(generator, outbox_));
  }
  /// The data is completed, or a generator cannot do it.
  void on_imputed(const Result<void>& done) {
    if (!is_closed()) go_on(generators_.on_imputed(done));
  }

  /// `steps`: batches of the turn, all local epochs together.
  void on_loaded(const Result<std::uint64_t>& steps) {
    if (!is_closed()) go_on(turn_.on_loaded(steps, is_ready(), outbox_));
  }
  /// `labels` and `smashed` of the step that was asked for; `form` of the smashed batch.
  void on_smashed(const Result<void>& done, std::vector<std::int32_t> labels = {},
                  ByteSpan smashed = {}, net::BatchForm form = {}) {
    if (!is_closed())
      go_on(
          turn_.on_smashed(done, std::move(labels), smashed, std::move(form), is_ready(), outbox_));
  }
  /// The update of the step is done, or refused because of NaN or Inf. `cost` of forward and
  /// backward.
  void on_updated(const Result<void>& done, const net::EpochCost& cost) {
    if (!is_closed()) go_on(turn_.on_updated(done, cost, outbox_));
  }
  /// The front after the barrier's step.
  void on_exported(const net::FrontState& front) {
    if (!is_closed()) turn_.on_exported(front, is_ready(), outbox_);
  }

  // The same with method fedavg.

  /// `steps`: batches of the turn, all local epochs together.
  void on_model_loaded(const Result<std::uint64_t>& steps) {
    if (!is_closed()) go_on(round_.on_loaded(steps, outbox_));
  }
  void on_batch_trained(const Result<void>& done) {
    if (!is_closed()) go_on(round_.on_trained(done, outbox_));
  }
  void on_model_exported(const net::LocalModel& model) {
    if (is_closed()) return;
    round_.on_exported(model, is_ready(), outbox_);
    go_on({});
  }

 private:
  bool is_closed() const { return handshake_.state() == DeviceHandshake::State::closed; }
  bool is_ready() const { return handshake_.state() == DeviceHandshake::State::ready; }
  /// The run has rounds of whole nets in place of turns of a front.
  bool in_rounds() const { return averages(handshake_.setup().description.method); }
  bool is_pausing() const { return turn_.pausing() || round_.pausing(); }
  net::Position position() const {
    if (!has_turn()) return {};
    return {in_rounds() ? round_.key() : turn_.key(), handshake_.setup().incarnation, last_step()};
  }

  void on_hello_ok(const net::Message& message) {
    if (!go_on(handshake_.on_hello_ok(message))) return;
    if (!handshake_.has_front()) {
      // HELLO has spoken of a turn of this run: the server would wait for what is asked of it.
      const bool awaited = has_turn() && position().key.run == handshake_.setup().run;
      turn_.forget(outbox_);
      round_.forget(outbox_);
      generators_.forget();
      if (awaited) return reconnect(0, "the run has another front");
    }
    handshake_.join(generators_.imputed(), outbox_);
  }

  void on_front_init(net::Message message) {
    std::optional<net::Resume> turn;
    if (has_turn()) turn = {position(), in_rounds() ? round_.turn_steps() : turn_.turn_steps()};
    if (go_on(handshake_.on_front_init(std::move(message), turn, outbox_)) && is_ready())
      begin_generator();
  }

  void on_resume_ok(const net::Message& message) {
    if (!go_on(handshake_.on_resume_ok(message))) return;
    if (handshake_.turn_proceeds()) {
      turn_.resume(outbox_);
      round_.resume(outbox_);
      return;
    }
    turn_.drop(outbox_);
    round_.drop(outbox_);
    begin_generator();
  }

  void begin_generator() {
    if (handshake_.generator_wanted()) generators_.begin(outbox_);
  }

  DeviceVerdict on_run_message(net::Message message) {
    using net::MessageType;
    switch (message.type) {
      case MessageType::gen_ack:
        return generators_.on_ack(message);
      case MessageType::impute_plan:
        if (has_turn()) break;
        return generators_.on_plan(message, handshake_.setup(), handshake_.identity().label_counts);
      case MessageType::gen_download:
        return generators_.on_download(std::move(message), outbox_);
      case MessageType::turn_grant:
        if (generators_.state() != DeviceGeneratorExchange::State::idle || in_rounds()) break;
        if (handshake_.identity().generator_only || handshake_.setup().description.generator_only)
          return DeviceRefusal::because(net::WireError::protocol,
                                        "TURN_GRANT in a run that is to ask for generators only");
        return turn_.on_grant(std::move(message), handshake_.setup(), outbox_);
      case MessageType::grad:
        return turn_.on_grad(std::move(message), outbox_);
      case MessageType::barrier:
        return turn_.on_barrier(message, outbox_);
      case MessageType::barrier_committed:
        return turn_.on_barrier_committed(message, outbox_);
      case MessageType::turn_committed:
        return in_rounds() ? round_.on_turn_committed(message) : turn_.on_turn_committed(message);
      case MessageType::global_model:
        if (!in_rounds()) break;
        return round_.on_global_model(std::move(message), handshake_.setup(), outbox_);
      default:
        break;
    }
    return DeviceRefusal::not_allowed(message.type);
  }

  void on_error(const net::Message& message) {
    Result<net::ErrorMessage> error = net::decode<net::ErrorMessage>(message.payload);
    if (!error) return give_up(DeviceRefusal::damaged(error.failure()));
    if (!error->fatal) return reconnect(error->retry_after_ms, std::move(error->text));
    using enum net::WireError;
    // To come again is of no use before a user has done something.
    const bool is_final =
        error->code == data_mismatch || error->code == identity || error->code == left;
    close_with(failure(
        is_final ? ErrorCode::usage : ErrorCode::network, "the server says: ", error->text,
        error->code == version ? concat("; this device speaks version ", net::protocol_major)
                               : ""));
  }

  void on_bye(const net::Message& message) {
    Result<net::Bye> bye = net::decode<net::Bye>(message.payload);
    if (!bye) return give_up(DeviceRefusal::damaged(bye.failure()));
    if (bye->will_return && !is_pausing()) return reconnect(0, std::move(bye->reason));
    // The end is said again to who comes back for it, and then TURN_COMMITTED was lost as well.
    const bool was_done = turn_.state() == DeviceTurn::State::waiting_turn_committed ||
                          round_.state() == DeviceRound::State::waiting_committed;
    if (has_turn() && !was_done && !is_pausing())
      return close_with(failure(ErrorCode::network, "the server left: ", bye->reason));
    run_is_over_ = !bye->will_return;
    finish();
  }

  void reconnect(std::uint32_t retry_after_ms, std::string why) {
    on_lost();
    outbox_.ask(device_action::Reconnect{retry_after_ms, std::move(why)});
  }

  /// After an event of a part; false where the part has refused it.
  bool go_on(DeviceVerdict verdict) {
    if (verdict) {
      give_up(std::move(*verdict));
      return false;
    }
    if (turn_.state() == DeviceTurn::State::paused || round_.state() == DeviceRound::State::paused)
      say_bye();
    return true;
  }
  /// Says why to the server, and ends.
  void give_up(DeviceRefusal refusal) {
    if (handshake_.connected()) {
      net::ErrorMessage error;
      error.code = refusal.code;
      error.text = refusal.why.message.substr(0, net::max_text_bytes);
      outbox_.send(error);
    }
    close_with(std::move(refusal.why));
  }
  void close_with(Failure why) {
    outbox_.ask(device_action::Fail{std::move(why)});
    handshake_.close();
  }
  void say_bye() {
    if (handshake_.connected()) outbox_.send(net::Bye{"stopped"});
    finish();
  }
  void finish() {
    outbox_.ask(device_action::Finish{});
    handshake_.close();
  }

  bool run_is_over_ = false;
  DeviceHandshake handshake_;
  DeviceGeneratorExchange generators_;
  DeviceTurn turn_;
  DeviceRound round_;  // of method fedavg
  DeviceOutbox outbox_;
};

}  // namespace split
IOTSL_NAMESPACE_END
