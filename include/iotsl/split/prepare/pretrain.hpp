#pragma once
// Pre-training (Algorithm 1): front and back as one net, on generated samples, until the loss on
// images that were held out no longer falls. These are generated, too: their accuracy measures the
// fit to the generators, and only the test data tells how well real images are known.

#include "iotsl/data/held_out.hpp"
#include "iotsl/data/loader.hpp"
#include "iotsl/data/shift.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/split/records/checkpoint.hpp"
#include "iotsl/split/records/run_config.hpp"
#include "iotsl/train/evaluate.hpp"
#include "iotsl/train/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct PretrainOptions {
  OptimizerOptions optimizer;
  Index iterations = 5000;  ///< at most
  Index batch = 128;
  Index shift = 0;     ///< pixels that images are moved by at most, anew in every step
  Index patience = 4;  ///< checks in a row without a lower loss, after which it stops
  std::uint64_t seed = 1;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("optimizer", self.optimizer);
    f("iterations", self.iterations);
    f("batch", self.batch);
    f("shift", self.shift);
    f("patience", self.patience);
    f("seed", self.seed);
  }
};

/// Holds a tenth of the different images of each class out, at least one where the class has two,
/// with all their copies: ten bits of noise make at most 1024 different ones.
inline data::HeldOutSplit hold_out(const data::Dataset& set, std::uint64_t seed) {
  return data::hold_out(
      set, data::count_up(set.size()), Random(seed, Stream::held_out),
      [](Index images) { return images < 2 ? 0 : std::max<Index>(1, (images + 5) / 10); });
}

namespace detail {

/// A copy of a net's state, to come back to.
class Snapshot {
 public:
  explicit Snapshot(Sequential<float>& net) : net_(net) { take(); }
  void take() {
    values_.clear();
    for (const StatePart& part : state_parts({net_, {}}))
      values_.emplace_back(part.data, part.data + part.bytes);
  }
  void put_back() const {
    const std::vector<StatePart> parts = state_parts({net_, {}});
    for (std::size_t i = 0; i < parts.size(); ++i)
      std::copy(values_[i].begin(), values_[i].end(), parts[i].data);
  }

 private:
  Sequential<float>& net_;
  std::vector<std::vector<std::uint8_t>> values_;
};

}  // namespace detail

/// Trains `joined` on `generated` and leaves it with the weights that had the lowest loss on the
/// held-out images, looked at twice an epoch (once where an epoch is short). A function of net, set
/// and options alone.
inline Result<PretrainReport> pretrain(Sequential<float>& joined, const data::Dataset& generated,
                                       const PretrainOptions& options, const RunHooks& hooks) {
  const net::Microseconds start = net::steady_now();
  const data::HeldOutSplit parts = hold_out(generated, options.seed);
  if (parts.train.size() < 2 || parts.held_out.empty())
    return failure(ErrorCode::data, "pre-training: ", generated.size(),
                   " generated samples have too few different images");
  const data::Dataset held_out = data::select_samples(generated, parts.held_out);
  OptimizerOptions one_task = options.optimizer;
  one_task.ewc = 0;  // there is nothing earlier to hold on to
  // Another stream of dropout than that of the turns, whose steps have the same numbers.
  train::Trainer net(joined, one_task, ~options.seed);
  data::Loader loader(generated, parts.train, options.batch);
  data::BatchSequence batches(loader, options.seed, 0, 0);
  const Index per_epoch = loader.batches();
  const Index check_every = per_epoch <= 20 ? per_epoch : (per_epoch + 1) / 2;

  PretrainReport report;
  report.samples = static_cast<std::uint64_t>(generated.size());
  report.held_out = static_cast<std::uint64_t>(held_out.size());
  const std::vector<Index> all = data::count_up(generated.size());
  report.distinct = data::group_equal_images(generated, all).size();
  detail::Snapshot best(joined);
  Index stale = 0;
  net::Microseconds told = start;
  for (Index done = 0; done < options.iterations && stale < options.patience;) {
    if (hooks.stop_requested()) {
      report.stopped = true;
      return report;
    }
    data::Batch batch = batches.fetch(static_cast<std::uint64_t>(done));
    if (options.shift > 0)
      batch.x = data::shift_images(
          batch.x, options.shift,
          Random(options.seed, Stream::image_shift, static_cast<std::uint32_t>(done)));
    const auto step = static_cast<std::uint64_t>(++done);
    const Result<train::StepOutcome> out = net.train(batch, step);
    if (!out) return failure(out.failure().code, "pre-training: ", out.failure().message);
    report.iterations = step;
    if (done % check_every != 0 && done != options.iterations) continue;
    const train::Evaluation check = train::evaluate(joined, held_out);
    const bool better = report.best_iteration == 0 || check.loss < report.held_out_loss;
    if (better) {
      report.best_iteration = step;
      report.held_out_loss = check.loss;
      report.held_out_accuracy = check.accuracy();
      best.take();
    }
    stale = better ? 0 : stale + 1;
    const net::Microseconds now = net::steady_now();
    if (hooks.on_note == nullptr || now - told < 5 * net::second_us) continue;
    told = now;
    hooks.on_note(hooks.context,
                  concat("pre-training: iteration ", done, " of at most ", options.iterations,
                         ", fit to the generators: loss ", check.loss, ", accuracy ",
                         one_decimal(100 * check.accuracy()), " %"));
  }
  best.put_back();
  report.seconds = static_cast<double>(net::steady_now() - start) * 1e-6;
  return report;
}

}  // namespace split
IOTSL_NAMESPACE_END
