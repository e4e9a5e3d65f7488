#pragma once
// What the parts of the server's machine tell each other: who is at the other end of a connection,
// and what an event means for that peer or for the run.

#include "iotsl/split/protocol/server/server_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// The message that a peer owes the server; `ready`: its handshake is done; `leaving`: nothing, it
/// has come to leave the run for good.
enum class PeerState { hello, join, label_hist, resume, ready, leaving };

struct ServerPeer {
  ConnectionId connection = 0;
  PeerState state = PeerState::hello;
  std::uint32_t index = net::any_index;  ///< its place in the order of turns, after HELLO
  bool has_turn = false;                 ///< it said so in HELLO: RESUME follows
  Sha256Digest imputed{};  ///< the plan that its data is completed with, as it said in JOIN
  std::optional<net::Resume> resume = {};  ///< method fedavg: to be answered when all are here
  DeviceRecord record = {};
  std::string proven = {};  ///< the name that goes with its key; empty where it has shown none
};

/// ERROR with as much of its text as the wire allows.
inline net::ErrorMessage error_message(net::WireError code, bool fatal, const std::string& text) {
  return {code, fatal, 0, text.substr(0, net::max_text_bytes)};
}

/// Why a peer is told ERROR and its connection closed.
struct PeerFault {
  net::WireError code{};
  std::string text;
  std::uint32_t retry_after_ms = 0;  ///< 0: there is no use in coming back
};

inline PeerFault not_allowed(const ServerPeer& peer, net::MessageType type) {
  return {net::WireError::not_allowed,
          concat("device '", peer.record.name, "' sent ", net::to_string(type),
                 " where the protocol does not allow it")};
}
/// The peer's message is not what ISL says that it is.
inline PeerFault protocol_fault(const Failure& why) {
  return {net::WireError::protocol, why.message};
}

/// Why the turn of a place is skipped that nobody has taken yet.
inline constexpr const char* not_here_yet = "the device is not here yet";
/// For the books.
inline std::string name_of_place(const DeviceRecord& device, std::uint32_t place) {
  return device.name.empty() ? concat("place ", place) : device.name;
}

struct RunComplete {};
/// The user's wish; the run can go on from the last barrier.
struct RunPaused {};
struct RunFailed {
  net::WireError code{};
  Failure why;
};
using RunEnd = std::variant<RunComplete, RunPaused, RunFailed>;

/// A run without barriers has lost a device, for `why`; `aside` where it was put aside.
inline RunFailed nowhere_to_go_back(std::string_view why, const QuarantinedDevice* aside) {
  return {net::WireError::run_failed,
          failure(ErrorCode::network, why, aside == nullptr ? "" : concat(" (", aside->reason, ")"),
                  ", and without a run folder (--out) there is no barrier to go back to")};
}

}  // namespace split
IOTSL_NAMESPACE_END
