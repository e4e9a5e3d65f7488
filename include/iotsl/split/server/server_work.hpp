#pragma once
// A server's run: the back, the books, and the actions of ServerMachine. How bytes move is the
// transport's affair.

#include <unistd.h>

#include <memory>
#include <optional>

#include "iotsl/split/halves/cut.hpp"
#include "iotsl/split/prepare/server_preparation.hpp"
#include "iotsl/split/records/run_recorder.hpp"
#include "iotsl/split/records/turn_costs.hpp"
#include "iotsl/split/server/split_model.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Moves messages to devices.
class ServerTransport {
 public:
  virtual ~ServerTransport() = default;
  virtual void send(ConnectionId connection, net::Message message) = 0;
  /// Closes after everything queued has been sent.
  virtual void close(ConnectionId connection) = 0;
  /// What has passed over one connection up to the message that is being handled.
  virtual LinkTraffic traffic(ConnectionId connection) = 0;
  /// The same for all connections since the run or its server began.
  virtual LinkTraffic total() = 0;
};

class ServerRun {
 public:
  /// `fingerprints`: of each device's data, or empty. `test` and `transport` must outlive the run.
  static Result<std::unique_ptr<ServerRun>> create(const RunConfig& config, const RunHooks& hooks,
                                                   const data::Dataset& test,
                                                   std::vector<Sha256Digest> fingerprints,
                                                   ServerTransport& transport) {
    Result<SplitModel> model = build_split_model(config);
    if (!model) return model.failure();
    if (config.method == "central")
      return failure(ErrorCode::usage,
                     "--method central has no devices and needs --transport none");
    if (config.method == "fedavg")
      return failure(ErrorCode::usage,
                     "--method fedavg runs in one process only: it needs "
                     "--transport inproc or none");
    Result<ReplayMemory> replay = make_replay(config, model->front);
    if (!replay) return replay.failure();
    std::unique_ptr<ServerRun> run(
        new ServerRun(config, hooks, test, std::move(model).value(), transport));
    run->replay_ = std::move(replay).value();
    const Result<void> opened = run->open(std::move(fingerprints));
    if (!opened) return opened.failure();
    return run;
  }

  const WireSizes& sizes() const { return sizes_; }
  bool done() const { return done_; }

  void on_open(ConnectionId connection) { machine_->on_open(connection); }
  void on_message(ConnectionId connection, net::Message message) {
    machine_->on_message(connection, std::move(message));
    carry_out_all();
  }
  void on_lost(ConnectionId connection) {
    books_.on_lost(connection, transport_.traffic(connection));
    machine_->on_lost(connection);
    carry_out_all();
  }
  /// Looks at the clock: regular barriers, and devices that stay away. Call it often.
  void on_time(net::Microseconds now) {
    if (seconds_between(barrier_at_, now) >= config_.barrier_seconds) machine_->on_barrier_due();
    if (machine_->state() == ServerState::collecting) tell_absent();
    const DeviceRecord* missing = machine_->missing_holder();
    if (missing == nullptr) {
      away_since_ = 0;
      return;
    }
    if (away_since_ == 0) {
      away_since_ = now;
      note(concat("device ", machine_->holder_index(), " is away; the run waits for it"));
    }
    // Where nobody is left, nobody could go on.
    const bool too_long = config_.offline_seconds > 0 && machine_->ready_devices() > 0 &&
                          seconds_between(away_since_, now) >= config_.offline_seconds;
    if (!too_long) return;
    note(concat("device ", machine_->holder_index(), " has been away for ", config_.offline_seconds,
                " s; its turn is skipped"));
    away_since_ = 0;
    machine_->skip_turn();
    carry_out_all();
  }
  /// Ends with an error.
  void stop(Failure why) {
    machine_->stop(std::move(why));
    carry_out_all();
  }
  /// Ends at the next step, so that the run can be resumed.
  void request_stop() {
    machine_->request_stop();
    carry_out_all();
  }
  bool gathering() const { return machine_->state() == ServerMachine::State::gathering; }
  std::uint32_t ready_devices() const { return machine_->ready_devices(); }

  /// After done(): the summary, or why the run failed. `all` is the traffic of every connection.
  Result<RunSummary> finish(const LinkTraffic& all) {
    if (failed_ && machine_->paused()) return recorder_.stopped(machine_->committed().step);
    if (failed_) return problem_;
    Result<RunSummary> summary = recorder_.finish(model_.joined, all.up, all.down, sizes_);
    if (summary && preparation_) summary->preparation = preparation_->record();
    return summary;
  }

 private:
  ServerRun(const RunConfig& config, const RunHooks& hooks, const data::Dataset& test,
            SplitModel model, ServerTransport& transport)
      : config_(config),
        transport_(transport),
        model_(std::move(model)),
        front_(model_.front, config.optimizer, config.seed),
        back_(model_.back, config.optimizer, config.seed),
        sizes_(wire_sizes(model_.front, front_.optimizer(), sample_shape(config.model),
                          static_cast<std::uint64_t>(config.batch))),
        offer_(make_offer(config_, model_.front)),
        recorder_(config, hooks, test),
        test_(test),
        books_(static_cast<std::size_t>(config.devices)) {}

  Result<void> open(std::vector<Sha256Digest> fingerprints) {
    // Another number for every run, so that a message of an older one is told apart.
    const std::uint64_t number = (static_cast<std::uint64_t>(net::steady_now()) ^
                                  (static_cast<std::uint64_t>(::getpid()) << 44)) >>
                                 1;
    Result<BarrierRecord> start = recorder_.open(state(), number);
    if (!start) return start.failure();
    ServerPlan plan;
    plan.start = std::move(start).value();
    if (plan.start.id != 0) books_.take_up(plan.start.report.turn, recorder_.resumed_turn());
    if (config_.resume)
      note(concat("going on after step ", plan.start.step, ", barrier ", plan.start.id));
    if (config_.method == "iotsl") {
      const Result<void> opened = open_preparation(plan, fingerprints);
      if (!opened) return opened;
    }
    offer_.run = recorder_.session().run;
    offer_.incarnation = recorder_.session().incarnation;
    plan.offer = offer_;
    plan.devices = static_cast<std::uint32_t>(config_.devices);
    plan.turns = config_.turns();
    plan.schedule = config_.schedule;
    plan.learning_rate = config_.optimizer.lr;
    plan.smashed_values = sizes_.smashed_values;
    plan.largest_batch = sizes_.largest_batch;
    plan.fingerprints = std::move(fingerprints);
    plan.barrier_steps = static_cast<std::uint64_t>(config_.barrier_steps);
    plan.keeps_barriers = recorder_.keeps_barriers();
    plan.last_fence = recorder_.session().fence;
    machine_.emplace(std::move(plan));
    told_absent_.resize(static_cast<std::size_t>(config_.devices));
    barrier_at_ = net::steady_now();
    carry_out_all();
    return {};
  }

  /// Who is away before the turns: a run without its generator would be another one, so that it
  /// waits.
  void tell_absent() {
    for (std::size_t d = 0; d < told_absent_.size(); ++d) {
      const bool away =
          machine_->devices()[d].connection == 0 && !preparation_->generator(d).present;
      if (away && !told_absent_[d])
        note(concat("device ", d, " is away; the run waits for its generator"));
      told_absent_[d] = away;
    }
  }

  /// What is there of generators, for the machine.
  Result<void> open_preparation(ServerPlan& plan, std::vector<Sha256Digest>& fingerprints) {
    sizes_.generator_bytes = generator_file_limit(config_.gan, image_spec(config_.model));
    preparation_.emplace(config_, recorder_.hooks());
    const Result<void> opened = preparation_->open();
    if (!opened) return opened;
    fingerprints.resize(static_cast<std::size_t>(config_.devices));
    plan.generators.resize(fingerprints.size());
    for (std::size_t d = 0; d < plan.generators.size(); ++d) {
      const GeneratorRecord& record = preparation_->generator(d);
      plan.generators[d] = {record.present, record.fingerprint(), record.label_counts};
      // What trained a generator of this run is what the device has to come back with.
      if (fingerprints[d] == Sha256Digest{}) fingerprints[d] = record.fingerprint();
    }
    return {};
  }
  TrainingState state() {
    return {model_.joined, {&front_.optimizer(), &back_.optimizer()}, replay_.parts()};
  }
  void note(const std::string& text) {
    const RunHooks& hooks = recorder_.hooks();
    if (hooks.on_note != nullptr) hooks.on_note(hooks.context, text);
  }
  static double seconds_between(net::Microseconds from, net::Microseconds to) {
    return static_cast<double>(to - from) * 1e-6;
  }

  void carry_out_all() {
    if (recorder_.hooks().on_device != nullptr && machine_->ready_devices() > told_ready_) {
      told_ready_ = machine_->ready_devices();
      recorder_.hooks().on_device(recorder_.hooks().context, told_ready_,
                                  static_cast<std::uint32_t>(config_.devices));
    }
    told_ready_ = machine_->ready_devices();
    if (machine_->state() == ServerState::collecting && !told_collecting_) {
      told_collecting_ = true;
      note("every device is here; the run waits for their generators");
    }
    for (std::uint32_t i = 0; i < machine_->devices().size(); ++i)
      if (const ConnectionId connection = machine_->devices()[i].connection; connection != 0)
        books_.on_connected(connection, i);
    ServerAction action;
    while (!done_ && machine_->pop(action)) carry_out(action);
  }

  void carry_out(ServerAction& action) {
    using Kind = ServerAction::Kind;
    switch (action.kind) {
      case Kind::send:
        return transport_.send(action.connection, std::move(action.message));
      case Kind::close:
        return transport_.close(action.connection);
      case Kind::store_generator:
        return store_generator(action);
      case Kind::prepare:
        return prepare();
      case Kind::impute: {
        auto messages = preparation_->imputation_messages(action.device);
        if (!messages) return machine_->stop(messages.failure());
        for (net::Message& message : *messages)
          transport_.send(action.connection, std::move(message));
        return;
      }
      case Kind::grant:
        return grant(action);
      case Kind::train:
        return train(action);
      case Kind::store:
        return store(action);
      case Kind::roll_back:
        note(concat("device ", machine_->holder_index(), " has lost its state; back to step ",
                    machine_->committed().step));
        return machine_->on_rolled_back(recorder_.roll_back(state(), machine_->committed().id));
      case Kind::report:
        return report(action.report);
      case Kind::finish:
        done_ = true;
        return;
      case Kind::fail:
        done_ = failed_ = true;
        problem_ = std::move(action.problem);
    }
  }

  void store_generator(const ServerAction& action) {
    const DeviceRecord& device = machine_->devices()[action.device];
    Result<GeneratorRecord> good =
        preparation_->check(device.data_fingerprint, device.label_counts, action.upload);
    if (!good) return machine_->on_generator_stored(action.connection, good.failure());
    const Result<Sha256Digest> stored =
        preparation_->store(action.device, std::move(good).value(), action.upload.file);
    if (!stored) return machine_->stop(stored.failure());  // the disk, not the device
    machine_->on_generator_stored(action.connection, stored);
  }

  void prepare() {
    std::vector<std::vector<std::uint64_t>> histograms;
    for (const DeviceRecord& device : machine_->devices())
      histograms.push_back(device.label_counts);
    const Result<bool> done = preparation_->prepare(model_.joined, test_, histograms);
    if (done && !*done) return machine_->request_stop();
    Result<void> ready = done ? Result<void>{} : Result<void>(done.failure());
    // Later barriers hold weights that are trained further.
    if (ready && machine_->committed().id == 0) {
      ready = preparation_->load_pretrained(model_.joined);
      const LinkTraffic all = transport_.total();
      if (ready) ready = recorder_.write_barrier(state(), {}, all.up, all.down, sizes_);
    }
    machine_->on_prepared(ready, preparation_->orders());
  }

  void grant(ServerAction& action) {
    const Result<void> written =
        recorder_.on_grant(machine_->incarnation(), action.grant.key.fence);
    if (!written) return machine_->stop(written.failure());
    back_.optimizer().set_learning_rate(action.grant.learning_rate);
    if (action.grant.done_steps == 0) {
      // The turn before is a task that has ended. The device gets its part with the front.
      front_.optimizer().consolidate();
      back_.optimizer().consolidate();
      replay_.begin_turn(machine_->turn().device);
    }
    books_.on_grant(action.grant.key.turn, net::steady_now());
    action.grant.front = front_.state();
    transport_.send(action.connection, net::make_message(action.grant));
  }

  void train(ServerAction& action) {
    const net::Microseconds start = net::steady_now();
    const net::Step& step = action.step;
    const Index n = static_cast<Index>(step.labels.size());
    if (!all_finite(step.smashed))
      return machine_->on_trained(
          failure(ErrorCode::network, "STEP ", step.step, " has NaN or Inf"));
    Shape shape{n};
    const Shape one = smashed_shape();
    for (int d = 1; d < one.rank(); ++d) shape.push_back(one[d]);
    Tensor<float> smashed = Tensor<float>::uninitialized(shape);
    std::memcpy(smashed.mutable_data(), step.smashed.data(), step.smashed.size());
    const TurnReport& turn = machine_->turn();
    const Result<StepOutcome> out =
        back_.train(smashed, step.labels, step.step, replay_.draw(turn.device, n, step.step));
    if (!out) return machine_->on_trained(out.failure());
    replay_.keep(turn.device, turn.turn, smashed, step.labels);
    recorder_.on_step(turn, step.step - turn.first_step - 1, step.labels.size(), out->loss);
    machine_->on_trained({}, out->loss, static_cast<std::uint32_t>(out->correct),
                         bytes_of(out->gradient), wire_shape(shape),
                         static_cast<std::uint64_t>(net::steady_now() - start));
  }

  void store(ServerAction& action) {
    Result<void> done = front_.load(action.ack.front, action.barrier.step);
    if (done) {
      const net::Microseconds start = net::steady_now();
      const LinkTraffic all = transport_.total();
      const std::uint32_t device = action.barrier.report.device;
      done = recorder_.write_barrier(state(), action.barrier, all.up, all.down, sizes_,
                                     books_.so_far(device, traffic_of(device), start));
      barrier_at_ = net::steady_now();
      books_.on_barrier(barrier_at_ - start);
    }
    machine_->on_stored(done);
  }

  void report(const TurnReport& turn) {
    const TurnCosts costs = books_.close(turn, traffic_of(turn.device), net::steady_now());
    const Result<void> written = recorder_.on_turn(turn, costs, sizes_, model_.joined);
    if (!written) machine_->stop(written.failure());
  }

  /// What has passed over the device's connection; nothing where it has none.
  LinkTraffic traffic_of(std::uint32_t device) {
    const ConnectionId connection = machine_->devices()[device].connection;
    return connection == 0 ? LinkTraffic{} : transport_.traffic(connection);
  }
  Shape smashed_shape() const { return model_.front.output_shape(sample_shape(config_.model)); }

  RunConfig config_;
  ServerTransport& transport_;
  SplitModel model_;
  FrontHalf front_;  // never runs forward: holds what the devices hand over
  BackHalf back_;
  ReplayMemory replay_;
  WireSizes sizes_;
  net::HelloOk offer_;
  RunRecorder recorder_;
  const data::Dataset& test_;
  std::optional<Preparation> preparation_;  // of method iotsl
  std::optional<ServerMachine> machine_;
  TurnBooks books_;
  net::Microseconds barrier_at_ = 0;  // when the last one was written
  net::Microseconds away_since_ = 0;  // of the device whose turn it is; 0: it is here
  std::uint32_t told_ready_ = 0;
  bool told_collecting_ = false;
  std::vector<bool> told_absent_;  // devices whose generator is waited for
  bool done_ = false, failed_ = false;
  Failure problem_;
};

}  // namespace split
IOTSL_NAMESPACE_END
