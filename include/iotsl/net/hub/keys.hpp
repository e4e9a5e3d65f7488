#pragma once
// What keys mean for the connections of a hub: whom a key lets in, who is enrolled, whose session
// ends. Of the network thread alone.

#include <optional>

#include "iotsl/net/hub/connection.hpp"
#include "iotsl/net/identity/server_credentials.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class HubKeys {
 public:
  /// `credentials`: null for plain text, which asks for no key.
  explicit HubKeys(ServerCredentials* credentials) : credentials_(credentials) {}

  bool required() const { return credentials_ != nullptr; }
  /// The TLS session of a new connection; none in plain text.
  std::optional<TlsSession> session() const {
    if (credentials_ == nullptr) return std::nullopt;
    return TlsSession::holding_server(credentials_->context());
  }

  /// A key was shown: whether its device, which `c` then names, is let in. A peer with an unknown
  /// key may still have a token.
  bool let_in(HubConnection& c, Microseconds close_by) const {
    KeyVerdict verdict = credentials_->list().verdict(c.stream.tls()->peer_pin());
    switch (verdict.kind) {
      case KeyVerdict::Kind::known:
        c.device = std::move(verdict.name);
        return true;
      case KeyVerdict::Kind::revoked:
        c.refuse(concat("the key of device '", verdict.name, "' was revoked"), close_by);
        return false;
      case KeyVerdict::Kind::unknown:
        return false;
    }
    return false;
  }
  /// Whether the key of a session is not its device's any more.
  bool is_revoked(const HubConnection& c) const {
    if (c.device.empty() || c.closing) return false;
    return credentials_->list().verdict(c.stream.tls()->peer_pin()) !=
           KeyVerdict{KeyVerdict::Kind::known, c.device};
  }

  /// Commands change the list while the hub runs; true where it has changed.
  Result<bool> refresh(Microseconds now) {
    if (credentials_ == nullptr || now < look_again_) return false;
    look_again_ = now + second_us / 2;
    return credentials_->refresh();
  }
  /// The same of the server's own key: what the user is told; nothing where nothing has changed.
  std::optional<Failure> refresh_own(Microseconds now) {
    if (credentials_ == nullptr || now < look_at_own_again_) return std::nullopt;
    look_at_own_again_ = now + second_us / 2;
    Result<bool> changed = credentials_->refresh_keys();
    // The command waits for nobody: this is where the last device has said that it knows.
    if (changed && !*changed) changed = credentials_->take_next_key();
    if (!changed) return changed.failure();
    if (!*changed) return std::nullopt;
    return Failure{ErrorCode::other, concat("this server's key is ",
                                            short_text(credentials_->pin()), "... from now on")};
  }
  /// Tells the device of `c` the key that is to follow, once in a session.
  void tell_next(HubConnection& c) const {
    if (credentials_ == nullptr || !credentials_->next_pin()) return;
    const Pin& next = *credentials_->next_pin();
    if (c.device.empty() || c.closing || !c.link.joined() || c.told_key == next) return;
    c.told_key = next;
    c.link.send_fields(ServerKey{next});
  }
  /// The device of `c` accepts a key. It is no other than the one that it was told, or has come too
  /// late to be of use.
  Result<void> on_key_kept(const HubConnection& c, const Message& message) {
    const Result<ServerKeyKept> kept = decode<ServerKeyKept>(message.payload);
    if (!kept) return kept.failure();
    if (kept->pin != credentials_->next_pin()) return {};
    return credentials_->keep_next_key(c.stream.tls()->peer_pin());
  }

  /// The device of `c` uses its key; true where that ends an earlier one.
  Result<bool> settle(const HubConnection& c) {
    return credentials_->settle(c.stream.tls()->peer_pin());
  }

  /// Answers ENROLL, and closes. What the user is told; nothing where it was refused.
  std::optional<Failure> enroll(HubConnection& c, const Message& message, Microseconds close_by) {
    const auto refused = [&](const std::string& text) {
      c.refuse(text, close_by);
      return std::nullopt;
    };
    const Result<Enroll> request = decode<Enroll>(message.payload);
    if (!request) return refused(request.failure().message);
    if (c.stream.tls() == nullptr)
      return refused("a device is enrolled over TLS only; start the server with --identity");
    const Pin& pin = c.stream.tls()->peer_pin();
    const Result<Sha256Digest> secret = c.stream.tls()->exporter(enroll_exporter_label);
    if (!secret) return refused(secret.failure().message);
    const Result<std::string> name =
        credentials_->enroll(request->token, request->proof, *secret, pin);
    if (!name) return refused(name.failure().message);
    c.link.send_last(make_message(EnrollOk{*name}));
    c.begin_close(close_by);
    return Failure{ErrorCode::other, concat("device '", *name, "' has enrolled the key ",
                                            short_text(pin), "... from ", c.peer())};
  }

 private:
  ServerCredentials* credentials_;
  Microseconds look_again_ = 0, look_at_own_again_ = 0;
};

}  // namespace net
IOTSL_NAMESPACE_END
