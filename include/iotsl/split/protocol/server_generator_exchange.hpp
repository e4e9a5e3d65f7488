#pragma once
// The server's part of ISL/1 before the turns of an IoTSL run: it collects a generator from every
// device, has the run prepared, and sends each device what it lacks.
//
//   gathering -> collecting (GEN_UPLOAD, GEN_ACK) -> preparing -> turns
//
// A device that comes back later says which plan its data is completed with; where it is not the
// right one, it is sent plan and generators again.

#include "iotsl/split/protocol/server_handshake.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerGenerators : public ServerPeers {
 public:
  /// Samples that imputation adds to a device's own.
  std::uint64_t added_samples(std::uint32_t device) const {
    return orders_.empty() ? 0 : orders_[device].added;
  }

  /// The generator of the device at `connection` is kept (SHA-256 of its file), or refused.
  void on_generator_stored(ConnectionId connection, const Result<Sha256Digest>& stored) {
    Peer* peer = find(connection);
    if (peer == nullptr) return;
    if (!stored)
      return give_up(*peer, net::WireError::data_mismatch,
                     failure(stored.failure().code, "device '", peer->record.name,
                             "': ", stored.failure().message));
    plan_.generators[peer->index].present = true;
    send(connection, net::GenAck{*stored});
    if (state_ == State::collecting) collect();
  }

  /// The plan is made and the net pre-trained, or the run ends. `orders`: for each device.
  void on_prepared(const Result<void>& done, std::vector<ImputationOrder> orders) {
    if (state_ != State::preparing) return;
    if (!done) return end_run(net::WireError::run_failed, done.failure());
    orders_ = std::move(orders);
    prepared_ = true;
    for (const Peer& peer : peers_)
      if (peer.state == PeerState::ready) impute(peer);
    begin_turns();
  }

 protected:
  explicit ServerGenerators(ServerPlan plan) : ServerPeers(std::move(plan)) {}

  virtual void begin_turns() = 0;

  /// Every device has been here.
  void on_all_here() {
    begun_ = true;
    if (plan_.generators.empty()) return begin_turns();
    state_ = State::collecting;
    collect();
  }
  bool before_turns() const {
    return state_ == State::gathering || state_ == State::collecting || state_ == State::preparing;
  }
  /// Has plan and generators sent to a device whose data is not yet completed.
  void impute(const Peer& peer) {
    if (!prepared_) return;
    const Sha256Digest& plan = orders_[peer.index].plan_hash;
    if (plan == Sha256Digest{} || plan == peer.imputed) return;
    push(ServerAction::Kind::impute, peer.connection).device = peer.index;
  }

  void on_gen_upload(Peer& peer, net::Message message) {
    if (peer.state != PeerState::ready || !wants_generator(peer)) return refuse(peer, message.type);
    Result<net::GenUpload> upload = decoded<net::GenUpload>(peer, message);
    if (!upload) return;
    ServerAction& action = push(ServerAction::Kind::store_generator, peer.connection);
    action.device = peer.index;
    action.upload = std::move(upload).value();
    action.message = std::move(message);
  }

  /// A generator of other data than the device's is of no use.
  bool wants_generator(const Peer& peer) const override {
    if (plan_.generators.empty()) return false;
    const GeneratorOnHand& generator = plan_.generators[peer.index];
    return !generator.present || (generator.data_fingerprint != Sha256Digest{} &&
                                  generator.data_fingerprint != peer.record.data_fingerprint);
  }
  void on_place_taken(const Peer& peer) override {
    if (plan_.generators.empty()) return;
    GeneratorOnHand& generator = plan_.generators[peer.index];
    if (wants_generator(peer)) generator = {};
    generator.data_fingerprint = peer.record.data_fingerprint;
  }

 private:
  void collect() {
    for (const GeneratorOnHand& generator : plan_.generators)
      if (!generator.present) return;
    state_ = State::preparing;
    push(ServerAction::Kind::prepare, 0);
  }

  bool prepared_ = false;
  std::vector<ImputationOrder> orders_;
};

}  // namespace split
IOTSL_NAMESPACE_END
