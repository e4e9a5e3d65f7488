#pragma once
// Whether the user wants a command to end that has something to finish first.

#include "support/stop_signals.hpp"

namespace iotsl::tool {
namespace detail {
inline volatile std::sig_atomic_t stop_flag = 0;
}

/// From now on Ctrl-C, SIGTERM and a closed terminal are requests; a second one ends the program at
/// once.
inline void catch_stop_signals() {
  on_stop_signals([](int) {
    detail::stop_flag = 1;
    end_at_next_signal();
  });
}
inline bool stop_requested() { return detail::stop_flag != 0; }

}  // namespace iotsl::tool
