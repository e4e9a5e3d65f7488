#pragma once
// The device's part of ISL before the turns of an IoTSL run: it trains its generator, one
// iteration at a time, and sends it; it takes the plan of imputation and the generators that fill
// what it lacks.
//
//   where JOIN_OK asks for it: training the generator -> waiting for GEN_ACK -> idle
//   whenever idle: IMPUTE_PLAN -> receiving each GEN_DOWNLOAD -> completing the data -> idle
//
// A lost connection ends both; what is trained so far is kept by the one who trains, and the server
// asks again.

#include "iotsl/impute/histogram.hpp"
#include "iotsl/split/protocol/device/device_outbox.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What a device may be told to generate: no class beyond its mean class size, by the generators of
/// other devices, each named once.
inline Result<void> check_impute_plan(const net::ImputePlan& plan,
                                      const std::vector<std::uint64_t>& label_counts,
                                      std::uint32_t index, std::uint32_t devices) {
  const auto wrong = [](const auto&... parts) {
    return failure(ErrorCode::network, "IMPUTE_PLAN: ", parts...);
  };
  std::uint64_t least = 0;
  for (const net::ImputePlan::Generator& generator : plan.generators) {
    if (generator.device < least || generator.device >= devices || generator.device == index)
      return wrong("generator of device ", generator.device, " is not another one of ", devices,
                   ", in rising order");
    least = std::uint64_t{generator.device} + 1;
  }
  std::vector<Index> held;
  for (const std::uint64_t count : label_counts) held.push_back(static_cast<Index>(count));
  const auto most = static_cast<std::uint64_t>(impute::target_class_size(held));
  std::vector<std::uint64_t> counts = label_counts;
  for (const net::ImputePlan::Entry& entry : plan.entries) {
    if (entry.label >= counts.size())
      return wrong("class ", entry.label, " of ", counts.size(), " classes");
    std::uint64_t& count = counts[entry.label];
    if (entry.count > most || count + entry.count > most)
      return wrong(entry.count, " samples for class ", entry.label, ", of which there are ", count,
                   "; it is filled up to ", most, " at most");
    count += entry.count;
  }
  return {};
}

class DeviceGeneratorExchange {
 public:
  enum class State { idle, training, waiting_ack, receiving };

  State state() const { return state_; }
  /// SHA-256 of the IMPUTE_PLAN that the data is completed with; zeros: of none.
  const Sha256Digest& imputed() const { return imputed_; }

  /// Trains the generator, from where it stands.
  void begin(DeviceOutbox& out) {
    state_ = State::training;
    out.ask(device_action::TrainGenerator{});
  }

  /// One iteration is done; true: it was the last.
  [[nodiscard]] DeviceVerdict on_trained(const Result<bool>& last, DeviceOutbox& out) {
    if (state_ != State::training) return {};
    if (!last) return DeviceRefusal{net::WireError::run_failed, last.failure()};
    if (*last)
      out.ask(device_action::FinishGenerator{});
    else
      out.ask(device_action::TrainGenerator{});
    return {};
  }

  [[nodiscard]] DeviceVerdict on_finished(const Result<TrainedGenerator>& generator,
                                          DeviceOutbox& out) {
    if (state_ != State::training) return {};
    if (!generator) return DeviceRefusal{net::WireError::run_failed, generator.failure()};
    own_hash_ = sha256(generator->file);
    net::GenUpload upload;
    upload.brought = generator->brought;
    upload.cost = generator->cost;
    upload.file = generator->file;
    state_ = State::waiting_ack;
    out.send(upload);
    return {};
  }

  [[nodiscard]] DeviceVerdict on_ack(const net::Message& message) {
    if (state_ != State::waiting_ack) return DeviceRefusal::not_allowed(message.type);
    const Result<net::GenAck> ack = net::decode<net::GenAck>(message.payload);
    if (!ack) return DeviceRefusal::damaged(ack.failure());
    if (ack->sha256 != own_hash_)
      return DeviceRefusal::because(net::WireError::protocol, "GEN_ACK of another generator");
    state_ = State::idle;
    return {};
  }

  /// `label_counts` of the device's own samples.
  [[nodiscard]] DeviceVerdict on_plan(const net::Message& message, const net::HelloOk& setup,
                                      const std::vector<std::uint64_t>& label_counts) {
    if (state_ != State::idle || setup.description.generator.empty())
      return DeviceRefusal::not_allowed(message.type);
    Result<net::ImputePlan> plan = net::decode<net::ImputePlan>(message.payload);
    if (!plan) return DeviceRefusal::damaged(plan.failure());
    const Result<void> good = check_impute_plan(*plan, label_counts, setup.index, setup.devices);
    if (!good) return DeviceRefusal{net::WireError::protocol, good.failure()};
    plan_ = std::move(plan).value();
    plan_hash_ = sha256(message.payload);
    downloads_.clear();
    state_ = State::receiving;
    return {};
  }

  [[nodiscard]] DeviceVerdict on_download(net::Message message, DeviceOutbox& out) {
    if (state_ != State::receiving) return DeviceRefusal::not_allowed(message.type);
    const Result<net::GenDownload> download = net::decode<net::GenDownload>(message.payload);
    if (!download) return DeviceRefusal::damaged(download.failure());
    const net::ImputePlan::Generator& wanted = plan_.generators[downloads_.size()];
    if (download->device != wanted.device || sha256(download->file) != wanted.sha256)
      return DeviceRefusal::because(net::WireError::protocol, "GEN_DOWNLOAD of device ",
                                    download->device, " is not the generator of device ",
                                    wanted.device, " in the plan");
    downloads_.push_back(std::move(message));
    if (downloads_.size() < plan_.generators.size()) return {};
    out.ask(device_action::Impute{std::move(plan_), std::move(downloads_)});
    rest();
    return {};
  }

  /// The data is completed, or a generator cannot do it.
  [[nodiscard]] DeviceVerdict on_imputed(const Result<void>& done) {
    if (!done) return DeviceRefusal{net::WireError::data_mismatch, done.failure()};
    imputed_ = plan_hash_;
    return {};
  }

  /// What was not complete is said again.
  void on_lost() { rest(); }
  /// The run is another one.
  void forget() { *this = {}; }

 private:
  void rest() {
    state_ = State::idle;
    plan_ = {};
    downloads_.clear();
  }

  State state_ = State::idle;
  Sha256Digest own_hash_{};
  net::ImputePlan plan_;  ///< whose generators are arriving
  Sha256Digest plan_hash_{}, imputed_{};
  std::vector<net::Message> downloads_;
};

}  // namespace split
IOTSL_NAMESPACE_END
