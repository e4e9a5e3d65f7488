#pragma once
// What a run leaves on disk: the joined net with torchvision's names, and at each turn's end both
// halves with their optimiser state in one file.

#include "iotsl/nn/state.hpp"
#include "iotsl/optim/optimizer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

inline constexpr const char* checkpoint_name = "checkpoint.safetensors";
inline constexpr const char* model_name = "model.safetensors";

/// Where a checkpoint stands in its run.
struct CheckpointPosition {
  std::uint64_t turns = 0;  ///< complete
  std::uint64_t step = 0;   ///< last applied
};

/// Writes weights under their own names and optimiser slots as `optimizer.<parameter>.<slot>`;
/// atomically. The optimisers may be one for each half, or one for the whole net.
inline Result<void> write_checkpoint(const std::string& folder, const Sequential<float>& joined,
                                     const std::vector<const Optimizer<float>*>& optimizers,
                                     const CheckpointPosition& position) {
  std::vector<SafeTensor> tensors = state_views(joined);
  SafeMetadata metadata{{"format", "iotsl-checkpoint-1"},
                        {"turns", std::to_string(position.turns)},
                        {"step", std::to_string(position.step)}};
  for (std::size_t i = 0; i < optimizers.size(); ++i) {
    for (const NamedTensor<float>& slot : optimizers[i]->state())
      tensors.push_back(safe_tensor("optimizer." + slot.name, slot.tensor));
    metadata.emplace_back(concat("optimizer_steps.", i), std::to_string(optimizers[i]->steps()));
  }
  return save_safetensors(join_path(folder, checkpoint_name), tensors, metadata);
}

/// Writes the weights alone, for `predict` and for a strict load_state_dict.
inline Result<void> write_model(const std::string& folder, const Sequential<float>& joined) {
  return save_safetensors(join_path(folder, model_name), state_views(joined));
}

}  // namespace split
IOTSL_NAMESPACE_END
