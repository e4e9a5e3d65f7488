#pragma once
// A device's enrolment: it makes its key and shows the server its token, in a session of that key.

#include "iotsl/net/channel_inquiry.hpp"
#include "iotsl/net/identity/device_credentials.hpp"

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

/// Shows the token and waits for the answer; the device's name.
inline Result<std::string> show_token(Inquiry& inquiry, const EnrollToken& token, const Pin& own) {
  const Result<void> open = inquiry.open();
  if (inquiry.stream().problem() == TlsProblem::isl_peer)
    return failure(ErrorCode::usage, token.server,
                   " speaks plain TCP: start the server with --identity");
  if (!open) return open.failure();
  const Result<Sha256Digest> exporter = inquiry.stream().tls()->exporter(enroll_exporter_label);
  if (!exporter) return exporter.failure();
  const Result<Message> answer = inquiry.ask(
      make_message(Enroll{enroll_id(token.secret), enroll_proof(token.secret, *exporter, own)}));
  if (!answer) return answer.failure();
  const auto ok = decode<EnrollOk>(answer->payload);
  if (answer->type != MessageType::enroll_ok || !ok) return explain_refusal(*answer, token.server);
  return ok->device;
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
  Inquiry inquiry(ChannelStream(std::move(*channel), std::move(*session)), token.server);
  Result<std::string> name = detail::show_token(inquiry, token, key->pin());
  if (!name) return name;
  const Result<void> kept = DeviceCredentials::complete(*folder, *name, token);
  if (!kept) return kept.failure();
  return name;
}

}  // namespace net
IOTSL_NAMESPACE_END
