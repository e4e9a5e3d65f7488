#pragma once
// The device's part of ISL/1 before the turns of an IoTSL run: it trains its generator, one
// iteration at a time, and sends it; it takes the plan of imputation and the generators that fill
// what it lacks.
//
//   after LABEL_HIST, where JOIN_OK asks for it: training the generator -> waiting for GEN_ACK
//   whenever idle: IMPUTE_PLAN -> receiving each GEN_DOWNLOAD -> completing the data -> idle
//
// A lost connection ends both; what is trained so far is kept by the one who trains, and the server
// asks again.

#include "iotsl/impute/histogram.hpp"
#include "iotsl/split/protocol/device_handshake.hpp"

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

/// A generator as its device hands it over.
struct TrainedGenerator {
  bool brought = false;
  net::EpochCost cost;
  ByteSpan file;
};

class DeviceGenerators : public DeviceConnection {
 public:
  /// One iteration is done; true: it was the last.
  void on_generator_trained(const Result<bool>& last) {
    if (generator_state() != State::training_generator) return;
    if (!last) return give_up(net::WireError::run_failed, last.failure());
    ask(*last ? DeviceAction::Kind::finish_generator : DeviceAction::Kind::train_generator);
  }

  void on_generator_finished(const Result<TrainedGenerator>& generator) {
    if (generator_state() != State::training_generator) return;
    if (!generator) return give_up(net::WireError::run_failed, generator.failure());
    own_hash_ = sha256(generator->file);
    net::GenUpload upload;
    upload.brought = generator->brought;
    upload.cost = generator->cost;
    upload.file = generator->file;
    generator_ = State::waiting_gen_ack;
    send(upload);
  }

  /// The data is completed, or a generator cannot do it.
  void on_imputed(const Result<void>& done) {
    if (closed_) return;
    if (!done) return give_up(net::WireError::data_mismatch, done.failure());
    imputed_ = plan_hash_;
  }

 protected:
  explicit DeviceGenerators(DeviceIdentity identity) : DeviceConnection(std::move(identity)) {}

  /// `idle`: nothing hinders a turn.
  State generator_state() const { return generator_; }
  Sha256Digest imputed() const override { return imputed_; }

  void want_generator(bool wanted) { wanted_ = wanted; }
  /// Trains the generator from where it stands, where the server wants it.
  void begin_generator() {
    if (!wanted_) return;
    generator_ = State::training_generator;
    ask(DeviceAction::Kind::train_generator);
  }
  void forget_preparation() {
    drop_preparation();
    imputed_ = plan_hash_ = {};
  }
  /// The connection is lost: what was not complete is said again.
  void drop_preparation() {
    generator_ = State::idle;
    wanted_ = false;
    plan_ = {};
    downloads_.clear();
  }

  void on_gen_ack(const net::Message& message) {
    if (link_ != State::idle || generator_ != State::waiting_gen_ack) return refuse(message.type);
    const Result<net::GenAck> ack = decoded<net::GenAck>(message);
    if (!ack) return;
    if (ack->sha256 != own_hash_)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "GEN_ACK of another generator"));
    generator_ = State::idle;
    wanted_ = false;
  }

  /// `idle`: the machine has nothing else in hand.
  void on_impute_plan(const net::Message& message, bool idle) {
    if (!idle || setup_.description.generator.empty()) return refuse(message.type);
    Result<net::ImputePlan> plan = decoded<net::ImputePlan>(message);
    if (!plan) return;
    const Result<void> good =
        check_impute_plan(*plan, identity_.label_counts, setup_.index, setup_.devices);
    if (!good) return give_up(net::WireError::protocol, good.failure());
    plan_ = std::move(plan).value();
    plan_hash_ = sha256(message.payload);
    downloads_.clear();
    generator_ = State::receiving_generators;
  }

  void on_gen_download(net::Message message) {
    if (link_ != State::idle || generator_ != State::receiving_generators)
      return refuse(message.type);
    const Result<net::GenDownload> download = decoded<net::GenDownload>(message);
    if (!download) return;
    const net::ImputePlan::Generator& wanted = plan_.generators[downloads_.size()];
    if (download->device != wanted.device || sha256(download->file) != wanted.sha256)
      return give_up(net::WireError::protocol,
                     failure(ErrorCode::network, "GEN_DOWNLOAD of device ", download->device,
                             " is not the generator of device ", wanted.device, " in the plan"));
    downloads_.push_back(std::move(message));
    if (downloads_.size() < plan_.generators.size()) return;
    DeviceAction& action = ask(DeviceAction::Kind::impute);
    action.imputation = std::move(plan_);
    action.downloads = std::move(downloads_);
    drop_preparation();
  }

 private:
  State generator_ = State::idle;
  bool wanted_ = false;
  Sha256Digest own_hash_{};
  net::ImputePlan plan_;  ///< whose generators are arriving
  Sha256Digest plan_hash_{}, imputed_{};
  std::vector<net::Message> downloads_;
};

}  // namespace split
IOTSL_NAMESPACE_END
