#pragma once
// Messages of a session that say nothing of a run's work: signs of life, errors, identity, ends.

#include "iotsl/net/messages/run_description.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

inline constexpr std::size_t max_text_bytes = 256;

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
