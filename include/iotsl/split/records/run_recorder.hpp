#pragma once
// Keeps a run's books: evaluation, metrics, checkpoint and summary, the same for every transport.

#include "iotsl/core/failpoint.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/split/protocol/turn_report.hpp"
#include "iotsl/split/records/byte_bill.hpp"
#include "iotsl/split/records/checkpoint.hpp"
#include "iotsl/split/records/epoch_books.hpp"
#include "iotsl/split/records/evaluation_sets.hpp"
#include "iotsl/split/records/run_config.hpp"
#include "iotsl/train/evaluate.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class RunRecorder {
 public:
  RunRecorder(const RunConfig& config, const RunHooks& hooks, const EvaluationSets& sets)
      : config_(config),
        hooks_(hooks),
        sets_(sets),
        start_(net::steady_now()),
        books_(config.out) {}

  /// True where the run can go back to its last barrier.
  bool keeps_barriers() const { return !config_.out.empty(); }

  /// Begins the run with number `run` and `state` as barrier 0, or where the config says so takes
  /// it up again: loads `state` from the newest barrier. Gives the barrier that it stands at.
  Result<BarrierRecord> open(const TrainingState& state, std::uint64_t run = 1) {
    if (config_.unfreeze_on_plateau > 0 && (sets_.validation() == nullptr || !keeps_barriers()))
      return failure(ErrorCode::usage, "--unfreeze-on-plateau ", config_.unfreeze_on_plateau,
                     keeps_barriers()
                         ? ": needs a validation part (--validation) to see the plateau on"
                         : ": needs a run folder (--out)");
    if (config_.resume) return resume(state);
    const Result<void> begun = begin(state, {.run = run, .incarnation = 1});
    return begun ? Result<BarrierRecord>(BarrierRecord{}) : begun.failure();
  }

  /// Loads barrier `id` again. The books stay: they are written after a turn's last barrier, and a
  /// turn in their pages is never taken back.
  Result<void> roll_back(const TrainingState& state, std::uint64_t id) {
    const Result<CheckpointRecord> found = read_checkpoint(config_.out, id, state);
    return found ? Result<void>{} : found.failure();
  }

  /// Generators that have come in sessions which wrote no barrier behind them: `payload` of
  /// `on_wire` bytes. What frames and transfers take is booked as control.
  void add_earlier_uploads(std::uint64_t payload, std::uint64_t on_wire) {
    if (resumed_.bill.generators_up != 0) return;  // a barrier counts them
    resumed_.bill.generators_up = payload;
    resumed_.bill.control += on_wire - payload;
    resumed_.bytes_up += on_wire;
  }

  /// What went down before this server began, and no barrier knows of.
  void add_earlier(const net::Traffic& down, const WireSizes& sizes) {
    resumed_.bill += itemise({}, down, sizes, 0);
    resumed_.bytes_down += down.total_bytes();
  }

  const RunNumbers& numbers() const { return numbers_; }
  /// Costs that the turn in hand had where the run was taken up.
  const TurnCosts& resumed_turn() const { return resumed_.turn; }
  /// Puts the numbers of a grant on the disk before anybody hears of them, so that none is given
  /// twice. `round` of method fedavg, whose devices share a fence.
  Result<void> on_grant(std::uint32_t incarnation, std::uint32_t fence, std::uint32_t round = 0) {
    RunNumbers granted = numbers_;
    granted.incarnation = incarnation;
    granted.fence = fence;
    granted.round = round;
    return keep_numbers(std::move(granted));
  }
  /// Puts the names of the devices, in the order of turns, on the disk; a place without one keeps
  /// that of whoever had it.
  Result<void> keep_places(std::vector<std::string> names) {
    RunNumbers known = numbers_;
    for (std::size_t i = 0; i < known.places.size() && i < names.size(); ++i)
      if (names[i].empty()) names[i] = known.places[i];
    known.places = std::move(names);
    return keep_numbers(std::move(known));
  }

  void on_step(const TurnReport& turn, std::uint64_t turn_step, std::uint64_t samples,
               double loss) {
    if (hooks_.on_step == nullptr) return;
    const std::uint64_t per_epoch = std::max<std::uint64_t>(1, turn.steps / turn.epochs.size());
    const std::uint64_t epoch =
        std::min<std::uint64_t>(turn_step / per_epoch, turn.epochs.size() - 1);
    hooks_.on_step(hooks_.context, {.epoch = books_.count() + epoch + 1,
                                    .epochs = static_cast<std::uint64_t>(config_.training.epochs),
                                    .device = turn.device,
                                    .device_name = turn.device_name,
                                    .step = turn_step - epoch * per_epoch + 1,
                                    .steps = per_epoch,
                                    .run_step = turn.first_step + turn_step + 1,
                                    .samples = samples,
                                    .loss = loss,
                                    .seconds = seconds()});
  }

  /// Commits a barrier; 0 again where the turns begin with pre-trained weights. `up`, `down`: what
  /// this incarnation has sent so far; `turn`: costs of the turn so far.
  Result<void> write_barrier(const TrainingState& state, const BarrierRecord& barrier,
                             const net::Traffic& up, const net::Traffic& down,
                             const WireSizes& sizes, const TurnCosts& turn = {}) {
    newest_barrier_ = barrier.id;
    if (barrier.turn_complete() && !barrier.report.cached) ++hand_overs_;
    if (!keeps_barriers()) return {};
    CheckpointRecord record;
    record.barrier = barrier;
    record.front_steps = static_cast<std::uint64_t>(state.optimizers.front()->steps());
    record.back_steps = static_cast<std::uint64_t>(state.optimizers.back()->steps());
    const Result<std::uint64_t> metrics = books_.sync();
    if (!metrics) return metrics.failure();
    record.metrics_bytes = *metrics;
    record.bill = resumed_.bill;
    record.bill += itemise(up, down, sizes, hand_overs_);
    record.bytes_up = resumed_.bytes_up + up.total_bytes();
    record.bytes_down = resumed_.bytes_down + down.total_bytes();
    record.turn = turn;
    record.seconds = seconds();
    record.unfrozen_after = summary_.unfrozen_after;
    const Result<void> written = write_checkpoint(config_.out, state, record);
    const bool told = written && barrier.id > 0 && hooks_.on_barrier != nullptr;
    return told ? hooks_.on_barrier(hooks_.context) : written;
  }

  /// Books the epochs of a turn, and evaluates `joined` where it is due.
  Result<void> on_turn(const TurnReport& turn, const TurnCosts& costs, const WireSizes& sizes,
                       Sequential<float>& joined) {
    const std::size_t count = turn.epochs.size();
    double compute = 0;
    for (std::size_t i = 0; i < count; ++i)
      compute += seconds_of(turn.costs[i].compute_us + turn.epochs[i].server_us);
    const double waiting = std::max(0.0, seconds_of(costs.wall_us) - compute);
    for (std::size_t i = 0; i < count; ++i) {
      const EpochTally& tally = turn.epochs[i];
      const bool last = i + 1 == count;
      measure::EpochRecord r;
      r.epoch = books_.count() + 1;
      r.round = turn.round;
      r.device = turn.device;
      r.device_name = turn.device_name;
      r.samples = turn.samples;
      r.steps = turn.steps / count;
      r.learning_rate = config_.turn_rate(turn.turn);
      r.has_training = tally.samples != 0;
      if (r.has_training) {
        r.loss = tally.loss_sum / static_cast<double>(tally.samples);
        r.train_accuracy = static_cast<double>(tally.correct) / static_cast<double>(tally.samples);
      }
      r.seconds_device = seconds_of(turn.costs[i].compute_us);
      r.seconds_server = seconds_of(tally.server_us);
      r.seconds_update = seconds_of(tally.update_us);
      r.seconds_network = waiting / static_cast<double>(count);
      if (last) r.seconds_barrier = seconds_of(costs.barrier_us);
      // The epochs of a turn send the same; what the turn sends once is spread over them.
      r.bytes_up = share(costs.bytes_up, count, last);
      r.bytes_down = share(costs.bytes_down, count, last);
      r.values_formula =
          measure::values_formula(r.samples, sizes.smashed_values, last ? sizes.front_values : 0,
                                  sizes.format.gradients.has_value());
      // FedAvg hands over nothing but the whole net.
      if (averages(config_.method) && last)
        r.values_formula = sizes.front_values;
      else if (!splits(config_.method) || turn.cached)
        r.values_formula = 0;
      if (turn.skipped) r.values_formula = 0;
      r.skipped = turn.skipped;
      r.skip_reason = turn.skip_reason;
      r.peak_memory_bytes = turn.costs[i].peak_memory_bytes;
      // A turn that was skipped may be the last, or end a round.
      note_training(r);
      if (last && (trained_since_test_ || config_.is_an_end(r.epoch))) {
        const Result<void> kept = evaluate_into(r, joined);
        if (!kept) return kept;
      }
      summary_.values_formula += r.values_formula;
      const Result<void> written = books_.add(r);
      if (!written) return written;
      if (hooks_.on_epoch != nullptr) hooks_.on_epoch(hooks_.context, r);
    }
    return {};
  }

  /// Whether the front is to be trained again now: the last evaluations have brought nothing, and
  /// there are turns to come.
  bool is_on_plateau() const {
    const std::uint64_t epochs = books_.count();
    return config_.unfreeze_on_plateau > 0 && summary_.unfrozen_after == 0 &&
           epochs < static_cast<std::uint64_t>(config_.training.epochs) &&
           books_.evaluations_without_gain() >=
               static_cast<std::uint64_t>(config_.unfreeze_on_plateau);
  }
  /// Enters that it is so from now on, and tells the user; a barrier is to follow.
  void on_unfrozen() {
    summary_.unfrozen_after = books_.count();
    hooks_.note(concat("validation accuracy has not risen for ", books_.evaluations_without_gain(),
                       " evaluations: after device epoch ", summary_.unfrozen_after,
                       " the front is trained again, and every device is needed for its turns"));
  }

  /// Closes the books.
  Result<RunSummary> finish(const Sequential<float>& joined, const net::Traffic& up,
                            const net::Traffic& down, const WireSizes& sizes) {
    summary_.bytes_up = resumed_.bytes_up + up.total_bytes();
    summary_.bytes_down = resumed_.bytes_down + down.total_bytes();
    summary_.bill = resumed_.bill;
    summary_.bill += itemise(up, down, sizes, hand_overs_);
    if (!pools_data(config_.method)) {
      summary_.smashed_values = sizes.smashed_values;
      summary_.front_values = sizes.front_values;
    }
    Result<std::vector<measure::EpochRecord>> epochs = books_.all();
    if (!epochs) return epochs.failure();
    summary_.epochs = std::move(epochs).value();
    summary_.weights_sha256 = state_sha256(joined);
    if (!config_.out.empty()) {
      IOTSL_FAILPOINT("server.end.model");
      const Result<void> written = write_model(config_.out, joined);
      if (!written) return written.failure();
    }
    summary_.seconds = seconds();
    return std::move(summary_);
  }

  /// What a run that the user has stopped ends with.
  Failure stopped(std::uint64_t step) const {
    return failure(keeps_barriers() ? ErrorCode::stopped : ErrorCode::other, "stopped after step ",
                   step,
                   keeps_barriers() ? concat("; go on ", how_to_go_on())
                                    : std::string("; without a run folder it cannot go on"));
  }
  /// What a user has to say.
  std::string how_to_go_on() const {
    return config_.resume_command.empty() ? concat("with --resume ", config_.out)
                                          : concat("with: ", config_.resume_command);
  }

  const EpochBooks& books() const { return books_; }
  double seconds() const { return seconds_of(net::steady_now() - start_); }
  const RunHooks& hooks() const { return hooks_; }

 private:
  Result<void> keep_numbers(RunNumbers numbers) {
    if (numbers == numbers_) return {};
    numbers_ = std::move(numbers);
    IOTSL_FAILPOINT("server.grant.numbers");
    return keeps_barriers() ? write_run_numbers(config_.out, numbers_) : Result<void>{};
  }
  /// The numbers are written last: where they are, everything is.
  Result<void> begin(const TrainingState& state, const RunNumbers& numbers) {
    numbers_ = numbers;
    if (!keeps_barriers()) return {};
    Result<void> done = create_folders(config_.out);
    if (done) done = books_.begin();
    IOTSL_FAILPOINT("server.begin.books");
    if (done) done = write_checkpoint(config_.out, state, {});
    IOTSL_FAILPOINT("server.begin.barrier");
    if (done) done = write_run_numbers(config_.out, numbers_);
    return done;
  }

  /// Loads `state` from the newest barrier, cuts the metrics back, and begins a new incarnation.
  Result<BarrierRecord> resume(const TrainingState& state) {
    if (!keeps_barriers()) return failure(ErrorCode::usage, "a run is resumed from its folder");
    const Result<RunNumbers> numbers = read_run_numbers(config_.out);
    if (!numbers) return numbers.failure();
    numbers_ = *numbers;
    ++numbers_.incarnation;
    Result<CheckpointRecord> found = read_newest_checkpoint(config_.out, state);
    if (!found) return found.failure();
    IOTSL_FAILPOINT("server.resume.barrier");
    Result<void> done = take_back(*found);
    IOTSL_FAILPOINT("server.resume.books");
    if (done) done = write_run_numbers(config_.out, numbers_);
    if (!done) return done.failure();
    resumed_ = std::move(found).value();
    start_ -= static_cast<net::Microseconds>(resumed_.seconds * 1e6);
    return resumed_.barrier;
  }

  template <class V>
  static double seconds_of(V microseconds) {
    return static_cast<double>(microseconds) * 1e-6;
  }
  static std::uint64_t share(std::uint64_t bytes, std::size_t count, bool last) {
    return bytes / count + (last ? bytes % count : 0);
  }

  Result<void> evaluate_into(measure::EpochRecord& r, Sequential<float>& joined) {
    if (r.epoch % config_.eval_interval() != 0 && !config_.is_an_end(r.epoch)) return {};
    const net::Microseconds start = net::steady_now();
    IOTSL_FAILPOINT("server.turn.evaluate");
    const train::Evaluation result = train::evaluate(joined, sets_.test());
    r.evaluated = true;
    r.test_loss = result.loss;
    r.test_accuracy = result.accuracy();
    r.test_class_accuracy = result.class_accuracy();
    if (sets_.validation() != nullptr) {
      const train::Evaluation aside = train::evaluate(joined, *sets_.validation());
      r.has_validation = true;
      r.validation_loss = aside.loss;
      r.validation_accuracy = aside.accuracy();
    }
    r.seconds_evaluate = seconds_of(net::steady_now() - start);
    return note_accuracy(r) && keeps_barriers() ? keep_best(config_.out, newest_barrier_)
                                                : Result<void>{};
  }
  void note_training(const measure::EpochRecord& r) {
    trained_since_test_ = trained_since_test_ || !r.skipped || r.has_training;
  }
  /// Enters an epoch's evaluation in the summary; whether the run is reported by it from now on.
  bool note_accuracy(const measure::EpochRecord& r) {
    if (!r.evaluated) return false;
    trained_since_test_ = false;
    summary_.final_test_accuracy = r.test_accuracy;
    summary_.best_test_accuracy = std::max(summary_.best_test_accuracy, r.test_accuracy);
    const bool better = measure::is_better(r, summary_.chosen);
    if (better) summary_.chosen = measure::point_of(r);
    return better;
  }

  /// Puts metrics and summary back to where they stood at a barrier.
  Result<void> take_back(const CheckpointRecord& record) {
    newest_barrier_ = record.barrier.id;
    summary_ = {};
    summary_.unfrozen_after = record.unfrozen_after;
    trained_since_test_ = false;
    return books_.take_back(record.metrics_bytes, [&](const measure::EpochRecord& r) {
      note_training(r);
      note_accuracy(r);
      summary_.values_formula += r.values_formula;
    });
  }

  RunConfig config_;
  RunHooks hooks_;
  EvaluationSets sets_;
  net::Microseconds start_;
  EpochBooks books_;
  RunSummary summary_;  // its epochs only at the end
  RunNumbers numbers_;
  CheckpointRecord resumed_;  ///< what earlier incarnations have spent
  std::uint64_t newest_barrier_ = 0;
  bool trained_since_test_ = false;
  std::uint64_t hand_overs_ = 0;  ///< turns whose last barrier this incarnation has committed
};

}  // namespace split
IOTSL_NAMESPACE_END
