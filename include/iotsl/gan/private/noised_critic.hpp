#pragma once
// Mode dp-sgd: noise on the critic's gradient, record by record; the generator sees the critic only
// and is post-processing (Bie, Kamath, Zhang, "Private GANs, revisited", TMLR 2023). As there, the
// loss is the logistic one: that of WGAN-GP would need a second derivative for each record.

#include "iotsl/gan/private/generator_gradient.hpp"
#include "iotsl/gan/private/ladder.hpp"
#include "iotsl/gan/private/per_sample.hpp"
#include "iotsl/gan/private/poisson.hpp"
#include "iotsl/gan/private/task.hpp"
#include "iotsl/gan/trainer.hpp"
#include "iotsl/privacy/noise_key.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// The sum over a Poisson batch of each record's clipped gradient with respect to the leaves, with
/// noise: all that a step takes from the samples.
IOTSL_SMALL inline std::vector<double> noised_record_gradient(const CriticLeaves& leaves,
                                                              const PrivateTask& task, double rate,
                                                              privacy::SecureRandom& random) {
  const NoiseScale noise = task.scale();
  std::vector<double> sum(leaves.size());
  for (const Index record : poisson_sample(task.samples, rate, random)) {
    const data::Batch one = data::fetch_batch(*task.set, {&record, 1});
    add_clipped_gradients(leaves, one.x, one.labels, true, noise.bound, sum);
  }
  SecureNormal normal(random);
  for (double& v : sum) v += noise.deviation * normal();
  return sum;
}

class NoisedCritic {
 public:
  /// `task` must outlive this.
  IOTSL_SMALL explicit NoisedCritic(const PrivateTask& task)
      : task_(&task),
        rate_(sampling_rate(task.plan.mode, 1, task.settings, task.samples.size())),
        critic_(task.settings, image_spec(*task.set), task.seed),
        ladder_(task.settings.critic_steps) {}

  /// critic_steps noised steps of the critic, and those of the generator that fall due.
  IOTSL_SMALL void iterate(Index iteration, GeneratorSide& generator, const privacy::ChaChaKey& key,
                           GanProgress& out) {
    for (Index k = 0; k < task_->settings.critic_steps; ++k) {
      const Index step = iteration * task_->settings.critic_steps + k;
      train_critic(step, generator.net, key);
      if (ladder_.critic_stepped()) train_generator(step, generator, out);
    }
  }

  void append_state(std::vector<NamedTensor<float>>& out) const { critic_.append_state(out); }
  std::int64_t critic_updates() const { return critic_.adam.steps(); }
  void set_critic_updates(std::int64_t steps) { critic_.adam.set_steps(steps); }
  const Ladder& ladder() const { return ladder_; }
  void set_ladder(const Ladder& ladder) { ladder_ = ladder; }

 private:
  IOTSL_SMALL void train_critic(Index step, const GeneratorNet<float>& generator,
                                const privacy::ChaChaKey& key) {
    const GanSettings& s = task_->settings;
    privacy::SecureRandom random = privacy::step_random(key, static_cast<std::uint32_t>(step));
    critic_.net.follow_spectrum();
    const CriticLeaves leaves(critic_.net.normalized());
    std::vector<double> sum = noised_record_gradient(leaves, *task_, rate_, random);
    // Generated images need no noise, but the same clipping: else they would weigh more.
    const std::vector<std::int32_t> labels = task_->labels(2 * step);
    Tensor<float> fake;
    {
      const NoRecord values_only;
      fake = generator.forward(task_->noise(2 * step), labels);
    }
    add_clipped_gradients(leaves, fake, labels, false, task_->scale().bound, sum);
    update_noised(critic_.adam, leaves.to_parameters(sum, 1 / static_cast<double>(s.batch),
                                                     critic_.adam.parameters()));
  }

  /// The non-saturating loss, mean softplus(-D(G(noise, labels))).
  IOTSL_SMALL void train_generator(Index step, GeneratorSide& generator, GanProgress& out) {
    const std::vector<std::int32_t> labels = task_->labels(2 * step + 1);
    const Tensor<float> images = generator.net.forward(task_->noise(2 * step + 1), labels);
    const Tensor<float> scores = critic_.net.constant().forward(images, labels);
    const auto rows = static_cast<double>(labels.size());
    Tensor<float> seed = Tensor<float>::uninitialized(scores.shape());
    double found = 0, loss = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto score = static_cast<double>(scores.data()[i]);
      seed.mutable_data()[i] = static_cast<float>(logistic_slope(score, true) / rows);
      found += score < 0 ? 1 / rows : 0;
      loss += (score < 0 ? -score : 0) +
              scalar_math::log1p(scalar_math::exp(score < 0 ? score : -score));
    }
    std::vector<Tensor<float>> parameters;
    for (const NamedTensor<float>& p : generator.net.parameters()) parameters.push_back(p.tensor);
    update_noised(generator.adam, grad({scores}, parameters, {seed}));
    update_average(generator.average, generator.net.parameters(), task_->settings.average,
                   generator.adam.steps() - 1);
    ladder_.generator_stepped(found);
    out.generator_loss = loss / rows;
  }

  const PrivateTask* task_;
  double rate_;
  CriticSide critic_;
  Ladder ladder_;
};

}  // namespace gan
IOTSL_NAMESPACE_END
