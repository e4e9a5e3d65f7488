#pragma once
// A device's enrolment: it makes its key and shows the server its token, in a session of that key.

#include "iotsl/net/channel_stream.hpp"
#include "iotsl/net/identity/device_credentials.hpp"
#include "iotsl/net/link/link.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

namespace detail {

/// What a server said last, where it is no ENROLL_OK.
inline Failure explain_refusal(const Message& message, const Address& server) {
  const auto error = decode<ErrorMessage>(message.payload);
  if (message.type != MessageType::error || !error)
    return failure(ErrorCode::network, server, " answers with ", to_string(message.type),
                   ", expected ENROLL_OK");
  return failure(ErrorCode::usage, "the server says: ", error->text);
}

/// Sends ENROLL over a connection and waits for the answer; the device's name.
inline Result<std::string> show_token(ChannelStream& stream, const EnrollToken& token,
                                      const Pin& own) {
  StreamBuffers buffers(16 << 10);
  Link link({}, steady_now());
  const Microseconds end = steady_now() + LinkOptions{}.handshake_limit;
  bool asked = false;
  for (;;) {
    const Microseconds now = steady_now();
    if (stream.ready() && !asked) {
      asked = true;
      const Result<Sha256Digest> exporter = stream.tls()->exporter(enroll_exporter_label);
      if (!exporter) return exporter.failure();
      link.send_fields(Enroll{enroll_id(token.secret), enroll_proof(token.secret, *exporter, own)});
    }
    const Result<void> written =
        stream.write(buffers, [&](Bytes& out) { link.produce(out, max_payload_before_join, now); });
    if (!written) return written.failure();
    stream.channel().wait(stream.is_unsent(), tick_interval);
    const auto arrived = stream.read(buffers);
    const Result<void> taken =
        arrived ? link.receive(arrived->plain, steady_now()) : arrived.failure();
    Message message;
    if (link.pop(message)) {
      const auto ok = decode<EnrollOk>(message.payload);
      if (message.type != MessageType::enroll_ok || !ok)
        return explain_refusal(message, token.server);
      stream.finish_writing();
      return ok->device;
    }
    if (stream.problem() == TlsProblem::isl_peer)
      return failure(ErrorCode::usage, token.server,
                     " speaks plain TCP: start the server with --identity");
    if (!taken) return failure(taken.failure().code, token.server, ": ", taken.failure().message);
    if (stream.channel().closed())
      return failure(ErrorCode::network, token.server, " closed the connection");
    if (steady_now() > end)
      return failure(ErrorCode::network, token.server, ": no answer within ",
                     LinkOptions{}.handshake_limit / second_us, " s");
  }
}

}  // namespace detail

/// Enrols the device of this folder, which is made where it is missing; the name that the server
/// knows it by. After a failure an earlier enrolment is as good as before, and the same token may
/// be shown again. `connect`: how long to try while the server does not answer.
inline Result<std::string> enroll_device(const std::string& path, const EnrollToken& token,
                                         ConnectOptions connect) {
  const Result<IdentityFolder> folder = IdentityFolder::make(path);
  if (!folder) return folder.failure();
  const Result<PrivateKey> key = DeviceCredentials::make_next_key(*folder);
  if (!key) return key.failure();
  const Result<TlsContext> context = TlsContext::make(TlsRole::client, *key);
  if (!context) return context.failure();
  Result<TlsSession> session = TlsSession::client(*context, {token.server_pin});
  if (!session) return session.failure();
  asio::io_context io;
  connect.off_loopback = true;
  Result<Channel> channel = connect_patiently(io, token.server, connect);
  if (!channel) return channel.failure();
  ChannelStream stream(std::move(*channel), std::move(*session));
  Result<std::string> name = detail::show_token(stream, token, key->pin());
  if (!name) return name;
  const Result<void> kept = DeviceCredentials::complete(*folder, *name, token);
  if (!kept) return kept.failure();
  return name;
}

}  // namespace net
IOTSL_NAMESPACE_END
