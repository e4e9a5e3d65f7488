#pragma once
// Named places at which a program of a test ends, fails or waits. In ordinary builds there are
// none: with IOTSL_FAILPOINTS=1 (cmake: the preset failpoints), which is part of the ABI tag, the
// environment chooses one of them:
//
//   IOTSL_FAILPOINT=NAME:ACTION[:N]   at its N-th passing (1 unless told), which is said. kill: as
//                                     by kill -9; error: a file call fails (EIO), elsewhere an
//                                     Error is raised; delay: the thread sleeps for half a second
//   IOTSL_FAILPOINT=list              the names of all points of the program, when it ends
//   IOTSL_FAILPOINT=NAME:count        how often it was passed, when the program ends

#include "iotsl/config.hpp"

#if IOTSL_FAILPOINTS

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN
namespace detail {

/// A point that the program has, entered in a list before main() begins.
class FailpointEntry {
 public:
  explicit FailpointEntry(const char* name) : name_(name), next_(first()) {
    first() = this;
    if (next_ == nullptr && std::getenv("IOTSL_FAILPOINT") != nullptr) std::atexit(report);
  }
  /// True where the caller has to fail.
  bool pass() {
    const unsigned long passed = ++passed_;
    const char* const chosen = std::getenv("IOTSL_FAILPOINT");
    const std::size_t length = std::strlen(name_);
    if (chosen == nullptr || std::strncmp(chosen, name_, length) != 0 || chosen[length] != ':')
      return false;
    const std::string_view action = chosen + length + 1;
    const std::size_t colon = std::min(action.find(':'), action.size());
    const unsigned long at =
        colon == action.size() ? 1 : std::strtoul(action.data() + colon + 1, nullptr, 10);
    if (passed != at) return false;
    const std::string_view what = action.substr(0, colon);
    const std::string line = concat("failpoint ", name_, " acts\n");
    if (::write(STDERR_FILENO, line.data(), line.size()) < 0) ::abort();  // nobody would know
    if (what == "kill") {
      ::kill(::getpid(), SIGKILL);
      for (;;) ::pause();
    }
    if (what == "delay") ::usleep(500000);
    return what == "error";
  }

 private:
  static FailpointEntry*& first() {
    static FailpointEntry* entry = nullptr;
    return entry;
  }
  static void report() {
    const std::string_view chosen = std::getenv("IOTSL_FAILPOINT");
    for (const FailpointEntry* each = first(); each != nullptr; each = each->next_) {
      if (chosen == "list") std::printf("failpoint %s\n", each->name_);
      if (chosen == concat(each->name_, ":count"))
        std::printf("failpoint %s passed %lu\n", each->name_, each->passed_.load());
    }
  }

  const char* name_;
  FailpointEntry* next_;
  std::atomic<unsigned long> passed_{0};
};

template <std::size_t n>
struct FailpointName {
  char text[n];
  // NOLINTNEXTLINE(google-explicit-constructor): a text is the argument of a template
  consteval FailpointName(const char (&from)[n]) { std::copy_n(from, n, text); }
};
/// One for each name, however many places have it.
template <FailpointName name>
struct Failpoint {
  static inline FailpointEntry entry{name.text};
  static bool fails() {
    if (!entry.pass()) return false;
    errno = EIO;
    return true;
  }
  static void pass() {
    if (entry.pass()) fail("failpoint ", name.text);
  }
};

}  // namespace detail
IOTSL_NAMESPACE_END

/// A change of state.
#define IOTSL_FAILPOINT(name) ::iotsl::detail::Failpoint<name>::pass()
/// In front of a call that sets errno: `IOTSL_FAILPOINT_FAILS("file.cut") || ::truncate(...) != 0`.
#define IOTSL_FAILPOINT_FAILS(name) ::iotsl::detail::Failpoint<name>::fails()

#else

#define IOTSL_FAILPOINT(name) static_cast<void>(0)
#define IOTSL_FAILPOINT_FAILS(name) false

#endif
