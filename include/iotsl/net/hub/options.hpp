#pragma once
// How a hub is set up, and what it tells. For those who start one or hear of it.

#include <optional>

#include "iotsl/net/address.hpp"
#include "iotsl/net/link/link_options.hpp"
#include "iotsl/net/link/link_speed.hpp"
#include "iotsl/net/link/traffic.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class ServerCredentials;

/// What peers that have not said HELLO may take, all of them together. Where a limit is reached the
/// oldest of them goes, never the newcomer.
struct StrangerLimits {
  std::size_t total = 1024;
  std::size_t per_address = 256;  ///< of an IPv6 network of 64 bits, too
  std::size_t sessions = 64;      ///< TLS sessions among them: 55 KB each, the others 12 KB at most
  /// How long a session has its place for sure, while others wait for one.
  Microseconds session_grace = second_us / 10;
  /// From being accepted to HELLO: 5 s from their connect, of which some pass in the socket's queue.
  Microseconds lifetime = 4 * second_us;
  /// Of the thread's computing time, in the long run: the rest is for devices, and the processor
  /// for who computes. Half of it is for sessions, so that they keep nobody from being let in.
  double time_share = 0.2;
  Microseconds time_ahead = second_us;  ///< after a quiet time, such as for a fleet that returns
};

struct HubOptions {
  Address address;
  bool insecure = false;  ///< plain text off loopback, too
  /// With them every connection is TLS, and only keys on their list get in. Of the hub's thread
  /// from its start to its end.
  ServerCredentials* credentials = nullptr;
  StrangerLimits strangers = {};
  /// Connections that have said HELLO and have not joined: in plain text, where anybody can say so,
  /// and over TLS of one device. The oldest goes.
  std::size_t max_unjoined = 1024, max_unjoined_of_device = 4;
  /// Bytes that wait to be sent on one connection. Who sends more waits for the peer, as long as it
  /// is not slower than LinkOptions::slow_bytes_per_second over LinkOptions::dead_limit; then it
  /// goes.
  std::size_t max_queued = 8 << 20;
  std::size_t max_pending_messages = 2;      ///< received on one connection and not yet handled
  Microseconds close_limit = 5 * second_us;  ///< for the last bytes of a connection
  LinkOptions link = {};                     ///< time limits of the connections
  /// Every connection is made as slow as one over such a network, if its own is faster.
  std::optional<LinkSpeed> emulated = {};
};

/// What happened. `opened`: a peer has said HELLO, which follows; `lost` is told of such
/// connections only. `refused`: one that waits cannot be accepted, it has no number. `note`: for
/// the user, in `why`; of keys, and of peers that were turned away, those of one kind counted.
struct HubEvent {
  enum class Kind { none, opened, message, lost, refused, note };
  Kind kind = Kind::none;
  std::uint64_t connection = 0;
  std::string device;  ///< of `opened`: whose key was shown; empty in plain text
  Message message;
  Failure why;
  Traffic in, out;  ///< counted up to this event
};

}  // namespace net
IOTSL_NAMESPACE_END
