#pragma once
// The server's part of ISL in the turns. For each turn:
//
//   waiting for the holder and its TURN_ACCEPT -> stepping (STEP, train, GRAD) ...
//   -> waiting for BARRIER_ACK -> storing -> stepping again, or waiting for TURN_DONE -> next turn
//
// A device that is lost keeps its place. Where it comes back with its state, the turn goes on;
// where it has lost it, or missed the server's restart, the run goes back to the last barrier. The
// turn of a device in quarantine ends where its last barrier stands; further ones are skipped.
//
// With method cache a device is needed for one turn only; of its later ones the server does the
// whole: training ... -> storing -> next turn.

#include "iotsl/split/protocol/server/cached_turns.hpp"
#include "iotsl/split/protocol/server/server_checks.hpp"
#include "iotsl/split/protocol/server/step_answers.hpp"
#include "iotsl/split/protocol/server/turn_progress.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerTurns {
 public:
  enum class State {
    waiting_holder,
    waiting_accept,
    stepping,
    training,
    waiting_ack,
    storing,
    rolling_back,
    waiting_done
  };

  /// Behind the plan's start. `devices` in the order of turns; `added`: samples that each is to add
  /// to its own, or empty.
  ServerTurns(const ServerPlan& plan, const std::vector<DeviceRecord>& devices,
              const Quarantine& quarantine, std::vector<std::uint64_t> added, ServerOutbox& outbox)
      : plan_(plan),
        devices_(devices),
        quarantine_(quarantine),
        added_(std::move(added)),
        outbox_(outbox),
        cached_(plan.cached, plan.offer.description.training.batch),
        progress_(plan),
        incarnation_(plan.offer.incarnation),
        fence_(plan.last_fence),
        barriers_(plan.start.id) {}

  /// Grants the first turn.
  [[nodiscard]] std::optional<RunEnd> begin() { return proceed(); }

  State state() const { return state_; }
  /// It rises whenever the run goes back to a barrier.
  std::uint32_t incarnation() const { return incarnation_; }
  /// What a server that starts again would go back to.
  const BarrierRecord& committed() const { return progress_.committed(); }
  /// The turn in hand, with what is known of it so far.
  const TurnReport& report() const { return progress_.report(); }
  bool holder_is_away() const { return !is_cached() && holder() == 0; }
  /// Whether anything is still asked of the device.
  bool needs(std::uint32_t device) const { return !cached_.has(device); }

  // Devices.

  bool can_proceed(const ServerPeer& peer, const net::Resume& resume) const {
    const std::uint64_t step = resume.position.step;
    const bool in_turn = state_ == State::waiting_accept || state_ == State::stepping ||
                         state_ == State::waiting_ack || state_ == State::waiting_done;
    return is_holder(peer) && in_turn && resume.position.key == key_ &&
           (step == last_step() || (answers_.any() && step + 1 == last_step()));
  }
  /// After can_proceed: says again what may have been lost on the way.
  std::optional<PeerFault> catch_up(const ServerPeer& peer, const net::Resume& resume) {
    if (state_ == State::waiting_accept && resume.turn_steps != 0)
      return accept(peer, resume.turn_steps);
    if (state_ == State::waiting_ack)
      outbox_.send(peer.connection, barrier_);
    else if (barrier_.key == key_ && barrier_.id == committed().id)
      outbox_.send(peer.connection, net::BarrierCommitted{key_, barrier_.id, barrier_hash_});
    return std::nullopt;
  }
  /// A device is here and has no turn in hand: where it is the holder, it has lost it.
  std::optional<RunEnd> on_arrived(const ServerPeer& peer) {
    if (!is_holder(peer) || is_busy()) return std::nullopt;
    if (state_ == State::waiting_done) return complete_turn();
    if (progress_.ahead() > 0) return roll_back(concat(name_of_holder(), " has lost its state"));
    grant();
    return std::nullopt;
  }
  /// A device was put aside. `damaged`: what it sent is in the server's half, in part.
  std::optional<RunEnd> on_quarantine(std::uint32_t device, bool damaged) {
    if (device != report().device || state_ == State::rolling_back) return std::nullopt;
    if (pausing_) return RunPaused{};  // the barrier that it waits for will not come
    if (state_ == State::waiting_done) return complete_turn();
    if (damaged || progress_.ahead() > 0)
      return roll_back(concat(name_of_holder(), " is put aside"));
    return proceed();
  }
  /// A device is lost: a pause does not wait for the holder.
  std::optional<RunEnd> on_dropped() const {
    if (!pausing_ || !holder_is_away()) return std::nullopt;
    return RunPaused{};
  }

  // Messages.

  std::optional<PeerFault> on_turn_accept(const ServerPeer& peer, const net::Message& message) {
    if (!is_holder(peer) || state_ != State::waiting_accept) return not_allowed(peer, message.type);
    const Result<net::TurnAccept> accepted = net::decode<net::TurnAccept>(message.payload);
    if (!accepted) return protocol_fault(accepted.failure());
    const Result<void> good = check_turn_accept(*accepted, key_);
    return good ? accept(peer, accepted->steps) : protocol_fault(good.failure());
  }

  /// `step` looks into `message`.
  std::optional<PeerFault> on_step(const ServerPeer& peer, net::Step step, net::Message message) {
    const auto answer = [&](net::WireError code, const char* what) {
      const std::string text = concat("STEP ", step.step, " is ", what, ": the server is at ",
                                      last_step(), ", turn ", key_.turn, ", fence ", key_.fence);
      outbox_.send(peer.connection, error_message(code, false, text));
      return std::nullopt;
    };
    if (step.key.run == key_.run && step.key.fence < key_.fence)
      return answer(net::WireError::stale, "of an old turn");
    const bool taking = state_ == State::stepping || state_ == State::waiting_ack;
    if (!is_holder(peer) || step.key != key_ || !taking) return not_allowed(peer, message.type);
    if (step.step == last_step() && answers_.any()) {
      if (!answers_.answers(message))
        return PeerFault{net::WireError::nondeterminism,
                         concat("device '", peer.record.name, "' repeated step ", step.step,
                                " with other content")};
      outbox_.send_message(peer.connection, answers_.last());
      return std::nullopt;
    }
    if (step.step <= last_step()) return answer(net::WireError::stale, "old");
    if (step.step > last_step() + 1) return answer(net::WireError::gap, "too far");
    if (state_ != State::stepping) return not_allowed(peer, message.type);
    Result<void> good = check_step(plan_, step, message.form);
    if (good) good = cached_.check_step(report(), step);
    if (!good) return protocol_fault(good.failure());
    answers_.begin(message.hash, step.labels.size());
    state_ = State::training;
    outbox_.push(server_action::Train{std::move(step), std::move(message)});
    return std::nullopt;
  }

  std::optional<PeerFault> on_barrier_ack(const ServerPeer& peer, net::Message message) {
    if (!is_holder(peer) || state_ != State::waiting_ack) return not_allowed(peer, message.type);
    Result<net::BarrierAck> ack = net::decode<net::BarrierAck>(message.payload);
    if (!ack) return protocol_fault(ack.failure());
    const Result<void> good = check_barrier_ack(*ack, barrier_, report().epochs.size());
    if (!good) return protocol_fault(good.failure());
    barrier_hash_ = message.digest;
    progress_.reach(barrier_.step, ack->costs);
    state_ = State::storing;
    outbox_.push(server_action::Store{std::move(ack).value(), progress_.barrier(barrier_.id),
                                      std::move(message)});
    return std::nullopt;
  }

  /// A turn that is done is closed by complete_turn().
  std::optional<PeerFault> on_turn_done(const ServerPeer& peer, const net::Message& message) {
    if (!is_holder(peer) || state_ != State::waiting_done) return not_allowed(peer, message.type);
    const Result<net::TurnDone> done = net::decode<net::TurnDone>(message.payload);
    if (!done) return protocol_fault(done.failure());
    const Result<void> good = check_turn_done(*done, {key_, last_step(), barrier_hash_});
    if (!good) return protocol_fault(good.failure());
    outbox_.send(holder(), net::TurnCommitted{key_, last_step()});
    return std::nullopt;
  }
  /// Closes the books of a turn whose last barrier is committed, or that is skipped, and grants the
  /// next one.
  std::optional<RunEnd> complete_turn() {
    if (!report().skipped) cached_.enter(report());
    if (close_turn()) return RunComplete{};
    return proceed();
  }

  /// A device wants to go. True where its turn is put into a barrier, or its end waited for, first.
  bool on_leave(const ServerPeer& peer) {
    if (!is_holder(peer)) return false;
    if (is_stepping()) leaving_ = true;
    return is_stepping() || state_ == State::waiting_done;
  }

  // Reports of the driver, and its wishes.

  /// The step that was asked for is applied.
  void on_trained(TrainedStep trained) {
    if (state_ != State::training) return;
    progress_.add(trained, answers_.samples());
    if (is_cached()) return go_on_cached();
    answers_.keep(key_, last_step(), std::move(trained));
    state_ = State::stepping;
    // Ahead of the gradient, so that the device stops in time.
    if (progress_.at_end() || wants_barrier()) ask_barrier(last_step());
    outbox_.send_message(holder(), answers_.last());
  }

  void on_step_finished(std::uint64_t took_us) { progress_.add_update(took_us); }

  /// A regular barrier is due by the clock; it is asked for once enough steps have passed as well.
  void on_barrier_due() { barrier_due_ = true; }

  /// The barrier's state is taken over and written, or the run ends.
  std::optional<RunEnd> on_stored(const Result<void>& done) {
    if (state_ != State::storing) return std::nullopt;
    if (!done) return RunFailed{net::WireError::run_failed, done.failure()};
    progress_.commit(barrier_.id);
    barrier_due_ = leaving_ = false;
    if (is_cached()) {
      if (pausing_) return RunPaused{};
      if (committed().turn_complete()) return complete_turn();
      go_on_cached();
      return std::nullopt;
    }
    outbox_.send(holder(), net::BarrierCommitted{key_, barrier_.id, barrier_hash_});
    state_ = committed().turn_complete() ? State::waiting_done : State::stepping;
    if (!pausing_) return std::nullopt;
    return RunPaused{};
  }

  /// The last barrier is loaded again, or the run ends.
  std::optional<RunEnd> on_rolled_back(const Result<void>& done) {
    if (state_ != State::rolling_back) return std::nullopt;
    if (!done) return RunFailed{net::WireError::run_failed, done.failure()};
    ++incarnation_;
    progress_.go_back();
    return skipping_ ? skip() : proceed();
  }

  /// The holder has been away for too long: its turn ends where its last barrier stands, and the
  /// others go on.
  std::optional<RunEnd> skip_turn() {
    if (!holder_is_away() || state_ == State::storing || state_ == State::training)
      return std::nullopt;
    if (state_ == State::waiting_done) return complete_turn();  // its last barrier is on the disk
    if (progress_.ahead() == 0) return skip();
    skipping_ = true;
    return roll_back(concat(name_of_holder(), " stays away"));
  }

  /// Puts the turn into a barrier first, where one can come.
  std::optional<RunEnd> request_pause() {
    if (pausing_) return std::nullopt;
    pausing_ = true;
    const bool barrier_will_come = !holder_is_away() && is_stepping() && !trains_alone();
    if (barrier_will_come) return std::nullopt;
    return RunPaused{};
  }

 private:
  /// The turn needs nothing of its device.
  bool is_cached() const { return cached_.has(report().device); }
  const DeviceRecord& device() const { return devices_[report().device]; }
  ConnectionId holder() const { return device().connection; }
  std::string name_of_holder() const { return concat("device '", device().name, "'"); }
  std::uint64_t last_step() const { return progress_.step(); }
  bool is_holder(const ServerPeer& peer) const {
    return !is_cached() && peer.state == PeerState::ready && peer.index == report().device;
  }
  /// A step or a barrier of the turn is on its way.
  bool is_stepping() const {
    return state_ == State::stepping || state_ == State::training || state_ == State::waiting_ack ||
           state_ == State::storing;
  }
  /// The driver is to report first.
  bool is_busy() const {
    return state_ == State::training || state_ == State::storing || state_ == State::rolling_back;
  }
  /// The device makes up its gradients: the server sees one barrier at the end of the turn alone.
  bool trains_alone() const { return !splits(plan_.offer.description.method); }
  std::uint64_t samples_of(std::uint32_t device) const {
    return devices_[device].samples + (added_.empty() ? 0 : added_[device]);
  }

  /// Goes on with the turn in hand, or with the next one that can be taken.
  std::optional<RunEnd> proceed() {
    for (std::string why = absence(); !why.empty(); why = absence()) {
      note_skipped(std::move(why));
      if (close_turn()) return RunComplete{};
    }
    grant();
    return std::nullopt;
  }
  /// Why the turn in hand is not taken, and not waited for; empty where it is.
  std::string absence() const {
    const QuarantinedDevice* const aside = quarantine_.find(report().device);
    // Who has left good samples in the cache has left them to the run.
    if (aside != nullptr && !(aside->gone && is_cached())) return aside->reason;
    return is_cached() || !device().name.empty() ? "" : not_here_yet;
  }
  /// Closes the books of the turn; true where it was the last one.
  bool close_turn() {
    outbox_.push(server_action::Report{report()});
    return !progress_.next();
  }

  /// Goes on with the turn in hand.
  void grant() {
    answers_.forget();
    barrier_due_ = leaving_ = false;
    state_ = State::waiting_holder;
    if (is_cached()) return begin_cached();
    if (holder_is_away()) return;
    key_ = {plan_.offer.run, report().turn, ++fence_};
    net::TurnGrant turn = progress_.grant(key_, device().name, samples_of(report().device));
    state_ = State::waiting_accept;
    outbox_.push(server_action::Grant{holder(), report().device, incarnation_, std::move(turn)});
  }

  /// The same where the server has all that it takes.
  void begin_cached() {
    TurnReport& turn = progress_.report();
    cached_.describe(turn);
    const std::uint64_t done = progress_.turn_step();
    if (done == 0) turn.cached = true;
    outbox_.push(
        server_action::BeginCached{turn.device, turn.turn, done, progress_.learning_rate()});
    go_on_cached();
  }
  /// The next step of such a turn, or its barrier.
  void go_on_cached() {
    if (progress_.ahead() > 0 && (progress_.at_end() || wants_barrier())) {
      barrier_ = {key_, ++barriers_, last_step()};
      state_ = State::storing;
      outbox_.push(server_action::Store{std::nullopt, progress_.barrier(barrier_.id), {}});
      return;
    }
    const std::uint64_t batch = progress_.turn_step();
    state_ = State::training;
    answers_.begin(0, cached_.batch_size(batch));
    outbox_.push(
        server_action::TrainCached{report().device, report().round, batch, last_step() + 1});
  }

  std::optional<PeerFault> accept(const ServerPeer& peer, std::uint64_t steps) {
    Result<void> good = check_turn_steps(report(), steps, samples_of(peer.index));
    if (good) good = cached_.check_steps(report(), steps);
    if (!good) return protocol_fault(good.failure());
    progress_.report().steps = steps;
    state_ = State::stepping;
    if (trains_alone()) ask_barrier(report().first_step + steps);
    return std::nullopt;
  }

  bool wants_barrier() const {
    return pausing_ || leaving_ || (barrier_due_ && progress_.ahead() >= plan_.barrier_steps);
  }
  void ask_barrier(std::uint64_t step) {
    barrier_ = {key_, ++barriers_, step};
    outbox_.send(holder(), barrier_);
    state_ = State::waiting_ack;
  }

  /// `why` names the device.
  std::optional<RunEnd> roll_back(std::string why) {
    if (!plan_.keeps_barriers) return nowhere_to_go_back(why, quarantine_.find(report().device));
    state_ = State::rolling_back;
    outbox_.push(server_action::RollBack{std::move(why), committed().id, committed().step});
    return std::nullopt;
  }
  std::optional<RunEnd> skip() {
    skipping_ = false;
    note_skipped("the device stayed away");
    return complete_turn();
  }
  void note_skipped(std::string why) {
    progress_.skip(std::move(why), name_of_place(device(), report().device));
  }

  const ServerPlan& plan_;
  const std::vector<DeviceRecord>& devices_;
  const Quarantine& quarantine_;
  std::vector<std::uint64_t> added_;
  ServerOutbox& outbox_;
  CachedTurns cached_;

  State state_ = State::waiting_holder;
  bool pausing_ = false;   ///< the next barrier is the run's last for now
  bool skipping_ = false;  ///< the turn ends once the last barrier is loaded
  TurnProgress progress_;
  std::uint32_t incarnation_;
  std::uint32_t fence_;
  std::uint64_t barriers_;  ///< id of the last one that was asked for

  // Of the last grant.
  net::TurnKey key_;
  StepAnswers answers_;
  bool barrier_due_ = false, leaving_ = false;
  net::Barrier barrier_;         ///< that was asked for last
  Sha256Digest barrier_hash_{};  ///< of its BARRIER_ACK
};

}  // namespace split
IOTSL_NAMESPACE_END
