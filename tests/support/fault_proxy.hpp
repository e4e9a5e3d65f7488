#pragma once
// A wire that breaks on demand: it stands between a device and a server, reads the frames that pass
// and asks before each whether it may go on.

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <list>
#include <thread>
#include <vector>

namespace iotsl::test {

/// A listening socket on loopback; its port is in `port`.
inline int listen_on_loopback(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool good = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::listen(fd, 16) == 0 &&
                    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!good) std::abort();
  port = ntohs(address.sin_port);
  return fd;
}

inline std::uint16_t free_port() {
  std::uint16_t port = 0;
  ::close(listen_on_loopback(port));
  return port;
}

class FaultProxy {
 public:
  /// `may_pass` is called in the proxy's thread for every frame, in both directions, with the
  /// number of its message, which for the frames of a transfer is that of the transfer's kind;
  /// where it says no, the frame is lost and the connection is closed on both sides.
  FaultProxy(std::uint16_t target, std::function<bool(std::uint8_t message)> may_pass)
      : target_(target), may_pass_(std::move(may_pass)), listener_(listen_on_loopback(port_)) {
    thread_ = std::thread([this] { run(); });
  }
  FaultProxy(const FaultProxy&) = delete;
  ~FaultProxy() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
    for (Pair& pair : pairs_) close(pair);
  }
  std::uint16_t port() const { return port_; }

 private:
  static constexpr std::size_t header = 32, type_at = 5, length_at = 8;
  static constexpr std::uint8_t begin = 5, end = 7;  // with CHUNK between them

  /// One direction: bytes that belong to no whole frame yet.
  struct Flow {
    std::vector<std::uint8_t> held;
    std::uint8_t kind = 0;  ///< of the open transfer
  };
  struct Pair {
    int device = -1, server = -1;
    Flow up, down;
  };

  static void close(Pair& pair) {
    if (pair.device >= 0) ::close(pair.device);
    if (pair.server >= 0) ::close(pair.server);
    pair.device = pair.server = -1;
  }

  void run() {
    while (!stop_) {
      std::vector<pollfd> items{{listener_, POLLIN, 0}};
      std::vector<Pair*> of;
      for (Pair& pair : pairs_) {
        items.push_back({pair.device, POLLIN, 0});
        items.push_back({pair.server, POLLIN, 0});
        of.push_back(&pair);
      }
      if (::poll(items.data(), items.size(), 20) <= 0) continue;
      for (std::size_t i = 0; i < of.size(); ++i) {
        Pair& pair = *of[i];
        const bool device_speaks = items[1 + 2 * i].revents != 0;
        const bool server_speaks = items[2 + 2 * i].revents != 0;
        bool good = true;
        if (device_speaks) good = pump(pair.device, pair.server, pair.up);
        if (good && server_speaks) good = pump(pair.server, pair.device, pair.down);
        if (!good) close(pair);
      }
      pairs_.remove_if([](const Pair& pair) { return pair.device < 0; });
      if ((items[0].revents & POLLIN) != 0) accept();
    }
  }

  void accept() {
    Pair pair;
    pair.device = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    pair.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(target_);
    // Nobody behind: the device sees a connection that closes, as from a server that dies.
    if (pair.device < 0 ||
        ::connect(pair.server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      return close(pair);
    pairs_.push_back(std::move(pair));
  }

  /// Moves whole frames; false where the connection has to end.
  bool pump(int from, int to, Flow& flow) {
    std::uint8_t chunk[65536];
    const ssize_t got = ::recv(from, chunk, sizeof chunk, 0);
    if (got <= 0) return false;
    flow.held.insert(flow.held.end(), chunk, chunk + got);
    for (;;) {
      std::uint32_t length = 0;
      if (flow.held.size() < header) return true;
      std::memcpy(&length, flow.held.data() + length_at, sizeof length);
      const std::size_t frame = header + length;
      if (flow.held.size() < frame) return true;
      std::uint8_t message = flow.held[type_at];
      if (message == begin) flow.kind = flow.held[header];
      if (message >= begin && message <= end) message = flow.kind;
      if (!may_pass_(message)) return false;
      for (std::size_t sent = 0; sent < frame;) {
        const ssize_t put = ::send(to, flow.held.data() + sent, frame - sent, MSG_NOSIGNAL);
        if (put <= 0) return false;
        sent += static_cast<std::size_t>(put);
      }
      flow.held.erase(flow.held.begin(), flow.held.begin() + static_cast<std::ptrdiff_t>(frame));
    }
  }

  std::uint16_t target_, port_ = 0;
  std::function<bool(std::uint8_t message)> may_pass_;
  int listener_;
  std::list<Pair> pairs_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace iotsl::test
