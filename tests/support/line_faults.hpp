#pragma once
// What a bad line does to the frames of one direction, each by numbers of a seed: when their bytes
// go on, in which pieces, and whether as they came.

#include <chrono>
#include <cstdint>
#include <deque>
#include <random>
#include <utility>
#include <vector>

namespace iotsl::test {

/// All of it off. Probabilities are of a frame.
struct LineFaults {
  using Milliseconds = std::chrono::milliseconds;
  static constexpr std::size_t never = ~std::size_t{0};

  std::uint64_t seed = 1;
  Milliseconds delay{0};   ///< of each frame
  Milliseconds jitter{0};  ///< more of it, up to so much; frames stay in order
  double bytes_per_second = 0;
  bool single_bytes = false;  ///< a header and the first bytes behind it go one by one
  double flip = 0;            ///< one bit of the frame is wrong
  double duplicate = 0;       ///< it comes twice
  double reorder = 0;         ///< the next one comes before it
  double reset = 0;           ///< the connection ends in front of it
  /// Frames of both directions are counted over all connections. From this one on the line stands
  /// still for `stall`.
  std::size_t stall_at = never;
  Milliseconds stall{0};
  /// In front of this one, its sender's direction is closed, the other one stays open.
  std::size_t half_close_at = never;
  /// From this one on nothing of its connection goes on in either direction, which stays open.
  std::size_t black_hole_at = never;
};

/// The bytes of one direction that are on their way.
class FaultyLine {
 public:
  using Clock = std::chrono::steady_clock;
  using Bytes = std::vector<std::uint8_t>;

  /// `direction`: tells the numbers of two directions apart.
  FaultyLine(const LineFaults& faults, std::uint64_t direction)
      : faults_(faults), random_(faults.seed * 1000003 + direction) {}

  /// A whole frame enters the line; false where the connection has to end in front of it.
  bool enter(Bytes frame, Clock::time_point now) {
    if (happens(faults_.reset)) return false;
    if (happens(faults_.flip)) {
      const std::size_t at = below(frame.size());
      frame[at] = static_cast<std::uint8_t>(frame[at] ^ 1u << below(8));
    }
    const bool twice = happens(faults_.duplicate);
    if (kept_.empty() && happens(faults_.reorder)) {
      kept_ = std::move(frame);
      kept_at_ = now;
      return true;
    }
    if (twice) queue(frame, now);
    queue(std::move(frame), now);
    if (!kept_.empty()) queue(std::exchange(kept_, {}), now);
    return true;
  }
  void stall_until(Clock::time_point end) { free_at_ = std::max(free_at_, end); }

  /// The next piece that has arrived, or nothing. A frame that waits for the next one to pass it
  /// waits for a moment only.
  Bytes leave(Clock::time_point now) {
    if (!kept_.empty() && now - kept_at_ > std::chrono::milliseconds(50))
      queue(std::exchange(kept_, {}), now);
    if (pieces_.empty() || pieces_.front().first > now) return {};
    Bytes out = std::move(pieces_.front().second);
    pieces_.pop_front();
    return out;
  }
  bool is_empty() const { return pieces_.empty() && kept_.empty(); }

 private:
  bool happens(double probability) {
    return probability > 0 && std::uniform_real_distribution<double>()(random_) < probability;
  }
  std::size_t below(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  void queue(Bytes frame, Clock::time_point now) {
    using std::chrono::duration_cast;
    Clock::time_point at = now + faults_.delay;
    if (faults_.jitter.count() > 0)
      at += LineFaults::Milliseconds(below(static_cast<std::size_t>(faults_.jitter.count()) + 1));
    free_at_ = std::max(free_at_, at);
    if (faults_.bytes_per_second > 0)
      free_at_ += duration_cast<Clock::duration>(std::chrono::duration<double>(
          static_cast<double>(frame.size()) / faults_.bytes_per_second));
    const std::size_t single = faults_.single_bytes ? std::min<std::size_t>(frame.size(), 48) : 0;
    for (std::size_t i = 0; i < single; ++i) pieces_.push_back({free_at_, {frame[i]}});
    frame.erase(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(single));
    if (!frame.empty()) pieces_.push_back({free_at_, std::move(frame)});
  }

  LineFaults faults_;
  std::mt19937_64 random_;
  std::deque<std::pair<Clock::time_point, Bytes>> pieces_;
  Clock::time_point free_at_{};  ///< when the last piece has arrived
  Bytes kept_;                   ///< that the next one goes before
  Clock::time_point kept_at_{};
};

}  // namespace iotsl::test
