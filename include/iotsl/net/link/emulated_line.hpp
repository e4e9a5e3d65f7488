#pragma once
// One direction of a slow network, between a socket on this machine and the frames: bytes go in,
// and come out when that network would have delivered them. No thread and no clock of its own: the
// driver says what time it is, and asks when to look again.

#include <deque>

#include "iotsl/net/link/link_speed.hpp"
#include "iotsl/net/messages/codec.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// A token bucket without depth, then a delay. Each byte takes its time on the line behind the one
/// before, or from the moment it comes, whichever is later, and arrives half a round trip after
/// that: a line that was idle is no faster for it. The times follow from when bytes came in, not
/// from when somebody looked, so that late wake-ups do not add up. TCP's slow start and losses are
/// not modelled.
class EmulatedLine {
 public:
  explicit EmulatedLine(const LinkSpeed& speed)
      : ns_per_byte_(8e9 / static_cast<double>(speed.bits_per_second)),
        delay_ns_(speed.round_trip * 1000 / 2),
        segment_bytes_(std::max<std::size_t>(
            1500, static_cast<std::size_t>(static_cast<double>(segment_ns) / ns_per_byte_))) {}

  /// Whether more bytes may come in. As a network card's queue, the line holds few bytes that have
  /// not begun to travel; the sender keeps the others, and puts what is urgent ahead of them.
  bool accepts(Microseconds now) const { return now >= accepts_from(); }
  /// From when on it does.
  Microseconds accepts_from() const { return (free_at_ns_ - queue_ns) / 1000; }

  void push(ByteSpan bytes, Microseconds now) {
    free_at_ns_ = std::max(free_at_ns_, now * 1000);
    while (!bytes.empty()) {
      const std::size_t n = std::min(bytes.size(), segment_bytes_);
      free_at_ns_ += static_cast<std::int64_t>(static_cast<double>(n) * ns_per_byte_);
      const ByteSpan part = bytes.first(n);
      segments_.push_back(
          {Bytes(part.begin(), part.end()), (free_at_ns_ + delay_ns_ + 999) / 1000});
      held_bytes_ += n;
      bytes = bytes.subspan(n);
    }
  }

  /// Appends what has arrived to `out`.
  void take(Bytes& out, Microseconds now) {
    for (; now >= next_arrival(); segments_.pop_front()) {
      const Bytes& bytes = segments_.front().bytes;
      out.insert(out.end(), bytes.begin(), bytes.end());
      held_bytes_ -= bytes.size();
    }
  }
  /// When the next bytes arrive; for_ever where none are on their way.
  Microseconds next_arrival() const {
    return segments_.empty() ? for_ever : segments_.front().arrival;
  }
  bool empty() const { return segments_.empty(); }
  /// Bytes that are on their way.
  std::size_t held_bytes() const { return held_bytes_; }

 private:
  /// Bytes that arrive together: enough of them that a fast line does not wake anybody more often
  /// than every millisecond.
  struct Segment {
    Bytes bytes;
    Microseconds arrival;
  };
  static constexpr std::int64_t segment_ns = 1'000'000, queue_ns = 10'000'000;

  double ns_per_byte_;
  std::int64_t delay_ns_;
  std::size_t segment_bytes_;
  std::int64_t free_at_ns_ = 0;  // when the last byte that came in has left
  std::deque<Segment> segments_;
  std::size_t held_bytes_ = 0;
};

}  // namespace net
IOTSL_NAMESPACE_END
