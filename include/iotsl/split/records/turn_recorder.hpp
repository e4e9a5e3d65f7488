#pragma once
// Barriers and ends of turns in a run's books, each with what the turn in hand has cost so far.

#include "iotsl/split/records/run_recorder.hpp"
#include "iotsl/split/records/turn_costs.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class TurnRecorder {
 public:
  /// `recorder` and `sizes` must outlive this.
  TurnRecorder(RunRecorder& recorder, const WireSizes& sizes, Index devices)
      : recorder_(recorder), sizes_(sizes), books_(static_cast<std::size_t>(devices)) {}

  /// Goes on from `barrier`, which the recorder was opened at.
  void take_up(const BarrierRecord& barrier) {
    if (barrier.id != 0) books_.take_up(barrier.report.turn, recorder_.resumed_turn());
    barrier_at_ = net::steady_now();
  }
  bool in_turn() const { return books_.in_turn(); }
  void begin_turn(std::uint64_t turn) { books_.on_grant(turn, net::steady_now()); }
  /// Whether the device whose turn it is is away.
  void set_waiting(bool waits, net::Microseconds now) { books_.set_waiting(waits, now); }
  /// A device's connection, and its end with what has passed over it.
  void on_connected(ConnectionId connection, std::uint32_t device) {
    books_.on_connected(connection, device);
  }
  void on_lost(ConnectionId connection, const LinkTraffic& traffic) {
    books_.on_lost(connection, traffic);
  }

  /// What a server before this one has sent to a device for its next turn; `counted` by the barrier
  /// that the run was taken up at.
  void add_earlier(std::uint32_t device, const net::Traffic& down, bool counted) {
    if (!counted) recorder_.add_earlier(down, sizes_);
    books_.add_earlier(device, down);
  }

  /// Commits a barrier of the turn. `own`: what has passed over its device's connection; `all`:
  /// over all of them.
  Result<void> write_barrier(const TrainingState& state, const BarrierRecord& barrier,
                             const LinkTraffic& own, const LinkTraffic& all) {
    const net::Microseconds start = net::steady_now();
    const Result<void> done = recorder_.write_barrier(
        state, barrier, all.up, all.down, sizes_, books_.so_far(barrier.report.device, own, start));
    barrier_at_ = net::steady_now();
    books_.on_barrier(barrier_at_ - start);
    return done;
  }
  /// Closes the turn's books; `joined` is evaluated where it is due.
  Result<void> end_turn(const TurnReport& turn, const LinkTraffic& own, Sequential<float>& joined) {
    const TurnCosts costs = books_.close(turn, own, net::steady_now());
    return recorder_.on_turn(turn, costs, sizes_, joined);
  }

  double seconds_since_barrier(net::Microseconds now) const {
    return net::to_seconds(now - barrier_at_);
  }

 private:
  RunRecorder& recorder_;
  const WireSizes& sizes_;
  TurnBooks books_;
  net::Microseconds barrier_at_ = 0;  // when the last one was written
};

}  // namespace split
IOTSL_NAMESPACE_END
