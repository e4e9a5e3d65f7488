#pragma once
// The device processes that `iotsl simulate` starts.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "iotsl/core/error.hpp"

namespace iotsl::tool {

/// Started programs; those that still run at the end of the scope are killed.
class DeviceProcesses {
 public:
  DeviceProcesses() = default;
  DeviceProcesses(const DeviceProcesses&) = delete;
  DeviceProcesses& operator=(const DeviceProcesses&) = delete;
  ~DeviceProcesses();

  /// Starts `arguments` (the program first); what it prints goes to the file `log`.
  Result<void> start(const std::vector<std::string>& arguments, const std::string& log);
  /// The log of a process that has ended with an error, or empty. Does not wait.
  std::string failed_log();
  /// Waits for all to end by themselves, `seconds` at most.
  void wait(double seconds);

 private:
  struct Process {
    pid_t pid;
    std::string log;
    bool running = true;
    bool failed = false;
  };
  void collect();
  std::vector<Process> processes_;
};

/// The program of that name beside this one.
Result<std::string> program_beside(const std::string& name);

}  // namespace iotsl::tool
