#pragma once
// A server's run: events go to ServerMachine, and its actions to whoever does the work: training
// (turn_work.hpp), preparation, quarantine, the books. How bytes move is the transport's affair.

#include <unistd.h>

#include <memory>
#include <optional>

#include "iotsl/split/server/attendance.hpp"
#include "iotsl/split/server/farewells.hpp"
#include "iotsl/split/server/preparation_work.hpp"
#include "iotsl/split/server/quarantine_work.hpp"
#include "iotsl/split/server/turn_work.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerRun {
 public:
  /// `expected`: what the devices' data must be, or nothing. `sets` and `transport` must outlive
  /// the run.
  static Result<std::unique_ptr<ServerRun>> create(const RunConfig& of_run, const RunHooks& hooks,
                                                   const EvaluationSets& sets,
                                                   ExpectedData expected,
                                                   ServerTransport& transport) {
    const Result<RunConfig> now = taken_up(of_run);
    if (!now) return now.failure();
    const RunConfig& config = *now;
    Result<SplitModel> model = build_split_model(config);
    if (!model) return model.failure();
    if (pools_data(config.method))
      return failure(ErrorCode::usage,
                     "--method central has no devices and needs --transport none");
    Result<ReplayMemory> replay = make_replay(config, model->front);
    if (!replay) return replay.failure();
    std::unique_ptr<ServerRun> run(new ServerRun(config, hooks, sets, std::move(model).value(),
                                                 std::move(replay).value(), transport));
    const Result<void> opened = run->open(std::move(expected));
    if (!opened) return opened.failure();
    return run;
  }

  const WireSizes& sizes() const { return work_.sizes(); }
  bool done() const { return done_; }
  /// Done, but only so far: the devices have been told to come back, and the run goes on where it
  /// is taken up again behind hand_on(), now with a front that is trained.
  bool goes_on_unfrozen() const { return handed_on_.has_value(); }
  /// There is a step to take that waits for no event: work() takes it.
  bool has_work() const { return !done_ && work_.has_own_step(); }
  void work() {
    work_.train_cached(*machine_);
    carry_out_all();
  }

  /// `proven`: the name that goes with the key of the peer; empty where it has shown none.
  void on_open(ConnectionId connection, std::string proven = {}) {
    IOTSL_FAILPOINT("server.connection.open");
    machine_->on_open(connection, std::move(proven));
  }
  void on_message(ConnectionId connection, net::Message message) {
    IOTSL_FAILPOINT("server.message");
    machine_->on_message(connection, std::move(message));
    carry_out_all();
  }
  void on_lost(ConnectionId connection) {
    work_.on_lost(connection);
    machine_->on_lost(connection);
    carry_out_all();
  }
  /// Looks at the clock: regular barriers, and devices that stay away. Call it often.
  void on_time(net::Microseconds now) {
    if (done_) return;
    if (work_.turns().seconds_since_barrier(now) >= config_.barriers.seconds)
      machine_->on_barrier_due();
    if (quarantine_.on_time(*machine_, recorder_, now)) carry_out_all();
    if (done_ || !attendance_.on_time(*machine_, now)) return;
    machine_->skip_turn();
    carry_out_all();
  }
  // After done(), for devices that the end of the run has not reached.

  /// A server that was started again may come to the end before the devices have found it: the run
  /// was complete, or goes on without them behind a cache.
  Farewells begin_farewells(net::Microseconds now) const {
    const bool may_be_unknown = config_.resume && !problem_ && machine_->farewell();
    const net::Microseconds found_by = began_at_ + Farewells::long_patience;
    Farewells out(now, std::max(Farewells::patience, may_be_unknown ? found_by - now : 0));
    if (!machine_->farewell()) return out;
    if (may_be_unknown && found_by > now) {
      const std::vector<std::string>& places = recorder_.numbers().places;
      for (std::size_t d = 0; d < places.size(); ++d)
        if (!places[d].empty() && !attendance_.was_here(d) && !is_put_aside(d))
          out.on_away(places[d]);
    }
    for (const DeviceRecord& device : machine_->devices())
      if (device.connection != 0) out.on_told(device.connection, device.name);
    for (std::string& name : attendance_.lost_since(*machine_, now - Farewells::patience))
      out.on_away(std::move(name));
    return out;
  }
  /// Says the farewell again to a device that comes back.
  void on_late_message(ConnectionId connection, const net::Message& message, Farewells& farewells) {
    const bool comes =
        message.type == net::MessageType::hello || message.type == net::MessageType::leave;
    if (!comes || !machine_->farewell()) return;
    const Result<net::Hello> hello = net::decode<net::Hello>(message.payload);
    transport_.send_last(connection, *machine_->farewell());
    transport_.close(connection);
    farewells.on_told(connection, hello ? hello->device : std::string());
  }

  /// Ends with an error.
  void abort(Failure why) {
    machine_->abort(std::move(why));
    carry_out_all();
  }
  /// The run has not begun within `limit`: ends with an error that names whoever came in vain.
  void give_up_gathering(net::Microseconds limit) {
    const Quarantine& quarantine = machine_->quarantine();
    abort(failure(
        ErrorCode::network, "only ", ready_devices(), " of ", wanted_devices(),
        " devices came within ", limit / net::second_us, " s", attendance_.failed_before_the_run(),
        quarantine.count() > 0 ? concat("; put aside: ", quarantine.text(), with_more_devices())
                               : std::string()));
  }
  /// Ends at the next barrier, so that the run can go on another time.
  void request_pause() {
    machine_->request_pause();
    carry_out_all();
  }
  /// The name of the device at the other end, empty where it has not joined.
  std::string_view name_of(ConnectionId connection) const {
    for (const DeviceRecord& device : machine_->devices())
      if (device.connection == connection) return device.name;
    return {};
  }
  bool gathering() const { return machine_->phase() == ServerMachine::Phase::gathering; }
  std::uint32_t ready_devices() const { return machine_->ready_devices(); }
  /// Whether the device is in quarantine.
  bool is_put_aside(std::uint64_t device) const {
    return machine_->quarantine().has(static_cast<std::uint32_t>(device));
  }
  /// Devices that the run begins with.
  std::uint32_t wanted_devices() const { return machine_->wanted_devices(); }

  /// After goes_on_unfrozen(): writes the barrier that the next session takes up, once nothing more
  /// passes, so that no byte is in neither's books. `all` as for finish(). A server that is killed
  /// ahead of it closes the books of the turn once more and comes here again.
  Result<void> hand_on(const LinkTraffic& all) {
    return recorder_.write_barrier(work_.state(), *handed_on_, all.up, all.down, sizes());
  }
  /// After done(): the summary, or why the run failed. `all` is the traffic of every connection.
  Result<RunSummary> finish(const LinkTraffic& all) {
    if (problem_) return *problem_;
    Result<RunSummary> summary = recorder_.finish(work_.model().joined, all.up, all.down, sizes());
    if (summary && preparation_) summary->add(preparation_->preparation().record());
    if (summary) summary->quarantined = quarantine_.book().devices();
    if (summary) work_.drop_old_caches();
    return summary;
  }

 private:
  ServerRun(const RunConfig& config, const RunHooks& hooks, const EvaluationSets& sets,
            SplitModel model, ReplayMemory replay, ServerTransport& transport)
      : config_(config),
        transport_(transport),
        recorder_(config, hooks, sets),
        work_(config_, std::move(model), std::move(replay), recorder_, transport),
        quarantine_(config, hooks),
        sets_(sets),
        attendance_(config, hooks) {}

  Result<void> open(ExpectedData expected) {
    // Another number for every run, so that a message of an older one is told apart.
    const std::uint64_t number = (static_cast<std::uint64_t>(net::steady_now()) ^
                                  (static_cast<std::uint64_t>(::getpid()) << 44)) >>
                                 1;
    Result<BarrierRecord> start = recorder_.open(work_.state(), number);
    if (!start) return start.failure();
    const Result<void> taken_up = quarantine_.open();
    if (!taken_up) return taken_up.failure();
    if (config_.resume)
      recorder_.hooks().note(concat("going on after step ", start->step, ", barrier ", start->id));
    GeneratorsOnHand generators;
    if (has_generators(config_.method)) {
      preparation_.emplace(config_, recorder_.hooks());
      Result<GeneratorsOnHand> opened =
          preparation_->open(quarantine_.book(), expected.fingerprints);
      if (!opened) return opened.failure();
      generators = std::move(opened).value();
      const auto [payload, on_wire] = preparation_->preparation().uploaded();
      if (config_.resume) recorder_.add_earlier_uploads(payload, on_wire);
    }
    const Result<void> ready = work_.open(*start);
    if (!ready) return ready.failure();
    Result<net::Message> front_init = describe_front(work_.model().front);
    if (!front_init) return front_init.failure();
    ServerPlan plan = make_plan(config_, work_.model().front, sizes(), recorder_.numbers());
    plan.front_init = std::move(front_init).value();
    plan.expected = std::move(expected);
    plan.keeps_barriers = recorder_.keeps_barriers();
    plan.start = std::move(start).value();
    plan.quarantined = quarantine_.book().devices();
    if (const SmashedCaches& caches = work_.caches(); caches.keeps_samples())
      for (std::size_t d = 0; d < static_cast<std::size_t>(config_.devices); ++d)
        plan.cached.push_back(caches.known(d));
    machine_.emplace(std::move(plan), std::move(generators));
    machine_->start();
    carry_out_all();
    return {};
  }

  void carry_out_all() {
    const net::Microseconds now = net::steady_now();
    work_.turns().set_waiting(machine_->missing_holder().has_value(), now);
    attendance_.on_event(*machine_, now);
    if (!gathering()) keep_places();
    for (std::uint32_t i = 0; i < machine_->devices().size(); ++i)
      if (const ConnectionId connection = machine_->devices()[i].connection; connection != 0)
        work_.turns().on_connected(connection, i);
    do carry_out_actions();
    while (!done_ && work_.finish_step(*machine_));
  }
  /// So that a server that starts again gives every device the place that it had.
  void keep_places() {
    std::vector<std::string> names;
    for (const DeviceRecord& device : machine_->devices()) names.push_back(device.name);
    const Result<void> written = recorder_.keep_places(std::move(names));
    if (!written) machine_->abort(written.failure());
  }
  void carry_out_actions() {
    ServerAction action;
    while (!done_ && machine_->pop(action))
      std::visit([this](auto& each) { carry_out(each); }, action);
  }
  /// Of turns.
  template <class Action>
  void carry_out(Action& action) {
    work_.carry_out(*machine_, action);
  }

  void carry_out(server_action::Send& action) {
    if (action.is_last)
      transport_.send_last(action.connection, std::move(action.message));
    else
      transport_.send(action.connection, std::move(action.message));
  }
  void carry_out(server_action::Close& action) {
    // Booked now: the turn may end before the network says that the connection is gone.
    work_.on_lost(action.connection);
    transport_.close(action.connection);
  }

  void carry_out(server_action::StoreGenerator& action) { preparation_->store(*machine_, action); }
  void carry_out(server_action::Prepare&) {
    const std::vector<DeviceRecord>& devices = machine_->devices();
    const Result<bool> done =
        preparation_->prepare(devices, work_.model().joined, sets_, work_.caches());
    if (done && !*done) return machine_->request_pause();
    Result<void> ready = done ? Result<void>{} : Result<void>(done.failure());
    // Later barriers hold weights that are trained further.
    if (ready && machine_->committed().id == 0) {
      ready = preparation_->load_pretrained(work_.model().joined);
      const LinkTraffic all = transport_.total();
      if (ready) ready = recorder_.write_barrier(work_.state(), {}, all.up, all.down, sizes());
    }
    if (ready) ready = preparation_->reserve(devices, work_.caches());
    IOTSL_FAILPOINT("server.prepare.done");
    machine_->on_prepared(ready, preparation_->preparation().orders());
  }
  void carry_out(server_action::Impute& action) {
    const Result<void> sent = preparation_->send_imputation(transport_, action);
    if (!sent) machine_->abort(sent.failure());
  }

  void carry_out(server_action::PutAside& action) {
    const Result<void> written = quarantine_.carry_out(action, *machine_);
    if (!written) machine_->abort(written.failure());
  }
  void carry_out(server_action::PlaceTaken& action) {
    const Result<void> written = quarantine_.carry_out(action, *machine_);
    if (!written) machine_->abort(written.failure());
  }
  void carry_out(server_action::Leave& action) {
    IOTSL_FAILPOINT("server.leave");
    const Result<void> written = quarantine_.carry_out(action, *machine_, recorder_);
    if (!written) machine_->abort(written.failure());
  }
  void carry_out(server_action::SentAway& action) {
    attendance_.on_sent_away(action, *machine_, net::steady_now());
  }

  void carry_out(server_action::Report& action) {
    const TurnReport& turn = action.report;
    IOTSL_FAILPOINT("server.turn.report");
    const Result<void> written = work_.end_turn(*machine_, turn);
    if (!written) return machine_->abort(written.failure());
    const bool goes_on = machine_->phase() != ServerMachine::Phase::ended;
    if (goes_on && recorder_.is_on_plateau()) return unfreeze(turn);
    if (!gathering()) work_.go_on_behind(turn);
  }

  /// The next session goes on with a front that is trained.
  void unfreeze(const TurnReport& turn) {
    work_.unfreeze();
    const BarrierRecord& last = machine_->committed();
    handed_on_ = BarrierRecord{last.id + 1, last.step,
                               begin_report(config_.turn_order(), turn.turn + std::uint64_t{1},
                                            turn.epochs.size(), last.step)};
    machine_->interrupt();
  }

  void carry_out(server_action::Finish&) { done_ = true; }
  void carry_out(server_action::Pause&) { fail(recorder_.stopped(machine_->committed().step)); }
  void carry_out(server_action::Fail& action) {
    if (!machine_->quarantine().check(machine_->missing_devices()))
      action.problem.message += with_more_devices();
    fail(std::move(action.problem));
  }
  /// How a run goes on that has too few devices, where it can.
  std::string with_more_devices() const {
    if (!recorder_.keeps_barriers()) return {};
    return concat("; release a device: ", release_command("NAME", config_.out), ", and go on ",
                  recorder_.how_to_go_on());
  }
  void fail(Failure why) {
    done_ = true;
    problem_ = std::move(why);
  }

  RunConfig config_;
  ServerTransport& transport_;
  RunRecorder recorder_;
  TurnWork work_;
  QuarantineWork quarantine_;
  EvaluationSets sets_;
  std::optional<PreparationWork> preparation_;  // of a method with generators
  std::optional<ServerMachine> machine_;
  Attendance attendance_;
  net::Microseconds began_at_ = net::steady_now();
  bool done_ = false;
  std::optional<BarrierRecord> handed_on_;  // what the next session begins with
  std::optional<Failure> problem_;          // why the run is done before its end
};

}  // namespace split
IOTSL_NAMESPACE_END
