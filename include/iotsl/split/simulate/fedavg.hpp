#pragma once
// Federated averaging (McMahan et al. 2017): every device trains the whole net on its own samples,
// the server averages the weights. The parallel federated learning of the paper's Fig. 1, as a
// rival: what it takes to send a net instead of smashed data.

#include <cmath>

#include "iotsl/data/loader.hpp"
#include "iotsl/measure/memory_peak.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/model_messages.hpp"
#include "iotsl/split/halves/front_state.hpp"
#include "iotsl/split/halves/state_part.hpp"
#include "iotsl/split/protocol/server_actions.hpp"
#include "iotsl/split/records/run_config.hpp"
#include "iotsl/train/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// The whole net as the messages carry it; views, valid while it lives unchanged.
inline net::FrontState model_state(const Sequential<float>& net) {
  return front_state(net, Optimizer<float>());
}

/// The mean of nets, weighted by sample counts: weights and running statistics alike. Sums are
/// double: the product of a float and a count below 2^29 is exact, so that the mean does not
/// depend on how a compiler contracts it.
class ModelMean {
 public:
  explicit ModelMean(const Sequential<float>& net) {
    const net::FrontState state = model_state(net);
    std::size_t values = 0;
    for (const net::WireTensor& t : state.tensors) values += t.values.size() / sizeof(float);
    sums_.resize(values);
    counters_.resize(state.counters.size());
  }

  /// A net that check_front_state() has found to be like the one of the constructor.
  void add(const net::FrontState& state, std::uint64_t samples) {
    const auto weight = static_cast<double>(samples);
    double* sum = sums_.data();
    for (const net::WireTensor& t : state.tensors)
      for (std::size_t at = 0; at < t.values.size(); at += sizeof(float)) {
        float value;
        std::memcpy(&value, t.values.data() + at, sizeof value);
        *sum++ += weight * static_cast<double>(value);
      }
    // The number of batches seen has no mean: the largest.
    for (std::size_t i = 0; i < counters_.size(); ++i)
      counters_[i] = std::max(counters_[i], state.counters[i].value);
    samples_[0] += samples;
  }

  /// Writes the mean into a net like the one of the constructor and begins again.
  void store(const Sequential<float>& net) {
    if (samples_[0] == 0) fail("fedavg: a mean of no nets");
    const auto weight = static_cast<double>(samples_[0]);
    const double* sum = sums_.data();
    const auto put = [&](const NamedTensor<float>& named) {
      Tensor<float> tensor = named.tensor;  // the same values
      float* to = tensor.mutable_data();
      for (Index i = 0; i < tensor.size(); ++i) to[i] = static_cast<float>(*sum++ / weight);
    };
    for (const auto& t : net.parameters()) put(t);
    for (const auto& t : net.buffers()) put(t);
    auto counters = net.counters();
    for (std::size_t i = 0; i < counters.size(); ++i) counters[i].counter.set(counters_[i]);
    std::fill(sums_.begin(), sums_.end(), 0.0);
    std::fill(counters_.begin(), counters_.end(), 0);
    samples_[0] = 0;
  }

  /// What is summed up so far, for barriers.
  std::vector<StatePart> parts() {
    const auto part = [](const char* name, auto& values) {
      return StatePart{name, reinterpret_cast<std::uint8_t*>(values.data()),
                       values.size() * sizeof(values[0])};
    };
    return {part("fedavg/sums", sums_), part("fedavg/counters", counters_),
            part("fedavg/samples", samples_)};
  }

 private:
  std::vector<double> sums_;
  std::vector<std::int64_t> counters_;
  std::vector<std::uint64_t> samples_ = {0};  // one number, with a place that stays
};

/// A device's part of a round: from the averaged weights, with an optimiser begun anew, over all
/// batches of its local epochs.
class FedavgDevice {
 public:
  /// `samples` are numbers in `set`, which must outlive this; `net` is the device's own.
  FedavgDevice(const RunConfig& config, const data::Dataset& set, std::vector<Index> samples,
               Index device, Sequential<float> net)
      : local_epochs_(config.training.local_epochs),
        device_(device),
        loader_(set, std::move(samples), config.training.batch),
        trainer_(std::move(net), config.training.optimizer, config.seed),
        tallies_(static_cast<std::size_t>(local_epochs_)) {
    out_.samples = static_cast<std::uint64_t>(loader_.samples());
    out_.costs.resize(tallies_.size());
  }

  std::uint64_t steps() const {
    return static_cast<std::uint64_t>(loader_.batches() * local_epochs_);
  }

  Result<void> begin(const net::GlobalModel& global) {
    if (!(global.learning_rate >= 0 && std::isfinite(global.learning_rate)))
      return failure(ErrorCode::network, "GLOBAL_MODEL: learning rate ", global.learning_rate);
    Optimizer<float> none;
    const Result<void> loaded = load_front_state(global.model, trainer_.net(), none, 0);
    if (!loaded) return loaded;
    trainer_.optimizer().set_learning_rate(global.learning_rate);
    out_.key = global.key;
    first_step_ = global.first_step;
    batches_.emplace(loader_, global.order_seed, device_, Index{global.round} * local_epochs_);
    return {};
  }
  bool done() const { return out_.steps == steps(); }
  std::uint64_t steps_done() const { return out_.steps; }
  /// Samples of the last batch.
  std::uint64_t last_batch() const { return last_batch_; }

  /// The next batch.
  Result<train::StepOutcome> step() {
    const net::Microseconds start = net::steady_now();
    const std::size_t epoch = batches_->epoch(out_.steps);
    const data::Batch own = batches_->fetch(out_.steps);
    Result<train::StepOutcome> out = trainer_.train(own, first_step_ + ++out_.steps);
    if (!out) return out;
    last_batch_ = own.labels.size();
    tallies_[epoch].add(out->loss, last_batch_, static_cast<std::uint64_t>(out->correct), 0);
    net::EpochCost& cost = out_.costs[epoch];
    cost.compute_us += static_cast<std::uint64_t>(net::steady_now() - start);
    cost.peak_memory_bytes = measure::peak_resident_bytes();
    return out;
  }

  /// The answer, with views of the trained net.
  net::LocalModel finish() {
    out_.results.clear();
    for (const EpochTally& seen : tallies_)
      out_.results.push_back({seen.loss_sum, seen.samples, seen.correct});
    out_.model = model_state(trainer_.net());
    return out_;
  }

 private:
  Index local_epochs_, device_;
  data::Loader loader_;
  std::optional<data::BatchSequence> batches_;
  train::Trainer trainer_;
  std::vector<EpochTally> tallies_;  // of each local epoch
  net::LocalModel out_;
  std::uint64_t first_step_ = 0, last_batch_ = 0;
};

/// Whether a device's answer belongs to what it was sent, and may enter the mean.
inline Result<void> check_local_model(const net::LocalModel& answer, const net::GlobalModel& sent,
                                      std::uint64_t samples, std::uint64_t steps,
                                      std::size_t epochs) {
  if (answer.key != sent.key || answer.samples != samples || answer.steps != steps ||
      answer.results.size() != epochs || answer.costs.size() != epochs)
    return failure(ErrorCode::network, "LOCAL_MODEL of turn ", answer.key.turn, ": ",
                   answer.samples, " samples, ", answer.steps, " steps, ", answer.results.size(),
                   " epochs; expected turn ", sent.key.turn, ": ", samples, " samples, ", steps,
                   " steps, ", epochs, " epochs");
  return check_front_state(answer.model, sent.model, 0);  // no optimiser travels
}

}  // namespace split
IOTSL_NAMESPACE_END
