#pragma once
// The same training without any split: one net, one optimiser, no messages, in split learning's
// exact order of devices and batches. Split runs must give the same weights, bit for bit. With
// method `central` all samples together are one device's.

#include "iotsl/split/halves/joined_net.hpp"
#include "iotsl/split/records/smashed_caches.hpp"
#include "iotsl/split/records/turn_recorder.hpp"
#include "iotsl/split/server/split_model.hpp"
#include "iotsl/split/simulate/preparation_inproc.hpp"
#include "iotsl/split/simulate/run_fedavg.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

namespace detail {

/// A run whose only net and devices' samples are all here.
class OneNetRun {
 public:
  /// The sets must outlive the run.
  OneNetRun(const RunConfig& config, const RunHooks& hooks, const data::Dataset& train,
            const EvaluationSets& sets, std::vector<std::vector<Index>> samples, SplitModel model,
            ReplayMemory replay)
      : config_(config),
        hooks_(hooks),
        train_(train),
        sets_(sets),
        samples_(std::move(samples)),
        model_(std::move(model)),
        trainer_(config.training_now().frozen_front ? model_.back : model_.joined,
                 config.training.optimizer, config.seed),
        replay_(std::move(replay)),
        sizes_(sizes_now()),
        recorder_(config_, hooks, sets),
        turns_(recorder_, sizes_, config.devices) {}

  Result<RunSummary> run() {
    Result<BarrierRecord> opened = recorder_.open(state());
    if (!opened) return opened.failure();
    at_ = std::move(opened).value();
    if (config_.keeps_cache()) {
      caches_ = SmashedCaches(config_, sizes_,
                              model_.front.output_shape(sample_shape(config_.model)).value());
      const Result<void> kept = config_.resume ? caches_.take_up(at_) : Result<void>{};
      if (!kept) return kept.failure();
    } else if (config_.unfrozen) {
      old_caches_.keep();
    }
    Result<void> done = has_generators(config_.method) ? prepare() : Result<void>{};
    if (done) done = complete_devices();
    if (done && caches_.keeps_samples()) done = reserve_caches();
    turns_.take_up(at_);
    for (std::uint64_t turn = at_.report.turn; done && turn < config_.turns(); ++turn)
      done = run_turn(turn);
    if (!done) return done.failure();
    Result<RunSummary> summary = recorder_.finish(model_.joined, {}, {}, sizes_);
    if (summary) old_caches_.let_go(config_);
    if (summary && preparation_) summary->add(preparation_->record());
    return summary;
  }

 private:
  /// What comes before the turns of method iotsl.
  Result<void> prepare() {
    preparation_.emplace(config_, hooks_);
    const Result<void> opened = preparation_->open();
    if (!opened) return opened;
    const Result<bool> done =
        prepare_inproc(*preparation_, config_, hooks_, train_, sets_, samples_, model_.joined);
    if (!done) return done.failure();
    if (!*done) return recorder_.stopped(at_.step);
    if (at_.id != 0) return {};  // later barriers hold weights that are trained further
    const Result<void> loaded = preparation_->load_pretrained(model_.joined);
    return loaded ? recorder_.write_barrier(state(), {}, {}, {}, sizes_) : loaded;
  }

  Result<void> complete_devices() {
    for (std::size_t d = 0; d < samples_.size(); ++d) {
      Result<DeviceSamples> device =
          preparation_ ? complete_samples(*preparation_, d, train_, samples_[d])
                       : Result<DeviceSamples>(DeviceSamples{nullptr, &train_, samples_[d]});
      if (!device) return device.failure();
      devices_.push_back(std::move(device).value());
    }
    return {};
  }

  /// One turn, or the rest of it where the run was taken up in it.
  Result<void> run_turn(std::uint64_t turn) {
    const DeviceSamples& own = devices_[config_.turn_order().device_of(turn)];
    data::Loader loader(*own.set, own.samples, config_.training.batch);
    const bool taken_up = at_.id != 0 && turn == at_.report.turn;
    TurnReport report = taken_up ? at_.report : fresh_report(turn, loader);
    if (!taken_up) report.cached = caches_.keeps_samples() && caches_.known(report.device);
    data::BatchSequence batches(loader, config_.seed, Index{report.device},
                                Index{report.round} * config_.training.local_epochs);
    trainer_.optimizer().set_learning_rate(config_.turn_rate(turn));
    if (at_.step == report.first_step) {
      trainer_.optimizer().consolidate();
      replay_.begin_turn(report.device);
    }
    turns_.begin_turn(turn);
    for (std::uint64_t done = at_.step - report.first_step; done < report.steps;) {
      const Result<void> trained = run_step(batches, report, done++);
      if (!trained) return trained;
      const std::uint64_t step = report.first_step + done;
      const bool stop = hooks_.stop_requested();
      if (done == report.steps || stop || barrier_is_due(step)) {
        at_ = {at_.id + 1, step, report};
        const Result<void> written = write_barrier();
        if (!written) return written;
      }
      if (stop) return recorder_.stopped(step);
    }
    const Result<void> booked = turns_.end_turn(report, {}, model_.joined);
    return booked && recorder_.is_on_plateau() ? unfreeze(turn + 1) : booked;
  }

  /// From `turn` on the front is trained as well, by an optimiser that begins anew.
  Result<void> unfreeze(std::uint64_t turn) {
    recorder_.on_unfrozen();
    config_.unfrozen = true;
    caches_ = {};
    sizes_ = sizes_now();
    trainer_ = train::Trainer(model_.joined, config_.training.optimizer, config_.seed);
    const DeviceSamples& own = devices_[config_.turn_order().device_of(turn)];
    const data::Loader loader(*own.set, own.samples, config_.training.batch);
    at_ = {at_.id + 1, at_.step, fresh_report(turn, loader)};
    old_caches_.keep();
    return recorder_.write_barrier(state(), at_, {}, {}, sizes_);
  }
  WireSizes sizes_now() const {
    return wire_sizes(
        model_.front, Optimizer<float>(model_.front.parameters(), config_.training.optimizer),
        sample_shape(config_.model), static_cast<std::uint64_t>(config_.training.batch),
        net::WireFormat::of(config_.training_now()));
  }

  Result<void> reserve_caches() {
    std::vector<std::uint64_t> samples;
    std::vector<std::string> names;
    for (std::size_t d = 0; d < devices_.size(); ++d) {
      samples.push_back(devices_[d].samples.size());
      names.push_back(concat("device-", d));
    }
    return caches_.reserve(samples, names);
  }
  /// Commits at_.
  Result<void> write_barrier() {
    const TurnReport& turn = at_.report;
    const bool keeps = caches_.keeps_samples() && !turn.cached;
    Result<void> done = keeps ? caches_.sync(turn.device) : Result<void>{};
    if (done) done = turns_.write_barrier(state(), at_, {}, {});
    if (done) old_caches_.let_go(config_);
    return done && keeps && at_.turn_complete() ? caches_.close(turn.device) : done;
  }

  TurnReport fresh_report(std::uint64_t turn, const data::Loader& loader) const {
    TurnReport out =
        begin_report(config_.turn_order(), turn,
                     static_cast<std::size_t>(config_.training.local_epochs), at_.step);
    out.device_name = pools_data(config_.method) ? "central" : concat("device-", out.device);
    out.samples = static_cast<std::uint64_t>(loader.samples());
    out.steps = static_cast<std::uint64_t>(loader.batches() * config_.training.local_epochs);
    return out;
  }

  bool barrier_is_due(std::uint64_t step) const {
    return step >= at_.step + static_cast<std::uint64_t>(config_.barriers.steps) &&
           turns_.seconds_since_barrier(net::steady_now()) >= config_.barriers.seconds;
  }

  /// The step after `done` ones of the turn, entered in its report.
  Result<void> run_step(data::BatchSequence& batches, TurnReport& report, std::uint64_t done) {
    const net::Microseconds start = net::thread_time();
    const std::uint64_t step = report.first_step + done + 1;
    std::uint64_t samples = 0;
    Result<train::StepOutcome> out = train::StepOutcome{};
    if (report.cached) {
      const SmashedCaches::Batch kept =
          caches_.take(report.device, Index{report.round}, static_cast<Index>(done));
      samples = kept.labels.size();
      out = train_behind_cut(trainer_, kept.smashed, kept.labels, {}, step,
                             products_of(config_.server_precision));
    } else {
      const data::Batch batch = batches.fetch(done);
      samples = batch.labels.size();
      out = train(batch, report, step);
    }
    if (!out) return out.failure();
    const std::size_t epoch = batches.epoch(done);
    report.epochs[epoch].add(out->loss, samples, static_cast<std::uint64_t>(out->correct),
                             static_cast<std::uint64_t>(net::thread_time() - start));
    report.costs[epoch].peak_memory_bytes = measure::peak_resident_bytes();
    recorder_.on_step(report, done, samples, out->loss);
    return {};
  }

  Result<train::StepOutcome> train(const data::Batch& batch, const TurnReport& turn,
                                   std::uint64_t step) {
    if (config_.training_now().frozen_front) return train_behind(batch, turn, step);
    const ProductPrecision precision = products_of(config_.server_precision);
    if (!replay_.keeps_samples() && sizes_.format.is_exact() && precision.bf16() == nullptr)
      return trainer_.train(batch, step);
    Tensor<float> smashed;
    Result<train::StepOutcome> out =
        train_across_cut(trainer_, model_.front, model_.back, replayed(batch, turn, step), batch,
                         step, {sizes_.format, {config_.seed, step}, precision}, smashed);
    if (out) replay_.keep(turn.device, turn.turn, smashed, batch.labels);
    return out;
  }
  /// The same with a front that is frozen; what it gives is kept where a cache wants it.
  Result<train::StepOutcome> train_behind(const data::Batch& batch, const TurnReport& turn,
                                          std::uint64_t step) {
    const Tensor<float> made = frozen_forward(model_.front, batch.x);
    const net::EncodedBatch sent = sizes_.format.encode_smashed(made, {config_.seed, step});
    const Tensor<float> smashed = sizes_.format.decode_smashed(sent.bytes(), made.shape());
    if (caches_.keeps_samples())
      caches_.keep(turn.device, Index{turn.round}, static_cast<Index>(step - turn.first_step - 1),
                   sent.bytes(), batch.labels);
    Result<train::StepOutcome> out =
        train_behind_cut(trainer_, smashed, batch.labels, replayed(batch, turn, step), step,
                         products_of(config_.server_precision));
    if (out) replay_.keep(turn.device, turn.turn, smashed, batch.labels);
    return out;
  }
  ReplayMemory::Samples replayed(const data::Batch& batch, const TurnReport& turn,
                                 std::uint64_t step) const {
    return replay_.keeps_samples()
               ? replay_.draw(turn.device, static_cast<Index>(batch.labels.size()), step)
               : ReplayMemory::Samples{};
  }

  TrainingState state() { return {model_.joined, {&trainer_.optimizer()}, replay_.parts()}; }

  RunConfig config_;
  RunHooks hooks_;
  const data::Dataset& train_;
  EvaluationSets sets_;
  std::vector<std::vector<Index>> samples_;
  SplitModel model_;
  train::Trainer trainer_;
  ReplayMemory replay_;
  SmashedCaches caches_;  // of method cache
  OldCaches old_caches_;
  WireSizes sizes_;
  RunRecorder recorder_;
  TurnRecorder turns_;
  std::optional<Preparation> preparation_;  // of method iotsl
  std::vector<DeviceSamples> devices_;
  BarrierRecord at_;  // the last one
};

}  // namespace detail

/// Runs `config` (method sl, iotsl, central or fedavg) on the lists of sample numbers in `samples`.
inline Result<RunSummary> run_one_net(const RunConfig& config, const RunHooks& hooks,
                                      const data::Dataset& train, const EvaluationSets& sets,
                                      std::vector<std::vector<Index>> samples) {
  Result<RunConfig> now = taken_up(config);
  if (!now) return now.failure();
  RunConfig run = std::move(now).value();
  if (averages(run.method)) return run_fedavg(config, hooks, train, sets, samples);
  if (run.method == Method::random_gradient)
    return failure(ErrorCode::usage, "--method local needs --transport inproc or tcp");
  if (pools_data(run.method)) {
    std::vector<Index> all;
    for (const auto& device : samples) all.insert(all.end(), device.begin(), device.end());
    std::sort(all.begin(), all.end());
    samples = {std::move(all)};
    run.devices = 1;
  }
  if (static_cast<Index>(samples.size()) != run.devices)
    return failure(ErrorCode::usage, "--devices ", run.devices, ", but the partition has ",
                   samples.size());
  Result<SplitModel> model = build_split_model(run);
  if (!model) return model.failure();
  Result<ReplayMemory> replay = make_replay(run, model->front);
  if (!replay) return replay.failure();
  return detail::OneNetRun(run, hooks, train, sets, std::move(samples), std::move(model).value(),
                           std::move(replay).value())
      .run();
}

}  // namespace split
IOTSL_NAMESPACE_END
