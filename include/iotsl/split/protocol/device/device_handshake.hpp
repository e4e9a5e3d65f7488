#pragma once
// The device's connection from HELLO to the point where the run goes on: after FRONT_INIT, or after
// RESUME_OK where a turn is in hand.
//
//   connecting -> greeting (HELLO) -> joining (JOIN) -> awaiting the front (FRONT_INIT) -> building
//   it, unless it is there -> resuming (RESUME), where a turn is in hand -> ready

#include "iotsl/split/protocol/device/device_outbox.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class DeviceHandshake {
 public:
  enum class State {
    connecting,
    greeting,
    joining,
    awaiting_front,
    building,
    resuming,
    ready,
    closed,  ///< the run is over for this device
  };

  explicit DeviceHandshake(DeviceIdentity identity) : identity_(std::move(identity)) {}

  State state() const { return state_; }
  /// Whether there is a server to talk to.
  bool connected() const { return state_ != State::connecting && state_ != State::closed; }
  /// Whether a server has ever taken this device in.
  bool has_joined() const { return joined_; }
  const DeviceIdentity& identity() const { return identity_; }

  // What the server has said, each after its message.

  const net::HelloOk& setup() const { return setup_; }
  /// Whether the front that was built before is the one of setup().
  bool has_front() const { return built_; }
  bool generator_wanted() const { return generator_wanted_; }
  /// Whether the turn in hand goes on.
  bool turn_proceeds() const { return turn_proceeds_; }

  /// `position` of the turn in hand.
  void on_connected(const net::Position& position, DeviceOutbox& out) {
    if (state_ != State::connecting) return;
    net::Hello hello;
    hello.device = identity_.name;
    hello.index = identity_.index;
    hello.boot_nonce = identity_.boot_nonce;
    hello.dataset = identity_.dataset;
    hello.samples = identity_.samples();
    hello.data_fingerprint = identity_.data_fingerprint;
    hello.position = position;
    state_ = State::greeting;
    out.send(hello);
  }

  /// has_front() is then false where the run, its model, how it is trained or this device's place
  /// is another one than before; join() is to follow.
  [[nodiscard]] DeviceVerdict on_hello_ok(const net::Message& message) {
    if (state_ != State::greeting) return DeviceRefusal::not_allowed(message.type);
    Result<net::HelloOk> ok = net::decode<net::HelloOk>(message.payload);
    if (!ok) return DeviceRefusal::damaged(ok.failure());
    if (DeviceVerdict wrong = check_setup(*ok)) return wrong;
    // A run of method cache may train a front later that was frozen.
    const bool same_training =
        ok->description.training.frozen_front == setup_.description.training.frozen_front;
    built_ = built_ && ok->run == setup_.run && ok->model_hash == setup_.model_hash &&
             ok->index == setup_.index && same_training;
    setup_ = std::move(ok).value();
    return {};
  }

  /// `imputed`: SHA-256 of the IMPUTE_PLAN that the device's data is completed with.
  void join(const Sha256Digest& imputed, DeviceOutbox& out) {
    out.ask(device_action::Agree{setup_});
    state_ = State::joining;
    out.send(net::Join{setup_.run, imputed});
  }

  [[nodiscard]] DeviceVerdict on_join_ok(const net::Message& message) {
    if (state_ != State::joining) return DeviceRefusal::not_allowed(message.type);
    const Result<net::JoinOk> ok = net::decode<net::JoinOk>(message.payload);
    if (!ok) return DeviceRefusal::damaged(ok.failure());
    if (ok->run != setup_.run)
      return DeviceRefusal::because(net::WireError::protocol, "JOIN_OK of another run");
    if (ok->generator_wanted && setup_.description.generator.empty())
      return DeviceRefusal::because(net::WireError::protocol,
                                    "JOIN_OK wants a generator in a run without");
    joined_ = true;
    generator_wanted_ = ok->generator_wanted;
    state_ = State::awaiting_front;
    return {};
  }

  /// `turn`: what to ask of the turn in hand, where there is one.
  [[nodiscard]] DeviceVerdict on_front_init(net::Message message,
                                            const std::optional<net::Resume>& turn,
                                            DeviceOutbox& out) {
    if (state_ != State::awaiting_front) return DeviceRefusal::not_allowed(message.type);
    if (built_) {
      introduce(turn, out);
      return {};
    }
    state_ = State::building;
    out.ask(device_action::Build{setup_, std::move(message)});
    return {};
  }

  /// `model_hash`: structure_sha256 of the front that was built.
  [[nodiscard]] DeviceVerdict on_built(const Result<Sha256Digest>& model_hash, DeviceOutbox& out) {
    if (!model_hash) return DeviceRefusal{net::WireError::model_mismatch, model_hash.failure()};
    if (*model_hash != setup_.model_hash)
      return DeviceRefusal::because(net::WireError::model_mismatch,
                                    "the front built here is not the server's");
    built_ = true;
    introduce(std::nullopt, out);
    return {};
  }

  [[nodiscard]] DeviceVerdict on_resume_ok(const net::Message& message) {
    if (state_ != State::resuming) return DeviceRefusal::not_allowed(message.type);
    const Result<net::ResumeOk> ok = net::decode<net::ResumeOk>(message.payload);
    if (!ok) return DeviceRefusal::damaged(ok.failure());
    turn_proceeds_ = ok->proceed;
    state_ = State::ready;
    return {};
  }

  void on_lost() { state_ = State::connecting; }
  void close() { state_ = State::closed; }

 private:
  DeviceVerdict check_setup(const net::HelloOk& ok) const {
    if (ok.version != net::protocol_major)
      return DeviceRefusal::because(net::WireError::version, "the server chose ISL version ",
                                    ok.version, ", this device speaks ", net::protocol_major);
    const net::RunDescription& run = ok.description;
    if (run.dataset != identity_.dataset)
      return DeviceRefusal{net::WireError::data_mismatch,
                           failure(ErrorCode::usage, "the run trains on '", run.dataset,
                                   "', this device has '", identity_.dataset, "'")};
    if (run.classes != identity_.label_counts.size())
      return DeviceRefusal{net::WireError::data_mismatch,
                           failure(ErrorCode::usage, "the run has ", run.classes,
                                   " classes, this device's data ", identity_.label_counts.size())};
    if (identity_.generator_only && !run.generator_only)
      return DeviceRefusal{
          net::WireError::run_failed,
          failure(ErrorCode::usage,
                  "the run goes on with split training, which sends features of the samples; this "
                  "device shares its generator only (--generator-only)")};
    return {};
  }

  /// Says what the device holds.
  void introduce(const std::optional<net::Resume>& turn, DeviceOutbox& out) {
    out.send(net::LabelHist{identity_.label_counts});
    state_ = turn ? State::resuming : State::ready;
    if (turn) out.send(*turn);
  }

  DeviceIdentity identity_;
  State state_ = State::connecting;
  bool joined_ = false, built_ = false;
  net::HelloOk setup_;
  bool generator_wanted_ = false, turn_proceeds_ = false;
};

}  // namespace split
IOTSL_NAMESPACE_END
