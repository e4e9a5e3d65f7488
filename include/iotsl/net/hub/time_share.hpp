#pragma once
// A share of a thread's computing time: what strangers ask for is done within it, and waits where
// it is used up.

#include <algorithm>

#include "iotsl/net/clock.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// An allowance that grows with time, up to a limit.
class TimeShare {
 public:
  /// `share`: of the time that passes, in (0, 1]; `ahead`: the most that is saved up.
  TimeShare(double share, Microseconds ahead) : share_(share), ahead_(ahead), allowance_(ahead) {}

  void grow(Microseconds now) {
    if (last_ != 0)
      allowance_ = std::min(ahead_, allowance_ + static_cast<Microseconds>(
                                                     share_ * static_cast<double>(now - last_)));
    last_ = now;
  }
  void spend(Microseconds time) { allowance_ -= time; }
  bool has_some() const { return allowance_ > 0; }
  /// How long until it has enough to be worth a turn.
  Microseconds wait() const {
    if (has_some()) return 0;
    const Microseconds turn = std::min<Microseconds>(ahead_, 1000);
    return static_cast<Microseconds>(static_cast<double>(turn - allowance_) / share_);
  }

 private:
  double share_;
  Microseconds ahead_, allowance_, last_ = 0;
};

}  // namespace net
IOTSL_NAMESPACE_END
