#pragma once
// A device's training of its generator, whatever its kind, one short step after the other.

#include <optional>

#include "iotsl/gan/private/trainer.hpp"
#include "iotsl/generators/generator_file.hpp"
#include "iotsl/generators/release.hpp"
#include "iotsl/moments/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

/// What decides a device's generator.
struct GeneratorTask {
  GeneratorSettings settings;
  std::uint64_t seed = 0;
  std::uint32_t device = 0;
};

/// Where a training stands.
struct TrainingProgress {
  Index iteration = 0, iterations = 0;
  gan::GanProgress net;  ///< of a net
};

class GeneratorTraining {
 public:
  /// `samples` are numbers in `set`, which must outlive this. `key` of the noise of a private
  /// training; `critics_file` for its critics where there are several: without one it cannot be
  /// saved. Raises an Error for wrong settings, no samples, or what planned_release() refuses.
  IOTSL_SMALL GeneratorTraining(const data::Dataset& set, std::vector<Index> samples,
                                GeneratorTask task, const privacy::ChaChaKey& key,
                                std::string critics_file = {})
      : set_(&set), task_(std::move(task)), label_counts_(data::count_labels(set, samples)) {
    const GeneratorSettings& s = task_.settings;
    if (const Result<void> good = check_settings(s, gan::image_spec(set)); !good)
      fail(good.failure().message);
    if (s.privacy.is_private() && !set.sha256.empty())
      data_ = to_hex(data::fingerprint(set.sha256, samples)).substr(0, 16);
    const data::Dataset* learned = set_;
    if (s.kind == GeneratorKind::net && s.net.generator == "coarse") {
      small_.emplace(gan::small_images(set, samples));
      small_->sha256 = to_hex(data::fingerprint(set.sha256, samples));  // a state is of these only
      learned = &*small_;
      samples = data::count_up(small_->size());
    }
    if (s.kind == GeneratorKind::net && s.privacy.is_private()) {
      const Result<NetNoise> noise = net_noise(s.privacy, s.net, samples.size());
      if (!noise) fail(noise.failure().message);
      private_net_.emplace(*learned, std::move(samples), s.net, noise->plan, task_.seed,
                           task_.device, key, std::move(critics_file));
      return;
    }
    if (s.kind == GeneratorKind::net) {
      net_.emplace(*learned, std::move(samples), s.net, task_.seed, task_.device);
      return;
    }
    // Which samples are held out may not depend on them: with privacy none are.
    if (!s.privacy.is_private()) held_ = gan::hold_out(set, samples, task_.seed);
    moments_.emplace(set, s.privacy.is_private() ? std::move(samples) : held_.train, s.moments,
                     key);
  }

  const GeneratorSettings& settings() const { return task_.settings; }
  bool is_private() const { return task_.settings.privacy.is_private(); }
  bool done() const {
    return net_ ? net_->done() : private_net_ ? private_net_->done() : moments_->done();
  }
  Index iteration() const {
    return net_           ? net_->iteration()
           : private_net_ ? private_net_->iteration()
                          : moments_->steps_done();
  }
  /// The most there will be.
  Index iterations() const { return moments_ ? moments_->steps() : task_.settings.net.iterations; }
  /// Iterations between two checks of the quality; 0: none.
  Index check_every() const { return net_ ? net_->check_every() : 0; }
  /// Seconds of training before load(), as save() was told.
  double seconds_before() const {
    return net_           ? net_->seconds_before()
           : private_net_ ? private_net_->seconds_before()
                          : moments_->seconds_before();
  }

  /// One iteration, which `stop` breaks off where it ends with a check of the quality. A failure
  /// leaves a state that is not to be saved.
  Result<TrainingProgress> step(const StopCheck& stop = {}) {
    TrainingProgress out;
    if (moments_) {
      moments_->step();
    } else {
      const Result<gan::GanProgress> now = net_ ? net_->step(stop) : private_net_->step();
      if (!now) return now.failure();
      out.net = *now;
    }
    out.iteration = iteration();
    out.iterations = iterations();
    return out;
  }

  /// The state, so that load() goes on with the same bits. That of a private training holds the key
  /// of its noise: a secret, readable for its owner only.
  IOTSL_SMALL Result<void> save(const std::string& path, double seconds = 0) {
    return net_           ? net_->save(path, seconds)
           : private_net_ ? private_net_->save(path, seconds)
                          : moments_->save(path, seconds);
  }
  /// Takes over a state of the same training; a refused file changes nothing.
  Result<void> load(const std::string& path) {
    return net_ ? net_->load(path) : private_net_ ? private_net_->load(path) : moments_->load(path);
  }

  /// The release of a private training, as its ledger has it.
  privacy::Release release() const {
    privacy::Release out = planned_release(task_.settings, records()).value();
    out.id = private_net_ ? private_net_->id() : moments_->id();
    out.data = data_;
    return out;
  }
  /// The failure with which enter_ledger() would refuse, as the ledger is now.
  IOTSL_SMALL Result<void> check_ledger(const std::string& path, double max_epsilon,
                                        bool new_data) const {
    Result<privacy::Ledger> ledger = privacy::read_ledger(path);
    if (!ledger) return ledger.failure();
    privacy::Release entry = release();
    entry.new_data = new_data;
    const Result<privacy::Ledger> with = privacy::with_release(
        std::move(ledger).value(), path, entry, task_.settings.privacy.delta, max_epsilon);
    return with ? Result<void>{} : with.failure();
  }
  /// Counts a private training in the ledger `path`, unless it is there; empty: in memory only. To
  /// be called before the first step, when save() has put the key of the noise on the disk, so that
  /// the training that goes on after a kill is the one that is counted. Refused past `max_epsilon`.
  /// `new_data`: the owner declares that no record is in an earlier release.
  IOTSL_SMALL Result<void> enter_ledger(const std::string& path, double max_epsilon,
                                        bool new_data) {
    privacy::Release entry = release();
    entry.new_data = new_data;
    if (path.empty()) {
      ledger_.releases = {std::move(entry)};
      return {};
    }
    Result<privacy::Ledger> entered =
        privacy::enter_release(path, entry, task_.settings.privacy.delta, max_epsilon);
    if (!entered) return entered.failure();
    ledger_ = std::move(entered).value();
    return {};
  }
  /// What the generator will promise, known before it is made.
  IOTSL_SMALL privacy::PrivacyCard promise() const {
    privacy::PrivacyCard card = privacy_card(task_.settings, records());
    if (!ledger_.releases.empty()) add_ledger(card, ledger_, release().id);
    return card;
  }

  /// What the file will say of itself, as far as it is known now: no quality yet.
  GeneratorCard card() const {
    GeneratorCard card;
    card.images = gan::image_spec(*set_);
    card.dataset = set_->name;
    card.class_names = set_->class_names;
    card.label_counts = label_counts_;
    card.seed = task_.seed;
    card.device = task_.device;
    if (moments_) card.trained_counts = moments_->counts();
    card.iterations = static_cast<std::uint64_t>(iteration());
    card.settings = task_.settings;
    card.privacy = promise();
    return card;
  }
  /// The training of moments, or null.
  const moments::Trainer* moments() const { return moments_ ? &*moments_ : nullptr; }

  /// Where done(): the generator with its card. Nothing where the check of its quality was stopped.
  IOTSL_SMALL std::optional<GeneratorFile> finish(const StopCheck& stop = {}) const {
    GeneratorCard card = this->card();
    if (!moments_) {
      std::optional<gan::TrainedNet> made =
          net_ ? net_->finish(stop) : std::optional(private_net_->finish());
      if (!made) return std::nullopt;
      card.quality = std::move(made->quality);
      NetGenerator net = net_generator(std::move(made->net), task_.settings.net, card.images);
      return GeneratorFile{std::move(card), std::move(net)};
    }
    GeneratorFile out{std::move(card), moments::Generator(moments_->release())};
    if (is_private()) return out;
    std::optional<gan::Quality> quality = check_moments(out, stop);
    if (!quality) return std::nullopt;
    out.card.quality = std::move(*quality);
    return out;
  }

 private:
  std::uint64_t records() const {
    std::uint64_t out = 0;
    for (const std::uint64_t count : label_counts_) out += count;
    return out;
  }

  std::optional<gan::Quality> check_moments(const GeneratorFile& file,
                                            const StopCheck& stop) const {
    const gan::QualityOptions options{.stop = stop};
    data::Dataset generated = gan::empty_set(set_->name, file.card.images);
    for (std::size_t label = 0; label < label_counts_.size(); ++label)
      if (file.generator.moments()->holds(static_cast<Index>(label)) &&
          !file.append(generated, static_cast<Index>(label), options.per_class, task_.seed, stop))
        return std::nullopt;
    return gan::check_images(generated, *set_, held_, task_.seed, options);
  }

  const data::Dataset* set_;
  GeneratorTask task_;
  std::vector<std::uint64_t> label_counts_;
  std::string data_;                    // a name for the samples, for the ledger; empty: not known
  std::optional<data::Dataset> small_;  // what a coarse net learns
  data::HeldOutSplit held_;             // of moments without privacy
  privacy::Ledger ledger_;              // of a private training that was entered
  // One of the three.
  std::optional<gan::GanTrainer> net_;
  std::optional<gan::PrivateTrainer> private_net_;
  std::optional<moments::Trainer> moments_;
};

}  // namespace generators
IOTSL_NAMESPACE_END
