#pragma once
// The preparation of an IoTSL run whose devices are all in this process, without messages.

#include "iotsl/privacy/data_id.hpp"
#include "iotsl/split/device/device_work.hpp"
#include "iotsl/split/prepare/server_preparation.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// The files of a device of a run in one process, whose samples have this fingerprint. A private
/// one does not tell it.
inline Result<DeviceFiles> inproc_files(const RunConfig& config, std::size_t device,
                                        const Sha256Digest& data_fingerprint) {
  DeviceFiles out;
  out.data_fingerprint = data_fingerprint;
  if (!config.out.empty()) out.state = device_training_folder(config, device);
  out.private_only = config.preparation.generator.privacy.is_private();
  if (!out.private_only || out.state.empty()) return out;
  out.keep_ledger_in_state();
  const Result<Sha256Digest> id = privacy::data_id(out.state, data_fingerprint);
  if (!id) return id.failure();
  out.data_fingerprint = *id;
  return out;
}

namespace detail {

/// Trains the generator of one device. False where the user has stopped it.
inline Result<bool> train_generator(Preparation& preparation, const RunConfig& config,
                                    const RunHooks& hooks, const data::Dataset& train,
                                    const std::vector<Index>& samples, std::uint32_t device) {
  Result<DeviceFiles> files =
      inproc_files(config, device, data::fingerprint(train.sha256, samples));
  if (!files) return files.failure();
  const Sha256Digest fingerprint = files->data_fingerprint;
  GeneratorWork work(train, samples, {config.preparation.generator, config.seed, device},
                     std::move(files).value(), {hooks.should_stop, hooks.context});
  for (;;) {
    if (hooks.stop_requested()) {
      const Result<void> saved = work.save();
      if (!saved) return saved.failure();
      return false;
    }
    const Result<bool> last = work.step();
    if (!last) return last;
    if (const std::string note = work.take_note(); !note.empty() && hooks.on_note != nullptr)
      hooks.on_note(hooks.context, note);
    if (*last) break;
  }
  const TrainedGenerator made = work.finish();
  net::GenUpload upload;
  upload.cost = made.cost;
  upload.file = made.file;
  Result<GeneratorRecord> good =
      preparation.check(fingerprint, data::count_labels(train, samples), upload);
  if (!good) return good.failure();
  const auto stored = preparation.store(device, std::move(good).value(), upload.file);
  if (!stored) return stored.failure();
  return true;
}

}  // namespace detail

/// Generators, plan and pre-training of `joined`, as far as `preparation` has not done it. False
/// where the user has stopped it.
inline Result<bool> prepare_inproc(Preparation& preparation, const RunConfig& config,
                                   const RunHooks& hooks, const data::Dataset& train,
                                   const EvaluationSets& sets,
                                   const std::vector<std::vector<Index>>& samples,
                                   Sequential<float>& joined) {
  std::vector<std::vector<std::uint64_t>> histograms;
  for (std::size_t d = 0; d < samples.size(); ++d) {
    histograms.push_back(data::count_labels(train, samples[d]));
    if (preparation.generator(d).present) continue;
    const Result<bool> trained = detail::train_generator(preparation, config, hooks, train,
                                                         samples[d], static_cast<std::uint32_t>(d));
    if (!trained || !*trained) return trained;
  }
  return preparation.prepare(joined, sets, histograms);
}

/// The samples of one device as its turns use them.
struct DeviceSamples {
  std::unique_ptr<data::Dataset> completed;  ///< null: the own samples are all
  const data::Dataset* set = nullptr;
  std::vector<Index> samples;  ///< numbers in `set`
};

/// Of device number `device`, which holds `samples` of `train`.
inline Result<DeviceSamples> complete_samples(const Preparation& preparation, std::size_t device,
                                              const data::Dataset& train,
                                              const std::vector<Index>& samples) {
  DeviceSamples out{nullptr, &train, samples};
  Result<std::optional<data::Dataset>> completed = preparation.completed(device, train, samples);
  if (!completed) return completed.failure();
  if (!completed->has_value()) return out;
  out.completed = std::make_unique<data::Dataset>(std::move(**completed));
  out.set = out.completed.get();
  out.samples = data::count_up(out.set->size());
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
