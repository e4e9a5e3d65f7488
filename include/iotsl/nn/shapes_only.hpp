#pragma once
// Layers without values, to count what a net costs however large it is.

#include <utility>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

/// While one lives, the layers that this thread makes have fields and shapes but no memory for
/// their state.
class ShapesOnly {
 public:
  ShapesOnly() : before_(std::exchange(active_, true)) {}
  ShapesOnly(const ShapesOnly&) = delete;
  ~ShapesOnly() { active_ = before_; }
  static bool active() { return active_; }

 private:
  static inline thread_local bool active_ = false;
  bool before_;
};

IOTSL_NAMESPACE_END
