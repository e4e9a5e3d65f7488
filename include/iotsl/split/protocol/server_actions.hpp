#pragma once
// What the server's state machine is told and what it asks for.

#include "iotsl/net/bulk_messages.hpp"
#include "iotsl/net/transfer.hpp"
#include "iotsl/options/schedule.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

using ConnectionId = std::uint64_t;

enum class ServerState {
  gathering,   ///< not every device has been here
  collecting,  ///< not every generator is here
  preparing,   ///< planning the imputation and pre-training
  waiting_holder,
  waiting_accept,
  stepping,
  training,
  waiting_ack,
  storing,
  rolling_back,
  waiting_done,
  closed
};

/// What the server saw of one local epoch.
struct EpochTally {
  double loss_sum = 0;  ///< over samples
  std::uint64_t samples = 0;
  std::uint64_t correct = 0;  ///< before each update
  std::uint64_t server_us = 0;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("loss_sum", self.loss_sum);
    f("samples", self.samples);
    f("correct", self.correct);
    f("server_us", self.server_us);
  }
};

struct TurnReport {
  std::uint32_t turn = 0, round = 0, device = 0;
  std::string device_name;
  std::uint64_t samples = 0;  ///< of the device
  std::uint64_t first_step = 0;
  std::uint64_t steps = 0;  ///< of the turn; 0: the device has not accepted it yet
  bool skipped = false;     ///< ended early, because the device stayed away
  std::vector<EpochTally> epochs;
  std::vector<net::EpochCost> costs;  ///< the device's

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("turn", self.turn);
    f("round", self.round);
    f("device", self.device);
    f("device_name", self.device_name);
    f("samples", self.samples);
    f("first_step", self.first_step);
    f("steps", self.steps);
    f("epochs", self.epochs);
    f("costs", self.costs);
  }
};

/// The books of turn `turn`, which begins after `first_step` steps of the run, still empty.
inline TurnReport begin_report(std::uint64_t turn, std::uint64_t devices, std::size_t epochs,
                               std::uint64_t first_step) {
  TurnReport out;
  out.turn = static_cast<std::uint32_t>(turn);
  out.round = static_cast<std::uint32_t>(turn / devices);
  out.device = static_cast<std::uint32_t>(turn % devices);
  out.first_step = first_step;
  out.epochs.resize(epochs);
  out.costs.resize(epochs);
  return out;
}

/// A committed state of the run: what a server that starts again, or a device that has lost its
/// state, goes back to. Barrier 0 is the beginning.
struct BarrierRecord {
  std::uint64_t id = 0;
  std::uint64_t step = 0;  ///< last applied
  TurnReport report;       ///< of the turn that the barrier lies in

  bool turn_complete() const {
    return report.steps != 0 && step == report.first_step + report.steps;
  }
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("id", self.id);
    f("step", self.step);
    f("turn", self.report);
  }
};

/// What the server has of a device's generator when it begins.
struct GeneratorOnHand {
  bool present = false;
  Sha256Digest data_fingerprint{};          ///< of its device's data; zeros: not known
  std::vector<std::uint64_t> label_counts;  ///< what it was trained on
};

/// What one device is to be sent before its first turn.
struct ImputationOrder {
  Sha256Digest plan_hash{};  ///< of its IMPUTE_PLAN; zeros: its data is complete
  std::uint64_t added = 0;   ///< samples
};

/// What the machine must know about a run.
struct ServerPlan {
  net::HelloOk offer;  ///< run, heartbeat, description and model hash; index is filled in
  std::uint32_t devices = 1;
  std::uint64_t turns = 1;
  Schedule schedule = Schedule::constant;
  double learning_rate = 1e-3;
  std::uint64_t smashed_values = 0;  ///< F
  std::uint64_t largest_batch = 0;
  net::WireFormat format;                   ///< of smashed batches
  std::vector<Sha256Digest> fingerprints;   ///< of each device's data; empty, or zeros: any
  std::vector<GeneratorOnHand> generators;  ///< of each device, for method iotsl
  std::uint64_t barrier_steps = 50;         ///< least number of steps between barriers in a turn
  bool keeps_barriers = false;              ///< `roll_back` can be carried out
  std::uint32_t last_fence = 0;             ///< of an earlier incarnation
  BarrierRecord start;                      ///< where to begin; by default at the beginning
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

struct ServerAction {
  enum class Kind {
    send,             ///< `message` to `connection`
    close,            ///< flush, then close `connection`
    store_generator,  ///< check and keep `upload` of `device`; answer on_generator_stored
    prepare,          ///< plan and pre-train; answer on_prepared
    impute,           ///< IMPUTE_PLAN and its generators to `device` at `connection`
    grant,            ///< `grant`, completed with the front, to `connection`
    train,            ///< `step`; answer on_trained
    store,            ///< take over and write `ack` with `barrier`; answer on_stored
    roll_back,        ///< load the last barrier; answer on_rolled_back
    report,           ///< a turn is over
    finish,           ///< the run is complete; every connection has been told
    fail,             ///< the run is over with `problem`; every connection has been told
  };
  Kind kind{};
  ConnectionId connection = 0;
  net::Message message;  ///< what is sent, or what `step`, `ack` or `upload` look into
  std::uint32_t device = 0;
  net::GenUpload upload;
  net::TurnGrant grant;
  net::Step step;
  net::BarrierAck ack;
  BarrierRecord barrier;
  TurnReport report;
  Failure problem;
};

}  // namespace split
IOTSL_NAMESPACE_END
