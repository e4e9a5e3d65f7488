#pragma once
// A device trains a conditional generator on its own samples (Algorithm 1, lines 1 to 4; settings
// of GS-WGAN). Every random number is addressed by (seed, device, step), so a training that was
// stopped goes on with the same bits.

#include "iotsl/data/batch.hpp"
#include "iotsl/gan/nets.hpp"
#include "iotsl/gan/quality.hpp"
#include "iotsl/gan/training_state.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// One generator iteration; the numbers are those of its last critic step.
struct GanProgress {
  Index iteration = 0;     ///< done, from 1
  double wasserstein = 0;  ///< mean score of real minus mean score of generated images
  double penalty = 0;      ///< mean of (norm - 1)^2
  double generator_loss = 0;
  double quality = -1;   ///< accuracy of a check that was made now; -1: none
  bool stopped = false;  ///< in such a check: the next step() begins with it
};

/// What a training has come to.
struct TrainedNet {
  GeneratorNet<float> net;  ///< averaged weights
  Quality quality;
};

class GanTrainer {
 public:
  /// `samples` are numbers in `set`, which must outlive the trainer; 5 % of each class are held out
  /// for the quality check. Raises an Error for wrong settings or no samples.
  IOTSL_SMALL GanTrainer(const data::Dataset& set, std::vector<Index> samples, GanSettings settings,
                         std::uint64_t seed, std::uint32_t device)
      : set_(&set),
        samples_(std::move(samples)),
        settings_(checked(std::move(settings))),
        seed_(seed),
        device_(device),
        held_(hold_out(set, samples_, mixed_seed())),
        critic_(settings_, image_spec(set), mixed_seed()),
        generator_(settings_, image_spec(set), mixed_seed()) {
    if (held_.train.empty()) fail("GAN: no samples to train on");
  }
  GanTrainer(const GanTrainer&) = delete;
  GanTrainer& operator=(const GanTrainer&) = delete;

  bool done() const { return record_.iteration >= settings_.iterations || record_.settled; }
  Index iteration() const { return record_.iteration; }
  const GanSettings& settings() const { return settings_; }
  /// Iterations between two checks of the quality; 0: there are none. Where they could say nothing
  /// (can_be_checked), they are left out and nothing stops the training before its last iteration.
  Index check_every() const { return can_be_checked(*set_, held_) ? settings_.check_every : 0; }

  /// critic_steps steps of the critic, then one of the generator, and a check of the quality where
  /// it is due, which `stop` breaks off. Fails where a loss or a gradient is NaN or Inf; the
  /// weights stay without, but the iteration is broken off: not to be saved.
  IOTSL_SMALL Result<GanProgress> step(const StopCheck& stop = {}) {
    GanProgress out;
    if (record_.check_due) {  // the one that was broken off
      out.iteration = record_.iteration;
      watch_quality(out, stop);
      return out;
    }
    Result<void> good;
    for (Index k = 0; k < settings_.critic_steps && good; ++k)
      good = train_critic(record_.iteration * settings_.critic_steps + k, out);
    if (good) good = train_generator(out);
    if (!good)
      return failure(good.failure().code, "GAN training: iteration ", record_.iteration + 1, ": ",
                     good.failure().message, "; a smaller learning rate may help");
    out.iteration = ++record_.iteration;
    const Index every = check_every();
    record_.check_due = every > 0 && record_.iteration % every == 0;
    if (record_.check_due) watch_quality(out, stop);
    return out;
  }

  /// Seconds of training before load(), as save() was told.
  double seconds_before() const { return record_.seconds; }

  /// The generator's averaged weights, checked against the held-out samples. Nothing where the
  /// check was stopped.
  IOTSL_SMALL std::optional<TrainedNet> finish(const StopCheck& stop = {}) const {
    TrainedNet out{generator_.averaged_copy(), {}};
    const SampleSource source{.gaussian = gaussian(), .seed = seed_, .number = device_};
    std::optional<Quality> quality = check_quality(out.net, *set_, held_, source, {.stop = stop});
    if (!quality) return std::nullopt;
    out.quality = std::move(*quality);
    return out;
  }

  /// Writes the whole state atomically, so that load() goes on with the same bits. `seconds`: of
  /// training since load().
  IOTSL_SMALL Result<void> save(const std::string& path, double seconds = 0) const {
    Record record = record_;
    record.seconds += seconds;
    record.critic_updates = critic_.adam.steps();
    record.generator_updates = generator_.adam.steps();
    return save_training(path, training_kind, to_text(to_json_fields(record)), state());
  }
  /// Takes over a state of the same training; a refused file changes nothing.
  IOTSL_SMALL Result<void> load(const std::string& path) {
    const std::vector<NamedTensor<float>> tensors = state();
    const Result<SavedTraining> saved = SavedTraining::read(path, training_kind, tensors);
    if (!saved) return saved.failure();
    const Result<Record> record = saved->checked<Record>(record_.training);
    if (!record) return record.failure();
    saved->copy_to(tensors);
    record_ = *record;
    critic_.adam.set_steps(record_.critic_updates);
    generator_.adam.set_steps(record_.generator_updates);
    return {};
  }

 private:
  static constexpr const char* training_kind = "gan-training";

  /// What a stopped training remembers beside its tensors.
  struct Record {
    std::string training;  ///< fingerprint of everything that decides the numbers
    Index iteration = 0;
    Index critic_updates = 0, generator_updates = 0;
    double best_quality = 0;
    Index checks_without_rise = 0;
    bool check_due = false;  ///< one was broken off
    bool settled = false;
    double seconds = 0;

    template <class Self, class Fields>
    static void json_fields(Self& self, Fields& f) {
      f("training", self.training);
      f("iteration", self.iteration);
      f("critic_updates", self.critic_updates);
      f("generator_updates", self.generator_updates);
      f("best_quality", self.best_quality);
      f("checks_without_rise", self.checks_without_rise);
      f("check_due", self.check_due);
      f("settled", self.settled);
      f("seconds", self.seconds);
    }
  };

  std::uint64_t mixed_seed() const { return device_seed(seed_, device_); }
  Random numbers(Stream stream, Index step) const {
    return Random(mixed_seed(), stream, static_cast<std::uint32_t>(step));
  }
  bool gaussian() const { return settings_.noise == "gaussian"; }

  IOTSL_SMALL std::string fingerprint() const {
    Sha256 hash;
    hash.update(to_text(to_json_fields(settings_))).update(concat(seed_, "/", device_, "/"));
    hash.update(set_->sha256).update(iotsl::bytes_of(samples_.data(), samples_.size()));
    return to_hex(hash.digest());
  }

  /// Samples drawn with replacement, so that labels follow the device's own histogram.
  IOTSL_SMALL data::Batch draw_batch(Index step) const {
    const Random random = numbers(Stream::gan_batch, step);
    std::vector<Index> chosen(static_cast<std::size_t>(settings_.batch));
    for (std::size_t i = 0; i < chosen.size(); ++i)
      chosen[i] = held_.train[static_cast<std::size_t>(random.below(i, held_.train.size()))];
    return data::fetch_batch(*set_, chosen);
  }
  Tensor<float> noise(Index step) const {
    return draw_noise(settings_.batch, settings_.latent, gaussian(),
                      numbers(Stream::gan_noise, step), 0);
  }

  IOTSL_SMALL Result<void> train_critic(Index step, GanProgress& out) {
    const data::Batch real = draw_batch(step);
    Tensor<float> fake;
    {
      const NoRecord values_only;
      fake = generator_.net.forward(noise(2 * step), real.labels);
    }
    const Tensor<float> alpha = draw_between(settings_.batch, numbers(Stream::gan_between, step));
    critic_.net.follow_spectrum();
    const CriticLoss<float> loss =
        critic_loss<float>(critic_.net, real.x, fake, real.labels, alpha,
                           {.penalty = settings_.penalty, .drift = settings_.drift});
    out.wasserstein = loss.wasserstein;
    out.penalty = loss.penalty;
    return update_net("critic", loss.total, critic_.adam);
  }

  IOTSL_SMALL Result<void> train_generator(GanProgress& out) {
    const Index step = (record_.iteration + 1) * settings_.critic_steps - 1;
    // The labels of the last critic step's batch, with other noise.
    const data::Batch real = draw_batch(step);
    const Tensor<float> loss =
        generator_loss<float>(critic_.net, generator_.net, noise(2 * step + 1), real.labels);
    const Result<void> good = update_net("generator", loss, generator_.adam);
    if (!good) return good;
    update_average(generator_.average, generator_.net.parameters(), settings_.average,
                   record_.iteration);
    out.generator_loss = static_cast<double>(loss.item());
    return {};
  }

  IOTSL_SMALL void watch_quality(GanProgress& out, const StopCheck& stop) {
    const SampleSource source{.gaussian = gaussian(), .seed = seed_, .number = device_};
    const std::optional<Quality> quality = check_quality(generator_.averaged, *set_, held_, source,
                                                         {.memorisation = false, .stop = stop});
    out.stopped = !quality;
    if (!quality) return;
    record_.check_due = false;
    out.quality = quality->accuracy;
    constexpr double rise = 0.005;
    if (quality->accuracy > record_.best_quality + rise) {
      record_.best_quality = quality->accuracy;
      record_.checks_without_rise = 0;
    } else {
      record_.settled = ++record_.checks_without_rise >= settings_.patience;
    }
  }

  /// Everything that changes during the training.
  IOTSL_SMALL std::vector<NamedTensor<float>> state() const {
    std::vector<NamedTensor<float>> out;
    critic_.append_state(out);
    generator_.append_state(out);
    return out;
  }

  const data::Dataset* set_;
  std::vector<Index> samples_;
  GanSettings settings_;
  std::uint64_t seed_;
  std::uint32_t device_;
  data::HeldOutSplit held_;
  CriticSide critic_;
  GeneratorSide generator_;
  Record record_{.training = fingerprint()};
};

}  // namespace gan
IOTSL_NAMESPACE_END
