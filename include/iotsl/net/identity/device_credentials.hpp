#pragma once
// Who a device is and which server it trusts: its key, made here and never sent, its name in the
// server's list, and the server's pin.

#include "iotsl/core/json/fields.hpp"
#include "iotsl/net/identity/key_file.hpp"
#include "iotsl/net/identity/token.hpp"
#include "iotsl/net/tls/context.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class DeviceCredentials {
 public:
  /// Those of a device that is enrolled.
  static Result<DeviceCredentials> open(const std::string& path) {
    Result<IdentityFolder> folder = IdentityFolder::open(path);
    if (!folder) return folder.failure();
    if (!folder->has(key_name) || !folder->has(record_name))
      return failure(ErrorCode::usage, "--identity ", path,
                     ": holds no enrolment; iotsl-device enroll makes one");
    Result<PrivateKey> key = read_key(*folder, key_name);
    if (!key) return key.failure();
    Result<TlsContext> context = TlsContext::make(TlsRole::client, *key);
    if (!context) return context.failure();
    const Result<std::string> text = folder->read(record_name);
    if (!text) return text.failure();
    const Result<Json> json = parse_json(*text);
    const Result<Record> record = json ? parse_json_fields<Record>(*json) : json.failure();
    if (!record)
      return failure(ErrorCode::data, folder->path_of(record_name), ": ", record.failure().message);
    DeviceCredentials out(std::move(*context));
    out.name_ = record->name;
    const Result<Address> server = parse_address(record->server);
    bool good = server.ok() && !record->server_pins.empty();
    for (const std::string& hex : record->server_pins) {
      Pin pin{};
      good = good && parse_hex(hex, pin);
      out.server_pins_.push_back(pin);
    }
    if (!good)
      return failure(ErrorCode::data, folder->path_of(record_name),
                     ": expected a server's HOST:PORT and its pins of 64 hexadecimal digits");
    out.server_ = *server;
    return out;
  }

  const TlsContext& context() const { return context_; }
  const std::string& name() const { return name_; }
  /// Where the server was when the device was enrolled.
  const Address& server() const { return server_; }
  /// One, or two while the server's key is rotated.
  const std::vector<Pin>& server_pins() const { return server_pins_; }

  // An enrolment, in the order of its steps. The key waits in a file of its own until the server
  // has taken it, so that a token can be shown again after a loss of power, and an earlier key
  // works until then.

  static Result<PrivateKey> make_next_key(const IdentityFolder& folder) {
    return read_or_make_key(folder, next_key_name);
  }
  /// The server has taken the key.
  static Result<void> complete(const IdentityFolder& folder, const std::string& name,
                               const EnrollToken& token) {
    const Record record{name, to_string(token.server), {to_hex(token.server_pin)}};
    const Result<void> written =
        folder.write(record_name, iotsl::to_text(to_json_fields(record), 1) + "\n");
    if (!written) return written;
    return folder.move(next_key_name, key_name);
  }

 private:
  static constexpr std::string_view key_name = "device.key", next_key_name = "device.key.next",
                                    record_name = "device.json";
  struct Record {
    std::string name, server;
    std::vector<std::string> server_pins;
    template <class Self, class Fields>
    static void json_fields(Self& self, Fields& f) {
      f("name", self.name);
      f("server", self.server);
      f("server_pins", self.server_pins);
    }
  };

  explicit DeviceCredentials(TlsContext context) : context_(std::move(context)) {}

  TlsContext context_;
  std::string name_;
  Address server_;
  std::vector<Pin> server_pins_;
};

}  // namespace net
IOTSL_NAMESPACE_END
