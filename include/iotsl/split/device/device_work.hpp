#pragma once
// What a device computes: the front on its own samples. Carries out the actions of DeviceMachine.

#include <cmath>
#include <memory>

#include "iotsl/data/loader.hpp"
#include "iotsl/measure/memory_peak.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/link.hpp"
#include "iotsl/split/halves/cut.hpp"
#include "iotsl/split/halves/front_description.hpp"
#include "iotsl/split/prepare/generator_training.hpp"
#include "iotsl/split/protocol/device_machine.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// A name for a set of samples that server and device can compute apart: SHA-256 over the hash of
/// the whole data set and the numbers of the samples.
inline Sha256Digest data_fingerprint(const std::string& dataset_sha256,
                                     std::span<const Index> samples) {
  Sha256 hash;
  hash.update(dataset_sha256).update(iotsl::bytes_of(samples.data(), samples.size()));
  return hash.digest();
}

inline std::vector<std::uint64_t> count_labels(const data::Dataset& set,
                                               std::span<const Index> samples) {
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(set.classes));
  for (const Index i : samples) ++counts[set.labels[static_cast<std::size_t>(i)]];
  return counts;
}

/// Values in the order of `seed` and `step` that stand in for the server's gradient (method
/// `local`: the same computation without the network, for the comparison of energy). Uniform in
/// +-1e-3 / N.
inline Tensor<float> random_gradient(const Shape& shape, std::uint64_t seed, std::uint64_t step) {
  Tensor<float> out = Tensor<float>::uninitialized(shape);
  const Random random(seed, Stream::random_gradient, static_cast<std::uint32_t>(step));
  const float scale = 1e-3f / static_cast<float>(shape[0]);
  float* values = out.mutable_data();
  for (Index i = 0; i < out.size(); i += 4) {
    const auto words = random.block(static_cast<std::uint64_t>(i));
    for (Index j = 0; j < std::min<Index>(4, out.size() - i); ++j)
      values[i + j] =
          (static_cast<float>(words[static_cast<std::size_t>(j)] >> 8) * 0x1p-23f - 1) * scale;
  }
  return out;
}

/// A device's front, data and optimiser.
class DeviceWork {
 public:
  /// `samples` are numbers in `set`, which must outlive this.
  DeviceWork(const data::Dataset& set, std::vector<Index> samples, DeviceFiles files = {})
      : set_(&set), samples_(std::move(samples)), files_(std::move(files)) {}

  Result<Sha256Digest> build(const net::HelloOk& setup) {
    const net::RunDescription& run = setup.description;
    if (run.channels != set_->channels || run.height != set_->height || run.width != set_->width)
      return failure(ErrorCode::usage, "the run's samples are ", run.channels, "x", run.height, "x",
                     run.width, ", this device's ", set_->channels, "x", set_->height, "x",
                     set_->width);
    OptimizerOptions options;
    const auto kind = parse_optimizer(run.optimizer);
    if (!kind) return kind.failure();
    options.kind = *kind;
    options.momentum = run.momentum;
    options.nesterov = run.nesterov;
    options.ewc = run.ewc;
    options.weight_decay = run.weight_decay;
    options.beta1 = run.beta1;
    options.beta2 = run.beta2;
    options.eps = run.eps;
    const bool good = run.momentum >= 0 && run.momentum < 1 && run.weight_decay >= 0 &&
                      run.beta1 >= 0 && run.beta1 < 1 && run.beta2 >= 0 && run.beta2 < 1 &&
                      run.eps >= 0 && run.ewc >= 0 && run.ewc <= 1e12 &&
                      (!run.nesterov || run.momentum > 0);
    if (!good)
      return failure(ErrorCode::network, "the server's optimizer options are out of range");
    const Shape sample{1, set_->channels, set_->height, set_->width};
    Result<Sequential<float>> front = build_front(run.front, sample);
    if (!front) return front.failure();
    front_ = std::make_unique<FrontHalf>(std::move(front).value(), options, run.seed);
    sizes_ = wire_sizes(front_->layers(), front_->optimizer(), sample, run.batch);
    completed_.reset();
    loader_ = std::make_unique<data::Loader>(*set_, samples_, Index{run.batch});
    local_epochs_ = run.local_epochs;
    index_ = setup.index;
    const Result<void> known = set_task(run);
    if (!known) return known.failure();
    return structure_sha256(front_->layers());
  }

  /// Begins or goes on with the training of this device's generator, in a run that wants one.
  GeneratorWork& take_generator() {
    if (!generator_)
      generator_ = std::make_unique<GeneratorWork>(*set_, samples_, task_.value(), files_);
    return *generator_;
  }
  /// The training in hand, or null.
  GeneratorWork* generator() { return generator_.get(); }

  /// Completes the data with what other devices' generators make. `downloads` are GEN_DOWNLOAD
  /// messages in the order of the plan.
  Result<void> impute(const net::ImputePlan& plan, const std::vector<net::Message>& downloads) {
    std::vector<gan::GeneratorFile> generators;
    for (std::size_t i = 0; i < downloads.size(); ++i) {
      const Result<net::GenDownload> download = net::decode<net::GenDownload>(downloads[i].payload);
      if (!download) return download.failure();
      Result<gan::GeneratorFile> file = gan::parse_generator(download->file);
      if (!file) return file.failure();
      if (!(file->net.spec().images == image_spec(*set_)))
        return failure(ErrorCode::network, "the generator of device ", download->device,
                       " makes other images than this device's");
      generators.push_back(std::move(file).value());
    }
    for (const net::ImputePlan::Entry& entry : plan.entries)
      if (generators[entry.generator].card.label_counts[entry.label] == 0)
        return failure(ErrorCode::network, "the generator of device ",
                       plan.generators[entry.generator].device, " has never seen class ",
                       entry.label);
    completed_ =
        std::make_unique<data::Dataset>(complete_dataset(*set_, samples_, plan, generators));
    loader_ = std::make_unique<data::Loader>(*completed_, batch_);
    return {};
  }

  /// The number of batches of the turn.
  Result<std::uint64_t> load(const net::TurnGrant& grant) {
    if (!(grant.learning_rate >= 0 && std::isfinite(grant.learning_rate)))
      return failure(ErrorCode::network, "TURN_GRANT: learning rate ", grant.learning_rate);
    const Result<void> loaded = front_->load(grant.front, grant.first_step + grant.done_steps);
    if (!loaded) return loaded.failure();
    front_->optimizer().set_learning_rate(grant.learning_rate);
    seed_ = grant.order_seed;
    round_ = grant.round;
    epoch_ = -1;
    generator_.reset();  // every generator is with the server when turns begin
    return static_cast<std::uint64_t>(loader_->batches() * local_epochs_);
  }

  struct Smashed {
    std::vector<std::int32_t> labels;
    Tensor<float> values;
  };
  /// Forward of batch `batch` of the turn.
  Result<Smashed> forward(std::uint64_t step, std::uint64_t batch) {
    const net::Microseconds start = net::steady_now();
    const Index in_epoch = static_cast<Index>(batch) % loader_->batches();
    const Index epoch =
        Index{round_} * local_epochs_ + static_cast<Index>(batch) / loader_->batches();
    if (epoch != epoch_) loader_->start_epoch(seed_, Index{index_}, epoch);
    epoch_ = epoch;
    const Index n = loader_->batch_size(in_epoch);
    Smashed out;
    out.labels.resize(static_cast<std::size_t>(n));
    Tensor<float> x =
        Tensor<float>::uninitialized(Shape{n, set_->channels, set_->height, set_->width});
    loader_->fill(in_epoch, x.mutable_data(), out.labels.data());
    labels_ = out.labels;
    Result<Tensor<float>> smashed = front_->forward(x, step);
    if (!smashed) return smashed.failure();
    out.values = std::move(smashed).value();
    compute_us_ = net::steady_now() - start;
    return out;
  }

  /// What forward() gave, once more.
  Smashed repeat() const { return {labels_, front_->smashed()}; }

  /// Backward and update with the server's gradient, or with a random one.
  Result<void> backward(const net::Grad& grad, bool local, std::uint64_t step) {
    const net::Microseconds start = net::steady_now();
    const Shape shape = front_->smashed_shape();
    Tensor<float> gradient;
    if (local) {
      gradient = random_gradient(shape, seed_ + index_, step);
    } else {
      gradient = Tensor<float>::uninitialized(shape);
      if (grad.gradient.size() != bytes_of(gradient).size())
        return failure(ErrorCode::network, "GRAD of step ", step, ": ", grad.gradient.size(),
                       " bytes, expected ", bytes_of(gradient).size());
      std::memcpy(gradient.mutable_data(), grad.gradient.data(), grad.gradient.size());
      if (!all_finite(gradient))
        return failure(ErrorCode::network, "GRAD of step ", step, " has NaN or Inf");
    }
    const Result<void> done = front_->backward(gradient);
    compute_us_ += net::steady_now() - start;
    return done;
  }

  net::FrontState state() const { return front_->state(); }
  const FrontHalf& front() const { return *front_; }
  const WireSizes& sizes() const { return sizes_; }
  /// Of the last forward and backward.
  net::EpochCost cost() const {
    return {static_cast<std::uint64_t>(compute_us_), measure::peak_resident_bytes()};
  }

 private:
  Result<void> set_task(const net::RunDescription& run) {
    batch_ = run.batch;
    task_.reset();
    generator_.reset();
    if (run.generator.empty()) return {};
    const Result<Json> json = parse_json(run.generator);
    if (!json) return failure(ErrorCode::network, "generator settings: ", json.failure().message);
    Result<gan::GanSettings> settings = parse_json_fields<gan::GanSettings>(*json);
    if (!settings)
      return failure(ErrorCode::network, "generator settings: ", settings.failure().message);
    const ImageSpec images = image_spec(run);
    Result<void> good = gan::check_settings(*settings);
    if (good) good = check_generator(gan::generator_spec(*settings, images));
    if (!good) return failure(ErrorCode::network, "generator settings: ", good.failure().message);
    sizes_.generator_bytes = generator_file_limit(*settings, images);
    task_ = GeneratorTask{std::move(*settings), run.seed, index_};
    return {};
  }

  const data::Dataset* set_;
  std::vector<Index> samples_;
  DeviceFiles files_;
  std::optional<GeneratorTask> task_;
  std::unique_ptr<GeneratorWork> generator_;
  std::unique_ptr<data::Dataset> completed_;  // own samples and generated ones; null: own only
  Index batch_ = 0;
  std::unique_ptr<FrontHalf> front_;
  std::unique_ptr<data::Loader> loader_;
  std::vector<std::int32_t> labels_;  // of the last batch
  WireSizes sizes_;
  Index local_epochs_ = 1;
  std::uint32_t index_ = 0, round_ = 0;
  std::uint64_t seed_ = 0;
  Index epoch_ = -1;  // whose order the loader has; -1: none
  net::Microseconds compute_us_ = 0;
};

/// How carrying out an action ended.
enum class DeviceStatus { running, disconnected, finished, failed };

/// Carries out one action; what is to be sent goes to `link`. `problem` is set where it failed.
inline DeviceStatus carry_out(DeviceAction& action, DeviceMachine& machine, DeviceWork& work,
                              net::Link& link, Failure& problem) {
  using Kind = DeviceAction::Kind;
  switch (action.kind) {
    case Kind::send:
      link.set_last_step(machine.last_step());
      link.send(std::move(action.message));
      break;
    case Kind::build:
      machine.on_built(work.build(action.setup));
      break;
    case Kind::agree:
      set_transfer_limits(link, work.sizes(), false);
      link.set_heartbeat(net::Microseconds{action.setup.heartbeat_ms} * 1000,
                         net::Microseconds{action.setup.dead_ms} * 1000,
                         net::Microseconds{action.setup.busy_cap_ms} * 1000);
      break;
    case Kind::train_generator:
      machine.on_generator_trained(work.take_generator().step());
      break;
    case Kind::finish_generator:
      machine.on_generator_finished(work.take_generator().finish());
      break;
    case Kind::impute:
      machine.on_imputed(work.impute(action.imputation, action.downloads));
      break;
    case Kind::load:
      machine.on_loaded(work.load(action.grant));
      break;
    case Kind::forward: {
      Result<DeviceWork::Smashed> smashed = work.forward(action.step, action.batch);
      if (!smashed) {
        machine.on_smashed(smashed.failure());
        break;
      }
      machine.on_smashed({}, std::move(smashed->labels), bytes_of(smashed->values),
                         wire_shape(smashed->values.shape()));
      break;
    }
    case Kind::backward: {
      const Result<void> done = work.backward(action.grad, action.local, action.step);
      machine.on_updated(done, work.cost());
      break;
    }
    case Kind::repeat: {
      DeviceWork::Smashed smashed = work.repeat();
      machine.on_smashed({}, std::move(smashed.labels), bytes_of(smashed.values),
                         wire_shape(smashed.values.shape()));
      break;
    }
    case Kind::export_front:
      machine.on_exported(work.state());
      break;
    case Kind::reconnect:
      return DeviceStatus::disconnected;
    case Kind::finish:
      return DeviceStatus::finished;
    case Kind::fail:
      problem = std::move(action.problem);
      return DeviceStatus::failed;
  }
  return DeviceStatus::running;
}

}  // namespace split
IOTSL_NAMESPACE_END
