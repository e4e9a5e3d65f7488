#pragma once
// A device's part of a round of federated averaging (McMahan et al. 2017): it trains the whole net
// on its own samples.

#include <cmath>

#include "iotsl/data/loader.hpp"
#include "iotsl/measure/memory_peak.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/messages/model_messages.hpp"
#include "iotsl/split/halves/model_mean.hpp"
#include "iotsl/train/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// From the averaged weights, with an optimiser begun anew, over all batches of the local epochs.
class LocalTraining {
 public:
  /// `samples` are numbers in `set`, which must outlive this; `net` is the device's own, `device`
  /// its place, `seed` that of the run.
  LocalTraining(const TrainingOptions& training, std::uint64_t seed, const data::Dataset& set,
                std::vector<Index> samples, Index device, Sequential<float> net)
      : local_epochs_(training.local_epochs),
        optimizer_(training.optimizer),
        seed_(seed),
        device_(device),
        loader_(set, std::move(samples), training.batch),
        net_(std::move(net)) {}

  const Sequential<float>& net() const { return net_; }
  std::uint64_t steps() const {
    return static_cast<std::uint64_t>(loader_.batches() * local_epochs_);
  }

  /// Forgets what was done before. Nothing changes where the net is refused.
  Result<void> begin(const net::GlobalModel& global) {
    if (!(global.learning_rate >= 0 && std::isfinite(global.learning_rate)))
      return failure(ErrorCode::network, "GLOBAL_MODEL: learning rate ", global.learning_rate);
    Optimizer<float> none;
    const Result<void> loaded = load_front_state(global.model, net_, none, 0);
    if (!loaded) return loaded;
    trainer_.emplace(net_, optimizer_, seed_);
    trainer_->optimizer().set_learning_rate(global.learning_rate);
    batches_.emplace(loader_, global.order_seed, device_, Index{global.round} * local_epochs_);
    first_step_ = global.first_step;
    const auto epochs = static_cast<std::size_t>(local_epochs_);
    out_ = {};
    out_.key = global.key;
    out_.samples = static_cast<std::uint64_t>(loader_.samples());
    out_.results.resize(epochs);
    out_.costs.resize(epochs);
    return {};
  }
  bool done() const { return out_.steps == steps(); }
  std::uint64_t steps_done() const { return out_.steps; }
  /// Samples of the last batch.
  std::uint64_t last_batch() const { return last_batch_; }

  /// The next batch; not after the last one.
  Result<train::StepOutcome> step() {
    const net::Microseconds start = net::thread_time();
    const std::size_t epoch = batches_->epoch(out_.steps);
    const data::Batch own = batches_->fetch(out_.steps);
    Result<train::StepOutcome> out = trainer_->train(own, first_step_ + ++out_.steps);
    if (!out) return out;
    last_batch_ = own.labels.size();
    net::EpochResult& seen = out_.results[epoch];
    seen.loss_sum += out->loss * static_cast<double>(last_batch_);
    seen.samples += last_batch_;
    seen.correct += static_cast<std::uint64_t>(out->correct);
    net::EpochCost& cost = out_.costs[epoch];
    cost.compute_us += static_cast<std::uint64_t>(net::thread_time() - start);
    cost.peak_memory_bytes = measure::peak_resident_bytes();
    if (done()) trainer_.reset();  // its optimiser takes more memory than the net
    return out;
  }

  /// The answer, with views of the trained net.
  net::LocalModel finish() const {
    net::LocalModel out = out_;
    out.model = model_state(net_);
    return out;
  }

 private:
  Index local_epochs_;
  OptimizerOptions optimizer_;
  std::uint64_t seed_;
  Index device_;
  data::Loader loader_;
  Sequential<float> net_;
  std::optional<train::Trainer> trainer_;
  std::optional<data::BatchSequence> batches_;
  net::LocalModel out_;  // without the net
  std::uint64_t first_step_ = 0, last_batch_ = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
