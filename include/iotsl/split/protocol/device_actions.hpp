#pragma once
// What the device's state machine is told and what it asks for.

#include "iotsl/net/bulk_messages.hpp"
#include "iotsl/net/transfer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

enum class DeviceState {
  connecting,
  greeting,
  building,
  joining,
  resuming,
  training_generator,
  waiting_gen_ack,
  receiving_generators,
  idle,
  loading,
  forward,
  waiting_grad,
  backward,
  waiting_barrier,
  exporting,
  waiting_committed,
  waiting_turn_committed,
  closed,
};

/// Who the device is and what it holds.
struct DeviceIdentity {
  std::string name;
  std::uint32_t index = net::any_index;
  std::uint64_t boot_nonce = 0;
  std::string dataset;
  std::vector<std::uint64_t> label_counts;  ///< samples of each class
  Sha256Digest data_fingerprint{};

  std::uint64_t samples() const {
    std::uint64_t sum = 0;
    for (std::uint64_t count : label_counts) sum += count;
    return sum;
  }
};

struct DeviceAction {
  enum class Kind {
    send,              ///< `message`
    build,             ///< the front of `setup`; answer on_built
    agree,             ///< the heartbeat of `setup` and the front's sizes hold for the link
    train_generator,   ///< one iteration; answer on_generator_trained
    finish_generator,  ///< answer on_generator_finished
    impute,            ///< complete the data as `imputation` says, with `downloads`; on_imputed
    load,              ///< the front of `grant`; answer on_loaded
    forward,           ///< step `step` of the turn's batch `batch`; answer on_smashed
    backward,          ///< with `grad`, or with random values where `local`; answer on_updated
    repeat,            ///< the last smashed batch once more; answer on_smashed
    export_front,      ///< answer on_exported
    reconnect,         ///< close, wait `retry_after_ms`, connect again
    finish,            ///< the run is over: flush, then close
    fail,              ///< the session is over with `problem`: flush, then close
  };
  Kind kind{};
  net::Message message;  ///< what is sent, or the content that `grant` or `grad` look into
  net::HelloOk setup;
  net::TurnGrant grant;
  net::Grad grad;
  net::ImputePlan imputation;
  std::vector<net::Message> downloads;  ///< GEN_DOWNLOAD of each of its generators
  std::uint64_t step = 0;               ///< of the run, from 1
  std::uint64_t batch = 0;              ///< of the turn, from 0
  std::uint32_t retry_after_ms = 0;
  bool local = false;
  Failure problem;
};

}  // namespace split
IOTSL_NAMESPACE_END
