#pragma once
// How a server's run sends; TCP and memory each have their own.

#include "iotsl/split/records/turn_costs.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Moves messages to devices.
class ServerTransport {
 public:
  virtual ~ServerTransport() = default;
  virtual void send(ConnectionId connection, net::Message message) = 0;
  /// The same, with the close() that is about to follow: nothing of the peer comes between them.
  virtual void send_last(ConnectionId connection, net::Message message) {
    send(connection, std::move(message));
  }
  /// Closes after everything queued has been sent.
  virtual void close(ConnectionId connection) = 0;
  /// What has passed over one connection up to the message that is being handled.
  virtual LinkTraffic traffic(ConnectionId connection) = 0;
  /// The same for all connections since the run or its server began.
  virtual LinkTraffic total() = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
