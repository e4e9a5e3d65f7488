#include <memory>

#include "bench/work/net_work.hpp"
#include "bench/work/workloads.hpp"
#include "iotsl/gan/sample.hpp"
#include "iotsl/gan/wgan_gp.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/optim/optimizer.hpp"

namespace iotsl::bench {
namespace {

Tensor<float> uniform(const Shape& shape) {
  Tensor<float> out = Tensor<float>::uninitialized(shape);
  const Random random(1, Stream::user);
  float* values = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i)
    values[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
  return out;
}

std::vector<std::int32_t> labels_in_turn(Index n, Index classes) {
  std::vector<std::int32_t> out;
  for (Index i = 0; i < n; ++i) out.push_back(static_cast<std::int32_t>(i % classes));
  return out;
}

Shape batch_shape(const ModelSpec& spec, Index n) {
  Shape out = sample_shape(spec);
  out.set(0, n);
  return out;
}

/// Activations and their gradients, parameters with gradient and two values of the optimiser.
double training_bytes(const LayerCost& cost, Index n) {
  return 2.0 * static_cast<double>(cost.activation_bytes * n) +
         16.0 * static_cast<double>(cost.parameters);
}

/// Both nets of the GAN and a batch for them.
struct GanNets {
  GanNets(Index width, Index n)
      : generator({.width = width}),
        critic({}, width),
        real(uniform({n, 1, 28, 28})),
        alpha(uniform({n})),
        noise(gan::draw_noise(n, 10, false, Random(1, Stream::user), 0)),
        labels(labels_in_turn(n, 10)) {
    generator.initialize(1);
    critic.initialize(1);
  }
  GeneratorNet<float> generator;
  CriticNet<float> critic;
  Tensor<float> real, alpha, noise;
  std::vector<std::int32_t> labels;
};

constexpr OptimizerOptions gan_adam{
    .kind = OptimizerKind::adam, .lr = 1e-4, .beta1 = 0.5, .beta2 = 0.9};

/// Generous: every pass of work() writes what it moves.
double gan_bytes(const Work& work) { return work.bytes; }

}  // namespace

Workload train_step(const std::string& model, const std::string& optimizer_name,
                    const OptimizerOptions& options, Index batch) {
  const ModelSpec spec{.name = model};
  const auto net = build_model<float>(spec);
  const Shape shape = batch_shape(spec, batch);
  return {concat("train_step/", model, "/", optimizer_name, "/n", batch),
          net_work(net, shape).training(), training_bytes(net.cost(shape), batch), [=]() -> Run {
            auto trained = build_model<float>(spec);
            trained.initialize(1);
            // Shared: the optimiser cannot be copied, as std::function would have it.
            const auto optimizer =
                std::make_shared<Optimizer<float>>(trained.parameters(), options);
            return [trained, optimizer, x = uniform(shape),
                    labels = labels_in_turn(batch, spec.images.classes)]() mutable {
              backward(
                  softmax_cross_entropy(trained.forward(x), std::span<const std::int32_t>(labels)));
              optimizer->step();
            };
          }};
}

Workload predict_step(const std::string& model, Index batch) {
  const ModelSpec spec{.name = model};
  const auto net = build_model<float>(spec);
  const Shape shape = batch_shape(spec, batch);
  return {concat("predict/", model, "/n", batch), net_work(net, shape).all,
          training_bytes(net.cost(shape), batch) / 2, [=]() -> Run {
            auto trained = build_model<float>(spec);
            trained.initialize(1);
            return [trained, x = uniform(shape)] { trained.predict(x); };
          }};
}

Workload device_step(Index batch) {
  const ModelSpec spec;
  const auto front_of = [spec] {
    auto net = build_model<float>(spec);
    net.initialize(1);
    return net.slice(0, find_cut(net, spec, "").value());
  };
  const auto counted = front_of();
  const Shape shape = batch_shape(spec, batch);
  return {
      concat("device_step/", spec.name, "/n", batch), net_work(counted, shape).training(),
      training_bytes(counted.cost(shape), batch), [=]() -> Run {
        auto front = front_of();
        Tensor<float> gradient = Tensor<float>::uninitialized(front.output_shape(shape).value());
        fill_normal(gradient, 1.0, 1, 0);
        return [front, gradient, x = uniform(shape), parameters = front.parameters()]() mutable {
          backward(front.forward(x), gradient);
          for (NamedTensor<float>& p : parameters) p.tensor.clear_grad();
        };
      }};
}

Workload critic_step(Index width, Index batch) {
  const LayersWork critic = critic_work({}, width, batch);
  const Work images = generator_work(lay_out({.width = width}), batch).all;
  // Forward of real, generated and mixed images, the input gradient of the mixed; of the first two
  // both gradients but that of the images; of the mixed, through that input gradient, the gradients
  // of what went into it: the gradients of each layer and its weights.
  Work work = images + 3 * critic.all + critic.all;
  work += 2 * (2 * critic.all + (-1) * critic.first) + 2 * critic.all;
  return {concat("gan/critic/w", width, "/n", batch), work, gan_bytes(work), [=]() -> Run {
            const auto nets = std::make_shared<GanNets>(width, batch);
            const auto optimizer =
                std::make_shared<Optimizer<float>>(nets->critic.parameters(), gan_adam);
            return [nets, optimizer] {
              Tensor<float> fake;
              {
                const NoRecord values_only;
                fake = nets->generator.forward(nets->noise, nets->labels);
              }
              nets->critic.follow_spectrum();
              backward(
                  gan::critic_loss<float>(nets->critic, nets->real, fake, nets->labels, nets->alpha)
                      .total);
              optimizer->step();
            };
          }};
}

Workload generator_step(Index width, Index batch) {
  const LayersWork critic = critic_work({}, width, batch);
  const LayersWork images = generator_work(lay_out({.width = width}), batch);
  const Work work = images.training() + 2 * critic.all;  // the critic's weights are constants
  return {concat("gan/generator/w", width, "/n", batch), work, gan_bytes(work), [=]() -> Run {
            const auto nets = std::make_shared<GanNets>(width, batch);
            const auto optimizer =
                std::make_shared<Optimizer<float>>(nets->generator.parameters(), gan_adam);
            return [nets, optimizer] {
              backward(gan::generator_loss<float>(nets->critic, nets->generator, nets->noise,
                                                  nets->labels));
              optimizer->step();
            };
          }};
}

Workloads step_workloads(const Scale& scale) {
  const char* const model = "vgg16bn-compact";
  return {device_step(scale.small_step_batch),
          device_step(scale.step_batch),
          train_step(model, "sgd", {.lr = 0.01, .momentum = 0.9}, scale.step_batch),
          predict_step(model, 1),
          predict_step(model, scale.step_batch),
          critic_step(scale.gan_width, scale.gan_batch),
          generator_step(scale.gan_width, scale.gan_batch)};
}

}  // namespace iotsl::bench
