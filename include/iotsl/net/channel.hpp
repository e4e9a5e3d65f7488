#pragma once
// TCP: one connection, and connecting with patience. Sockets never block; waiting is poll(), so
// that every wait has a limit. TLS is put around a connection by channel_stream.hpp; without it
// only loopback is allowed unless the user says otherwise.

#if !defined(ASIO_STANDALONE)
#define ASIO_STANDALONE
#endif

#include <fcntl.h>
#include <poll.h>

#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <atomic>
#include <cerrno>

#include "iotsl/core/bytes.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/net/address.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/handle_limit.hpp"

#if defined(ASIO_NO_EXCEPTIONS)
namespace asio::detail {
/// Asio calls this instead of throwing; the synchronous calls used here report by error code.
/// From version 1.24 on it has a second parameter.
template <typename Exception>
void throw_exception(const Exception& e
#if defined(ASIO_SOURCE_LOCATION_PARAM)
                         ASIO_SOURCE_LOCATION_PARAM
#endif
) {
  iotsl::fail("asio: ", e.what());
}
}  // namespace asio::detail
#endif

IOTSL_NAMESPACE_BEGIN
namespace net {

namespace detail {

inline std::string text_of(const asio::ip::tcp::endpoint& endpoint) {
  return to_string(Address{endpoint.address().to_string(), endpoint.port()});
}

/// A program that this one starts must not keep a connection open that is closed here.
inline void close_on_exec(int handle) { ::fcntl(handle, F_SETFD, FD_CLOEXEC); }

/// `off_loopback`: the address may be one of another machine.
inline Result<asio::ip::tcp::endpoint> resolve(asio::io_context& context, const Address& address,
                                               bool off_loopback) {
  asio::error_code error;
  asio::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(address.host, std::to_string(address.port), error);
  if (error || found.begin() == found.end())
    return failure(ErrorCode::network, "cannot find host '", address.host, "': ", error.message());
  const asio::ip::tcp::endpoint endpoint = *found.begin();
  if (!endpoint.address().is_loopback() && !off_loopback)
    return failure(
        ErrorCode::usage, text_of(endpoint), " is not on loopback and ",
        IOTSL_TLS ? "no identity is given: give --identity DIR for TLS, or"
                  : "this program was built without TLS: give",
        " --insecure to let everything travel unencrypted and without proof of identity");
  return endpoint;
}

/// Waits until a socket is ready. False after the time limit or a signal.
inline bool wait_socket(int handle, short events, Microseconds limit) {
  pollfd item{handle, events, 0};
  const int timeout = static_cast<int>(std::max<Microseconds>(0, (limit + 999) / 1000));
  return ::poll(&item, 1, timeout) > 0;
}
/// Waits for any of them, to the microsecond.
inline void wait_sockets(std::span<pollfd> items, Microseconds limit) {
  const Microseconds left = std::max<Microseconds>(0, limit);
  const timespec timeout{static_cast<time_t>(left / second_us),
                         static_cast<long>(left % second_us * 1000)};
  ::ppoll(items.data(), items.size(), &timeout, nullptr);
}

}  // namespace detail

/// One TCP connection. Counts the bytes that the socket took and gave.
class Channel {
 public:
  explicit Channel(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
    detail::close_on_exec(socket_.native_handle());
    asio::error_code ignored;
    // A batch waits for its last bytes: Nagle's delay would add up to 40 ms to every step.
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    const auto peer = socket_.remote_endpoint(ignored);
    peer_ = ignored ? "a peer that has gone" : detail::text_of(peer);
    if (!ignored) peer_address_ = peer.address();
  }

  /// Connects to an endpoint within a time limit. `off_loopback`: it may be on another machine,
  /// because TLS is put around the connection or the user wants none.
  static Result<Channel> connect(asio::io_context& context, const Address& address,
                                 bool off_loopback, Microseconds limit) {
    const auto endpoint = detail::resolve(context, address, off_loopback);
    if (!endpoint) return endpoint.failure();
    const auto refused = [&](const std::string& why) {
      return failure(ErrorCode::network, "cannot connect to ", detail::text_of(*endpoint), ": ",
                     why);
    };
    asio::error_code error;
    asio::ip::tcp::socket socket(context);
    socket.open(endpoint->protocol(), error);
    if (!error) socket.non_blocking(true, error);
    if (error) return refused(error.message());
    // asio's connect waits for the system's own limit of minutes.
    const int handle = socket.native_handle();
    if (::connect(handle, endpoint->data(), static_cast<socklen_t>(endpoint->size())) != 0) {
      if (errno != EINPROGRESS)
        return refused(asio::error_code(errno, asio::system_category()).message());
      if (!detail::wait_socket(handle, POLLOUT, limit)) return refused("no answer in time");
      int problem = 0;
      socklen_t size = sizeof problem;
      ::getsockopt(handle, SOL_SOCKET, SO_ERROR, &problem, &size);
      if (problem != 0)
        return refused(asio::error_code(problem, asio::system_category()).message());
    }
    return Channel(std::move(socket));
  }

  /// Reads what has arrived, at most `into.size()` bytes: 0 when nothing has. `closed()` turns true
  /// when the peer has sent its last byte.
  Result<std::size_t> read_some(std::span<std::uint8_t> into) {
    asio::error_code error;
    const std::size_t got =
        socket_.read_some(asio::mutable_buffer(into.data(), into.size()), error);
    bytes_in_ += got;
    if (error == asio::error::would_block || error == asio::error::interrupted) return got;
    if (error == asio::error::eof) {
      closed_ = true;
      return got;
    }
    if (error) return lost(error);
    return got;
  }
  /// Writes as much as the socket takes now.
  Result<std::size_t> write_some(ByteSpan bytes) {
    asio::error_code error;
    const std::size_t put =
        socket_.write_some(asio::const_buffer(bytes.data(), bytes.size()), error);
    bytes_out_ += put;
    if (error == asio::error::would_block || error == asio::error::interrupted) return put;
    if (error) return lost(error);
    return put;
  }
  /// Waits until there is something to read, or room to write; false after `limit`.
  bool wait(bool to_write, Microseconds limit) {
    return detail::wait_socket(handle(), static_cast<short>(POLLIN | (to_write ? POLLOUT : 0)),
                               limit);
  }

  /// Says that nothing more will be sent; the peer's last bytes can still be read.
  void finish_writing() {
    asio::error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  }
  void close() {
    asio::error_code ignored;
    socket_.close(ignored);
  }

  bool closed() const { return closed_; }
  int handle() { return socket_.native_handle(); }
  const std::string& peer() const { return peer_; }
  /// The peer's address without the port, or of IPv6 the network of 64 bits, all of which one
  /// machine may have.
  std::string peer_network() const {
    if (peer_address_.is_v4()) return peer_address_.to_string();
    const asio::ip::address_v6 address = peer_address_.to_v6();
    if (address.is_v4_mapped())
      return asio::ip::make_address_v4(asio::ip::v4_mapped, address).to_string();
    const auto bytes = address.to_bytes();
    return concat("[", std::string(bytes.begin(), bytes.begin() + 8), "]/64");
  }
  std::uint64_t bytes_in() const { return bytes_in_; }
  std::uint64_t bytes_out() const { return bytes_out_; }

 private:
  Failure lost(const asio::error_code& error) const {
    return failure(ErrorCode::network, "connection to ", peer_, " lost: ", error.message());
  }

  asio::ip::tcp::socket socket_;
  std::string peer_;
  asio::ip::address peer_address_;
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;
  bool closed_ = false;
};

/// Accepts connections.
class Listener {
 public:
  /// Port 0 lets the system choose one; see `port()`. `off_loopback` as in Channel::connect.
  static Result<Listener> open(asio::io_context& context, const Address& address,
                               bool off_loopback) {
    const auto endpoint = detail::resolve(context, address, off_loopback);
    if (!endpoint) return endpoint.failure();
    asio::error_code error;
    asio::ip::tcp::acceptor acceptor(context);
    acceptor.open(endpoint->protocol(), error);
    if (!error) detail::close_on_exec(acceptor.native_handle());
    if (!error) acceptor.set_option(asio::ip::tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(*endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor.non_blocking(true, error);
    if (error)
      return failure(ErrorCode::network, "cannot listen on ", detail::text_of(*endpoint), ": ",
                     error.message());
    return Listener(std::move(acceptor));
  }

  /// A connection that waits; failure where there is none or it has gone again, with
  /// ErrorCode::other where this process or the system has no handle or memory left for it.
  Result<Channel> accept() {
    asio::error_code error;
    asio::ip::tcp::socket socket = acceptor_.accept(error);
    if (!error) return Channel(std::move(socket));
    if (error == asio::error::no_descriptors)
      return failure(ErrorCode::other, "cannot accept: ", error.message(), " (limit ",
                     handle_limits().soft, ", ulimit -n)");
    const int number = error.value();
    const bool exhausted = number == ENFILE || number == ENOBUFS || number == ENOMEM;
    return failure(exhausted ? ErrorCode::other : ErrorCode::network,
                   "cannot accept: ", error.message());
  }
  std::uint16_t port() const {
    asio::error_code ignored;
    return acceptor_.local_endpoint(ignored).port();
  }
  int handle() { return acceptor_.native_handle(); }

 private:
  explicit Listener(asio::ip::tcp::acceptor acceptor) : acceptor_(std::move(acceptor)) {}
  asio::ip::tcp::acceptor acceptor_;
};

/// How long to go on when the server does not answer.
struct ConnectOptions {
  bool off_loopback = false;  ///< as in Channel::connect
  Microseconds attempt_limit = 5 * second_us;
  Microseconds total_limit = 60 * second_us;
  Microseconds first_delay = second_us / 5;
  Microseconds longest_delay = 20 * second_us;
  std::uint64_t jitter_seed = 0;            ///< a device's boot nonce
  const std::atomic<bool>* stop = nullptr;  ///< set by a signal: give up
};

/// The wait before attempt `attempt` (1, 2, ...): uniform between 0 and a limit that doubles ("full
/// jitter"), so that devices that lost the same server do not come back at the same moment.
inline Microseconds retry_delay(const ConnectOptions& options, std::uint32_t attempt) {
  Microseconds limit = options.first_delay;
  for (std::uint32_t i = 1; i < attempt && limit < options.longest_delay; ++i) limit *= 2;
  limit = std::min(limit, options.longest_delay);
  const Random random(options.jitter_seed, Stream::user);
  return static_cast<Microseconds>(random.below(attempt, static_cast<std::uint64_t>(limit) + 1));
}

/// Sleeps, unless or until `stop` is set, which may be null: a signal can come just before the
/// system's own sleep would begin.
inline void sleep_unless(const std::atomic<bool>* stop, Microseconds span) {
  const Microseconds end = steady_now() + span;
  for (Microseconds left = span; left > 0; left = end - steady_now()) {
    if (stop != nullptr && stop->load()) return;
    ::poll(nullptr, 0, static_cast<int>((std::min(left, second_us / 4) + 999) / 1000));
  }
}

/// Connects, and tries again while nobody listens.
inline Result<Channel> connect_patiently(asio::io_context& context, const Address& address,
                                         const ConnectOptions& options) {
  const Microseconds start = steady_now();
  for (std::uint32_t attempt = 1;; ++attempt) {
    Result<Channel> channel =
        Channel::connect(context, address, options.off_loopback, options.attempt_limit);
    if (channel || channel.failure().code != ErrorCode::network) return channel;
    const Microseconds delay = retry_delay(options, attempt);
    if (steady_now() - start + delay > options.total_limit)
      return failure(ErrorCode::network, channel.failure().message, " (tried ", attempt,
                     " times in ", options.total_limit / second_us, " s)");
    sleep_unless(options.stop, delay);
    if (options.stop != nullptr && options.stop->load())
      return failure(ErrorCode::network, "stopped while waiting for ", address);
  }
}

}  // namespace net
IOTSL_NAMESPACE_END
