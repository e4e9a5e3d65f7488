#pragma once
// What a turn costs beyond computing: time on the server's clock, and the bytes of its device's
// connections. A turn may be granted several times, over several connections, by several servers.

#include <map>

#include "iotsl/split/protocol/server/server_actions.hpp"
#include "iotsl/split/records/byte_bill.hpp"
#include "iotsl/split/records/checkpoint.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Both directions of one connection.
struct LinkTraffic {
  net::Traffic up, down;
};

class TurnBooks {
 public:
  explicit TurnBooks(std::size_t devices) : earlier_(devices), booked_(devices) {}

  /// `costs` of turn `turn` up to the barrier that the run goes on from.
  void take_up(std::uint64_t turn, const TurnCosts& costs) {
    turn_ = turn + 1;
    costs_ = costs;
  }

  void on_connected(ConnectionId connection, std::uint32_t device) { owners_[connection] = device; }
  /// `last`: all that passed over it.
  void on_lost(ConnectionId connection, const LinkTraffic& last) {
    const auto owner = owners_.find(connection);
    if (owner == owners_.end()) return;
    earlier_[owner->second].up += last.up;
    earlier_[owner->second].down += last.down;
    owners_.erase(owner);
  }

  /// What went down to a device before this server began.
  void add_earlier(std::uint32_t device, const net::Traffic& down) {
    earlier_[device].down += down;
  }

  /// Whether the clock of a turn runs.
  bool in_turn() const { return started_ != 0; }
  /// A turn that is granted again goes on with what it has cost so far.
  void on_grant(std::uint64_t turn, net::Microseconds now) {
    if (turn + 1 != turn_) costs_ = {};
    if (turn + 1 != turn_ || started_ == 0) started_ = now;
    turn_ = turn + 1;
  }
  /// Whether the turn waits for a device that is away: that time belongs to nobody's network.
  void set_waiting(bool waits, net::Microseconds now) {
    if (waits == waiting_) return;
    if (!waits && started_ != 0) costs_.wall_us -= now - std::max(waiting_since_, started_);
    waiting_ = waits;
    waiting_since_ = now;
  }
  void on_barrier(net::Microseconds took) {
    costs_.wall_us -= took;
    costs_.barrier_us += took;
  }

  /// Of the turn in hand. `current`: what has passed over its device's connection, if it has one.
  TurnCosts so_far(std::uint32_t device, const LinkTraffic& current, net::Microseconds now) const {
    TurnCosts out = costs_;
    if (started_ != 0) out.wall_us += now - started_;
    if (started_ != 0 && waiting_) out.wall_us -= now - std::max(waiting_since_, started_);
    const auto sent = [](const net::Traffic& earlier, const net::Traffic& current_way,
                         const net::Traffic& booked) {
      net::Traffic all = earlier;
      all += current_way;
      return turn_bytes(all) - turn_bytes(booked);
    };
    out.bytes_up += sent(earlier_[device].up, current.up, booked_[device].up);
    out.bytes_down += sent(earlier_[device].down, current.down, booked_[device].down);
    return out;
  }
  /// The same at its end: what comes later is another turn's.
  TurnCosts close(const TurnReport& turn, const LinkTraffic& current, net::Microseconds now) {
    if (turn.turn + std::uint64_t{1} != turn_) costs_ = {};
    const TurnCosts out = so_far(turn.device, current, now);
    LinkTraffic& booked = booked_[turn.device];
    booked = earlier_[turn.device];
    booked.up += current.up;
    booked.down += current.down;
    costs_ = {};
    started_ = 0;
    return out;
  }

 private:
  std::uint64_t turn_ = 0;  // whose costs these are, plus 1
  TurnCosts costs_;         // up to started_, without this server's bytes
  net::Microseconds started_ = 0;
  bool waiting_ = false;
  net::Microseconds waiting_since_ = 0;
  std::map<ConnectionId, std::uint32_t> owners_;  // the device at the other end
  std::vector<LinkTraffic> earlier_;              // of each device's lost connections
  std::vector<LinkTraffic> booked_;               // of each device, up to its last report
};

}  // namespace split
IOTSL_NAMESPACE_END
