#pragma once
// The device's machine up to JOIN_OK: handshake, the queue of actions, and how it ends.

#include <algorithm>
#include <deque>

#include "iotsl/split/protocol/device_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class DeviceConnection {
 public:
  using State = DeviceState;

  /// True once a server has taken this device in.
  bool has_joined() const { return joined_; }
  /// The next action to carry out; false when there is none.
  bool pop(DeviceAction& action) {
    if (actions_.empty()) return false;
    action = std::move(actions_.front());
    actions_.pop_front();
    return true;
  }

  // Events.

  void on_connected() {
    if (closed_ || link_ != State::connecting) return;
    net::Hello hello;
    hello.device = identity_.name;
    hello.index = identity_.index;
    hello.boot_nonce = identity_.boot_nonce;
    hello.dataset = identity_.dataset;
    hello.samples = identity_.samples();
    hello.data_fingerprint = identity_.data_fingerprint;
    hello.position = position();
    link_ = State::greeting;
    send(hello);
  }

  /// `model_hash`: structure_sha256 of the front that was built.
  void on_built(const Result<Sha256Digest>& model_hash) {
    if (closed_ || link_ != State::building) return;
    if (!model_hash) return give_up(net::WireError::model_mismatch, model_hash.failure());
    if (*model_hash != setup_.model_hash)
      return give_up(net::WireError::model_mismatch,
                     failure(ErrorCode::network, "the front built here is not the server's"));
    built_ = true;
    join();
  }

 protected:
  explicit DeviceConnection(DeviceIdentity identity) : identity_(std::move(identity)) {}
  DeviceConnection(const DeviceConnection&) = default;
  DeviceConnection& operator=(const DeviceConnection&) = default;
  virtual ~DeviceConnection() = default;

  /// The turn in hand; run 0: none.
  virtual net::Position position() const = 0;
  /// The run, its model or this device's place is another one: nothing holds any more.
  virtual void forget_run() = 0;
  /// SHA-256 of the IMPUTE_PLAN that this device's data is completed with.
  virtual Sha256Digest imputed() const = 0;
  /// The server has taken this device in.
  virtual void on_joined(bool generator_wanted) = 0;
  virtual void on_lost() = 0;

  void on_hello_ok(const net::Message& message) {
    if (link_ != State::greeting) return refuse(message.type);
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
    const bool known = built_ && ok->run == setup_.run && ok->model_hash == setup_.model_hash &&
                       ok->index == setup_.index;
    setup_ = std::move(ok).value();
    if (known) return join();
    forget_run();
    built_ = false;
    link_ = State::building;
    ask(DeviceAction::Kind::build).setup = setup_;
  }

  void on_join_ok(const net::Message& message) {
    if (link_ != State::joining) return refuse(message.type);
    const Result<net::JoinOk> ok = decoded<net::JoinOk>(message);
    if (!ok) return;
    if (ok->run != setup_.run)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "JOIN_OK of another run"));
    if (ok->generator_wanted && setup_.description.generator.empty())
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "JOIN_OK wants a generator in a run without"));
    joined_ = true;
    send(net::LabelHist{identity_.label_counts});
    link_ = State::idle;
    on_joined(ok->generator_wanted);
  }

  void on_error(const net::Message& message) {
    const Result<net::ErrorMessage> error = decoded<net::ErrorMessage>(message);
    if (!error) return;
    if (!error->fatal) return reconnect(error->retry_after_ms);
    const bool data = error->code == net::WireError::data_mismatch;
    close_with(
        failure(data ? ErrorCode::usage : ErrorCode::network, "the server says: ", error->text));
  }

  void reconnect(std::uint32_t retry_after_ms) {
    on_lost();
    ask(DeviceAction::Kind::reconnect).retry_after_ms = retry_after_ms;
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
    if (closed_) return;
    net::ErrorMessage error;
    error.code = code;
    error.text = why.message.substr(0, net::max_text_bytes);
    send(error);
    close_with(std::move(why));
  }
  void close_with(Failure why) {
    ask(DeviceAction::Kind::fail).problem = std::move(why);
    closed_ = true;
  }
  void say_bye() {
    send(net::Bye{"stopped"});
    finish();
  }
  void finish() {
    ask(DeviceAction::Kind::finish);
    closed_ = true;
  }
  template <class M>
  void send(const M& fields) {
    if (link_ != State::connecting)
      ask(DeviceAction::Kind::send).message = net::make_message(fields);
  }
  DeviceAction& ask(DeviceAction::Kind kind) {
    actions_.emplace_back().kind = kind;
    return actions_.back();
  }

  DeviceIdentity identity_;
  State link_ = State::connecting;  ///< up to `resuming`, then `idle`: the connection stands
  bool closed_ = false, joined_ = false, built_ = false, stop_ = false;
  net::HelloOk setup_;
  std::deque<DeviceAction> actions_;

 private:
  void join() {
    ask(DeviceAction::Kind::agree).setup = setup_;
    link_ = State::joining;
    send(net::Join{setup_.run, imputed()});
  }
};

}  // namespace split
IOTSL_NAMESPACE_END
