#pragma once
// The server's connections: who is at the other end, and the handshake in which a device takes its
// place: HELLO, JOIN and the front, LABEL_HIST, and RESUME where it comes back with a turn in hand.

#include "iotsl/split/protocol/server/server_checks.hpp"
#include "iotsl/split/protocol/server/server_generator_exchange.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerHandshake {
 public:
  /// A HELLO that is accepted, before its device gets its place.
  struct Admission {
    net::Hello hello;
    std::uint32_t index = 0;
  };
  /// The device is to say more.
  struct Continues {};
  /// The device is ready; `resume`: what it has in hand.
  struct Arrived {
    std::optional<net::Resume> resume;
  };
  using Progress = std::variant<Continues, Arrived, PeerFault>;

  /// `exchange` of method iotsl, or null. Nobody waits for devices in `quarantine`.
  ServerHandshake(const ServerPlan& plan, const Quarantine& quarantine,
                  ServerGeneratorExchange* exchange, ServerOutbox& outbox)
      : plan_(plan),
        quarantine_(quarantine),
        exchange_(exchange),
        outbox_(outbox),
        devices_(plan.order.devices),
        was_aside_(plan.order.devices) {
    for (const QuarantinedDevice& each : quarantine.entries()) {
      if (each.released) continue;
      devices_[each.device] = record_of(each);
      was_aside_[each.device] = true;
    }
  }

  const std::vector<DeviceRecord>& devices() const { return devices_; }
  std::uint32_t ready_devices() const {
    return static_cast<std::uint32_t>(
        std::count_if(devices_.begin(), devices_.end(),
                      [](const DeviceRecord& each) { return each.connection != 0; }));
  }
  /// Every device that the run begins with was here once, since this server began; from then on
  /// each keeps its place.
  bool complete() const { return complete_; }
  /// Devices that the run begins with. Who was put aside when this server began, and is released
  /// meanwhile, is not waited for, unless it is the only one left.
  std::uint32_t wanted() const {
    std::uint32_t out = 0;
    for (std::uint32_t d = 0; d < plan_.order.devices; ++d) out += is_awaited(d);
    return std::max(1U, plan_.start_with == 0 ? out : std::min(plan_.start_with, out));
  }
  /// Places of a run that has begun that nobody has taken yet.
  std::uint32_t missing() const {
    if (!complete_) return 0;
    return static_cast<std::uint32_t>(
        std::count_if(devices_.begin(), devices_.end(),
                      [](const DeviceRecord& each) { return each.name.empty(); }));
  }
  /// The device was put aside: nobody waits for it, and its place is kept.
  void put_aside(std::uint32_t device, DeviceRecord known) {
    known.connection = 0;
    devices_[device] = std::move(known);
    complete_ = complete_ || has_all();
  }

  const std::vector<ServerPeer>& peers() const { return peers_; }
  ServerPeer* find(ConnectionId connection) {
    return find_if([&](const ServerPeer& peer) { return peer.connection == connection; });
  }
  ServerPeer* find_place(std::uint32_t index) {
    return find_if([&](const ServerPeer& peer) { return peer.index == index; });
  }

  void open(ConnectionId connection, std::string proven) {
    peers_.push_back({.connection = connection, .proven = std::move(proven)});
    peers_.back().record.name = peers_.back().proven;
  }

  std::variant<Admission, PeerFault> on_hello(ServerPeer& peer, const net::Message& message) const {
    if (peer.state != PeerState::hello) return not_allowed(peer, message.type);
    Result<net::Hello> hello = net::decode<net::Hello>(message.payload);
    if (!hello) return protocol_fault(hello.failure());
    if (std::optional<PeerFault> fault = check_name(peer, message.type, hello->device))
      return std::move(*fault);
    peer.record.name = hello->device;  // for who is told of a refusal
    std::vector<DeviceRecord> places = devices_;
    for (const ServerPeer& other : peers_)
      if (other.index != net::any_index) places[other.index] = other.record;
    HelloVerdict verdict = check_hello(plan_, *hello, places, complete_, quarantine_);
    if (PeerFault* fault = std::get_if<PeerFault>(&verdict)) return std::move(*fault);
    const std::uint32_t index = *std::get_if<std::uint32_t>(&verdict);
    const QuarantinedDevice* const aside = quarantine_.find(index);
    if (aside != nullptr && !may_take_place(plan_, *aside, *hello))
      return refuse_quarantined(*aside, hello->device);
    return Admission{std::move(hello).value(), index};
  }
  /// LEAVE in place of HELLO: who asks to leave the run for good.
  std::optional<PeerFault> on_leave(ServerPeer& peer, const net::Message& message,
                                    const net::Leave& leave) const {
    if (peer.state != PeerState::hello || leave.device.empty())
      return not_allowed(peer, message.type);
    if (std::optional<PeerFault> fault = check_name(peer, message.type, leave.device)) return fault;
    peer.record.name = leave.device;
    peer.state = PeerState::leaving;
    outbox_.push(server_action::Leave{peer.connection, leave.device});
    return std::nullopt;
  }
  /// Nobody else may hold the place. `incarnation` of the run.
  void admit(ServerPeer& peer, Admission admission, std::uint32_t incarnation) {
    net::Hello& hello = admission.hello;
    peer.index = admission.index;
    peer.has_turn = hello.position.key.run == plan_.offer.run;
    peer.record.samples = hello.samples;
    peer.record.boot_nonce = hello.boot_nonce;
    peer.record.data_fingerprint = hello.data_fingerprint;
    peer.record.connection = peer.connection;
    net::HelloOk ok = plan_.offer;
    ok.incarnation = incarnation;
    ok.index = admission.index;
    ok.devices = plan_.order.devices;
    peer.state = PeerState::join;
    outbox_.send(peer.connection, ok);
  }

  Progress on_join(ServerPeer& peer, const net::Message& message) {
    if (peer.state != PeerState::join) return not_allowed(peer, message.type);
    const Result<net::Join> join = net::decode<net::Join>(message.payload);
    if (!join) return protocol_fault(join.failure());
    if (join->run != plan_.offer.run)
      return PeerFault{net::WireError::protocol, "JOIN of another run"};
    peer.state = PeerState::label_hist;
    peer.imputed = join->imputed;
    const bool wanted = exchange_ != nullptr && exchange_->wants_generator(peer);
    outbox_.send(peer.connection, net::JoinOk{plan_.offer.run, wanted});
    outbox_.send_message(peer.connection, plan_.front_init);
    return Continues{};
  }

  Progress on_label_hist(ServerPeer& peer, const net::Message& message) {
    if (peer.state != PeerState::label_hist) return not_allowed(peer, message.type);
    Result<net::LabelHist> hist = net::decode<net::LabelHist>(message.payload);
    if (!hist) return protocol_fault(hist.failure());
    std::span<const std::uint64_t> trained;
    if (exchange_ != nullptr) trained = exchange_->trained_counts(peer);
    const Result<void> good =
        check_label_hist(plan_, *hist, peer.record.samples, peer.index, trained);
    if (!good) return PeerFault{net::WireError::data_mismatch, good.failure().message};
    peer.record.label_counts = std::move(hist->counts);
    if (exchange_ != nullptr) exchange_->on_place_taken(peer);
    if (!peer.has_turn) return arrive(peer, std::nullopt);
    peer.state = PeerState::resume;
    return Continues{};
  }

  Progress on_resume(ServerPeer& peer, const net::Message& message) {
    if (peer.state != PeerState::resume) return not_allowed(peer, message.type);
    const Result<net::Resume> resume = net::decode<net::Resume>(message.payload);
    if (!resume) return protocol_fault(resume.failure());
    return arrive(peer, *resume);
  }

  void close(ServerPeer& peer) {
    outbox_.close(peer.connection);
    forget(peer);
  }
  /// The connection is gone. The device keeps its place once the run has begun.
  void forget(ServerPeer& peer) {
    if (peer.state == PeerState::ready) {
      if (complete_ || was_aside_[peer.index])
        devices_[peer.index].connection = 0;
      else
        devices_[peer.index] = {};
    }
    peers_.erase(peers_.begin() + (&peer - peers_.data()));
  }
  /// The run is over: tells every peer, and closes its connection.
  void dismiss_all(const net::Message& farewell) {
    for (const ServerPeer& each : peers_) {
      outbox_.send_message(each.connection, farewell);
      outbox_.close(each.connection);
    }
    peers_.clear();
  }

 private:
  /// Who has shown a key is the device that it is listed under.
  static std::optional<PeerFault> check_name(const ServerPeer& peer, net::MessageType type,
                                             const std::string& name) {
    if (peer.proven.empty() || peer.proven == name) return std::nullopt;
    return PeerFault{net::WireError::identity,
                     concat("the key is that of device '", peer.proven, "', the name in ",
                            net::to_string(type), " is '", name, "'")};
  }
  Progress arrive(ServerPeer& peer, std::optional<net::Resume> resume) {
    peer.state = PeerState::ready;
    devices_[peer.index] = peer.record;
    complete_ = complete_ || has_all();
    return Arrived{std::move(resume)};
  }
  bool is_awaited(std::uint32_t device) const {
    return !quarantine_.has(device) && !was_aside_[device];
  }
  /// Whether the run can begin.
  bool has_all() const {
    const std::uint32_t here = ready_devices();
    if (plan_.start_with > 0) return here > 0 && here >= wanted();
    for (std::uint32_t d = 0; d < plan_.order.devices; ++d)
      if (is_awaited(d) && devices_[d].connection == 0) return false;
    return here > 0;
  }
  static DeviceRecord record_of(const QuarantinedDevice& device) {
    DeviceRecord out;
    out.name = device.name;
    out.label_counts = device.label_counts;
    out.samples = device.samples;
    parse_hex(device.data_fingerprint, out.data_fingerprint);
    return out;
  }
  template <class Predicate>
  ServerPeer* find_if(Predicate is_wanted) {
    const auto at = std::find_if(peers_.begin(), peers_.end(), is_wanted);
    return at == peers_.end() ? nullptr : &*at;
  }

  const ServerPlan& plan_;
  const Quarantine& quarantine_;
  ServerGeneratorExchange* exchange_;
  ServerOutbox& outbox_;
  std::vector<DeviceRecord> devices_;
  std::vector<bool> was_aside_;  // when this server began
  std::vector<ServerPeer> peers_;
  bool complete_ = false;
};

}  // namespace split
IOTSL_NAMESPACE_END
