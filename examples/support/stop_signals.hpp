#pragma once
// Ctrl-C, SIGTERM and a closed terminal, the same for both programs.

#include <unistd.h>

#include <csignal>
#include <string_view>

#include "support/exit_code.hpp"

namespace iotsl {

/// Lets these signals call `handler`. A closed terminal is none where nohup has it ignored.
inline void on_stop_signals(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction before {};
  if (::sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
    ::sigaction(SIGHUP, &action, nullptr);
}

/// From now on such a signal ends the program as if nobody had caught it. To be called in a handler
/// that asks for an orderly end, so that who is in a hurry sends another.
inline void end_at_next_signal() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction current {};
    if (::sigaction(number, nullptr, &current) != 0 || current.sa_handler == SIG_IGN) continue;
    current.sa_handler = SIG_DFL;
    ::sigaction(number, &current, nullptr);
  }
}

/// Ends the program at once: for the time when it only reads, and leaves nothing behind. To be
/// called in a handler. `message`: a whole line.
[[noreturn]] inline void stop_at_once(std::string_view message) {
  if (::write(STDERR_FILENO, message.data(), message.size()) < 0) {
    // Nobody reads it; the exit code says the same.
  }
  ::_exit(exit_code(ErrorCode::stopped));
}

}  // namespace iotsl
