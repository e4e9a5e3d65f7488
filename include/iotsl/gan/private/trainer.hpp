#pragma once
// A device trains its generator privately, in as many steps as were fixed beforehand: nothing about
// the samples stops it. The noise of a step follows from the training's secret key and the step's
// number, so that one that was stopped goes on with the same bits and releases nothing twice.

#include "iotsl/gan/private/noised_critic.hpp"
#include "iotsl/gan/private/noised_generator.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

class PrivateTrainer {
 public:
  /// `samples` are numbers in `set`, which must outlive the trainer; none is held out. `key` of the
  /// noise: from privacy::new_noise_key(), not used for any other training, and secret.
  /// `critics_file` holds the critics where there are several; without one such a training cannot
  /// be saved. Raises an Error for wrong settings, no samples, or fewer than critics.
  IOTSL_SMALL PrivateTrainer(const data::Dataset& set, std::vector<Index> samples,
                             GanSettings settings, const NoisePlan& plan, std::uint64_t seed,
                             std::uint32_t device, const privacy::ChaChaKey& key,
                             std::string critics_file = {})
      : task_(make_task(set, std::move(samples), std::move(settings), plan,
                        device_seed(seed, device))),
        generator_(task_.settings, image_spec(set), task_.seed),
        key_(key) {
    if (plan.mode == privacy::PrivacyMode::dp_sgd)
      noised_critic_.emplace(task_);
    else
      noised_generator_.emplace(task_, std::move(critics_file));
    record_.training = fingerprint();
  }
  PrivateTrainer(const PrivateTrainer&) = delete;
  PrivateTrainer& operator=(const PrivateTrainer&) = delete;
  IOTSL_SMALL ~PrivateTrainer() { privacy::detail::wipe(key_); }

  bool done() const { return record_.iteration >= task_.settings.iterations; }
  Index iteration() const { return record_.iteration; }
  /// Tells this training from every other one and says nothing of the key.
  std::string id() const { return to_hex(sha256(ByteSpan(key_))); }
  /// Seconds of training before load(), as save() was told.
  double seconds_before() const { return record_.seconds; }

  /// One iteration; what it says of losses is for the device's eyes only. Fails only where the
  /// critics' file does; the state is then not to be saved.
  IOTSL_SMALL Result<GanProgress> step() {
    if (done()) fail("GAN: the training is done");
    GanProgress out;
    if (noised_critic_) {
      noised_critic_->iterate(record_.iteration, generator_, key_, out);
    } else if (const Result<void> good =
                   noised_generator_->iterate(record_.iteration, generator_, key_, out);
               !good) {
      return good.failure();
    }
    out.iteration = ++record_.iteration;
    return out;
  }

  /// The generator's averaged weights. Nothing is said of their quality: that would be told of the
  /// samples.
  TrainedNet finish() const { return {generator_.averaged_copy(), {}}; }

  /// Writes the whole state atomically, readable for its owner alone: whoever has the key can take
  /// the noise off. `seconds`: of training since load().
  IOTSL_SMALL Result<void> save(const std::string& path, double seconds = 0) {
    CriticStore* critics = store();
    if (critics != nullptr && !critics->has_name())
      return failure(ErrorCode::usage, path,
                     ": a training with several critics is saved only where they have a file");
    if (critics != nullptr)
      if (const Result<void> synced = critics->sync(); !synced) return synced;
    Record record = record_;
    record.seconds += seconds;
    record.generator_updates = generator_.adam.steps();
    record.critic_updates =
        noised_critic_ ? noised_critic_->critic_updates() : noised_generator_->critic_updates();
    if (noised_critic_) record.ladder = noised_critic_->ladder();
    const Result<void> saved = save_training(path, training_kind, to_text(to_json_fields(record)),
                                             state(), extra_sections(), 0600);
    if (saved && critics != nullptr) critics->saved();
    return saved;
  }
  /// Takes over a state of the same training, its key too; a refused file changes nothing.
  IOTSL_SMALL Result<void> load(const std::string& path) {
    const std::vector<NamedTensor<float>> tensors = state();
    const Result<SavedTraining> saved =
        SavedTraining::read(path, training_kind, tensors, extra_sections());
    if (!saved) return saved.failure();
    const Result<Record> record = saved->checked<Record>(record_.training);
    if (!record) return record.failure();
    if (!record->ladder.sound())
      return failure(ErrorCode::data, path, ": the ladder of critic steps cannot be one");
    saved->copy_to(tensors);
    const ByteSpan key = saved->extra("key");
    std::copy(key.begin(), key.end(), key_.begin());
    if (CriticStore* critics = store()) {
      const ByteSpan bytes = saved->extra("critics");
      std::vector<CriticStore::Place> places(critics->places().size());
      std::memcpy(places.data(), bytes.data(), bytes.size());
      critics->restore(places);
    }
    record_ = *record;
    generator_.adam.set_steps(record_.generator_updates);
    if (noised_critic_) {
      noised_critic_->set_critic_updates(record_.critic_updates);
      noised_critic_->set_ladder(record_.ladder);
    } else {
      noised_generator_->set_critic_updates(record_.critic_updates);
    }
    return {};
  }

 private:
  static constexpr const char* training_kind = "private-gan-training";

  /// What a stopped training remembers beside its tensors and its key.
  struct Record {
    std::string training;  ///< fingerprint of everything but the key that decides the numbers
    Index iteration = 0;
    Index critic_updates = 0, generator_updates = 0;
    Ladder ladder;  ///< of dp-sgd
    double seconds = 0;

    template <class Self, class Fields>
    static void json_fields(Self& self, Fields& f) {
      f("training", self.training);
      f("iteration", self.iteration);
      f("critic_updates", self.critic_updates);
      f("generator_updates", self.generator_updates);
      f("ladder", self.ladder);
      f("seconds", self.seconds);
    }
  };

  IOTSL_SMALL static PrivateTask make_task(const data::Dataset& set, std::vector<Index> samples,
                                           GanSettings settings, const NoisePlan& plan,
                                           std::uint64_t seed) {
    if (samples.empty()) fail("GAN: no samples to train on");
    if (const Result<void> good = check_shards(plan.critics, samples.size()); !good)
      fail(good.failure().message);
    std::vector<std::int32_t> classes = held_classes(set, samples);
    return {&set, std::move(samples), checked(std::move(settings)), plan, seed, std::move(classes)};
  }

  /// Stays on the device: it says which samples are trained on.
  IOTSL_SMALL std::string fingerprint() const {
    Sha256 hash;
    hash.update(to_text(to_json_fields(task_.settings)))
        .update(to_text(to_json_fields(task_.plan)));
    hash.update(concat(task_.seed, "/")).update(task_.set->sha256);
    hash.update(iotsl::bytes_of(task_.samples.data(), task_.samples.size()));
    return to_hex(hash.digest());
  }

  CriticStore* store() {
    return noised_generator_ && noised_generator_->store() ? &*noised_generator_->store() : nullptr;
  }
  IOTSL_SMALL std::vector<NamedTensor<float>> state() const {
    std::vector<NamedTensor<float>> out;
    if (noised_critic_) noised_critic_->append_state(out);
    if (noised_generator_) noised_generator_->append_state(out);
    generator_.append_state(out);
    return out;
  }
  IOTSL_SMALL std::vector<Section> extra_sections() {
    std::vector<Section> out{{"key", ByteSpan(key_)}};
    if (CriticStore* critics = store()) {
      const auto places = critics->places();
      out.push_back({"critics", iotsl::bytes_of(places.data(), places.size())});
    }
    return out;
  }

  PrivateTask task_;
  GeneratorSide generator_;
  privacy::ChaChaKey key_;
  std::optional<NoisedGenerator> noised_generator_;  // eq5, gswgan, joint
  std::optional<NoisedCritic> noised_critic_;        // dp-sgd
  Record record_;
};

}  // namespace gan
IOTSL_NAMESPACE_END
