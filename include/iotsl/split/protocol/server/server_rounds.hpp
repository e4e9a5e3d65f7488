#pragma once
// The server's part of ISL in the rounds of federated averaging. The devices that take part in a
// round begin with the same net (GLOBAL_MODEL) and train at the same time; what they answer
// (LOCAL_MODEL) is averaged in the order of their turns, whoever is first, so that the sum is
// always the same one. For each device:
//
//   waiting for it -> training -> its net is kept -> averaged and on the disk (TURN_COMMITTED)
//
// The turn in hand is the first that is not committed. A device that is lost goes on training, and
// where it comes back with its turn its net is taken, even by a server that was started again: the
// fence is that of the round, and a round's net never changes. Where it has lost its turn, it is
// sent the round's net once more. A device whose net is kept has nothing left to do: where it comes
// back, it drops its turn. A round's mean is without the nets of devices in quarantine that were
// not averaged before.

#include "iotsl/data/loader.hpp"
#include "iotsl/split/protocol/server/server_checks.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerRounds {
 public:
  /// Begins behind the plan's start; `devices` in the order of turns, who are all known. Nothing is
  /// sent before on_arrived().
  ServerRounds(const ServerPlan& plan, const std::vector<DeviceRecord>& devices,
               const Quarantine& quarantine, ServerOutbox& outbox)
      : plan_(plan),
        devices_(devices),
        quarantine_(quarantine),
        outbox_(outbox),
        committed_(plan.start),
        turn_(std::uint64_t{plan.start.report.turn} + (plan.start.turn_complete() ? 1 : 0)),
        fence_(plan.last_fence),
        answered_(plan.order.devices) {
    // Of a run that began with some of the devices, or that one has left, others may be here now,
    // with other samples: the round is another one.
    const bool may_differ = plan.start_with > 0 || quarantine.has_seen_leave();
    if (plan.last_fence == 0 || plan.last_round != round() || may_differ) ++fence_;
    open_round();
    began_inside_ = place_of(turn_) != 0;
  }

  /// What a server that starts again would go back to.
  const BarrierRecord& committed() const { return committed_; }
  /// The turn in hand.
  std::uint64_t turn() const { return turn_; }
  /// Whose it is.
  std::uint32_t holder() const { return holders_[place_of(turn_)]; }
  bool holder_is_away() const { return !storing_ && devices_[holder()].connection == 0; }

  // Devices.

  /// A device is here, with what it has in hand.
  void on_arrived(const ServerPeer& peer, const std::optional<net::Resume>& resume) {
    Part& part = parts_[peer.index];
    const bool is_open = part.state == Part::State::waiting || part.state == Part::State::training;
    const bool proceeds = is_open && resume && resume->position.key == key_of(peer.index);
    if (resume) outbox_.send(peer.connection, net::ResumeOk{proceeds});
    if (proceeds) {
      // A barrier of the round counts all of its nets.
      if (!part.was_sent)
        push_model(peer.index, began_inside_ ? server_action::SentBefore::counted
                                             : server_action::SentBefore::uncounted);
      part.was_sent = true;
      part.state = Part::State::training;
    } else if (is_open) {
      send_model(peer.index);
    }
  }

  /// After on_arrived() for those who are here: goes past those who are put aside.
  void begin() { average_next(); }
  /// A device was put aside. A net of it that waits for its turn is not used: a server that starts
  /// again would not have it either.
  void on_quarantine(std::uint32_t device) {
    Part& part = parts_[device];
    if (part.state == Part::State::done || part.state == Part::State::absent) return;
    part.state = quarantine_.is_gone(device) ? Part::State::absent : Part::State::waiting;
    answered_[device] = {};
    average_next();
  }

  // Messages.

  std::optional<PeerFault> on_local_model(const ServerPeer& peer, net::Message message) {
    if (peer.state != PeerState::ready) return not_allowed(peer, message.type);
    Result<net::LocalModel> answer = net::decode<net::LocalModel>(message.payload);
    if (!answer) return protocol_fault(answer.failure());
    // Said twice, or by a device that did not hear that it was committed.
    Answered& before = answered_[peer.index];
    if (before.key == answer->key) return repeat(peer, before, message);
    const net::TurnKey key = key_of(peer.index);
    if (answer->key.run == key.run && answer->key.fence < fence_) {
      outbox_.send(peer.connection,
                   error_message(net::WireError::stale, false,
                                 concat("LOCAL_MODEL of turn ", answer->key.turn, ", fence ",
                                        answer->key.fence, " is old: the device's turn is ",
                                        key.turn, ", fence ", fence_)));
      return std::nullopt;
    }
    Part& part = parts_[peer.index];
    if (part.state != Part::State::training) return not_allowed(peer, message.type);
    const Result<void> good = check_local_model(*answer, key, devices_[peer.index].samples,
                                                part.steps, report_.epochs.size());
    if (!good) return protocol_fault(good.failure());
    part.results = answer->results;
    part.costs = answer->costs;
    part.digest = message.digest;
    outbox_.push(server_action::KeepModel{peer.connection, peer.index, std::move(answer).value(),
                                          std::move(message)});
    return std::nullopt;
  }

  // Reports of the driver, and its wishes.

  /// The net of a device is kept, or refused for what is in it.
  std::optional<PeerFault> on_model_kept(const ServerPeer& peer, const Result<void>& kept) {
    Part& part = parts_[peer.index];
    if (part.state != Part::State::training) return std::nullopt;
    if (!kept) {
      part.state = Part::State::waiting;
      return PeerFault{
          net::WireError::model_mismatch,
          concat("LOCAL_MODEL of device '", peer.record.name, "': ", kept.failure().message)};
    }
    part.state = Part::State::kept;
    part.connection = peer.connection;
    answered_[peer.index] = {key_of(peer.index), part.digest, part.first_step + part.steps};
    average_next();
    return std::nullopt;
  }

  /// The turn in hand is averaged and on the disk, or the run ends.
  std::optional<RunEnd> on_stored(const Result<void>& done) {
    if (!storing_) return std::nullopt;
    if (!done) return RunFailed{net::WireError::run_failed, done.failure()};
    storing_ = false;
    committed_ = next_barrier();
    Part& part = parts_[holder()];
    part.state = Part::State::done;
    // Over another connection it does not wait for it any more.
    if (part.connection == devices_[holder()].connection)
      outbox_.send(part.connection, net::TurnCommitted{key_of(holder()), committed_.step});
    const bool ends_round = plan_.order.ends_round(turn_), last = ++turn_ == plan_.turns;
    if (ends_round && !last) {
      ++fence_;
      open_round();
      // Ahead of the books, so that the devices train while the mean is tested.
      for (const std::uint32_t device : holders_) send_model(device);
    } else if (!last) {
      report_ = fresh_report();
    }
    outbox_.push(server_action::Report{committed_.report});
    if (last) return RunComplete{};
    average_next();
    return std::nullopt;
  }

  /// The device whose turn is in hand has been away for too long: the round's mean is one without
  /// its net.
  void skip_turn() {
    if (holder_is_away()) skip("the device stayed away");
  }

 private:
  /// A device's part of the round: done where it takes none, absent where it was not here when the
  /// round began, or has left: whoever has its place then comes too late for it.
  struct Part {
    enum class State { waiting, training, kept, done, absent };
    State state = State::done;
    bool was_sent = false;  ///< the round's net; or it is known to have been
    std::uint64_t turn = 0, first_step = 0, steps = 0;
    ConnectionId connection = 0;  ///< over which its net has come
    // Of its LOCAL_MODEL.
    std::vector<net::EpochResult> results;
    std::vector<net::EpochCost> costs;
    Sha256Digest digest{};
  };
  /// What a device has answered last.
  struct Answered {
    net::TurnKey key;
    Sha256Digest digest{};  ///< of the LOCAL_MODEL
    std::uint64_t last_step = 0;
  };

  std::uint64_t round() const { return plan_.order.round_of(turn_); }
  /// Of a turn of the round.
  std::size_t place_of(std::uint64_t turn) const {
    return static_cast<std::size_t>(turn % holders_.size());
  }
  net::TurnKey key_of(std::uint32_t device) const {
    return {plan_.offer.run, static_cast<std::uint32_t>(parts_[device].turn), fence_};
  }
  std::size_t local_epochs() const {
    return static_cast<std::size_t>(plan_.offer.description.training.local_epochs);
  }

  /// Steps are numbered as if the devices trained one after the other.
  void open_round() {
    holders_ = plan_.order.of_round(round());
    parts_.assign(plan_.order.devices, {});
    std::uint64_t step = committed_.step;
    for (std::size_t place = 0; place < holders_.size(); ++place) {
      Part& part = parts_[holders_[place]];
      part.turn = round() * holders_.size() + place;
      if (part.turn < turn_) continue;
      const DeviceRecord& device = devices_[holders_[place]];
      const auto batches = data::batch_ranges(static_cast<Index>(device.samples),
                                              plan_.offer.description.training.batch);
      const bool absent = device.name.empty() || quarantine_.is_gone(holders_[place]);
      part.state = absent ? Part::State::absent : Part::State::waiting;
      part.first_step = step;
      part.steps = batches.size() * local_epochs();
      step += part.steps;
    }
    report_ = fresh_report();
  }
  /// The books of the turn in hand.
  TurnReport fresh_report() const {
    const Part& part = parts_[holder()];
    TurnReport out = begin_report(plan_.order, turn_, local_epochs(), part.first_step);
    out.device_name = name_of_place(devices_[holder()], holder());
    out.samples = devices_[holder()].samples;
    out.steps = part.steps;
    return out;
  }

  /// Where the device is away, it is sent when it comes.
  void send_model(std::uint32_t device) {
    if (devices_[device].connection == 0) return;
    Part& part = parts_[device];
    part.state = Part::State::training;
    part.was_sent = true;
    push_model(device, server_action::SentBefore::no);
  }
  void push_model(std::uint32_t device, server_action::SentBefore sent) {
    const Part& part = parts_[device];
    net::GlobalModel global;
    global.key = key_of(device);
    global.round = static_cast<std::uint32_t>(round());
    global.first_step = part.first_step;
    global.order_seed = plan_.offer.description.seed;
    global.learning_rate = plan_.rates.of(round());
    outbox_.push(server_action::SendModel{devices_[device].connection, device, sent,
                                          plan_.offer.incarnation, std::move(global)});
  }

  std::optional<PeerFault> repeat(const ServerPeer& peer, const Answered& before,
                                  const net::Message& message) {
    if (message.digest != before.digest)
      return PeerFault{net::WireError::nondeterminism,
                       concat("device '", peer.record.name, "' repeated LOCAL_MODEL of turn ",
                              before.key.turn, " with other content")};
    // Otherwise the answer follows when it is committed.
    if (before.last_step <= committed_.step)
      outbox_.send(peer.connection, net::TurnCommitted{before.key, before.last_step});
    return std::nullopt;
  }

  /// Has the net of the turn in hand averaged, where it is kept.
  void average_next() {
    if (storing_) return;
    if (const QuarantinedDevice* aside = quarantine_.find(holder())) return skip(aside->reason);
    const Part& part = parts_[holder()];
    if (part.state == Part::State::absent) return skip(not_here_yet);
    if (part.state != Part::State::kept) return;
    for (std::size_t e = 0; e < report_.epochs.size(); ++e) {
      const net::EpochResult& seen = part.results[e];
      report_.epochs[e] = {seen.loss_sum, seen.samples, seen.correct, 0};
    }
    report_.costs = part.costs;
    store();
  }
  void skip(std::string why) {
    report_.skipped = true;
    report_.skip_reason = std::move(why);
    store();
  }
  void store() {
    storing_ = true;
    outbox_.push(server_action::AverageModel{next_barrier(), plan_.order.ends_round(turn_)});
  }
  /// Behind the turn in hand.
  BarrierRecord next_barrier() const {
    return {committed_.id + 1, report_.first_step + report_.steps, report_};
  }

  const ServerPlan& plan_;
  const std::vector<DeviceRecord>& devices_;
  const Quarantine& quarantine_;
  ServerOutbox& outbox_;

  BarrierRecord committed_;             ///< the last barrier that is on disk
  bool began_inside_ = false;           ///< where a barrier of the round was there already
  std::uint64_t turn_;                  ///< in hand
  std::uint32_t fence_;                 ///< of the round
  std::vector<std::uint32_t> holders_;  ///< of the round's turns, in their order
  std::vector<Part> parts_;             ///< of each device in the round
  std::vector<Answered> answered_;
  TurnReport report_;     ///< of the turn in hand
  bool storing_ = false;  ///< it is being averaged
};

}  // namespace split
IOTSL_NAMESPACE_END
