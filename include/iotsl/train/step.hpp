#pragma once
// What every training step does beside its gradients, with one net or with the halves of one.

#include <span>

#include "iotsl/core/finite.hpp"
#include "iotsl/nn/sequential.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/ops/reduce.hpp"

IOTSL_NAMESPACE_BEGIN
namespace train {

/// What a step has found out about its batch.
struct StepOutcome {
  double loss = 0;    ///< mean over the batch
  Index correct = 0;  ///< before the update
};

/// The tensors without their names.
template <class T>
std::vector<Tensor<T>> tensors_of(const std::vector<NamedTensor<T>>& named) {
  std::vector<Tensor<T>> out;
  for (const auto& t : named) out.push_back(t.tensor);
  return out;
}

/// Numbers of dropout: a function of the run's seed and of the step.
inline ForwardMode training_mode(std::uint64_t seed, std::uint64_t step,
                                 ProductPrecision precision = {}) {
  return {.training = true,
          .seed = seed,
          .step = static_cast<std::uint32_t>(step),
          .precision = precision};
}

/// How many of the first rows of `logits` [N,M], one for each label, are largest at their label.
template <class T>
Index count_correct(const Tensor<T>& logits, std::span<const std::int32_t> labels) {
  const Index classes = logits.extent(1);
  const T* row = logits.data();
  Index correct = 0;
  for (const std::int32_t label : labels) {
    correct += argmax(row, classes) == label;
    row += classes;
  }
  return correct;
}

/// NaN and Inf must not enter weights: the name of the first parameter whose gradient has one.
inline Result<void> check_gradients(const std::vector<Tensor<float>>& gradients,
                                    const std::vector<NamedTensor<float>>& parameters) {
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (!all_finite(gradients[i]))
      return failure(ErrorCode::other, "the gradient of '", parameters[i].name,
                     "' has NaN or Inf; a smaller learning rate may help");
  return {};
}

}  // namespace train
IOTSL_NAMESPACE_END
