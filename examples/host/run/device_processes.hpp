#pragma once
// The device processes that `iotsl simulate` starts.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "iotsl/core/error.hpp"

namespace iotsl::tool {

/// Started programs; those that still run at the end of the scope are killed. A Ctrl-C in the
/// terminal does not reach them: whoever started them decides.
class DeviceProcesses {
 public:
  DeviceProcesses() = default;
  DeviceProcesses(const DeviceProcesses&) = delete;
  DeviceProcesses& operator=(const DeviceProcesses&) = delete;
  ~DeviceProcesses();

  /// Starts `arguments` (the program first); what it prints goes to the file `log`.
  Result<void> start(const std::vector<std::string>& arguments, const std::string& log);
  /// The log of a process that has ended with an error, or empty; each is said once. Does not wait.
  std::string take_failed_log();
  /// Starts those again that a signal has killed; the number of them.
  Result<int> restart_killed();
  /// Waits for all to end by themselves, `seconds` at most.
  void wait(double seconds);

 private:
  struct Process {
    std::vector<std::string> arguments;
    std::string log;
    pid_t pid = 0;
    bool running = true;
    bool failed = false;
    bool killed = false;
  };
  static Result<void> spawn(Process& process, bool again);
  void collect();
  std::vector<Process> processes_;
};

/// The program of that name beside this one.
Result<std::string> program_beside(const std::string& name);

}  // namespace iotsl::tool
