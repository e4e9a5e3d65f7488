#pragma once
// The small messages of a turn: who has it, where it stands, what it cost.

#include "iotsl/net/messages/frame.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

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

}  // namespace net
IOTSL_NAMESPACE_END
