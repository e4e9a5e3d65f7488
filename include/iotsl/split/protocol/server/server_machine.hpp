#pragma once
// The server's side of ISL as a state machine: events in, actions out. It knows no socket, no
// clock and no tensor; the driver carries out the actions in order, reports back, and only then
// brings the next event.
//
//   gathering (every device, or those to begin with: HELLO, JOIN, LABEL_HIST; server_handshake.hpp)
//   -> for method iotsl: collecting, preparing (server_generator_exchange.hpp)
//   -> turns (server_turns.hpp), for method fedavg rounds (server_rounds.hpp) -> ended
//
// Each part keeps its own state and says what an event means for the peer or the run; the machine
// passes the events on and draws the consequences.

#include "iotsl/split/protocol/server/server_handshake.hpp"
#include "iotsl/split/protocol/server/server_rounds.hpp"
#include "iotsl/split/protocol/server/server_turns.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// How a device is put aside.
struct AsideAs {
  bool damaged = false;                   ///< what it sent is in the server's half, in part
  std::optional<DeviceRecord> gone = {};  ///< it has not failed, but leaves for good
  ConnectionId asked_by = 0;              ///< who has said so, and waits to hear that it is done
};

class ServerMachine {
 public:
  enum class Phase {
    gathering,   ///< not every device that the run begins with has been here
    collecting,  ///< not every generator is here
    preparing,   ///< planning the imputation and pre-training
    turns,
    ended
  };

  /// `generators`: of each device, for method iotsl; else empty.
  explicit ServerMachine(ServerPlan plan, GeneratorsOnHand generators = {})
      : plan_(std::move(plan)),
        quarantine_(plan_.order.devices, plan_.min_devices, plan_.quarantined),
        exchange_(make_exchange(std::move(generators))),
        handshake_(plan_, quarantine_, exchange_ ? &*exchange_ : nullptr, outbox_) {
    if (!plan_.start.turn_complete()) return;
    // The barrier was the turn's last: only the books are left to be closed.
    outbox_.push(server_action::Report{plan_.start.report});
    if (plan_.start.report.turn + std::uint64_t{1} == plan_.turns) end(RunComplete{});
  }
  /// To be called once the driver is ready: a run that needs no device any more goes on at once,
  /// and one that has too few left ends.
  void start() {
    if (ended_) return;
    if (const Result<void> enough = quarantine_.check(); !enough)
      return end(RunFailed{net::WireError::run_failed, enough.failure()});
    if (needs_nobody()) begin_alone();
  }
  // Its parts hold on to each other.
  ServerMachine(const ServerMachine&) = delete;
  ServerMachine& operator=(const ServerMachine&) = delete;

  Phase phase() const {
    if (ended_) return Phase::ended;
    if (turns_ || rounds_) return Phase::turns;
    if (!handshake_.complete()) return Phase::gathering;
    const bool collecting = exchange_->state() == ServerGeneratorExchange::State::collecting;
    return collecting ? Phase::collecting : Phase::preparing;
  }
  const std::vector<DeviceRecord>& devices() const { return handshake_.devices(); }
  /// Who was put aside.
  const Quarantine& quarantine() const { return quarantine_; }
  std::uint32_t ready_devices() const { return handshake_.ready_devices(); }
  /// Devices that the run begins with.
  std::uint32_t wanted_devices() const { return handshake_.wanted(); }
  /// Places that nobody has taken in a run that has begun.
  std::uint32_t missing_devices() const { return handshake_.missing(); }
  /// Of method iotsl: whether the server has the generator of `device`.
  bool has_generator(std::uint32_t device) const { return exchange_->has_generator(device); }
  /// What a server that starts again would go back to.
  const BarrierRecord& committed() const {
    if (rounds_) return rounds_->committed();
    return turns_ ? turns_->committed() : plan_.start;
  }
  /// The turns from the first one on; null before, and with method fedavg.
  const ServerTurns* turns() const { return turns_ ? &*turns_ : nullptr; }
  /// The same of method fedavg.
  const ServerRounds* rounds() const { return rounds_ ? &*rounds_ : nullptr; }
  /// The device whose turn it is, if it is away.
  std::optional<std::uint32_t> missing_holder() const {
    if (ended_) return std::nullopt;
    if (rounds_ && rounds_->holder_is_away()) return rounds_->holder();
    if (turns_ && turns_->holder_is_away()) return turns_->report().device;
    return std::nullopt;
  }
  /// Once the run is over for good: what every device was told at the end.
  const std::optional<net::Message>& farewell() const { return farewell_; }
  /// The next action to carry out; false when there is none.
  bool pop(ServerAction& action) { return outbox_.pop(action); }

  // Events.

  /// `proven`: the name that goes with the key of the peer; empty where it has shown none.
  void on_open(ConnectionId connection, std::string proven = {}) {
    handshake_.open(connection, std::move(proven));
  }

  void on_message(ConnectionId connection, net::Message message) {
    using net::MessageType;
    ServerPeer* const peer = handshake_.find(connection);
    if (peer == nullptr || ended_) return;
    switch (message.type) {
      case MessageType::hello:
        return on_hello(*peer, message);
      case MessageType::join:
        return proceed(*peer, handshake_.on_join(*peer, message));
      case MessageType::label_hist:
        return proceed(*peer, handshake_.on_label_hist(*peer, message));
      case MessageType::resume:
        return proceed(*peer, handshake_.on_resume(*peer, message));
      case MessageType::gen_upload:
        return settle(*peer, exchange_ ? exchange_->on_gen_upload(*peer, std::move(message))
                                       : not_allowed(*peer, message.type));
      case MessageType::step:
        return settle(*peer, on_step(*peer, std::move(message)));
      case MessageType::turn_accept:
        return settle(*peer, turns_ ? turns_->on_turn_accept(*peer, message)
                                    : not_allowed(*peer, message.type));
      case MessageType::barrier_ack:
        return settle(*peer, turns_ ? turns_->on_barrier_ack(*peer, std::move(message))
                                    : not_allowed(*peer, message.type));
      case MessageType::turn_done:
        return on_turn_done(*peer, message);
      case MessageType::local_model:
        return settle(*peer, rounds_ ? rounds_->on_local_model(*peer, std::move(message))
                                     : not_allowed(*peer, message.type));
      case MessageType::error:
        return on_error(*peer, message);
      case MessageType::leave:
        return on_leave(*peer, message);
      case MessageType::bye:
        return on_bye(*peer, message);
      default:
        return give_up(*peer, not_allowed(*peer, message.type));
    }
  }

  /// The connection is gone, or broke the rules of framing.
  void on_lost(ConnectionId connection) {
    ServerPeer* const peer = handshake_.find(connection);
    if (peer == nullptr) return;
    handshake_.forget(*peer);
    on_dropped();
  }

  /// The generator of the device at `connection` is kept (SHA-256 of its file), or refused.
  void on_generator_stored(ConnectionId connection, const Result<Sha256Digest>& stored) {
    ServerPeer* const peer = handshake_.find(connection);
    if (peer == nullptr || !exchange_) return;
    if (!stored)
      return give_up(*peer,
                     {net::WireError::data_mismatch,
                      concat("device '", peer->record.name, "': ", stored.failure().message)});
    exchange_->on_stored(*peer, *stored);
    begin_if_complete();
  }

  /// The plan is made and the net pre-trained, or the run ends. `orders`: for each device.
  void on_prepared(const Result<void>& done, std::vector<ImputationOrder> orders) {
    if (phase() != Phase::preparing) return;
    if (!done) return end(RunFailed{net::WireError::run_failed, done.failure()});
    exchange_->on_prepared(std::move(orders));
    for (const ServerPeer& peer : handshake_.peers())
      if (peer.state == PeerState::ready) exchange_->impute(peer);
    begin_turns();
  }

  /// The step that was asked for is applied. Where it cannot be, as with NaN, its device is put
  /// aside; the server's half may hold some of it, and goes back to the last barrier.
  void on_trained(Result<TrainedStep> trained) {
    if (!turns_ || ended_) return;
    if (!trained) return on_step_failed(trained.failure());
    turns_->on_trained(std::move(trained).value());
  }
  /// The same where nothing of the step was taken over.
  void on_step_refused(const Failure& why) {
    if (turns_ && !ended_)
      put_aside(turns_->report().device, {net::WireError::not_finite, why.message});
  }
  /// The last step, whose gradient may have been sent, cannot be finished.
  void on_step_failed(const Failure& why) {
    if (turns_ && !ended_)
      put_aside(turns_->report().device, {net::WireError::not_finite, why.message},
                {.damaged = true});
  }
  /// The front in BARRIER_ACK cannot be taken over, and was not.
  void on_front_refused(const Failure& why) {
    if (turns_ && !ended_)
      put_aside(turns_->report().device, {net::WireError::model_mismatch, why.message},
                {.damaged = true});
  }
  /// What was left of the last step has taken so long.
  void on_step_finished(std::uint64_t took_us) {
    if (turns_ && !ended_) turns_->on_step_finished(took_us);
  }
  void on_stored(const Result<void>& done) {
    if (phase() == Phase::turns)
      settle(turns_ ? turns_->on_stored(done) : rounds_->on_stored(done));
  }
  void on_rolled_back(const Result<void>& done) {
    if (turns_ && !ended_) settle(turns_->on_rolled_back(done));
  }
  /// Of method fedavg: the net of the device at `connection` is kept, or refused.
  void on_model_kept(ConnectionId connection, const Result<void>& kept) {
    ServerPeer* const peer = handshake_.find(connection);
    if (peer != nullptr && rounds_ && !ended_) settle(*peer, rounds_->on_model_kept(*peer, kept));
  }
  /// A regular barrier is due by the clock.
  void on_barrier_due() {
    if (turns_ && !ended_) turns_->on_barrier_due();
  }
  /// The holder has been away for too long.
  void skip_turn() {
    if (turns_ && !ended_) settle(turns_->skip_turn());
    if (rounds_ && !ended_) rounds_->skip_turn();
  }

  /// A user lets a device come back that was put aside; its place waits for it. False where that is
  /// so when the server starts again only: a run of method cache that has gone on without any
  /// device has not asked what they hold.
  bool release(std::uint32_t device) {
    if (!began_alone_) quarantine_.release(device);
    return !began_alone_;
  }

  /// A user says that the device leaves for good, or the device itself at connection `asked_by`;
  /// `known` of it where it was not here since this server began. False where nothing is asked of
  /// it any more.
  bool leave(std::uint32_t device, DeviceRecord known, ConnectionId asked_by = 0) {
    if (ended_ || (turns_ && !turns_->needs(device))) return false;
    if (!handshake_.devices()[device].name.empty()) known = handshake_.devices()[device];
    const char* const who = asked_by == 0 ? "somebody at the server" : "it";
    const PeerFault farewell{
        net::WireError::left,
        concat("device '", known.name, "' has left the run for good: ", who, " said so")};
    put_aside(device, farewell, {.gone = std::move(known), .asked_by = asked_by});
    return true;
  }
  /// It is on the disk that the device which has asked at `connection` leaves its place, or has
  /// left it before: it is told.
  void confirm_leave(ConnectionId connection, std::uint32_t device) {
    ServerPeer* const peer = handshake_.find(connection);
    if (peer == nullptr) return;
    outbox_.send(connection, net::LeaveOk{device});
    handshake_.close(*peer);
  }
  /// The device cannot leave.
  void refuse_leave(ConnectionId connection, std::string why) {
    if (ServerPeer* const peer = handshake_.find(connection))
      give_up(*peer, {net::WireError::run_failed, std::move(why)});
  }

  /// The user wants the run to go on another time: the turn is put into a barrier, and the devices
  /// are told to come back.
  void request_pause() {
    if (ended_) return;
    settle(turns_ ? turns_->request_pause() : RunPaused{});
  }
  /// The same between two turns, at once.
  void interrupt() {
    if (ended_) return;
    outbox_.clear();  // what is asked for behind the turn before comes when the run goes on
    end(RunPaused{});
  }
  /// Ends the run: devices did not come in time, or one cannot go on. Where it is complete but for
  /// its books, nobody has been told so yet: they come back, and hear it when the run is taken up.
  /// What was asked for behind that is not done: a barrier would take the place of the one that the
  /// books can be closed with.
  void abort(Failure why) {
    const bool is_complete = farewell_ && farewell_->type == net::MessageType::bye;
    if (ended_ && !is_complete) return;
    outbox_.clear();
    if (!ended_) return end(RunFailed{net::WireError::run_failed, std::move(why)});
    farewell_.reset();
    outbox_.push(server_action::Fail{std::move(why)});
  }

 private:
  std::optional<ServerGeneratorExchange> make_exchange(GeneratorsOnHand generators) {
    if (generators.empty()) return std::nullopt;
    return ServerGeneratorExchange(std::move(generators), quarantine_, outbox_);
  }

  // Devices.

  void on_hello(ServerPeer& peer, const net::Message& message) {
    auto verdict = handshake_.on_hello(peer, message);
    if (const auto* fault = std::get_if<PeerFault>(&verdict)) return give_up(peer, *fault);
    const ConnectionId connection = peer.connection;
    auto& admission = *std::get_if<ServerHandshake::Admission>(&verdict);
    // The device's own dead connection makes way for it.
    if (ServerPeer* const dead = handshake_.find_place(admission.index)) close(*dead);
    if (ended_) return;
    handshake_.admit(*handshake_.find(connection), std::move(admission),
                     turns_ ? turns_->incarnation() : plan_.offer.incarnation);
  }

  void proceed(ServerPeer& peer, const ServerHandshake::Progress& progress) {
    if (const PeerFault* fault = std::get_if<PeerFault>(&progress)) return give_up(peer, *fault);
    if (const auto* arrived = std::get_if<ServerHandshake::Arrived>(&progress))
      take_in(peer, arrived->resume);
  }
  /// The device is ready. `resume`: what it has in hand.
  void take_in(ServerPeer& peer, const std::optional<net::Resume>& resume) {
    if (const QuarantinedDevice* const left = quarantine_.find(peer.index)) {
      outbox_.push(server_action::PlaceTaken{peer.index, left->name});
      quarantine_.release(peer.index);
    }
    if (averages(plan_.offer.description.method)) {
      if (rounds_) return rounds_->on_arrived(peer, resume);
      // Which steps are the device's is known once everybody is here.
      peer.resume = resume;
      return begin_if_complete();
    }
    const bool proceeds = turns_ && resume && turns_->can_proceed(peer, *resume);
    if (resume) outbox_.send(peer.connection, net::ResumeOk{proceeds});
    if (proceeds) return settle(peer, turns_->catch_up(peer, *resume));
    if (exchange_) exchange_->impute(peer);
    if (turns_) return settle(turns_->on_arrived(peer));
    begin_if_complete();
  }
  void begin_if_complete() {
    if (ended_ || turns_ || rounds_ || !handshake_.complete()) return;
    if (exchange_)
      exchange_->prepare_if_complete();
    else
      begin_turns();
  }
  /// Whether the server has the samples of every device that is left (method cache).
  bool needs_nobody() const {
    for (std::uint32_t d = 0; d < plan_.cached.size(); ++d)
      if (!plan_.cached[d] && !quarantine_.has(d)) return false;
    return !plan_.cached.empty();
  }
  void begin_alone() {
    began_alone_ = true;
    begin_turns();
  }
  void begin_turns() {
    if (plan_.turns == 0) return end(RunComplete{});  // nothing but generators was asked for
    if (averages(plan_.offer.description.method)) {
      rounds_.emplace(plan_, handshake_.devices(), quarantine_, outbox_);
      for (const ServerPeer& peer : handshake_.peers())
        if (peer.state == PeerState::ready) rounds_->on_arrived(peer, peer.resume);
      return rounds_->begin();
    }
    turns_.emplace(plan_, handshake_.devices(), quarantine_,
                   exchange_ ? exchange_->added_samples() : std::vector<std::uint64_t>(), outbox_);
    settle(turns_->begin());
  }

  std::optional<PeerFault> on_step(const ServerPeer& peer, net::Message message) {
    if (peer.state != PeerState::ready) return not_allowed(peer, message.type);
    Result<net::Step> step = net::decode<net::Step>(message.payload);
    if (!step) return protocol_fault(step.failure());
    if (!turns_) return not_allowed(peer, message.type);
    return turns_->on_step(peer, std::move(step).value(), std::move(message));
  }
  void on_turn_done(ServerPeer& peer, const net::Message& message) {
    if (!turns_) return give_up(peer, not_allowed(peer, message.type));
    const std::optional<PeerFault> fault = turns_->on_turn_done(peer, message);
    if (fault) return give_up(peer, *fault);
    settle(turns_->complete_turn());
  }

  /// A device that gives up by itself, for example because of NaN, would do so again.
  void on_error(ServerPeer& peer, const net::Message& message) {
    const Result<net::ErrorMessage> error = net::decode<net::ErrorMessage>(message.payload);
    if (!error) return give_up(peer, protocol_fault(error.failure()));
    const PeerFault fault{error->code, concat("it has failed: ", error->text)};
    if (!is_needed(peer)) return send_away(peer, fault);
    const std::uint32_t device = peer.index;
    handshake_.close(peer);  // it knows
    put_aside(device, fault);
  }
  void on_leave(ServerPeer& peer, const net::Message& message) {
    const Result<net::Leave> leave = net::decode<net::Leave>(message.payload);
    if (!leave) return give_up(peer, protocol_fault(leave.failure()));
    if (peer.state == PeerState::hello || !leave->device.empty())
      return settle(peer, handshake_.on_leave(peer, message, *leave));
    if (!turns_ || !turns_->on_leave(peer)) close(peer);
  }
  void on_bye(ServerPeer& peer, const net::Message& message) {
    const Result<net::Bye> bye = net::decode<net::Bye>(message.payload);
    if (!bye) return give_up(peer, protocol_fault(bye.failure()));
    close(peer);
  }

  // Consequences.

  void settle(ServerPeer& peer, const std::optional<PeerFault>& fault) {
    if (fault) give_up(peer, *fault);
  }
  void settle(std::optional<RunEnd> how) {
    if (how) end(std::move(*how));
  }
  void give_up(ServerPeer& peer, const PeerFault& fault) {
    if (fault.retry_after_ms == 0 && is_needed(peer)) return put_aside(peer.index, fault);
    net::ErrorMessage error = error_message(fault.code, fault.retry_after_ms == 0, fault.text);
    error.retry_after_ms = fault.retry_after_ms;
    outbox_.send(peer.connection, error);
    send_away(peer, fault);
  }
  /// The peer is given up. Before the run begins its place is free for another device. Who is only
  /// to come again later is nobody's concern, nor who has not said a name.
  void send_away(ServerPeer& peer, const PeerFault& fault) {
    const bool is_told = fault.retry_after_ms == 0 && !peer.record.name.empty();
    const bool had_place = peer.index != net::any_index && !handshake_.complete();
    server_action::SentAway gone{peer.record.name, make_printable(fault.text), had_place,
                                 !peer.proven.empty()};
    close(peer);
    if (is_told) outbox_.push(std::move(gone));
  }
  /// Whether the peer has its place in a run that has begun, and the run still needs it. Before,
  /// its place is free for another device; what is said ahead of HELLO_OK anybody may have said.
  bool is_needed(const ServerPeer& peer) const {
    return handshake_.complete() && peer.index != net::any_index &&
           handshake_.devices()[peer.index].name == peer.record.name &&
           !(turns_ && !turns_->needs(peer.index));
  }
  /// The device has failed, and would again, or leaves: it is told, and the run goes on without it,
  /// unless too few are left.
  void put_aside(std::uint32_t device, const PeerFault& fault, const AsideAs& how = {}) {
    const DeviceRecord known = how.gone ? *how.gone : handshake_.devices()[device];
    if (ServerPeer* const peer = handshake_.find_place(device)) {
      outbox_.send(peer->connection, error_message(fault.code, true, fault.text));
      handshake_.close(*peer);
    }
    const std::uint64_t turn = turns_ ? turns_->report().turn : rounds_ ? rounds_->turn() : 0;
    outbox_.push(server_action::PutAside{quarantine_.add(
        {.device = device,
         .name = known.name,
         .samples = known.samples,
         .label_counts = known.label_counts,
         .data_fingerprint = to_hex(known.data_fingerprint),
         .turn = turn,
         .step = committed().step,
         .reason = how.gone ? std::string(left_for_good) : make_printable(fault.text),
         .gone = how.gone.has_value()})});
    confirm_leave(how.asked_by, device);
    handshake_.put_aside(device, known);
    if (const Result<void> enough = quarantine_.check(handshake_.missing()); !enough)
      return end(RunFailed{net::WireError::run_failed, enough.failure()});
    if (turns_) return settle(turns_->on_quarantine(device, how.damaged));
    if (rounds_) return rounds_->on_quarantine(device);
    // The only one that was waited for, though nothing is asked of the others.
    if (!handshake_.complete() && needs_nobody()) return begin_alone();
    begin_if_complete();
  }
  void close(ServerPeer& peer) {
    handshake_.close(peer);
    on_dropped();
  }
  void on_dropped() {
    if (turns_ && !ended_) settle(turns_->on_dropped());
  }

  void end(RunEnd how) {
    ended_ = true;
    if (RunFailed* const failed = std::get_if<RunFailed>(&how)) {
      // The server's own trouble, as with its disk: it starts again and goes on with them.
      if (failed->why.code == ErrorCode::other && plan_.keeps_barriers) {
        handshake_.dismiss_all(net::make_message(net::Bye{"the server has failed", true}));
      } else {
        farewell_ = net::make_message(
            error_message(failed->code, true, concat("the run ended: ", failed->why.message)));
        handshake_.dismiss_all(*farewell_);
      }
      outbox_.push(server_action::Fail{std::move(failed->why)});
    } else if (std::holds_alternative<RunPaused>(how)) {
      handshake_.dismiss_all(net::make_message(net::Bye{"the server was stopped", true}));
      outbox_.push(server_action::Pause{});
    } else {
      farewell_ = net::make_message(net::Bye{"the run is complete"});
      handshake_.dismiss_all(*farewell_);
      outbox_.push(server_action::Finish{});
    }
  }

  const ServerPlan plan_;
  ServerOutbox outbox_;
  Quarantine quarantine_;
  std::optional<ServerGeneratorExchange> exchange_;  // of method iotsl
  ServerHandshake handshake_;
  // Once every device was here and all is prepared.
  std::optional<ServerTurns> turns_;
  std::optional<ServerRounds> rounds_;  // of method fedavg, in its place
  bool began_alone_ = false;            // no device was asked for anything
  bool ended_ = false;
  std::optional<net::Message> farewell_;
};

}  // namespace split
IOTSL_NAMESPACE_END
