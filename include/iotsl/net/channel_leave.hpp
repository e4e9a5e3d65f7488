#pragma once
// A device leaves its run for good, by itself. Whether a program of it takes part meanwhile makes
// no difference: that one is told and closed.

#include "iotsl/net/channel_inquiry.hpp"
#include "iotsl/net/identity/device_credentials.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

struct LeaveOptions {
  Address server;
  /// With them the connection is TLS, and the name must be theirs; else it is plain text, in which
  /// anybody may use a name.
  DeviceCredentials* credentials = nullptr;
  std::string name;
  ConnectOptions connect;  ///< its limit is for all, asking again included
};

namespace detail {

/// How one attempt has ended: with the device's place, or a failure.
struct LeaveAttempt {
  Result<std::uint32_t> place;
  bool is_final = true;          ///< asking again changes nothing
  Microseconds retry_after = 0;  ///< the server's wish
};

inline LeaveAttempt explain_leave(const Message& answer, const LeaveOptions& options) {
  const auto refused = [](const auto&... parts) {
    return LeaveAttempt{failure(ErrorCode::usage, parts...)};
  };
  const auto ok = decode<LeaveOk>(answer.payload);
  if (answer.type == MessageType::leave_ok && ok) return {ok->index};
  const auto error = decode<ErrorMessage>(answer.payload);
  if (answer.type == MessageType::error && error) {
    // That is how a server answers that expects HELLO there.
    if (error->code == WireError::not_allowed)
      return refused("the program of the server ", options.server,
                     " is older than this one and knows no device that leaves by itself (it says: ",
                     error->text, "); at the server: iotsl device leave ", options.name,
                     " --run RUN");
    if (error->fatal) return refused("the server says: ", error->text);
    return {failure(ErrorCode::network, "the server asks to come back later: ", error->text), false,
            Microseconds{error->retry_after_ms} * 1000};
  }
  const auto bye = decode<Bye>(answer.payload);
  if (answer.type == MessageType::bye && bye) {
    if (!bye->will_return) return refused("there is nothing to leave any more: ", bye->reason);
    return {failure(ErrorCode::network, "the server left: ", bye->reason), false};
  }
  return {failure(ErrorCode::network, options.server, " answers with ", to_string(answer.type),
                  ", expected LEAVE_OK")};
}

inline LeaveAttempt try_to_leave(Channel channel, const LeaveOptions& options) {
  std::optional<TlsSession> tls;
  if (options.credentials != nullptr) {
    Result<TlsSession> begun =
        TlsSession::client(options.credentials->context(), options.credentials->server_pins());
    if (!begun) return {begun.failure()};
    tls = std::move(*begun);
  }
  Inquiry inquiry(ChannelStream(std::move(channel), std::move(tls)), options.server);
  const Result<void> open = inquiry.open();
  const Result<Message> answer =
      open ? inquiry.ask(make_message(Leave{"for good", options.name})) : open.failure();
  if (answer) return explain_leave(*answer, options);
  if (is_wrong_peer(inquiry.stream().problem()))
    return {explain_wrong_peer(inquiry.stream().problem(), answer.failure(), options.server)};
  return {answer.failure(), false};
}

}  // namespace detail

/// Has the server strike the device from its run; the place that it had. It may be said again: a
/// server that was lost meanwhile, before or behind the moment that it was on its disk, answers the
/// same. The failure's code is `usage` where the server refuses.
inline Result<std::uint32_t> leave_run(const LeaveOptions& options) {
  asio::io_context io;
  ConnectOptions connect = options.connect;
  connect.off_loopback = connect.off_loopback || options.credentials != nullptr;
  const Microseconds end = steady_now() + connect.total_limit;
  for (std::uint32_t attempt = 1;; ++attempt) {
    connect.total_limit = end - steady_now();
    Result<Channel> channel = connect_patiently(io, options.server, connect);
    if (!channel) return channel.failure();
    const detail::LeaveAttempt last = detail::try_to_leave(std::move(*channel), options);
    if (last.place || last.is_final) return last.place;
    ++connect.jitter_seed;
    const Microseconds delay = std::max(last.retry_after, retry_delay(connect, attempt));
    if (steady_now() + delay > end) return last.place;
    sleep_unless(connect.stop, delay);
  }
}

}  // namespace net
IOTSL_NAMESPACE_END
