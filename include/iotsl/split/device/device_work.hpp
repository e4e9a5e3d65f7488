#pragma once
// What a device computes: the front on its own samples, or the whole net, its generator, what
// completes its data.

#include <cmath>
#include <memory>

#include "iotsl/data/loader.hpp"
#include "iotsl/measure/memory_peak.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/split/device/local_training.hpp"
#include "iotsl/split/halves/cut.hpp"
#include "iotsl/split/halves/front_description.hpp"
#include "iotsl/split/prepare/generated_data.hpp"
#include "iotsl/split/prepare/generator_training.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

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

/// A device's front or net, data and optimiser.
class DeviceWork {
 public:
  /// `samples` are numbers in `set`, which must outlive this. `stop`: of GeneratorWork. `layers`:
  /// the types that a front may be made of.
  DeviceWork(const data::Dataset& set, std::vector<Index> samples, DeviceFiles files = {},
             StopCheck stop = {}, LayerTypes<float> layers = StandardLayers<float>::types<float>())
      : set_(&set),
        samples_(std::move(samples)),
        files_(std::move(files)),
        stop_(stop),
        layers_(layers) {}

  /// structure_sha256 of the front, or of the whole net.
  Result<Sha256Digest> build(const net::HelloOk& setup, const net::FrontInit& description) {
    const net::RunDescription& run = setup.description;
    if (run.channels != set_->channels || run.height != set_->height || run.width != set_->width)
      return failure(ErrorCode::usage, "the run's samples are ", run.channels, "x", run.height, "x",
                     run.width, ", this device's ", set_->channels, "x", set_->height, "x",
                     set_->width);
    const TrainingOptions& training = run.training;
    if (!check_optimizer(training.optimizer))
      return failure(ErrorCode::network, "the server's optimizer options are out of range");
    const Shape sample{1, set_->channels, set_->height, set_->width};
    const bool whole_net = averages(run.method);
    Result<Sequential<float>> front =
        build_front(description, sample, layers_, whole_net ? whole_net_limits : front_limits);
    if (!front) return front.failure();
    front_.reset();
    local_.reset();
    if (whole_net) {
      sizes_ = whole_net_sizes(*front, sample);
      local_ = std::make_unique<LocalTraining>(training, run.seed, *set_, samples_,
                                               Index{setup.index}, std::move(front).value());
      return structure_sha256(local_->net());
    }
    front_ = std::make_unique<FrontHalf>(std::move(front).value(), training.optimizer, run.seed,
                                         training.frozen_front);
    sizes_ = wire_sizes(front_->layers(), front_->optimizer(), sample,
                        static_cast<std::uint64_t>(training.batch), net::WireFormat::of(training));
    completed_.reset();
    loader_ = std::make_unique<data::Loader>(*set_, samples_, training.batch);
    local_epochs_ = training.local_epochs;
    index_ = setup.index;
    run_seed_ = run.seed;
    const Result<void> known = set_task(run);
    if (!known) return known.failure();
    return structure_sha256(front_->layers());
  }

  bool has_front() const { return front_ != nullptr || local_ != nullptr; }

  /// Begins or goes on with the training of this device's generator, in a run that wants one.
  GeneratorWork& take_generator() {
    if (!generator_)
      generator_ = std::make_unique<GeneratorWork>(*set_, samples_, task_.value(), files_, stop_);
    return *generator_;
  }
  /// The training in hand, or null.
  GeneratorWork* generator() { return generator_.get(); }

  /// Completes the data with what other devices' generators make. `downloads` are GEN_DOWNLOAD
  /// messages in the order of the plan.
  Result<void> impute(const net::ImputePlan& plan, const std::vector<net::Message>& downloads) {
    std::vector<generators::GeneratorFile> generators;
    for (std::size_t i = 0; i < downloads.size(); ++i) {
      const Result<net::GenDownload> download = net::decode<net::GenDownload>(downloads[i].payload);
      if (!download) return download.failure();
      Result<generators::GeneratorFile> file = generators::parse_generator(download->file);
      if (!file) return file.failure();
      if (!(file->generator.images() == gan::image_spec(*set_)))
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
    batches_.emplace(*loader_, seed_, Index{index_}, Index{grant.round} * local_epochs_);
    ahead_.reset();
    generator_.reset();  // every generator is with the server when turns begin
    return static_cast<std::uint64_t>(loader_->batches() * local_epochs_);
  }

  struct Smashed {
    std::vector<std::int32_t> labels;
    Tensor<float> values;
    net::StepChance chance;
  };
  /// Forward of batch `batch` of the turn.
  Result<Smashed> forward(std::uint64_t step, std::uint64_t batch) {
    const net::Microseconds start = net::thread_time();
    Smashed out;
    if (!is_prepared(batch)) prepare(batch);
    Ahead made = std::exchange(ahead_, std::nullopt).value();
    labels_ = out.labels = std::move(made.batch.labels);
    out.chance = chance_ = {run_seed_, step};
    Result<Tensor<float>> smashed = front_->is_frozen()
                                        ? front_->take(std::move(made.smashed), step)
                                        : front_->forward(made.batch.x, step);
    if (!smashed) return smashed.failure();
    out.values = std::move(smashed).value();
    compute_us_ = made.took + net::thread_time() - start;
    return out;
  }
  bool is_prepared(std::uint64_t batch) const { return ahead_ && ahead_->number == batch; }
  /// What forward() of that batch will need and no gradient can change: its samples, and behind a
  /// frozen front all of it. For the wait for the gradient of the batch before.
  void prepare_ahead(std::uint64_t batch) {
    const net::Microseconds start = net::thread_time();
    prepare(batch);
    ahead_->took = net::thread_time() - start;
  }

  /// What forward() gave, once more.
  Smashed repeat() const { return {labels_, front_->smashed(), chance_}; }

  /// Backward and update with the server's gradient. `dtype`: what BEGIN said of it.
  Result<void> backward(const net::Grad& grad, std::uint8_t dtype) {
    if (dtype != sizes_.format.type_of(net::MessageType::grad))
      return failure(ErrorCode::network, "GRAD of step ", grad.step, ": dtype ", int{dtype},
                     ", expected ", int{sizes_.format.type_of(net::MessageType::grad)});
    const net::Microseconds start = net::thread_time();
    const Shape shape = front_->smashed_shape();
    const std::uint64_t expected =
        sizes_.format.gradient_bytes(static_cast<std::uint64_t>(shape[0]), sizes_.smashed_values);
    if (grad.gradient.size() != expected)
      return failure(ErrorCode::network, "GRAD of step ", grad.step, ": ", grad.gradient.size(),
                     " bytes, expected ", expected);
    if (!sizes_.format.gradients) return update({}, start);
    const Tensor<float> gradient = sizes_.format.decode_gradient(grad.gradient, shape);
    if (!all_finite(gradient))
      return failure(ErrorCode::network, "GRAD of step ", grad.step, " has NaN or Inf");
    return update(gradient, start);
  }
  /// The same with random values in its place. Drawing them is no work of a device's: a server
  /// would have sent them.
  Result<void> backward_random(std::uint64_t step) {
    const Tensor<float> gradient = random_gradient(front_->smashed_shape(), seed_ + index_, step);
    return update(gradient, net::thread_time());
  }

  net::FrontState state() const { return front_->state(); }

  // The same with method fedavg.

  /// The number of batches of the turn.
  Result<std::uint64_t> load_model(const net::GlobalModel& global) {
    const Result<void> begun = local_->begin(global);
    if (!begun) return begun.failure();
    return local_->steps();
  }
  Result<void> train_batch() {
    const Result<train::StepOutcome> seen = local_->step();
    return seen ? Result<void>{} : seen.failure();
  }
  net::LocalModel trained_model() const { return local_->finish(); }

  const WireSizes& sizes() const { return sizes_; }
  /// Of the last forward and backward.
  net::EpochCost cost() const {
    return {static_cast<std::uint64_t>(compute_us_), measure::peak_resident_bytes()};
  }

 private:
  /// A batch of the turn before its step.
  struct Ahead {
    std::uint64_t number = 0;
    data::Batch batch;
    Tensor<float> smashed;  ///< of a frozen front
    net::Microseconds took = 0;
  };
  void prepare(std::uint64_t batch) {
    ahead_.reset();  // its memory first
    ahead_ = {batch, batches_->fetch(batch), {}};
    if (front_->is_frozen()) ahead_->smashed = front_->forward_ahead(ahead_->batch.x);
  }

  Result<void> update(const Tensor<float>& gradient, net::Microseconds start) {
    const Result<void> done = front_->backward(gradient);
    compute_us_ += net::thread_time() - start;
    return done;
  }

  Result<void> set_task(const net::RunDescription& run) {
    batch_ = run.training.batch;
    task_.reset();
    generator_.reset();
    if (run.generator.empty()) return {};
    const Result<Json> json = parse_json(run.generator);
    if (!json) return failure(ErrorCode::network, "generator settings: ", json.failure().message);
    auto settings = parse_json_fields<generators::GeneratorSettings>(*json);
    if (!settings)
      return failure(ErrorCode::network, "generator settings: ", settings.failure().message);
    const ImageSpec images{run.channels, run.height, run.width, run.classes};
    const Result<void> good = generators::check_settings(*settings, images);
    if (!good) return failure(ErrorCode::network, "generator settings: ", good.failure().message);
    const bool is_private = settings->privacy.is_private();
    if (files_.private_only && !is_private)
      return failure(ErrorCode::usage,
                     "the run asks for generators without privacy; this device shares private ones "
                     "only (--private)");
    if (!files_.private_only && is_private)
      return failure(ErrorCode::usage, "the run asks for private generators (",
                     settings->privacy.mode,
                     "): start with --private, so that nothing else that is sent depends on the "
                     "samples, and with --state for the ledger");
    sizes_.generator_bytes = generators::generator_file_limit(*settings, images);
    task_ = GeneratorTask{std::move(*settings), run.seed, index_};
    return {};
  }

  const data::Dataset* set_;
  std::vector<Index> samples_;
  DeviceFiles files_;
  StopCheck stop_;
  LayerTypes<float> layers_;
  std::optional<GeneratorTask> task_;
  std::unique_ptr<GeneratorWork> generator_;
  std::unique_ptr<data::Dataset> completed_;  // own samples and generated ones; null: own only
  Index batch_ = 0;
  std::unique_ptr<FrontHalf> front_;
  std::unique_ptr<LocalTraining> local_;  // of method fedavg, in place of front_
  std::unique_ptr<data::Loader> loader_;
  std::optional<data::BatchSequence> batches_;  // of the turn
  std::optional<Ahead> ahead_;
  std::vector<std::int32_t> labels_;  // of the last batch, like chance_
  net::StepChance chance_;
  std::uint64_t run_seed_ = 0;
  WireSizes sizes_;
  Index local_epochs_ = 1;
  std::uint32_t index_ = 0;
  std::uint64_t seed_ = 0;
  net::Microseconds compute_us_ = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
