#pragma once
// The messages of ISL that need no transfer. Each lists its fields in the order of the wire.

#include "iotsl/net/messages/run_description.hpp"
#include "iotsl/net/messages/wire_format.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

inline constexpr std::size_t max_text_bytes = 256;
inline constexpr std::uint32_t any_index = 0xFFFFFFFF;

/// Whom a message of a turn belongs to. The fence rises whenever a turn is granted, so that late
/// messages of an earlier holder are told apart; with method fedavg it is that of the round, whose
/// devices all begin with the same net.
struct TurnKey {
  std::uint64_t run = 0;
  std::uint32_t turn = 0;  ///< counts the turns of the run from 0
  std::uint32_t fence = 0;
  friend bool operator==(const TurnKey&, const TurnKey&) = default;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.run);
    c.number(self.turn);
    c.number(self.fence);
  }
};

/// Where a device stands: its last applied step. Run 0: it has no turn in hand. The key's fence
/// rises with every incarnation of the server, so the server compares the key alone; the
/// incarnation is for who reads a recorded wire.
struct Position {
  TurnKey key;
  std::uint32_t incarnation = 0;
  std::uint64_t step = 0;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.number(self.incarnation);
    c.count(self.step);
  }
};

// Bits of Hello::capabilities.

/// Batches may travel in every WireCoding.
inline constexpr std::uint32_t wire_codings_capability = 1;
/// The device can train a whole net: GLOBAL_MODEL and LOCAL_MODEL.
inline constexpr std::uint32_t whole_net_capability = 2;
/// A front that was frozen may be trained when the device comes back to its run.
inline constexpr std::uint32_t unfreezing_capability = 4;

struct Hello {
  static constexpr MessageType type = MessageType::hello;
  static constexpr const char* name = "HELLO";
  std::uint8_t version_min = protocol_major;
  std::uint8_t version_max = protocol_major;
  /// Of the device's program.
  std::uint32_t capabilities =
      wire_codings_capability | whole_net_capability | unfreezing_capability;
  std::string device;
  std::uint32_t index = any_index;  ///< place in the order of turns; any_index: the server's choice
  std::uint64_t boot_nonce = 0;     ///< another number after each start of the program
  std::string dataset;
  std::uint64_t samples = 0;
  Sha256Digest data_fingerprint{};  ///< over the indices of the device's samples
  Position position;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.version_min);
    c.number(self.version_max);
    c.require(self.version_min <= self.version_max, "version range is empty");
    c.number(self.capabilities);
    c.string(self.device, max_name_bytes);
    c.number(self.index);
    c.number(self.boot_nonce);
    c.string(self.dataset, max_name_bytes);
    c.count(self.samples);
    c.digest(self.data_fingerprint);
    Position::fields(self.position, c);
  }
};

struct HelloOk {
  static constexpr MessageType type = MessageType::hello_ok;
  static constexpr const char* name = "HELLO_OK";
  std::uint8_t version = protocol_major;
  std::uint64_t run = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t index = 0;    ///< the device's place in the order of turns
  std::uint32_t devices = 0;  ///< of the run
  std::uint32_t heartbeat_ms = 0, dead_ms = 0, busy_cap_ms = 0;
  RunDescription description;
  Sha256Digest model_hash{};  ///< of the tensor names and shapes of what FRONT_INIT describes
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.version);
    c.number(self.run);
    c.number(self.incarnation);
    c.number(self.index);
    c.number(self.devices);
    c.number(self.heartbeat_ms);
    c.number(self.dead_ms);
    c.number(self.busy_cap_ms);
    RunDescription::fields(self.description, c);
    c.digest(self.model_hash);
    // A device that does not know these fields never gets them: it lacks wire_codings_capability.
    auto& training = self.description.training;
    if (c.goes_on(!WireFormat::of(training).is_exact())) {
      WireCoding smashed = training.wire;
      WireCoding gradients = WireFormat::of(training).gradients.value_or(smashed);
      const bool known_smashed = c.name(smashed, max_name_bytes);
      const bool known_gradients = c.name(gradients, max_name_bytes);
      c.require(known_smashed && known_gradients, "wire coding is none of fp32, fp16, int8, int4");
      if constexpr (!std::is_const_v<Self>) {
        training.wire = smashed;
        training.wire_gradients = gradients;
      }
    }
    c.require(self.heartbeat_ms >= 100 && self.dead_ms > self.heartbeat_ms,
              "heartbeat is below 100 ms or not below the time limit");
  }
};

struct Join {
  static constexpr MessageType type = MessageType::join;
  static constexpr const char* name = "JOIN";
  std::uint64_t run = 0;
  /// SHA-256 of the IMPUTE_PLAN that the device's data is completed with; zeros: of none.
  Sha256Digest imputed{};
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.run);
    c.digest(self.imputed);
  }
};

struct JoinOk {
  static constexpr MessageType type = MessageType::join_ok;
  static constexpr const char* name = "JOIN_OK";
  std::uint64_t run = 0;
  bool generator_wanted = false;  ///< GEN_UPLOAD is to follow LABEL_HIST
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.run);
    c.boolean(self.generator_wanted);
  }
};

struct LabelHist {
  static constexpr MessageType type = MessageType::label_hist;
  static constexpr const char* name = "LABEL_HIST";
  std::vector<std::uint64_t> counts;  ///< samples of each class
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.array(self.counts, 4096);
  }
};

/// The generator is stored.
struct GenAck {
  static constexpr MessageType type = MessageType::gen_ack;
  static constexpr const char* name = "GEN_ACK";
  Sha256Digest sha256{};  ///< of the generator file
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.digest(self.sha256);
  }
};

/// What a device adds to its own samples; the generators follow, one GEN_DOWNLOAD for each, in this
/// order.
struct ImputePlan {
  static constexpr MessageType type = MessageType::impute_plan;
  static constexpr const char* name = "IMPUTE_PLAN";
  struct Generator {
    std::uint32_t device = 0;  ///< whose generator it is
    Sha256Digest sha256{};     ///< of its file
    template <class Self, class Codec>
    static void fields(Self& self, Codec& c) {
      c.number(self.device);
      c.digest(self.sha256);
    }
  };
  struct Entry {
    std::uint32_t generator = 0;  ///< its place in `generators`
    std::uint32_t label = 0;
    std::uint64_t count = 0;
    std::uint64_t seed = 0;
    template <class Self, class Codec>
    static void fields(Self& self, Codec& c) {
      c.number(self.generator);
      c.number(self.label);
      c.count(self.count);
      c.number(self.seed);
      c.require(self.count > 0, "an entry adds no samples");
    }
  };
  std::vector<Generator> generators;
  std::vector<Entry> entries;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.list(self.generators, 1024);
    c.list(self.entries, 4096);
    c.require(!self.generators.empty() && !self.entries.empty(), "the plan is empty");
    bool known = true;
    for (const Entry& entry : self.entries)
      known = known && entry.generator < self.generators.size();
    c.require(known, "an entry's generator is not in the plan");
  }
};

struct TurnAccept {
  static constexpr MessageType type = MessageType::turn_accept;
  static constexpr const char* name = "TURN_ACCEPT";
  TurnKey key;
  std::uint64_t steps = 0;  ///< batches of the turn
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.steps);
  }
};

struct Barrier {
  static constexpr MessageType type = MessageType::barrier;
  static constexpr const char* name = "BARRIER";
  TurnKey key;
  std::uint64_t id = 0;
  std::uint64_t step = 0;  ///< the state after this step is wanted
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.id);
    c.count(self.step);
  }
};

struct BarrierCommitted {
  static constexpr MessageType type = MessageType::barrier_committed;
  static constexpr const char* name = "BARRIER_COMMITTED";
  TurnKey key;
  std::uint64_t id = 0;
  Sha256Digest hash{};  ///< of the BARRIER_ACK that was written
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.number(self.id);
    c.digest(self.hash);
  }
};

struct TurnDone {
  static constexpr MessageType type = MessageType::turn_done;
  static constexpr const char* name = "TURN_DONE";
  TurnKey key;
  std::uint64_t last_step = 0;
  Sha256Digest hash{};  ///< of the final barrier
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.last_step);
    c.digest(self.hash);
  }
};

struct TurnCommitted {
  static constexpr MessageType type = MessageType::turn_committed;
  static constexpr const char* name = "TURN_COMMITTED";
  TurnKey key;
  std::uint64_t last_step = 0;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.last_step);
  }
};

/// Follows LABEL_HIST where a device comes back with a turn in hand.
struct Resume {
  static constexpr MessageType type = MessageType::resume;
  static constexpr const char* name = "RESUME";
  Position position;
  std::uint64_t turn_steps = 0;  ///< batches of the turn; 0: not known yet
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    Position::fields(self.position, c);
    c.count(self.turn_steps);
  }
};

struct ResumeOk {
  static constexpr MessageType type = MessageType::resume_ok;
  static constexpr const char* name = "RESUME_OK";
  /// True: the turn goes on, and what may have been lost on the way is said again by both sides.
  /// False: the device drops its turn and waits for a grant.
  bool proceed = false;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.boolean(self.proceed);
  }
};

struct EvalReq {
  static constexpr MessageType type = MessageType::eval_req;
  static constexpr const char* name = "EVAL_REQ";
  std::uint64_t id = 0;
  bool local_data = false;  ///< false: the held-out set
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.id);
    c.boolean(self.local_data);
  }
};

struct EvalResp {
  static constexpr MessageType type = MessageType::eval_resp;
  static constexpr const char* name = "EVAL_RESP";
  std::uint64_t id = 0;
  double loss = 0;
  std::vector<std::uint64_t> correct, samples;  ///< for each class
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.id);
    c.number(self.loss);
    c.array(self.correct, 4096);
    c.array(self.samples, 4096);
    c.require(self.correct.size() == self.samples.size(), "two numbers of classes");
  }
};

/// PING, and PONG with the sender's clock sent back.
struct Heartbeat {
  static constexpr const char* name = "PING or PONG";
  std::uint64_t clock_us = 0;  ///< steady clock of the one who pings
  std::uint64_t last_step = 0;
  std::uint32_t busy_ms = 0;  ///< the sender will not answer for so long
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.clock_us);
    c.number(self.last_step);
    c.number(self.busy_ms);
  }
};

enum class WireError : std::uint16_t {
  protocol = 1,     ///< bytes that are no valid frame or message
  not_allowed = 2,  ///< a message that this state does not expect
  version = 3,
  model_mismatch = 4,
  data_mismatch = 5,
  nondeterminism = 6,  ///< a repeated STEP with other content
  stale = 7,           ///< an old step, turn or fence
  gap = 8,             ///< a step that skips one
  not_finite = 9,      ///< NaN or Inf in a smashed batch, gradient or weight
  full = 10,           ///< the run has all its devices, or the server all its connections
  timeout = 11,
  run_failed = 12,  ///< the run ended for another reason
  identity = 13,    ///< a key that is not accepted, or a token; TLS on one side only
  left = 14,        ///< the device has left the run for good
};
inline constexpr std::uint16_t last_wire_error = 14;

struct ErrorMessage {
  static constexpr MessageType type = MessageType::error;
  static constexpr const char* name = "ERROR";
  WireError code = WireError::protocol;
  bool fatal = true;
  std::uint32_t retry_after_ms = 0;
  std::string text;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.code);
    c.boolean(self.fatal);
    c.number(self.retry_after_ms);
    c.words(self.text, max_text_bytes);
    c.require(static_cast<std::uint16_t>(self.code) >= 1 &&
                  static_cast<std::uint16_t>(self.code) <= last_wire_error,
              "error code is unknown");
  }
};

/// A device asks to have its key put on the server's list: the one that its TLS session is of.
struct Enroll {
  static constexpr MessageType type = MessageType::enroll;
  static constexpr const char* name = "ENROLL";
  Sha256Digest token{};  ///< which one: its public name
  Sha256Digest proof{};  ///< that the device has it, see enroll_proof()
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.digest(self.token);
    c.digest(self.proof);
  }
};

/// The key is on the list.
struct EnrollOk {
  static constexpr MessageType type = MessageType::enroll_ok;
  static constexpr const char* name = "ENROLL_OK";
  std::string device;  ///< its name there
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.string(self.device, max_name_bytes);
  }
};

/// The key that the server is about to have: the device is to accept it as well.
struct ServerKey {
  static constexpr MessageType type = MessageType::server_key;
  static constexpr const char* name = "SERVER_KEY";
  Sha256Digest pin{};
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.digest(self.pin);
  }
};

/// The device accepts it from now on: the pin is on its disk.
struct ServerKeyKept {
  static constexpr MessageType type = MessageType::server_key_kept;
  static constexpr const char* name = "SERVER_KEY_KEPT";
  Sha256Digest pin{};
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.digest(self.pin);
  }
};

/// A device wants to go: its turn is put into a barrier first. In place of HELLO, and with its
/// name, it leaves the run for good, and LEAVE_OK answers.
struct Leave {
  static constexpr MessageType type = MessageType::leave;
  static constexpr const char* name = "LEAVE";
  std::string reason;
  std::string device = {};  ///< empty: it comes back
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.words(self.reason, max_text_bytes);
    // An older server refuses LEAVE in place of HELLO before it looks at the fields.
    if (c.goes_on(!self.device.empty())) {
      c.string(self.device, max_name_bytes);
      c.require(!self.device.empty(), "the name is empty");
    }
  }
};

/// The device has left for good: it is on the server's disk.
struct LeaveOk {
  static constexpr MessageType type = MessageType::leave_ok;
  static constexpr const char* name = "LEAVE_OK";
  std::uint32_t index = 0;  ///< its place, which another device may take
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.index);
  }
};

struct Bye {
  static constexpr MessageType type = MessageType::bye;
  static constexpr const char* name = "BYE";
  std::string reason;
  bool will_return = false;  ///< the run is to go on later: try to come back
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.words(self.reason, max_text_bytes);
    c.boolean(self.will_return);
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
