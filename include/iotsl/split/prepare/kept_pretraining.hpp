#pragma once
// Pre-training is a function of what goes into it, and takes minutes. The run whose generators
// were given (--generators) may have done the same one: then its weights are those of this run.

#include "iotsl/impute/generation_log.hpp"
#include "iotsl/kernels/conv2d/algorithm.hpp"
#include "iotsl/nn/layer_list.hpp"
#include "iotsl/nn/state.hpp"
#include "iotsl/simd/target.hpp"
#include "iotsl/split/prepare/pretrain.hpp"
#include "iotsl/split/records/preparation_record.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// SHA-256 of everything that the pre-trained weights follow from: the net with its weights before
/// it, the samples that are generated and by which files, how they are trained on, and the
/// version, instructions and algorithms that compute it.
inline std::string pretraining_inputs(const Sequential<float>& joined,
                                      const impute::GenerationLog& log,
                                      const std::vector<GeneratorRecord>& generators,
                                      const PretrainOptions& o) {
  Json inputs = Json::object();
  inputs["version"] = IOTSL_VERSION_STRING;
  inputs["target"] = simd::name(simd::active_target());
  inputs["winograd"] = kernels::winograd_allowed();
  inputs["layers"] = describe_layers(joined);
  inputs["weights"] = state_sha256(joined);
  inputs["log"] = to_json_fields(log);
  Json files = Json::array();
  for (const GeneratorRecord& each : generators) files.push_back(each.sha256);
  inputs["generators"] = files;
  inputs["options"] = to_json_fields(o);
  return sha256_hex(to_text(inputs));
}

/// Puts the weights of the run in `folder` into `joined` where its pre-training had these inputs;
/// its record. Nothing, and `joined` as it was, where it has none of that kind, or a damaged one.
inline std::optional<PretrainingRecord> take_pretraining(const std::string& folder,
                                                         const std::string& inputs_sha256,
                                                         const Sequential<float>& joined) {
  const Result<PreparationRecord> run = read_preparation(folder);
  if (!run || !run->pretraining.done || run->pretraining.inputs_sha256 != inputs_sha256) return {};
  Result<std::vector<std::uint8_t>> bytes = read_file(join_path(folder, pretrained_name));
  if (!bytes || sha256_hex(*bytes) != run->pretraining.sha256) return {};
  const Result<SafeTensors> file = parse_safetensors(std::move(*bytes));
  if (!file || !load_state(joined, *file)) return {};
  return run->pretraining;
}

}  // namespace split
IOTSL_NAMESPACE_END
