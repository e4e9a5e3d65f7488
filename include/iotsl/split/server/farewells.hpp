#pragma once
// The end of a run is said once to every device. Where it is lost on its way, the device comes back
// for it, and would for ever: for a moment the server is still there to say it again. So is one
// that was started again because the one before it died at the very end.

#include <map>
#include <set>
#include <string>

#include "iotsl/net/clock.hpp"
#include "iotsl/split/protocol/server/server_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class Farewells {
 public:
  /// Devices come back within so long, several times if need be (ConnectOptions::first_delay).
  static constexpr net::Microseconds patience = 5 * net::second_us;
  /// Who has found no server for a while tries less often (ConnectOptions::longest_delay).
  static constexpr net::Microseconds long_patience = 21 * net::second_us;

  /// `begin`: when the run ended.
  explicit Farewells(net::Microseconds begin, net::Microseconds limit = patience)
      : until_(begin + limit) {}

  /// The device `name` has been told at `connection`.
  void on_told(ConnectionId connection, std::string name) {
    missing_.erase(name);
    told_.insert_or_assign(connection, std::move(name));
  }
  /// It was away when the others were told.
  void on_away(std::string name) { missing_.insert(std::move(name)); }
  /// A connection has ended; `broken`: perhaps before what was said last had arrived.
  void on_lost(ConnectionId connection, bool broken) {
    const auto at = told_.find(connection);
    if (at == told_.end()) return;
    if (broken) missing_.insert(std::move(at->second));
    told_.erase(at);
  }
  /// Nobody is left who might not know.
  bool done(net::Microseconds now) const {
    return (told_.empty() && missing_.empty()) || now >= until_;
  }

 private:
  net::Microseconds until_;
  std::map<ConnectionId, std::string> told_;  // whose connection is still open
  std::set<std::string> missing_;
};

}  // namespace split
IOTSL_NAMESPACE_END
