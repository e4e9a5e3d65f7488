#pragma once
// Modes eq5, gswgan and joint: critics are trained on the samples without a bound; noise is on the
// gradient that one of them gives the generator. Each critic has a shard of its own.
//
// Which critic gives it is drawn afresh in every step from the noise's key. With gswgan the drawn
// one is trained for its step, so the critics' states tell the draws, and they are counted as known
// to all. With joint the critics are trained in turn, whatever is drawn: nothing but the noised
// gradient depends on the draw, which stays secret.

#include "iotsl/gan/private/critic_store.hpp"
#include "iotsl/gan/private/generator_gradient.hpp"
#include "iotsl/gan/private/task.hpp"
#include "iotsl/gan/trainer.hpp"
#include "iotsl/privacy/noise_key.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

class NoisedGenerator {
 public:
  /// `task` must outlive this. `critics_file`: see CriticStore; not needed for one critic.
  IOTSL_SMALL NoisedGenerator(const PrivateTask& task, std::string critics_file)
      : task_(&task),
        shards_(*task.set, task.samples, static_cast<Index>(task.plan.critics)),
        critic_(task.settings, image_spec(*task.set), device_seed(task.seed, 0)) {
    std::size_t floats = 0;
    for (const NamedTensor<float>& t : critic_state())
      floats += static_cast<std::size_t>(t.tensor.size());
    if (shards_.count() > 1) store_.emplace(std::move(critics_file), shards_.count(), floats);
  }

  /// Some critic steps, then the generator's, whose noise follows from key and iteration. Fails
  /// where the critics' file does.
  IOTSL_SMALL Result<void> iterate(Index iteration, GeneratorSide& generator,
                                   const privacy::ChaChaKey& key, GanProgress& out) {
    privacy::SecureRandom random = privacy::step_random(key, static_cast<std::uint32_t>(iteration));
    const auto drawn =
        static_cast<Index>(random.below(static_cast<std::uint64_t>(shards_.count())));
    const Index trained =
        task_->plan.mode == privacy::PrivacyMode::gswgan ? drawn : iteration % shards_.count();
    if (const Result<void> good = fetch(trained); !good) return good;
    for (Index k = 0; k < task_->settings.critic_steps; ++k)
      train_critic(trained, iteration * task_->settings.critic_steps + k, generator.net, out);
    if (const Result<void> good = keep(trained); !good) return good;
    if (drawn != trained)
      if (const Result<void> good = fetch(drawn); !good) return good;
    train_generator(iteration, generator, random, out);
    return {};
  }

  /// The only critic's state; of several, store() has it.
  void append_state(std::vector<NamedTensor<float>>& out) const {
    if (!store_) critic_.append_state(out);
  }
  std::int64_t critic_updates() const { return critic_.adam.steps(); }
  void set_critic_updates(std::int64_t steps) { critic_.adam.set_steps(steps); }
  std::optional<CriticStore>& store() { return store_; }

 private:
  std::vector<NamedTensor<float>> critic_state() const {
    std::vector<NamedTensor<float>> out;
    critic_.append_state(out);
    return out;
  }

  /// The critic of a shard into memory; its first weights where it had no turn yet.
  IOTSL_SMALL Result<void> fetch(Index shard) {
    if (!store_) return {};
    if (store_->holds(shard)) {
      const Result<std::uint64_t> updates = store_->read(shard, critic_state());
      if (!updates) return updates.failure();
      critic_.adam.set_steps(static_cast<std::int64_t>(*updates));
      return {};
    }
    critic_.net.initialize(device_seed(task_->seed, static_cast<std::uint32_t>(shard)));
    for (const NamedTensor<float>& t : critic_.adam.state()) {
      Tensor<float> values = t.tensor;
      std::fill_n(values.mutable_data(), values.size(), 0.0F);
    }
    critic_.adam.set_steps(0);
    return {};
  }
  IOTSL_SMALL Result<void> keep(Index shard) {
    if (!store_) return {};
    return store_->write(shard, critic_state(), static_cast<std::uint64_t>(critic_.adam.steps()));
  }

  /// Labels of the samples are drawn first, evenly, so that the generated images may have the same
  /// ones. An update with NaN or Inf is left out: it must not stop the training.
  IOTSL_SMALL void train_critic(Index shard, Index step, const GeneratorNet<float>& generator,
                                GanProgress& out) {
    const GanSettings& s = task_->settings;
    const data::Batch real = data::fetch_batch(
        *task_->set, shards_.draw(shard, s.batch, task_->numbers(Stream::gan_batch, step)));
    Tensor<float> fake;
    {
      const NoRecord values_only;
      fake = generator.forward(task_->noise(2 * step), real.labels);
    }
    critic_.net.follow_spectrum();
    const CriticLoss<float> loss =
        critic_loss<float>(critic_.net, real.x, fake, real.labels,
                           draw_between(s.batch, task_->numbers(Stream::gan_between, step)),
                           {.penalty = s.penalty, .drift = s.drift});
    out.wasserstein = loss.wasserstein;
    out.penalty = loss.penalty;
    if (update_net("critic", loss.total, critic_.adam)) return;
    for (const NamedTensor<float>& p : critic_.adam.parameters()) {
      Tensor<float> parameter = p.tensor;
      parameter.clear_grad();
    }
  }

  IOTSL_SMALL void train_generator(Index iteration, GeneratorSide& generator,
                                   privacy::SecureRandom& random, GanProgress& out) {
    const Index step = (iteration + 1) * task_->settings.critic_steps - 1;
    const std::vector<std::int32_t> labels = task_->labels(iteration);
    const Generated generated{generator.net.forward(task_->noise(2 * step + 1), labels), labels};
    {
      const NoRecord values_only;
      out.generator_loss = -static_cast<double>(
          mean(critic_.net.constant().forward(generated.images, labels)).item());
    }
    update_noised(generator.adam, noised_generator_gradient(generator.net, critic_.net, generated,
                                                            task_->plan, random));
    update_average(generator.average, generator.net.parameters(), task_->settings.average,
                   iteration);
  }

  const PrivateTask* task_;
  Shards shards_;
  CriticSide critic_;  // of the shard whose turn it is
  std::optional<CriticStore> store_;
};

}  // namespace gan
IOTSL_NAMESPACE_END
