#pragma once
// The two sides of a GAN's training, each with all that its updates remember.

#include <optional>

#include "iotsl/core/finite.hpp"
#include "iotsl/gan/settings.hpp"
#include "iotsl/gan/wgan_gp.hpp"
#include "iotsl/nn/state.hpp"
#include "iotsl/optim/ema.hpp"
#include "iotsl/optim/optimizer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// One seed for everything that device `device` draws in a training.
constexpr std::uint64_t device_seed(std::uint64_t seed, std::uint32_t device) {
  return seed * 0x9E3779B97F4A7C15u + device + 1;
}

namespace detail {

inline OptimizerOptions adam_options(const GanSettings& s) {
  return {.kind = OptimizerKind::adam, .lr = s.lr, .beta1 = s.beta1, .beta2 = s.beta2};
}

IOTSL_SMALL inline void append_state(std::vector<NamedTensor<float>>& to, const std::string& prefix,
                                     const std::vector<NamedTensor<float>>& from) {
  for (const NamedTensor<float>& t : from) to.push_back({prefix + t.name, t.tensor});
}

}  // namespace detail

/// The critic and its optimiser.
struct CriticSide {
  CriticNet<float> net;
  Optimizer<float> adam;

  IOTSL_SMALL CriticSide(const GanSettings& settings, const ImageSpec& images, std::uint64_t seed)
      : net(images, settings.width) {
    net.initialize(seed);
    adam = Optimizer<float>(net.parameters(), detail::adam_options(settings));
  }
  CriticSide(const CriticSide&) = delete;
  CriticSide& operator=(const CriticSide&) = delete;

  /// Appends everything that changes during the training, but the optimiser's number of steps.
  IOTSL_SMALL void append_state(std::vector<NamedTensor<float>>& out) const {
    const auto state = collect_state(net);
    detail::append_state(out, "critic/", state.parameters);
    detail::append_state(out, "critic/", state.buffers);
    detail::append_state(out, "critic-adam/", adam.state());
  }
};

/// The generator, its optimiser and the average of its weights, which is what leaves the device.
struct GeneratorSide {
  GeneratorNet<float> net, averaged;
  std::vector<NamedTensor<float>> average;  ///< the parameters of `averaged`
  Optimizer<float> adam;

  IOTSL_SMALL GeneratorSide(const GanSettings& settings, const ImageSpec& images,
                            std::uint64_t seed)
      : net(generator_spec(settings, images)), averaged(net.spec()) {
    net.initialize(seed);
    averaged.initialize(seed);
    adam = Optimizer<float>(net.parameters(), detail::adam_options(settings));
    average = averaged.parameters();
  }
  GeneratorSide(const GeneratorSide&) = delete;
  GeneratorSide& operator=(const GeneratorSide&) = delete;

  /// Appends everything that changes during the training, but the optimiser's number of steps.
  IOTSL_SMALL void append_state(std::vector<NamedTensor<float>>& out) const {
    detail::append_state(out, "generator/", net.parameters());
    detail::append_state(out, "generator-adam/", adam.state());
    detail::append_state(out, "average/", average);
  }
  /// A net of its own with the averaged weights.
  IOTSL_SMALL GeneratorNet<float> averaged_copy() const {
    GeneratorNet<float> out(averaged.spec());
    const std::vector<NamedTensor<float>> to = out.parameters();
    for (std::size_t i = 0; i < to.size(); ++i) {
      Tensor<float> values = to[i].tensor;
      std::copy_n(average[i].tensor.data(), values.size(), values.mutable_data());
    }
    return out;
  }
};

/// `n` numbers uniform in [0, 1): where between a real and a generated image the critic's slope is
/// looked at.
inline Tensor<float> draw_between(Index n, const Random& random) {
  Tensor<float> out = Tensor<float>::uninitialized(Shape{n});
  float* values = out.mutable_data();
  for (Index i = 0; i < n; ++i)
    values[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
  return out;
}

/// One update of a net, with gradients that have no NaN or Inf: a failure changes nothing but the
/// gradients.
IOTSL_SMALL inline Result<void> update_net(const char* net, const Tensor<float>& loss,
                                           Optimizer<float>& adam) {
  if (!all_finite(loss))
    return failure(ErrorCode::other, "the loss of the ", net, " is NaN or Inf");
  backward(loss);
  for (const NamedTensor<float>& p : adam.parameters())
    if (const Tensor<float> gradient = p.tensor.grad(); gradient.defined() && !all_finite(gradient))
      return failure(ErrorCode::other, "the gradient of the ", net, "'s ", p.name,
                     " has NaN or Inf");
  adam.step();
  return {};
}

}  // namespace gan
IOTSL_NAMESPACE_END
