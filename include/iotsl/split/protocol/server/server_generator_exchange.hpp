#pragma once
// The server's part of ISL before the turns of an IoTSL run: it collects a generator from every
// device, has the run prepared, and sends each device what it lacks.
//
//   collecting (GEN_UPLOAD, GEN_ACK) -> preparing -> prepared
//
// A generator may come before the other devices do. A device that comes back later says which plan
// its data is completed with; where it is not the right one, it is sent plan and generators again.

#include <algorithm>

#include "iotsl/split/protocol/server/server_peer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerGeneratorExchange {
 public:
  enum class State { collecting, preparing, prepared };

  /// Takes over what the server has at the start. From then on nobody else knows whose generator is
  /// there. The run does without those of devices in `quarantine`.
  ServerGeneratorExchange(GeneratorsOnHand generators, const Quarantine& quarantine,
                          ServerOutbox& outbox)
      : generators_(std::move(generators)), quarantine_(quarantine), outbox_(outbox) {}

  State state() const { return state_; }
  bool has_generator(std::uint32_t device) const { return generators_[device].has_value(); }
  /// Whether the device is to send its generator. One of other data than the device's is of no use.
  /// Who was in quarantine while the run was prepared has come too late.
  bool wants_generator(const ServerPeer& peer) const {
    if (state_ != State::collecting) return false;
    const std::optional<GeneratorOnHand>& generator = generators_[peer.index];
    return !generator || (generator->data_fingerprint != Sha256Digest{} &&
                          generator->data_fingerprint != peer.record.data_fingerprint);
  }
  /// Samples per class that the device's generator was trained on, of one that the server had at
  /// the start and that is not wanted again.
  std::span<const std::uint64_t> trained_counts(const ServerPeer& peer) const {
    const std::optional<GeneratorOnHand>& generator = generators_[peer.index];
    if (!generator || wants_generator(peer)) return {};
    return generator->label_counts;
  }
  /// After on_prepared: samples that imputation adds, of each device.
  std::vector<std::uint64_t> added_samples() const {
    std::vector<std::uint64_t> out;
    for (const ImputationOrder& order : orders_) out.push_back(order.added);
    return out;
  }

  /// The peer holds its place. From now on a generator at hand counts for its data alone.
  void on_place_taken(const ServerPeer& peer) {
    std::optional<GeneratorOnHand>& generator = generators_[peer.index];
    if (wants_generator(peer))
      generator.reset();
    else if (generator)
      generator->data_fingerprint = peer.record.data_fingerprint;
  }

  std::optional<PeerFault> on_gen_upload(const ServerPeer& peer, net::Message message) {
    if (peer.state != PeerState::ready || !wants_generator(peer))
      return not_allowed(peer, message.type);
    Result<net::GenUpload> upload = net::decode<net::GenUpload>(message.payload);
    if (!upload) return protocol_fault(upload.failure());
    outbox_.push(server_action::StoreGenerator{peer.connection, peer.index,
                                               std::move(upload).value(), std::move(message)});
    return std::nullopt;
  }

  /// The peer's generator is kept; `digest` of its file.
  void on_stored(const ServerPeer& peer, const Sha256Digest& digest) {
    generators_[peer.index] = GeneratorOnHand{peer.record.data_fingerprint, {}};
    outbox_.send(peer.connection, net::GenAck{digest});
  }

  /// Every device was here: has the run prepared as soon as every generator is there as well.
  void prepare_if_complete() {
    if (state_ != State::collecting) return;
    for (std::uint32_t d = 0; d < generators_.size(); ++d)
      if (!generators_[d] && !quarantine_.has(d)) return;
    state_ = State::preparing;
    outbox_.push(server_action::Prepare{});
  }

  /// `orders`: for each device.
  void on_prepared(std::vector<ImputationOrder> orders) {
    state_ = State::prepared;
    orders_ = std::move(orders);
  }

  /// Has plan and generators sent to a device whose data is not yet completed.
  void impute(const ServerPeer& peer) {
    if (state_ != State::prepared) return;
    const Sha256Digest& plan = orders_[peer.index].plan_hash;
    if (plan == Sha256Digest{} || plan == peer.imputed) return;
    outbox_.push(server_action::Impute{peer.connection, peer.index});
  }

 private:
  State state_ = State::collecting;
  GeneratorsOnHand generators_;
  const Quarantine& quarantine_;
  std::vector<ImputationOrder> orders_;
  ServerOutbox& outbox_;
};

}  // namespace split
IOTSL_NAMESPACE_END
