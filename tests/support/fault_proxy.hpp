#pragma once
// A wire that breaks on demand: it stands between a device and a server, reads the frames that
// pass, asks before each whether it may go on, and does to them what a bad line does
// (line_faults.hpp).

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <list>
#include <thread>
#include <vector>

#include "support/line_faults.hpp"

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
  FaultProxy(std::uint16_t target, std::function<bool(std::uint8_t message)> may_pass,
             LineFaults faults = {})
      : target_(target),
        may_pass_(std::move(may_pass)),
        faults_(faults),
        listener_(listen_on_loopback(port_)) {
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
  /// Of both directions, over all connections.
  std::size_t frames() const { return frames_; }
  std::size_t connections() const { return connections_; }

 private:
  static constexpr std::size_t header = 32, type_at = 5, length_at = 8;
  static constexpr std::uint8_t begin = 5, end = 7;  // with CHUNK between them

  /// One direction: bytes that belong to no whole frame yet, and frames on their way.
  struct Flow {
    Flow(const LineFaults& faults, std::uint64_t direction) : line(faults, direction) {}
    std::vector<std::uint8_t> held;
    std::uint8_t kind = 0;  ///< of the open transfer
    FaultyLine line;
    bool closed = false;  ///< on purpose
    bool ended = false;   ///< by its sender, which may still listen
    bool told = false;    ///< its end, to the other side
  };
  struct Pair {
    int device = -1, server = -1;
    Flow up, down;
    bool in_black_hole = false;
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
        // poll passes over -1.
        items.push_back({pair.up.ended ? -1 : pair.device, POLLIN, 0});
        items.push_back({pair.down.ended ? -1 : pair.server, POLLIN, 0});
        of.push_back(&pair);
      }
      bool waits = false;  // for a time that the poll does not know of
      for (Pair& pair : pairs_) waits |= !pair.up.line.is_empty() || !pair.down.line.is_empty();
      if (::poll(items.data(), items.size(), waits ? 1 : 20) <= 0 && !waits) continue;
      for (std::size_t i = 0; i < of.size(); ++i) {
        Pair& pair = *of[i];
        const bool device_speaks = items[1 + 2 * i].revents != 0;
        const bool server_speaks = items[2 + 2 * i].revents != 0;
        bool good = true;
        if (device_speaks) good = pump(pair, pair.device, pair.server, pair.up);
        if (good && server_speaks) good = pump(pair, pair.server, pair.device, pair.down);
        good = good && let_out(pair, pair.server, pair.up) && let_out(pair, pair.device, pair.down);
        if (good) continue;
        // What was sent before the end still arrives.
        constexpr auto at_once = FaultyLine::Clock::time_point::max();
        let_out(pair, pair.server, pair.up, at_once);
        let_out(pair, pair.device, pair.down, at_once);
        close(pair);
      }
      pairs_.remove_if([](const Pair& pair) { return pair.device < 0; });
      if ((items[0].revents & POLLIN) != 0) accept();
    }
  }

  void accept() {
    const std::uint64_t number = connections_++;
    Pair pair{-1, -1, {faults_, 2 * number}, {faults_, 2 * number + 1}};
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
    const int on = 1;
    for (const int fd : {pair.device, pair.server})
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pairs_.push_back(std::move(pair));
  }

  /// Takes whole frames in; false where the connection has to end.
  bool pump(Pair& pair, int from, int to, Flow& flow) {
    std::uint8_t chunk[65536];
    const ssize_t got = ::recv(from, chunk, sizeof chunk, 0);
    if (got < 0 || (got == 0 && pair.in_black_hole)) return false;
    if (got == 0) flow.ended = true;
    if (flow.closed || pair.in_black_hole) return true;
    flow.held.insert(flow.held.end(), chunk, chunk + got);
    for (;;) {
      std::uint32_t length = 0;
      if (flow.held.size() < header) return true;
      std::memcpy(&length, flow.held.data() + length_at, sizeof length);
      const std::size_t size = header + length;
      if (flow.held.size() < size) return true;
      std::uint8_t message = flow.held[type_at];
      if (message == begin) flow.kind = flow.held[header];
      if (message >= begin && message <= end) message = flow.kind;
      if (!may_pass_(message)) return false;
      const std::size_t number = frames_++;
      if (number == faults_.black_hole_at) pair.in_black_hole = true;
      if (number == faults_.half_close_at) {
        flow.closed = true;
        ::shutdown(to, SHUT_WR);
      }
      if (flow.closed || pair.in_black_hole) return true;
      const auto now = FaultyLine::Clock::now();
      if (number == faults_.stall_at) {
        pair.up.line.stall_until(now + faults_.stall);
        pair.down.line.stall_until(now + faults_.stall);
      }
      const auto first = flow.held.begin();
      const auto last = first + static_cast<std::ptrdiff_t>(size);
      if (!flow.line.enter({first, last}, now)) return false;
      flow.held.erase(first, last);
    }
  }
  /// Hands over what has arrived, and behind it the end; false behind the last end.
  bool let_out(Pair& pair, int to, Flow& flow,
               FaultyLine::Clock::time_point now = FaultyLine::Clock::now()) {
    for (;;) {
      const FaultyLine::Bytes piece = flow.line.leave(now);
      if (piece.empty()) {
        if (!flow.ended || flow.told || !flow.line.is_empty()) return true;
        flow.told = true;
        ::shutdown(to, SHUT_WR);
        return !(pair.up.told && pair.down.told);
      }
      if (pair.in_black_hole) continue;
      for (std::size_t sent = 0; sent < piece.size();) {
        const ssize_t put = ::send(to, piece.data() + sent, piece.size() - sent, MSG_NOSIGNAL);
        if (put <= 0) return false;
        sent += static_cast<std::size_t>(put);
      }
    }
  }

  std::uint16_t target_, port_ = 0;
  std::function<bool(std::uint8_t message)> may_pass_;
  LineFaults faults_;
  int listener_;
  std::list<Pair> pairs_;
  std::atomic<std::size_t> frames_{0}, connections_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace iotsl::test
