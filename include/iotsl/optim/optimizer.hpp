#pragma once
// SGD with momentum and Adam, as in PyTorch, with their state as named tensors that can travel.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/optim.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN

enum class OptimizerKind { sgd, adam };

inline const char* to_string(OptimizerKind kind) {
  return kind == OptimizerKind::sgd ? "sgd" : "adam";
}
inline Result<OptimizerKind> parse_optimizer(std::string_view text) {
  if (text == "sgd") return OptimizerKind::sgd;
  if (text == "adam") return OptimizerKind::adam;
  return failure(ErrorCode::usage, "optimizer '", text, "'; expected sgd or adam");
}

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::sgd;
  double lr = 1e-2;
  double weight_decay = 0;  ///< added to the gradient, as torch.optim does
  double momentum = 0;      ///< SGD
  bool nesterov = false;    ///< SGD
  double beta1 = 0.9;       ///< Adam (Kingma, Ba 2015)
  double beta2 = 0.999;     ///< Adam
  double eps = 1e-8;        ///< Adam
};

/// Updates parameters in place. State: `<parameter>.momentum_buffer` for SGD with momentum,
/// `<parameter>.exp_avg` and `<parameter>.exp_avg_sq` for Adam, and the number of steps.
template <class T>
class Optimizer {
 public:
  Optimizer() = default;
  Optimizer(std::vector<NamedTensor<T>> parameters, OptimizerOptions options)
      : parameters_(std::move(parameters)), options_(options) {
    check_options();
    for (const NamedTensor<T>& p : parameters_)
      for (const char* slot : slots())
        state_.push_back({p.name + "." + slot, Tensor<T>::zeros(p.tensor.shape())});
  }

  const OptimizerOptions& options() const { return options_; }
  void set_learning_rate(double lr) { options_.lr = lr; }
  const std::vector<NamedTensor<T>>& parameters() const { return parameters_; }

  /// One step with the gradients that backward() has left in the parameters, which it then clears.
  void step() {
    ++steps_;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Tensor<T> gradient = parameters_[i].tensor.grad();
      if (gradient.defined()) update(i, gradient);
      parameters_[i].tensor.clear_grad();
    }
  }
  /// One step with one gradient per parameter.
  void step(const std::vector<Tensor<T>>& gradients) {
    if (gradients.size() != parameters_.size())
      fail("optimizer: ", gradients.size(), " gradients for ", parameters_.size(), " parameters");
    ++steps_;
    for (std::size_t i = 0; i < parameters_.size(); ++i) update(i, gradients[i]);
  }

  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  const std::vector<NamedTensor<T>>& state() const { return state_; }

  /// Takes over a state; names and shapes must be those of state().
  Result<void> set_state(const std::vector<NamedTensor<T>>& state, std::int64_t steps) {
    if (state.size() != state_.size())
      return failure(ErrorCode::data, "optimizer state: ", state.size(), " tensors, expected ",
                     state_.size());
    for (std::size_t i = 0; i < state.size(); ++i)
      if (state[i].name != state_[i].name || !(state[i].tensor.shape() == state_[i].tensor.shape()))
        return failure(ErrorCode::data, "optimizer state: tensor ", i, " is ", state[i].name, " ",
                       state[i].tensor.shape(), ", expected ", state_[i].name, " ",
                       state_[i].tensor.shape());
    for (std::size_t i = 0; i < state.size(); ++i)
      std::copy_n(state[i].tensor.data(), state[i].tensor.size(), state_[i].tensor.mutable_data());
    steps_ = steps;
    return {};
  }

 private:
  std::vector<const char*> slots() const {
    if (options_.kind == OptimizerKind::adam) return {"exp_avg", "exp_avg_sq"};
    if (options_.momentum != 0) return {"momentum_buffer"};
    return {};
  }

  void check_options() const {
    const OptimizerOptions& o = options_;
    if (!(o.lr >= 0)) fail("optimizer: learning rate ", o.lr, "; expected at least 0");
    if (!(o.weight_decay >= 0))
      fail("optimizer: weight decay ", o.weight_decay, "; expected at least 0");
    if (!(o.momentum >= 0 && o.momentum < 1))
      fail("optimizer: momentum ", o.momentum, "; expected 0 <= m < 1");
    if (o.nesterov && o.momentum == 0) fail("optimizer: Nesterov needs a momentum above 0");
    if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1))
      fail("optimizer: betas ", o.beta1, " and ", o.beta2, "; expected 0 <= beta < 1");
    if (!(o.eps >= 0)) fail("optimizer: eps ", o.eps, "; expected at least 0");
  }

  void update(std::size_t i, const Tensor<T>& gradient) {
    Tensor<T>& weight = parameters_[i].tensor;
    if (!(gradient.shape() == weight.shape()))
      fail("optimizer: gradient ", gradient.shape(), " for ", parameters_[i].name, " ",
           weight.shape());
    const OptimizerOptions& o = options_;
    const Index n = weight.size();
    if (o.kind == OptimizerKind::sgd) {
      T* velocity = o.momentum != 0 ? state_[i].tensor.mutable_data() : nullptr;
      // The state begins at zero, so that the first step needs no case of its own.
      kernels::sgd_step(n, o.lr, o.momentum, o.weight_decay, o.nesterov, gradient.data(), velocity,
                        false, weight.mutable_data());
    } else {
      const double correction1 = 1 - scalar_math::pow(o.beta1, static_cast<double>(steps_));
      const double correction2 = 1 - scalar_math::pow(o.beta2, static_cast<double>(steps_));
      kernels::adam_step(n, o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, correction1, correction2,
                         gradient.data(), state_[2 * i].tensor.mutable_data(),
                         state_[2 * i + 1].tensor.mutable_data(), weight.mutable_data());
    }
  }

  std::vector<NamedTensor<T>> parameters_;
  std::vector<NamedTensor<T>> state_;
  OptimizerOptions options_;
  std::int64_t steps_ = 0;
};

IOTSL_FLOAT(class Optimizer<float>)

IOTSL_NAMESPACE_END
