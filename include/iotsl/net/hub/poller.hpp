#pragma once
// Which of many sockets are ready. Asking costs what is ready, not what there is: thousands of idle
// devices do not slow down the one that works.

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// A set of sockets, each with a number of its owner's.
class Poller {
 public:
  using Events = short;  ///< as poll() has them
  struct Ready {
    std::uint64_t id;
    Events events;
  };

  static Result<Poller> make() {
    const int handle = ::epoll_create1(EPOLL_CLOEXEC);
    if (handle < 0) return failure(ErrorCode::network, "cannot watch sockets: errno ", errno);
    return Poller(handle);
  }
  Poller(Poller&& other) noexcept : handle_(std::exchange(other.handle_, -1)) {}
  Poller& operator=(Poller&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Poller() {
    if (handle_ >= 0) ::close(handle_);
  }

  /// Itself ready to be read where one of its sockets is ready.
  int handle() const { return handle_; }

  Result<void> add(int socket, std::uint64_t id, Events events) {
    return control(EPOLL_CTL_ADD, socket, id, events);
  }
  Result<void> change(int socket, std::uint64_t id, Events events) {
    return control(EPOLL_CTL_MOD, socket, id, events);
  }
  void remove(int socket) { ::epoll_ctl(handle_, EPOLL_CTL_DEL, socket, nullptr); }

  /// Those that are ready, at most so many: the others come first another time. Valid until the
  /// next call.
  std::span<const Ready> take(std::size_t most) {
    epoll_event found[most_at_once];
    const int limit = static_cast<int>(std::min(most, most_at_once));
    const int count = ::epoll_wait(handle_, found, limit, 0);
    for (int i = 0; i < count; ++i)
      ready_[static_cast<std::size_t>(i)] = {found[i].data.u64,
                                             static_cast<Events>(found[i].events)};
    return std::span(ready_).first(static_cast<std::size_t>(std::max(count, 0)));
  }
  static constexpr std::size_t most_at_once = 128;

 private:
  // The numbers are the same on Linux.
  static_assert(int{POLLIN} == int{EPOLLIN} && int{POLLOUT} == int{EPOLLOUT} &&
                int{POLLHUP} == int{EPOLLHUP} && int{POLLERR} == int{EPOLLERR});

  explicit Poller(int handle) : handle_(handle) {}
  Result<void> control(int what, int socket, std::uint64_t id, Events events) {
    epoll_event event{};
    event.events = static_cast<std::uint32_t>(events);
    event.data.u64 = id;
    if (::epoll_ctl(handle_, what, socket, &event) == 0) return {};
    return failure(ErrorCode::network, "cannot watch a socket: errno ", errno);
  }

  int handle_;
  std::array<Ready, most_at_once> ready_{};
};

}  // namespace net
IOTSL_NAMESPACE_END
