#pragma once
// SGD with momentum and Adam, as in PyTorch, with their state as named tensors that can travel.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/elementwise/elementwise.hpp"
#include "iotsl/kernels/optim.hpp"
#include "iotsl/nn/module.hpp"
#include "iotsl/options/optimizer.hpp"

IOTSL_NAMESPACE_BEGIN

/// Updates parameters in place. State: `<parameter>.momentum_buffer` for SGD with momentum,
/// `<parameter>.exp_avg` and `<parameter>.exp_avg_sq` for Adam, and the number of steps. That is
/// one number for all parameters: Adam corrects one that got no gradient in some steps as if it
/// had, where PyTorch counts the steps of each. restart() begins anew, for layers that train from
/// now on.
///
/// With `ewc` > 0 also elastic weight consolidation (Kirkpatrick et al. 2017, equation 3), in the
/// form with one running sum instead of a penalty per task (online, as Schwarz et al. 2018 with
/// nothing forgotten): the gradient of ewc / 2 * sum F (w - anchor)^2 is added to each gradient.
/// `<parameter>.ewc_fisher` is F, the diagonal of the empirical Fisher information: the sum of the
/// squared batch gradients of all tasks before this one; `<parameter>.ewc_anchor` the weights at
/// the end of the last of them; `<parameter>.ewc_seen` what this task adds to F when
/// consolidate() ends it.
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

  void set_learning_rate(double lr) {
    check_rate(lr);
    options_.lr = lr;
  }
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

  /// Ends a task: what its steps have seen becomes part of the pull, towards the present weights.
  /// A second call without a step between, or without `ewc`, changes nothing.
  void consolidate() {
    if (options_.ewc == 0) return;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Tensor<T>& weight = parameters_[i].tensor;
      const std::size_t first = first_ewc_slot();
      T* seen = slot(i, first + 2);
      kernels::axpy<T>(weight.size(), 1, seen, slot(i, first));
      std::copy_n(weight.data(), weight.size(), slot(i, first + 1));
      std::fill_n(seen, weight.size(), T{0});
    }
  }

  /// Forgets every step, as if none had been taken; weights and learning rate stay.
  void restart() {
    for (NamedTensor<T>& slot : state_)
      std::fill_n(slot.tensor.mutable_data(), slot.tensor.size(), T{0});
    steps_ = 0;
  }

  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  const std::vector<NamedTensor<T>>& state() const { return state_; }

  /// Takes over a state; names and shapes must be those of state().
  Result<void> set_state(const std::vector<NamedTensor<T>>& state, std::int64_t steps) {
    if (steps < 0)
      return failure(ErrorCode::data, "optimizer state: ", steps, " steps, expected at least 0");
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
    std::vector<const char*> out;
    if (options_.kind == OptimizerKind::adam)
      out = {"exp_avg", "exp_avg_sq"};
    else if (options_.momentum != 0)
      out = {"momentum_buffer"};
    if (options_.ewc != 0)
      for (const char* name : {"ewc_fisher", "ewc_anchor", "ewc_seen"}) out.push_back(name);
    return out;
  }
  /// Slot number `k` of parameter `i`, counted as in slots().
  T* slot(std::size_t i, std::size_t k) {
    return state_[i * (state_.size() / parameters_.size()) + k].tensor.mutable_data();
  }
  /// Number of the first slot of elastic weight consolidation.
  std::size_t first_ewc_slot() const { return state_.size() / parameters_.size() - 3; }

  static void check_rate(double lr) {
    if (!(lr >= 0)) fail("optimizer: learning rate ", lr, "; expected at least 0");
  }
  void check_options() const {
    const OptimizerOptions& o = options_;
    check_rate(o.lr);
    if (!(o.weight_decay >= 0))
      fail("optimizer: weight decay ", o.weight_decay, "; expected at least 0");
    if (!(o.momentum >= 0 && o.momentum < 1))
      fail("optimizer: momentum ", o.momentum, "; expected 0 <= m < 1");
    if (o.nesterov && o.momentum == 0) fail("optimizer: Nesterov needs a momentum above 0");
    if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1))
      fail("optimizer: betas ", o.beta1, " and ", o.beta2, "; expected 0 <= beta < 1");
    if (!(o.eps >= 0)) fail("optimizer: eps ", o.eps, "; expected at least 0");
    if (!(o.ewc >= 0)) fail("optimizer: ewc ", o.ewc, "; expected at least 0");
  }

  void update(std::size_t i, const Tensor<T>& gradient) {
    Tensor<T>& weight = parameters_[i].tensor;
    if (!(gradient.shape() == weight.shape()))
      fail("optimizer: gradient ", gradient.shape(), " for ", parameters_[i].name, " ",
           weight.shape());
    if (options_.ewc == 0) return apply(i, gradient);
    Tensor<T> pulled = Tensor<T>::uninitialized(weight.shape());
    const std::size_t first = first_ewc_slot();
    kernels::elastic_gradient(weight.size(), options_.ewc, gradient.data(), slot(i, first),
                              slot(i, first + 1), weight.data(), slot(i, first + 2),
                              pulled.mutable_data());
    apply(i, pulled);
  }

  void apply(std::size_t i, const Tensor<T>& gradient) {
    Tensor<T>& weight = parameters_[i].tensor;
    const OptimizerOptions& o = options_;
    const Index n = weight.size();
    if (o.kind == OptimizerKind::sgd) {
      // The state begins at zero, so that the first step needs no case of its own.
      kernels::sgd_step(n, o.lr, o.momentum, o.weight_decay, o.nesterov, gradient.data(),
                        o.momentum != 0 ? slot(i, 0) : nullptr, false, weight.mutable_data());
    } else {
      const double correction1 = 1 - scalar_math::pow(o.beta1, static_cast<double>(steps_));
      const double correction2 = 1 - scalar_math::pow(o.beta2, static_cast<double>(steps_));
      kernels::adam_step(n, o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, correction1, correction2,
                         gradient.data(), slot(i, 0), slot(i, 1), weight.mutable_data());
    }
  }

  std::vector<NamedTensor<T>> parameters_;
  std::vector<NamedTensor<T>> state_;
  OptimizerOptions options_;
  std::int64_t steps_ = 0;
};

IOTSL_FLOAT(class Optimizer<float>)

IOTSL_NAMESPACE_END
