#include "host/run/device_processes.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

extern char** environ;

namespace iotsl::tool {

DeviceProcesses::~DeviceProcesses() {
  for (const Process& process : processes_) {
    if (!process.running) continue;
    kill(process.pid, SIGKILL);
    waitpid(process.pid, nullptr, 0);
  }
}

Result<void> DeviceProcesses::start(const std::vector<std::string>& arguments,
                                    const std::string& log) {
  Process process{.arguments = arguments, .log = log};
  const Result<void> started = spawn(process, false);
  if (started) processes_.push_back(std::move(process));
  return started;
}

Result<void> DeviceProcesses::spawn(Process& process, bool again) {
  std::vector<char*> argv;
  for (std::string& argument : process.arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, process.log.c_str(),
                                   O_WRONLY | O_CREAT | (again ? O_APPEND : O_TRUNC), 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawn(&process.pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return failure(ErrorCode::other, argv[0], ": cannot be started: ", std::strerror(error));
  process.running = true;
  process.failed = process.killed = false;
  return {};
}

void DeviceProcesses::collect() {
  for (Process& process : processes_) {
    int status = 0;
    if (!process.running || waitpid(process.pid, &status, WNOHANG) != process.pid) continue;
    process.running = false;
    process.killed = WIFSIGNALED(status);
    process.failed = WIFEXITED(status) && WEXITSTATUS(status) != 0;
  }
}

Result<int> DeviceProcesses::restart_killed() {
  collect();
  int count = 0;
  for (Process& process : processes_) {
    if (!process.killed) continue;
    const Result<void> started = spawn(process, true);
    if (!started) return started.failure();
    ++count;
  }
  return count;
}

std::string DeviceProcesses::take_failed_log() {
  collect();
  for (Process& process : processes_)
    if (std::exchange(process.failed, false)) return process.log;
  return {};
}

void DeviceProcesses::wait(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (;;) {
    collect();
    bool running = false;
    for (const Process& process : processes_) running = running || process.running;
    if (!running || Clock::now() >= end) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Result<std::string> program_beside(const std::string& name) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length <= 0) return failure(ErrorCode::other, "/proc/self/exe cannot be read");
  const std::string path(self, static_cast<std::size_t>(length));
  std::string beside = path.substr(0, path.rfind('/') + 1) + name;
  if (access(beside.c_str(), X_OK) != 0)
    return failure(ErrorCode::other, "needs the program ", name, " beside itself: ", beside, ": ",
                   std::strerror(errno));
  return beside;
}

}  // namespace iotsl::tool
