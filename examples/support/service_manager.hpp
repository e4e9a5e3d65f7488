#pragma once
// What systemd is told by a program that it runs as a service (sd_notify(3)): datagrams to the
// socket in $NOTIFY_SOCKET. Without it nothing is sent.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "iotsl/net/clock.hpp"

namespace iotsl {

class ServiceManager {
 public:
  ServiceManager() {
    const char* const path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
        std::strlen(path) >= sizeof address_.sun_path)
      return;
    address_.sun_family = AF_UNIX;
    std::strcpy(address_.sun_path, path);
    address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    if (path[0] == '@') address_.sun_path[0] = '\0';  // a name without a file
    // A manager that does not read must not stop what it watches over.
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const char* const limit = std::getenv("WATCHDOG_USEC");
    const char* const whose = std::getenv("WATCHDOG_PID");
    if (limit == nullptr || (whose != nullptr && std::atol(whose) != ::getpid())) return;
    watchdog_interval_ = std::atoll(limit) / 4;
  }
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;
  ~ServiceManager() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// The program does what it is for.
  void ready() { send("READY=1"); }
  /// It was asked to end, and finishes something first. Told once.
  void stopping() {
    if (is_stopping_) return;
    is_stopping_ = true;
    send("STOPPING=1");
  }
  /// One line that `systemctl status` shows; told once a second at most, a later one by progress().
  void status(std::string_view line) {
    if (socket_ < 0) return;
    status_ = line.substr(0, line.find('\n'));
    tell_status();
  }
  /// To be called between two pieces of work by the thread that does it, so that one that hangs is
  /// noticed. Four times in the time that systemd waits it hears of it.
  void progress() {
    tell_status();
    if (watchdog_interval_ <= 0) return;
    const net::Microseconds now = net::steady_now();
    if (told_progress_ != 0 && now - told_progress_ < watchdog_interval_) return;
    told_progress_ = now;
    send("WATCHDOG=1");
  }

 private:
  void tell_status() {
    if (status_ == told_) return;
    const net::Microseconds now = net::steady_now();
    if (told_status_ != 0 && now - told_status_ < net::second_us) return;
    told_status_ = now;
    told_ = status_;
    send("STATUS=" + told_);
  }
  void send(std::string_view text) {
    if (socket_ < 0) return;
    // One that is lost comes again, or changes nothing.
    [[maybe_unused]] const ssize_t sent =
        ::sendto(socket_, text.data(), text.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address_), address_bytes_);
  }

  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
  int socket_ = -1;
  bool is_stopping_ = false;
  std::string status_, told_;
  net::Microseconds told_status_ = 0, told_progress_ = 0, watchdog_interval_ = 0;
};

/// Of this program.
inline ServiceManager& service_manager() {
  static ServiceManager manager;
  return manager;
}

}  // namespace iotsl
