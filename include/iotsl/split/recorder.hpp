#pragma once
// Keeps a run's books: evaluation, metrics, checkpoint and summary, the same for every transport.

#include "iotsl/net/clock.hpp"
#include "iotsl/split/bill.hpp"
#include "iotsl/split/checkpoint.hpp"
#include "iotsl/split/evaluate.hpp"
#include "iotsl/split/run_config.hpp"
#include "iotsl/split/server.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Costs of a turn that the machine does not know.
struct TurnCosts {
  net::Microseconds wall_us = 0;  ///< from TURN_GRANT to TURN_DONE, without writing the checkpoint
  std::uint64_t bytes_up = 0, bytes_down = 0;
};

class RunRecorder {
 public:
  /// `test` must outlive the recorder.
  RunRecorder(const RunConfig& config, const RunHooks& hooks, const data::Dataset& test)
      : config_(config), hooks_(hooks), test_(&test), start_(net::steady_now()) {}

  /// Begins the files of the run.
  Result<void> open() {
    if (config_.out.empty()) return {};
    const Result<void> made = create_folders(config_.out);
    if (!made) return made;
    return write_file_atomic(metrics_path(), std::string_view());
  }

  void on_step(const TurnReport& turn, std::uint64_t turn_step, std::uint64_t samples,
               double loss) {
    if (hooks_.on_step == nullptr) return;
    const std::uint64_t per_epoch = std::max<std::uint64_t>(1, turn.steps / turn.epochs.size());
    const std::uint64_t epoch =
        std::min<std::uint64_t>(turn_step / per_epoch, turn.epochs.size() - 1);
    hooks_.on_step(hooks_.context, {.epoch = summary_.epochs.size() + epoch + 1,
                                    .epochs = static_cast<std::uint64_t>(config_.epochs),
                                    .device = turn.device,
                                    .step = turn_step - epoch * per_epoch + 1,
                                    .steps = per_epoch,
                                    .samples = samples,
                                    .loss = loss,
                                    .seconds = seconds()});
  }

  Result<void> write_state(const Sequential<float>& joined,
                           const std::vector<const Optimizer<float>*>& optimizers,
                           const CheckpointPosition& position) {
    if (config_.out.empty()) return {};
    return write_checkpoint(config_.out, joined, optimizers, position);
  }

  /// Books the epochs of a turn, and evaluates `joined` where it is due.
  Result<void> on_turn(const TurnReport& turn, const DeviceRecord& device, const TurnCosts& costs,
                       const WireSizes& sizes, Sequential<float>& joined) {
    const std::size_t count = turn.epochs.size();
    double compute = 0;
    for (std::size_t i = 0; i < count; ++i)
      compute += seconds_of(turn.costs[i].compute_us + turn.epochs[i].server_us);
    const double waiting = std::max(0.0, seconds_of(costs.wall_us) - compute);
    for (std::size_t i = 0; i < count; ++i) {
      const EpochTally& tally = turn.epochs[i];
      const bool last = i + 1 == count;
      measure::EpochRecord r;
      r.epoch = summary_.epochs.size() + 1;
      r.round = turn.round;
      r.device = turn.device;
      r.device_name = device.name;
      r.samples = device.samples;
      r.steps = turn.steps / count;
      r.learning_rate = learning_rate(config_.schedule, config_.optimizer.lr, turn.turn,
                                      static_cast<std::int64_t>(config_.turns()));
      r.has_training = tally.samples != 0;
      if (r.has_training) {
        r.loss = tally.loss_sum / static_cast<double>(tally.samples);
        r.train_accuracy = static_cast<double>(tally.correct) / static_cast<double>(tally.samples);
      }
      r.seconds_device = seconds_of(turn.costs[i].compute_us);
      r.seconds_server = seconds_of(tally.server_us);
      r.seconds_network = waiting / static_cast<double>(count);
      // The epochs of a turn send the same; what the turn sends once is spread over them.
      r.bytes_up = share(costs.bytes_up, count, last);
      r.bytes_down = share(costs.bytes_down, count, last);
      r.values_formula =
          last ? measure::values_formula(r.samples, sizes.smashed_values, sizes.front_values)
               : measure::values_formula(r.samples, sizes.smashed_values, 0);
      if (config_.method != "sl") r.values_formula = 0;
      r.peak_memory_bytes = turn.costs[i].peak_memory_bytes;
      if (last) evaluate_into(r, joined);
      summary_.values_formula += r.values_formula;
      summary_.epochs.push_back(r);
      if (!config_.out.empty()) {
        const Result<void> written = measure::append_record(metrics_path(), r);
        if (!written) return written;
      }
      if (hooks_.on_epoch != nullptr) hooks_.on_epoch(hooks_.context, r);
    }
    return {};
  }

  /// Closes the books.
  Result<RunSummary> finish(const Sequential<float>& joined, const net::Traffic& up,
                            const net::Traffic& down, const WireSizes& sizes) {
    summary_.bytes_up = up.total_bytes();
    summary_.bytes_down = down.total_bytes();
    summary_.bill = itemise(up, down, sizes);
    summary_.weights_sha256 = state_sha256(joined);
    if (!config_.out.empty()) {
      const Result<void> written = write_model(config_.out, joined);
      if (!written) return written.failure();
    }
    summary_.seconds = seconds();
    return std::move(summary_);
  }

  double seconds() const { return seconds_of(net::steady_now() - start_); }
  const RunHooks& hooks() const { return hooks_; }

 private:
  template <class V>
  static double seconds_of(V microseconds) {
    return static_cast<double>(microseconds) * 1e-6;
  }
  static std::uint64_t share(std::uint64_t bytes, std::size_t count, bool last) {
    return bytes / count + (last ? bytes % count : 0);
  }
  std::string metrics_path() const { return join_path(config_.out, "metrics.jsonl"); }

  void evaluate_into(measure::EpochRecord& r, Sequential<float>& joined) {
    const auto epochs = static_cast<std::uint64_t>(config_.epochs);
    if (r.epoch % static_cast<std::uint64_t>(config_.eval_every) != 0 && r.epoch != epochs) return;
    const net::Microseconds start = net::steady_now();
    const Evaluation result = evaluate(joined, *test_);
    r.evaluated = true;
    r.test_loss = result.loss;
    r.test_accuracy = result.accuracy();
    r.test_class_accuracy = result.class_accuracy();
    r.seconds_evaluate = seconds_of(net::steady_now() - start);
    summary_.best_test_accuracy = std::max(summary_.best_test_accuracy, r.test_accuracy);
    summary_.final_test_accuracy = r.test_accuracy;
  }

  RunConfig config_;
  RunHooks hooks_;
  const data::Dataset* test_;
  net::Microseconds start_;
  RunSummary summary_;
};

}  // namespace split
IOTSL_NAMESPACE_END
