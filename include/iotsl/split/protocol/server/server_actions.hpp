#pragma once
// What the server's state machine is told and what it asks for.

#include <deque>
#include <optional>
#include <variant>

#include "iotsl/net/messages/model_messages.hpp"
#include "iotsl/net/messages/transfer.hpp"
#include "iotsl/options/schedule.hpp"
#include "iotsl/split/protocol/quarantine.hpp"
#include "iotsl/split/protocol/turn_report.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

using ConnectionId = std::uint64_t;  ///< 0: no connection

/// What the data of each device must be, where the run has a manifest.
struct ExpectedData {
  std::vector<Sha256Digest> fingerprints;                ///< empty, or zeros: any
  std::vector<std::vector<std::uint64_t>> label_counts;  ///< empty: any
};

/// A device of whose samples the server has every one, smashed.
struct CachedDevice {
  std::string name;
  std::uint64_t samples = 0;
};

/// What the machine must know about a run.
struct ServerPlan {
  net::HelloOk offer;       ///< run, heartbeat, description and model hash; index is filled in
  net::Message front_init;  ///< FRONT_INIT
  TurnOrder order;          ///< of the devices
  std::uint64_t turns = 1;
  TurnRates rates;
  std::uint64_t smashed_values = 0;  ///< F
  std::uint64_t largest_batch = 0;
  net::WireFormat format;  ///< of smashed batches
  ExpectedData expected;
  std::uint64_t barrier_steps = 50;  ///< least number of steps between barriers in a turn
  bool keeps_barriers = false;       ///< RollBack can be carried out
  std::uint32_t last_fence = 0;      ///< of an earlier incarnation
  std::uint32_t last_round = 0;      ///< that it was of; method fedavg
  BarrierRecord start;               ///< where to begin; by default at the beginning
  /// Of method cache: for each device what is known of it from before, or nothing.
  std::vector<std::optional<CachedDevice>> cached;
  /// Names of the devices that had the places before the server started again; empty: of nobody.
  std::vector<std::string> places;
  bool may_unfreeze = false;      ///< the front may be trained later
  std::uint32_t min_devices = 1;  ///< with fewer the run stops
  std::uint32_t start_with = 0;   ///< begin with so many, the others may come later; 0: with all
  std::vector<QuarantinedDevice> quarantined;  ///< by an earlier start
};

/// A device's generator that the server has when it begins.
struct GeneratorOnHand {
  Sha256Digest data_fingerprint{};  ///< of the data that it was trained on; zeros: not known
  std::vector<std::uint64_t> label_counts;  ///< of the same
};
/// For method iotsl: of each device; nothing where the device is to send it.
using GeneratorsOnHand = std::vector<std::optional<GeneratorOnHand>>;

/// What one device is to be sent before its first turn.
struct ImputationOrder {
  Sha256Digest plan_hash{};  ///< of its IMPUTE_PLAN; zeros: its data is complete
  std::uint64_t added = 0;   ///< samples
};

/// A step that counts as applied: what is left of it is done before the next event.
struct TrainedStep {
  double loss = 0;            ///< mean over the batch
  std::uint32_t correct = 0;  ///< before the update
  ByteSpan gradient;          ///< of the smashed batch
  net::BatchForm form;
  std::uint64_t server_us = 0;
};

/// A device that has joined, as the driver and the reports see it.
struct DeviceRecord {
  std::string name;
  std::vector<std::uint64_t> label_counts;
  std::uint64_t samples = 0;
  std::uint64_t boot_nonce = 0;
  Sha256Digest data_fingerprint{};
  ConnectionId connection = 0;  ///< 0: away
};

namespace server_action {

struct Send {
  ConnectionId connection = 0;
  net::Message message;
  bool is_last = false;  ///< a Close follows: who answers by going is not lost
};
/// Flush, then close.
struct Close {
  ConnectionId connection = 0;
};
/// Check and keep a device's generator; answer on_generator_stored.
struct StoreGenerator {
  ConnectionId connection = 0;
  std::uint32_t device = 0;
  net::GenUpload upload;
  net::Message message;  ///< what `upload` looks into
};
/// Plan and pre-train; answer on_prepared.
struct Prepare {};
/// Send the device its IMPUTE_PLAN and generators.
struct Impute {
  ConnectionId connection = 0;
  std::uint32_t device = 0;
};
/// Complete `grant` with the front and send it.
struct Grant {
  ConnectionId connection = 0;
  std::uint32_t device = 0;
  std::uint32_t incarnation = 0;
  net::TurnGrant grant;
};
/// Answer on_trained as soon as the gradient is known; when the actions that follow are carried
/// out, finish the step, and say on_step_finished.
struct Train {
  net::Step step;
  net::Message message;  ///< what `step` looks into
};
/// Begin a turn, or the rest of one, that needs nothing of its device.
struct BeginCached {
  std::uint32_t device = 0;
  std::uint32_t turn = 0;
  std::uint64_t done_steps = 0;
  double learning_rate = 0;
};
/// Train on a batch of what is kept of the device; answer on_trained. It is the machine's only way
/// to go on without a message, so that the driver can look for events between two of them.
struct TrainCached {
  std::uint32_t device = 0;
  std::uint32_t round = 0;
  std::uint64_t batch = 0;  ///< of the turn, from 0
  std::uint64_t step = 0;   ///< of the run, from 1
};
/// Take over the front of `ack`, if there is one, and write it with `barrier`; answer on_stored.
struct Store {
  std::optional<net::BarrierAck> ack;
  BarrierRecord barrier;
  net::Message message;  ///< what `ack` looks into
};
/// Whether a server before this one has sent something, and has left a barrier that counts it.
enum class SentBefore { no, uncounted, counted };
/// Of method fedavg: complete `global` with the averaged net and send it; one that was sent is only
/// entered in the books.
struct SendModel {
  ConnectionId connection = 0;
  std::uint32_t device = 0;
  SentBefore sent = SentBefore::no;
  std::uint32_t incarnation = 0;
  net::GlobalModel global;
};
/// Look at the net that a device has trained, and keep it; answer on_model_kept.
struct KeepModel {
  ConnectionId connection = 0;
  std::uint32_t device = 0;
  net::LocalModel model;
  net::Message message;  ///< what `model` looks into
};
/// Add the net that is kept of the turn's device to the round's mean, unless the turn is skipped.
/// The last one `ends_round`: the mean becomes the averaged net. Write both with `barrier`; answer
/// on_stored.
struct AverageModel {
  BarrierRecord barrier;
  bool ends_round = false;
};
/// Remember that a device is put aside, and tell the user.
struct PutAside {
  QuarantinedDevice device;
};
/// Remember that another device has the place of one that left for good, and tell the user.
struct PlaceTaken {
  std::uint32_t device = 0;
  std::string left_by;
};
/// A device asks to leave the run for good. Which place it has the run's books may know better:
/// answer leave(), confirm_leave() or refuse_leave().
struct Leave {
  ConnectionId connection = 0;
  std::string name;
};
/// Tell the user that a device was refused, or has failed where it is not put aside for it: before
/// the run began, where nothing is asked of it.
struct SentAway {
  std::string name, reason;
  bool had_place = false;  ///< which is free for another
  bool is_proven = false;  ///< the name goes with the key that it has shown
};
/// Load the last barrier; answer on_rolled_back.
struct RollBack {
  std::string why;            ///< names the device
  std::uint64_t barrier = 0;  ///< its id
  std::uint64_t step = 0;     ///< that it stands at
};
/// A turn is over.
struct Report {
  TurnReport report;
};

// The last action of a machine is one of these; every connection has been told.

/// The run is complete.
struct Finish {};
/// The run can go on later from the last barrier.
struct Pause {};
struct Fail {
  Failure problem;
};

}  // namespace server_action

using ServerAction =
    std::variant<server_action::Send, server_action::Close, server_action::StoreGenerator,
                 server_action::Prepare, server_action::Impute, server_action::Grant,
                 server_action::Train, server_action::BeginCached, server_action::TrainCached,
                 server_action::Store, server_action::SendModel, server_action::KeepModel,
                 server_action::AverageModel, server_action::PutAside, server_action::PlaceTaken,
                 server_action::Leave, server_action::SentAway, server_action::RollBack,
                 server_action::Report, server_action::Finish, server_action::Pause,
                 server_action::Fail>;

/// What the parts of the machine have asked for and nobody has carried out yet.
class ServerOutbox {
 public:
  void push(ServerAction action) { actions_.push_back(std::move(action)); }
  /// The next action, first in, first out; false when there is none.
  bool pop(ServerAction& action) {
    if (actions_.empty()) return false;
    action = std::move(actions_.front());
    actions_.pop_front();
    return true;
  }

  void clear() { actions_.clear(); }

  /// Nothing where the device is away: it asks again when it is back.
  template <class M>
  void send(ConnectionId connection, const M& fields) {
    send_message(connection, net::make_message(fields));
  }
  void send_message(ConnectionId connection, net::Message message) {
    if (connection != 0) push(server_action::Send{connection, std::move(message)});
  }
  void close(ConnectionId connection) {
    auto* const sent =
        actions_.empty() ? nullptr : std::get_if<server_action::Send>(&actions_.back());
    if (sent != nullptr && sent->connection == connection) sent->is_last = true;
    push(server_action::Close{connection});
  }

 private:
  std::deque<ServerAction> actions_;
};

}  // namespace split
IOTSL_NAMESPACE_END
