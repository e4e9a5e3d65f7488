#pragma once
// The same training without any split: one net, one optimiser, no messages, in split learning's
// exact order of devices and batches. Split runs must give the same weights, bit for bit. With
// method `central` all samples together are one device's.

#include "iotsl/split/device_work.hpp"
#include "iotsl/split/server_run.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

namespace detail {

/// The joined net and the optimiser of all its parameters.
class JoinedNet {
 public:
  JoinedNet(const RunConfig& config, const SplitModel& model)
      : net_(model.joined),
        front_(model.front),
        back_(model.back),
        optimizer_(net_.parameters(), config.optimizer),
        parameters_(tensors_of(optimizer_.parameters())),
        seed_(config.seed) {}

  /// One step of plain training on x [N,C,H,W].
  Result<StepOutcome> train(const Tensor<float>& x, std::span<const std::int32_t> labels,
                            std::uint64_t step) {
    const Tensor<float> logits = net_.forward(x, training_mode(seed_, step));
    const Tensor<float> loss = softmax_cross_entropy(logits, labels);
    StepOutcome out;
    out.loss = static_cast<double>(loss.item());
    out.correct = count_correct(logits, labels);
    return update(std::move(out), grad<float>({loss}, parameters_), step);
  }

  /// The same on both sides of the cut, since what is replayed begins there. The smashed batch is
  /// left in `smashed`.
  Result<StepOutcome> train_with(const ReplayMemory::Samples& replayed, const Tensor<float>& x,
                                 std::span<const std::int32_t> labels, std::uint64_t step,
                                 Tensor<float>& smashed) {
    const ForwardMode mode = training_mode(seed_, step);
    const Tensor<float> sent = front_.forward(x, mode);
    smashed = sent.detach();
    const auto first = parameters_.begin();
    const auto cut = first + static_cast<std::ptrdiff_t>(front_.parameters().size());
    std::vector<Tensor<float>> of_back;
    StepOutcome out =
        train_back(back_, smashed, labels, replayed, mode, {cut, parameters_.end()}, of_back);
    std::vector<Tensor<float>> gradients = grad<float>({sent}, {first, cut}, {out.gradient});
    gradients.insert(gradients.end(), of_back.begin(), of_back.end());
    return update(std::move(out), gradients, step);
  }

  Optimizer<float>& optimizer() { return optimizer_; }
  Sequential<float>& layers() { return net_; }

 private:
  Result<StepOutcome> update(StepOutcome out, const std::vector<Tensor<float>>& gradients,
                             std::uint64_t step) {
    const Result<void> finite = check_gradients(gradients, optimizer_.parameters());
    if (!finite)
      return failure(finite.failure().code, "step ", step, ": ", finite.failure().message);
    if (!std::isfinite(out.loss))
      return failure(ErrorCode::other, "step ", step, ": the loss is NaN or Inf");
    optimizer_.step(gradients);
    return out;
  }

  Sequential<float> net_, front_, back_;
  Optimizer<float> optimizer_;
  std::vector<Tensor<float>> parameters_;
  std::uint64_t seed_;
};

}  // namespace detail

/// Runs `config` (method sl or central) on the lists of sample numbers in `samples`.
inline Result<RunSummary> run_none(const RunConfig& config, const RunHooks& hooks,
                                   const data::Dataset& train, const data::Dataset& test,
                                   std::vector<std::vector<Index>> samples) {
  RunConfig run = config;
  if (run.method == "local")
    return failure(ErrorCode::usage, "--method local needs --transport inproc or tcp");
  if (run.method == "central") {
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
  detail::JoinedNet net(run, *model);
  const FrontHalf front(model->front, run.optimizer, run.seed);
  const WireSizes sizes = wire_sizes(model->front, front.optimizer(), sample_shape(run.model),
                                     static_cast<std::uint64_t>(run.batch));
  Result<ReplayMemory> replay = make_replay(run, model->front);
  if (!replay) return replay.failure();
  RunRecorder recorder(run, hooks, test);
  const TrainingState state{net.layers(), {&net.optimizer()}, replay->parts()};
  BarrierRecord at;  // the last one
  if (run.resume) {
    Result<CheckpointRecord> found = recorder.resume(state);
    if (!found) return found.failure();
    at = std::move(found->barrier);
  } else {
    const Result<void> begun = recorder.begin(state, {.run = 1, .incarnation = 1});
    if (!begun) return begun.failure();
  }
  net::Microseconds barrier_at = net::steady_now();
  const auto commit = [&](std::uint64_t step, const TurnReport& report) {
    at = {at.id + 1, step, report};
    const Result<void> done = recorder.write_barrier(state, at, {}, {}, sizes);
    barrier_at = net::steady_now();
    return done;
  };

  std::uint64_t step = at.step;
  for (std::uint64_t turn = at.report.turn; turn < run.turns(); ++turn) {
    const auto device = static_cast<std::size_t>(turn % samples.size());
    data::Loader loader(train, samples[device], run.batch);
    const auto batches = static_cast<std::uint64_t>(loader.batches());
    TurnReport report;
    if (at.id != 0 && turn == at.report.turn) {
      report = at.report;
    } else {
      report = begin_report(turn, samples.size(), static_cast<std::size_t>(run.local_epochs), step);
      report.device_name = run.method == "central" ? "central" : concat("device-", device);
      report.samples = samples[device].size();
      report.steps = batches * static_cast<std::uint64_t>(run.local_epochs);
    }
    net.optimizer().set_learning_rate(learning_rate(run.schedule, run.optimizer.lr,
                                                    static_cast<std::int64_t>(turn),
                                                    static_cast<std::int64_t>(run.turns())));
    if (step == report.first_step) {
      net.optimizer().consolidate();
      replay->begin_turn(device);
    }
    const net::Microseconds start = net::steady_now();
    const std::uint64_t last = report.first_step + report.steps;
    std::uint64_t ordered = ~std::uint64_t{0};  // the epoch whose order the loader has
    while (step < last) {
      const net::Microseconds began = net::steady_now();
      const std::uint64_t done = step - report.first_step, epoch = done / batches;
      if (epoch != ordered)
        loader.start_epoch(run.seed, static_cast<Index>(device),
                           Index{report.round} * run.local_epochs + static_cast<Index>(epoch));
      ordered = epoch;
      const auto batch = static_cast<Index>(done % batches);
      const Index n = loader.batch_size(batch);
      std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
      Tensor<float> x =
          Tensor<float>::uninitialized(Shape{n, train.channels, train.height, train.width});
      loader.fill(batch, x.raw(), labels.data());
      ++step;
      Tensor<float> smashed;
      const Result<StepOutcome> out =
          replay->keeps_samples()
              ? net.train_with(replay->draw(device, n, step), x, labels, step, smashed)
              : net.train(x, labels, step);
      if (!out) return out.failure();
      if (smashed.defined()) replay->keep(device, turn, smashed, labels);
      EpochTally& tally = report.epochs[static_cast<std::size_t>(epoch)];
      tally.loss_sum += out->loss * static_cast<double>(n);
      tally.samples += static_cast<std::uint64_t>(n);
      tally.correct += static_cast<std::uint64_t>(out->correct);
      tally.server_us += static_cast<std::uint64_t>(net::steady_now() - began);
      report.costs[static_cast<std::size_t>(epoch)].peak_memory_bytes =
          measure::peak_resident_bytes();
      recorder.on_step(report, step - report.first_step - 1, labels.size(), out->loss);
      const bool stop = hooks.should_stop != nullptr && hooks.should_stop(hooks.context);
      const bool due =
          step >= at.step + static_cast<std::uint64_t>(run.barrier_steps) &&
          static_cast<double>(net::steady_now() - barrier_at) * 1e-6 >= run.barrier_seconds;
      if (step == last || stop || due) {
        const Result<void> written = commit(step, report);
        if (!written) return written.failure();
      }
      if (stop) return recorder.stopped(step);
    }
    const TurnCosts costs{.wall_us = net::steady_now() - start};
    const Result<void> booked = recorder.on_turn(report, costs, sizes, net.layers());
    if (!booked) return booked.failure();
  }
  return recorder.finish(net.layers(), {}, {}, sizes);
}

}  // namespace split
IOTSL_NAMESPACE_END
