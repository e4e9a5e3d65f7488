#pragma once
// What the server's state machine is told and what it asks for.

#include "iotsl/net/bulk_messages.hpp"
#include "iotsl/net/transfer.hpp"
#include "iotsl/optim/schedule.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

using ConnectionId = std::uint64_t;

/// What the machine must know about a run.
struct ServerPlan {
  net::HelloOk offer;  ///< run, heartbeat, description and model hash; index is filled in
  std::uint32_t devices = 1;
  std::uint64_t turns = 1;
  Schedule schedule = Schedule::constant;
  double learning_rate = 1e-3;
  std::uint64_t smashed_values = 0;  ///< F
  std::uint64_t largest_batch = 0;
  std::vector<Sha256Digest> fingerprints;  ///< of each device's data; empty: any
};

/// A device that has joined, as the driver and the reports see it.
struct DeviceRecord {
  std::string name;
  std::vector<std::uint64_t> label_counts;
  std::uint64_t samples = 0;
  ConnectionId connection = 0;
};

/// What the server saw of one local epoch.
struct EpochTally {
  double loss_sum = 0;  ///< over samples
  std::uint64_t samples = 0;
  std::uint64_t correct = 0;  ///< before each update
  std::uint64_t server_us = 0;
};

struct TurnReport {
  std::uint32_t turn = 0, round = 0, device = 0;
  std::uint64_t first_step = 0, steps = 0;
  std::vector<EpochTally> epochs;
  std::vector<net::EpochCost> costs;  ///< the device's
};

struct ServerAction {
  enum class Kind {
    send,    ///< `message` to `connection`
    close,   ///< flush, then close `connection`
    grant,   ///< `grant`, completed with the front, to `connection`
    train,   ///< `step`; answer on_trained
    store,   ///< take over and write `ack`; answer on_stored
    report,  ///< a turn is over
    finish,  ///< the run is complete; every connection has been told
    fail,    ///< the run is over with `problem`; every connection has been told
  };
  Kind kind{};
  ConnectionId connection = 0;
  net::Message message;  ///< what is sent, or the content that `step` or `ack` look into
  net::TurnGrant grant;
  net::Step step;
  net::BarrierAck ack;
  TurnReport report;
  Failure problem;
};

}  // namespace split
IOTSL_NAMESPACE_END
