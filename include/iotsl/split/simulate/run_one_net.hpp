#pragma once
// The same training without any split: one net, one optimiser, no messages, in split learning's
// exact order of devices and batches. Split runs must give the same weights, bit for bit. With
// method `central` all samples together are one device's.

#include "iotsl/split/halves/joined_net.hpp"
#include "iotsl/split/server/server_work.hpp"
#include "iotsl/split/simulate/preparation_inproc.hpp"
#include "iotsl/split/simulate/run_fedavg.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Runs `config` (method sl, iotsl, central or fedavg) on the lists of sample numbers in `samples`.
inline Result<RunSummary> run_none(const RunConfig& config, const RunHooks& hooks,
                                   const data::Dataset& train, const data::Dataset& test,
                                   std::vector<std::vector<Index>> samples) {
  RunConfig run = config;
  if (averages(run.method)) return run_fedavg(config, hooks, train, test, samples, false);
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
  JoinedNet net(model->joined, run.training.optimizer, run.seed);
  const FrontHalf front(model->front, run.training.optimizer, run.seed);
  const WireSizes sizes = wire_sizes(model->front, front.optimizer(), sample_shape(run.model),
                                     static_cast<std::uint64_t>(run.training.batch));
  Result<ReplayMemory> replay = make_replay(run, model->front);
  if (!replay) return replay.failure();
  RunRecorder recorder(run, hooks, test);
  const TrainingState state{net.layers(), {&net.optimizer()}, replay->parts()};
  Result<BarrierRecord> opened = recorder.open(state);
  if (!opened) return opened.failure();
  BarrierRecord at = std::move(opened).value();  // the last one
  std::optional<Preparation> preparation;
  std::vector<LocalDevice> devices;
  if (has_generators(run.method)) {
    preparation.emplace(run, hooks);
    Result<void> ready = preparation->open();
    if (!ready) return ready.failure();
    const Result<bool> done =
        prepare_locally(*preparation, run, hooks, train, test, samples, net.layers());
    if (!done) return done.failure();
    if (!*done) return recorder.stopped(at.step);
    if (at.id == 0) {  // later barriers hold weights that are trained further
      ready = preparation->load_pretrained(net.layers());
      if (ready) ready = recorder.write_barrier(state, {}, {}, {}, sizes);
      if (!ready) return ready.failure();
    }
  }
  for (std::size_t d = 0; d < samples.size(); ++d) {
    Result<LocalDevice> device =
        preparation ? complete_locally(*preparation, d, train, samples[d])
                    : Result<LocalDevice>(LocalDevice{nullptr, &train, samples[d]});
    if (!device) return device.failure();
    devices.push_back(std::move(device).value());
  }
  net::Microseconds barrier_at = net::steady_now();
  // Of the turn: when it began here, what it had cost before, and writing its barriers.
  net::Microseconds turn_began = 0, writing = 0;
  TurnCosts carried = at.id == 0 ? TurnCosts{} : recorder.resumed_turn();
  const auto commit = [&](std::uint64_t step, const TurnReport& report) {
    at = {at.id + 1, step, report};
    const net::Microseconds start = net::steady_now();
    TurnCosts costs = carried;
    costs.wall_us += start - turn_began - writing;
    costs.barrier_us += writing;
    const Result<void> done = recorder.write_barrier(state, at, {}, {}, sizes, costs);
    barrier_at = net::steady_now();
    writing += barrier_at - start;
    return done;
  };

  std::uint64_t step = at.step;
  for (std::uint64_t turn = at.report.turn; turn < run.turns(); ++turn) {
    const auto device = static_cast<std::size_t>(turn % samples.size());
    const LocalDevice& own = devices[device];
    data::Loader loader(*own.set, own.samples, run.training.batch);
    const auto batches = static_cast<std::uint64_t>(loader.batches());
    TurnReport report;
    if (at.id != 0 && turn == at.report.turn) {
      report = at.report;
    } else {
      report = begin_report(turn, samples.size(),
                            static_cast<std::size_t>(run.training.local_epochs), step);
      report.device_name = pools_data(run.method) ? "central" : concat("device-", device);
      report.samples = own.samples.size();
      report.steps = batches * static_cast<std::uint64_t>(run.training.local_epochs);
    }
    net.optimizer().set_learning_rate(run.turn_rate(turn));
    if (step == report.first_step) {
      net.optimizer().consolidate();
      replay->begin_turn(device);
    }
    turn_began = net::steady_now();
    writing = 0;
    const std::uint64_t last = report.first_step + report.steps;
    std::uint64_t ordered = ~std::uint64_t{0};  // the epoch whose order the loader has
    while (step < last) {
      const net::Microseconds began = net::steady_now();
      const std::uint64_t done = step - report.first_step, epoch = done / batches;
      if (epoch != ordered)
        loader.start_epoch(
            run.seed, static_cast<Index>(device),
            Index{report.round} * run.training.local_epochs + static_cast<Index>(epoch));
      ordered = epoch;
      const LabelledBatch batch = fetch_batch(*own.set, loader, static_cast<Index>(done % batches));
      const auto n = static_cast<std::uint64_t>(batch.labels.size());
      ++step;
      Tensor<float> smashed;
      const Result<StepOutcome> out =
          replay->keeps_samples()
              ? net.train_with(model->front, model->back,
                               replay->draw(device, static_cast<Index>(n), step), batch, step,
                               smashed)
              : net.train(batch.x, batch.labels, step);
      if (!out) return out.failure();
      if (smashed.defined()) replay->keep(device, turn, smashed, batch.labels);
      EpochTally& tally = report.epochs[static_cast<std::size_t>(epoch)];
      tally.loss_sum += out->loss * static_cast<double>(n);
      tally.samples += n;
      tally.correct += static_cast<std::uint64_t>(out->correct);
      tally.server_us += static_cast<std::uint64_t>(net::steady_now() - began);
      report.costs[static_cast<std::size_t>(epoch)].peak_memory_bytes =
          measure::peak_resident_bytes();
      recorder.on_step(report, step - report.first_step - 1, n, out->loss);
      const bool stop = hooks.should_stop != nullptr && hooks.should_stop(hooks.context);
      const bool due =
          step >= at.step + static_cast<std::uint64_t>(run.barriers.steps) &&
          static_cast<double>(net::steady_now() - barrier_at) * 1e-6 >= run.barriers.seconds;
      if (step == last || stop || due) {
        const Result<void> written = commit(step, report);
        if (!written) return written.failure();
      }
      if (stop) return recorder.stopped(step);
    }
    TurnCosts costs = carried;
    costs.wall_us += net::steady_now() - turn_began - writing;
    costs.barrier_us += writing;
    carried = {};
    const Result<void> booked = recorder.on_turn(report, costs, sizes, net.layers());
    if (!booked) return booked.failure();
  }
  Result<RunSummary> summary = recorder.finish(net.layers(), {}, {}, sizes);
  if (summary && preparation) summary->preparation = preparation->record();
  return summary;
}

}  // namespace split
IOTSL_NAMESPACE_END
