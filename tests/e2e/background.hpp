#pragma once
// Programs of this build that run in the background and can be killed, and what their runs leave.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <atomic>
#include <fstream>

#include "e2e/program.hpp"
#include "iotsl/core/json/parse.hpp"

extern char** environ;

namespace iotsl::test {

/// A program in the background.
class Child {
 public:
  Child(std::vector<std::string> arguments, std::string log)
      : arguments_(std::move(arguments)), log_(std::move(log)) {
    start();
  }
  Child(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  void start() {
    std::vector<char*> argv;
    for (std::string& argument : arguments_) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid = 0;
    REQUIRE(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    pid_ = pid;
  }
  void kill(int signal = SIGKILL) { ::kill(pid_, signal); }
  pid_t pid() const { return pid_; }
  enum class State { running, done, failed, killed };
  State state() {
    int status = 0;
    if (pid_ <= 0) return last_;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return State::running;
    pid_ = -1;
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    last_ = WIFSIGNALED(status)        ? State::killed
            : WEXITSTATUS(status) == 0 ? State::done
                                       : State::failed;
    return last_;
  }
  /// Of a program that has ended, or 128 and the signal that has ended it.
  int exit_code() const { return exit_code_; }
  std::vector<std::string> arguments_;
  std::string log_;

 private:
  std::atomic<pid_t> pid_{-1};
  State last_ = State::running;
  int exit_code_ = -1;
};

inline std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

inline std::string sha256_in(const std::string& summary) {
  const std::string key = "\"weights_sha256\":\"";
  const std::size_t at = summary.rfind(key);
  return at == std::string::npos ? "none" : summary.substr(at + key.size(), 64);
}

/// What must not depend on faults: round, device, steps, loss and accuracies of every epoch.
inline std::string history_of(const std::string& run) {
  std::ifstream file(run + "/metrics.jsonl");
  std::string line, out;
  while (std::getline(file, line)) {
    const auto record = parse_json(line);
    REQUIRE(record.ok());
    for (const char* key :
         {"epoch", "round", "device", "steps", "loss", "train_accuracy", "test_accuracy"})
      out += concat(key, " ", to_text(*record->find(key)), " ");
    out += "\n";
  }
  return out;
}

}  // namespace iotsl::test
