#pragma once
// What the device's state machine is told, and what it asks of the driver: one struct for each kind
// of action, with what that kind needs.

#include <variant>

#include "iotsl/net/messages/model_messages.hpp"
#include "iotsl/net/messages/transfer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Who the device is and what it holds.
struct DeviceIdentity {
  std::string name;
  std::uint32_t index = net::any_index;
  std::uint64_t boot_nonce = 0;
  std::string dataset;
  std::vector<std::uint64_t> label_counts;  ///< samples of each class
  Sha256Digest data_fingerprint{};
  bool generator_only =
      false;  ///< the owner: nothing but the generator may leave, whatever is asked

  std::uint64_t samples() const {
    std::uint64_t sum = 0;
    for (std::uint64_t count : label_counts) sum += count;
    return sum;
  }
};

/// A generator as its device hands it over.
struct TrainedGenerator {
  bool brought = false;
  net::EpochCost cost;
  ByteSpan file;
};

namespace device_action {

struct Send {
  net::Message message;
};

/// For the link hold from now on: the heartbeat of `setup`, and the sizes of the front that is
/// there.
struct Agree {
  net::HelloOk setup;
};

/// Build the front that `message` (FRONT_INIT) describes for the run of `setup`, whose sizes hold
/// for the link from now on; answer on_built.
struct Build {
  net::HelloOk setup;
  net::Message message;
};

/// One iteration; answer on_generator_trained.
struct TrainGenerator {};

/// Answer on_generator_finished.
struct FinishGenerator {};

/// Complete the data as `plan` says, with the GEN_DOWNLOAD of each of its generators; answer
/// on_imputed.
struct Impute {
  net::ImputePlan plan;
  std::vector<net::Message> downloads;
};

/// Load the front of `grant`, whose values lie in `message`; answer on_loaded.
struct Load {
  net::Message message;
  net::TurnGrant grant;
};

/// Answer on_smashed.
struct Forward {
  std::uint64_t step = 0;   ///< of the run, from 1
  std::uint64_t batch = 0;  ///< of the turn, from 0
};

/// The last smashed batch once more; answer on_smashed.
struct Repeat {};

/// Backward and update with `grad`, whose values lie in `message`; answer on_updated.
struct Backward {
  net::Message message;
  net::Grad grad;
};

/// The same with random values in place of a gradient (method local); answer on_updated.
struct BackwardRandom {
  std::uint64_t step = 0;  ///< of the run, from 1
};

/// Answer on_exported.
struct ExportFront {};

// Of federated averaging, in place of Load to ExportFront.

/// Load the net of `global`, whose values lie in `message`; answer on_model_loaded.
struct LoadModel {
  net::Message message;
  net::GlobalModel global;
};

/// Train the whole net on the next batch; answer on_batch_trained.
struct TrainBatch {};

/// Answer on_model_exported.
struct ExportModel {};

/// Close, wait, connect again.
struct Reconnect {
  std::uint32_t retry_after_ms = 0;
  std::string why = {};
};

/// The run is over for this device: flush, then close.
struct Finish {};

/// The same because of `problem`.
struct Fail {
  Failure problem;
};

}  // namespace device_action

using DeviceAction =
    std::variant<device_action::Send, device_action::Agree, device_action::Build,
                 device_action::TrainGenerator, device_action::FinishGenerator,
                 device_action::Impute, device_action::Load, device_action::Forward,
                 device_action::Repeat, device_action::Backward, device_action::BackwardRandom,
                 device_action::ExportFront, device_action::LoadModel, device_action::TrainBatch,
                 device_action::ExportModel, device_action::Reconnect, device_action::Finish,
                 device_action::Fail>;

namespace device_action {

/// Whether the action is of one of these kinds.
template <class... Kinds>
bool is_any_of(const DeviceAction& action) {
  return (std::holds_alternative<Kinds>(action) || ...);
}

}  // namespace device_action

}  // namespace split
IOTSL_NAMESPACE_END
