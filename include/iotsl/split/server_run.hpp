#pragma once
// A server's run: the back, the books, and the actions of ServerMachine. How bytes move is the
// transport's affair.

#include <unistd.h>

#include <memory>

#include "iotsl/net/link.hpp"
#include "iotsl/split/architecture.hpp"
#include "iotsl/split/cut.hpp"
#include "iotsl/split/recorder.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Both directions of one connection.
struct LinkTraffic {
  net::Traffic up, down;
};

/// Moves messages to devices.
class ServerTransport {
 public:
  virtual ~ServerTransport() = default;
  virtual void send(ConnectionId connection, net::Message message) = 0;
  /// Closes after everything queued has been sent.
  virtual void close(ConnectionId connection) = 0;
  /// What has passed over one connection up to the message that is being handled.
  virtual LinkTraffic traffic(ConnectionId connection) = 0;
};

/// Both halves of a new model, with the seed's initial weights.
struct SplitModel {
  Sequential<float> joined, front, back;
};

inline Result<SplitModel> build_split_model(const RunConfig& config) {
  const Result<void> good = check_config(config);
  if (!good) return good.failure();
  SplitModel out;
  out.joined = build_model<float>(config.model);
  const Result<std::size_t> cut = find_cut(out.joined, config.model, config.cut);
  if (!cut) return cut.failure();
  out.joined.initialize(config.seed);
  out.front = out.joined.slice(0, *cut);
  out.back = out.joined.slice(*cut, out.joined.size());
  return out;
}

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
    std::unique_ptr<ServerRun> run(new ServerRun(config, hooks, test, std::move(model).value(),
                                                 std::move(fingerprints), transport));
    const Result<void> opened = run->recorder_.open();
    if (!opened) return opened.failure();
    return run;
  }

  const WireSizes& sizes() const { return sizes_; }
  const net::HelloOk& offer() const { return offer_; }
  bool done() const { return done_; }

  void on_open(ConnectionId connection) { machine_.on_open(connection); }
  void on_message(ConnectionId connection, net::Message message) {
    machine_.on_message(connection, std::move(message));
    carry_out_all();
  }
  void on_lost(ConnectionId connection, const Failure& why) {
    machine_.on_lost(connection, why);
    carry_out_all();
  }
  void stop(Failure why) {
    machine_.stop(std::move(why));
    carry_out_all();
  }
  bool gathering() const { return machine_.state() == ServerMachine::State::gathering; }
  std::uint32_t ready_devices() const { return machine_.ready_devices(); }

  /// After done(): the summary, or why the run failed. `all` is the traffic of every connection.
  Result<RunSummary> finish(const LinkTraffic& all) {
    if (failed_) return problem_;
    return recorder_.finish(model_.joined, all.up, all.down, sizes_);
  }

 private:
  ServerRun(const RunConfig& config, const RunHooks& hooks, const data::Dataset& test,
            SplitModel model, std::vector<Sha256Digest> fingerprints, ServerTransport& transport)
      : config_(config),
        transport_(transport),
        model_(std::move(model)),
        front_(model_.front, config.optimizer, config.seed),
        back_(model_.back, config.optimizer, config.seed),
        sizes_(wire_sizes(model_.front, front_.optimizer(), sample_shape(config.model),
                          static_cast<std::uint64_t>(config.batch))),
        offer_(make_offer(config_, model_.front)),
        machine_(make_plan(std::move(fingerprints))),
        recorder_(config, hooks, test) {}

  static net::HelloOk make_offer(const RunConfig& config, const Sequential<float>& front) {
    net::HelloOk offer;
    // Another number for every run, so that a message of an older one is told apart.
    offer.run = static_cast<std::uint64_t>(net::steady_now()) ^
                (static_cast<std::uint64_t>(::getpid()) << 44);
    const net::LinkOptions times;
    offer.heartbeat_ms = static_cast<std::uint32_t>(times.ping_interval / 1000);
    offer.dead_ms = static_cast<std::uint32_t>(times.dead_limit / 1000);
    offer.busy_cap_ms = static_cast<std::uint32_t>(times.busy_cap / 1000);
    net::RunDescription& run = offer.description;
    run.method = config.method;
    run.dataset = config.dataset;
    run.model = config.model.name;
    run.channels = static_cast<std::uint16_t>(config.model.in_channels);
    run.height = static_cast<std::uint16_t>(config.model.height);
    run.width = static_cast<std::uint16_t>(config.model.width_px);
    run.classes = static_cast<std::uint16_t>(config.model.classes);
    run.front = describe_layers(front);
    run.local_epochs = static_cast<std::uint16_t>(config.local_epochs);
    run.batch = static_cast<std::uint16_t>(config.batch);
    run.optimizer = to_string(config.optimizer.kind);
    run.momentum = config.optimizer.momentum;
    run.weight_decay = config.optimizer.weight_decay;
    run.beta1 = config.optimizer.beta1;
    run.beta2 = config.optimizer.beta2;
    run.eps = config.optimizer.eps;
    run.nesterov = config.optimizer.nesterov;
    run.seed = config.seed;
    offer.model_hash = structure_sha256(front);
    return offer;
  }
  ServerPlan make_plan(std::vector<Sha256Digest> fingerprints) const {
    ServerPlan plan;
    plan.offer = offer_;
    plan.devices = static_cast<std::uint32_t>(config_.devices);
    plan.turns = config_.turns();
    plan.schedule = config_.schedule;
    plan.learning_rate = config_.optimizer.lr;
    plan.smashed_values = sizes_.smashed_values;
    plan.largest_batch = sizes_.largest_batch;
    plan.fingerprints = std::move(fingerprints);
    return plan;
  }

  void carry_out_all() {
    if (recorder_.hooks().on_device != nullptr && machine_.ready_devices() != told_ready_) {
      told_ready_ = machine_.ready_devices();
      recorder_.hooks().on_device(recorder_.hooks().context, told_ready_,
                                  static_cast<std::uint32_t>(config_.devices));
    }
    ServerAction action;
    while (!done_ && machine_.pop(action)) carry_out(action);
  }

  void carry_out(ServerAction& action) {
    using Kind = ServerAction::Kind;
    switch (action.kind) {
      case Kind::send:
        return transport_.send(action.connection, std::move(action.message));
      case Kind::close:
        return transport_.close(action.connection);
      case Kind::grant:
        return grant(action);
      case Kind::train:
        return train(action);
      case Kind::store:
        return store(action);
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

  void grant(ServerAction& action) {
    back_.optimizer().set_learning_rate(action.grant.learning_rate);
    turn_ = {};
    turn_.wall_us = -net::steady_now();
    action.grant.front = front_.state();
    transport_.send(action.connection, net::make_message(action.grant));
  }

  void train(ServerAction& action) {
    const net::Microseconds start = net::steady_now();
    const net::Step& step = action.step;
    const Index n = static_cast<Index>(step.labels.size());
    if (!all_finite(step.smashed))
      return machine_.on_trained(
          failure(ErrorCode::network, "STEP ", step.step, " has NaN or Inf"));
    Shape shape{n};
    const Shape one = smashed_shape();
    for (int d = 1; d < one.rank(); ++d) shape.push_back(one[d]);
    Tensor<float> smashed = Tensor<float>::uninitialized(shape);
    std::memcpy(smashed.raw(), step.smashed.data(), step.smashed.size());
    const Result<StepOutcome> out = back_.train(std::move(smashed), step.labels, step.step);
    if (!out) return machine_.on_trained(out.failure());
    const TurnReport& turn = machine_.turn();
    recorder_.on_step(turn, step.step - turn.first_step - 1, step.labels.size(), out->loss);
    machine_.on_trained({}, out->loss, static_cast<std::uint32_t>(out->correct),
                        bytes_of(out->gradient), wire_shape(shape),
                        static_cast<std::uint64_t>(net::steady_now() - start));
  }

  void store(ServerAction& action) {
    Result<void> done = front_.load(action.ack.front);
    if (done) {
      const net::Microseconds start = net::steady_now();
      done = recorder_.write_state(model_.joined, {&front_.optimizer(), &back_.optimizer()},
                                   {machine_.turn().turn + std::uint64_t{1}, action.ack.step});
      turn_.wall_us -= net::steady_now() - start;
    }
    machine_.on_stored(done);
  }

  void report(const TurnReport& turn) {
    turn_.wall_us += net::steady_now();
    const DeviceRecord& device = machine_.devices()[turn.device];
    const LinkTraffic now = transport_.traffic(device.connection);
    LinkTraffic& before = booked(turn.device);
    turn_.bytes_up = now.up.total_bytes() - before.up.total_bytes();
    turn_.bytes_down = now.down.total_bytes() - before.down.total_bytes();
    before = now;
    const Result<void> written = recorder_.on_turn(turn, device, turn_, sizes_, model_.joined);
    if (!written) machine_.stop(written.failure());
  }

  LinkTraffic& booked(std::uint32_t device) {
    if (booked_.size() <= device) booked_.resize(device + std::size_t{1});
    return booked_[device];
  }
  Shape smashed_shape() const { return model_.front.output_shape(sample_shape(config_.model)); }

  RunConfig config_;
  ServerTransport& transport_;
  SplitModel model_;
  FrontHalf front_;  // never runs forward: holds what the devices hand over
  BackHalf back_;
  WireSizes sizes_;
  net::HelloOk offer_;
  ServerMachine machine_;
  RunRecorder recorder_;
  TurnCosts turn_;
  std::vector<LinkTraffic> booked_;  // of each device, up to its last report
  std::uint32_t told_ready_ = 0;
  bool done_ = false, failed_ = false;
  Failure problem_;
};

}  // namespace split
IOTSL_NAMESPACE_END
