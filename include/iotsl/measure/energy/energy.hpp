#pragma once
// Joules, and where they come from.

#include <string>

#include "iotsl/core/json/fields.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// An amount of energy. No number stands alone: `origin` says which meter has measured it and what
/// hangs on it, or which model it was calculated by.
struct Energy {
  double joules = 0;
  double seconds = 0;  ///< that it was spent in
  std::string origin;

  double mean_watts() const { return seconds > 0 ? joules / seconds : 0; }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("joules", self.joules);
    f("seconds", self.seconds);
    f("origin", self.origin);
  }
};

}  // namespace measure
IOTSL_NAMESPACE_END
