#pragma once
// What the server carries out before the turns of a method with generators.

#include "iotsl/core/failpoint.hpp"
#include "iotsl/split/prepare/server_preparation.hpp"
#include "iotsl/split/protocol/server/server_machine.hpp"
#include "iotsl/split/records/quarantine_file.hpp"
#include "iotsl/split/records/smashed_caches.hpp"
#include "iotsl/split/server/server_transport.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class PreparationWork {
 public:
  PreparationWork(const RunConfig& config, const RunHooks& hooks)
      : devices_(static_cast<std::size_t>(config.devices)),
        classes_(static_cast<std::size_t>(config.model.images.classes)),
        preparation_(config, hooks) {}

  const Preparation& preparation() const { return preparation_; }

  /// Takes up what is there; what there is of the devices' generators, for the machine. What
  /// trained a generator of this run is what its device has to come back with: it goes to
  /// `fingerprints`.
  Result<GeneratorsOnHand> open(const QuarantineBook& quarantine,
                                std::vector<Sha256Digest>& fingerprints) {
    const Result<void> opened = preparation_.open();
    if (!opened) return opened.failure();
    GeneratorsOnHand out(devices_);
    fingerprints.resize(out.size());
    for (std::size_t d = 0; d < out.size(); ++d) {
      const GeneratorRecord& record = preparation_.generator(d);
      // Who was in quarantine when the run was prepared is not asked any more.
      const bool too_late = preparation_.complete() && record.sha256.empty() && quarantine.names(d);
      if (record.present || too_late)
        out[d] = GeneratorOnHand{record.fingerprint(), record.label_counts};
      if (fingerprints[d] == Sha256Digest{}) fingerprints[d] = record.fingerprint();
    }
    return out;
  }

  /// Checks and keeps a device's generator, and tells the machine.
  void store(ServerMachine& machine, const server_action::StoreGenerator& action) {
    const DeviceRecord& device = machine.devices()[action.device];
    Result<GeneratorRecord> good =
        preparation_.check(device.data_fingerprint, device.label_counts, action.upload);
    if (!good) return machine.on_generator_stored(action.connection, good.failure());
    const Result<Sha256Digest> stored =
        preparation_.store(action.device, std::move(good).value(), action.upload.file);
    if (!stored) return machine.abort(stored.failure());  // the disk, not the device
    machine.on_generator_stored(action.connection, stored);
  }

  /// Plans and pre-trains `joined` on what `devices` have. False where the user has stopped it.
  Result<bool> prepare(const std::vector<DeviceRecord>& devices, Sequential<float>& joined,
                       const EvaluationSets& sets, const SmashedCaches& caches) {
    std::vector<std::vector<std::uint64_t>> histograms;
    for (std::size_t d = 0; d < devices.size(); ++d) {
      histograms.push_back(devices[d].label_counts);
      // Of a device that has left and that this server has never seen: what it was prepared with.
      if (histograms[d].empty()) histograms[d] = preparation_.generator(d).label_counts;
      histograms[d].resize(classes_);
    }
    // Told before the long work; what imputation adds is known behind it.
    if (caches.keeps_samples())
      if (const Result<void> room = caches.check_room(samples_of(devices)); !room)
        return room.failure();
    return preparation_.prepare(joined, sets, std::move(histograms));
  }
  /// After prepare(): makes room for the smashed samples of all devices.
  Result<void> reserve(const std::vector<DeviceRecord>& devices, SmashedCaches& caches) const {
    if (!caches.keeps_samples()) return {};
    std::vector<std::uint64_t> samples = samples_of(devices);
    std::vector<std::string> names;
    for (const DeviceRecord& device : devices) names.push_back(device.name);
    const std::vector<ImputationOrder> orders = preparation_.orders();
    for (std::size_t d = 0; d < orders.size(); ++d) samples[d] += orders[d].added;
    return caches.reserve(samples, names);
  }
  Result<void> load_pretrained(const Sequential<float>& joined) const {
    return preparation_.load_pretrained(joined);
  }

  /// Sends a device its plan and the generators that it names.
  Result<void> send_imputation(ServerTransport& transport,
                               const server_action::Impute& action) const {
    auto messages = preparation_.imputation_messages(action.device);
    if (!messages) return messages.failure();
    IOTSL_FAILPOINT("server.impute.send");
    for (net::Message& message : *messages) transport.send(action.connection, std::move(message));
    return {};
  }

 private:
  static std::vector<std::uint64_t> samples_of(const std::vector<DeviceRecord>& devices) {
    std::vector<std::uint64_t> out;
    for (const DeviceRecord& device : devices) out.push_back(device.samples);
    return out;
  }

  std::size_t devices_, classes_;
  Preparation preparation_;
};

}  // namespace split
IOTSL_NAMESPACE_END
