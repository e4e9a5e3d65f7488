#pragma once
// Who a device is and which server it trusts: its key, made here and never sent, its name in the
// server's list, and the server's pin.

#include <algorithm>

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
    const Result<Record> record = read(*folder);
    if (!record) return record.failure();
    DeviceCredentials out(std::move(*folder), std::move(*context));
    out.name_ = record->name;
    const Result<Address> server = parse_address(record->server);
    for (const std::string& hex : record->server_pins)
      parse_hex(hex, out.server_pins_.emplace_back());
    if (!server)
      return failure(ErrorCode::data, out.folder_.path_of(record_name), ": ",
                     server.failure().message);
    out.server_ = *server;
    return out;
  }

  const TlsContext& context() const { return context_; }
  const std::string& name() const { return name_; }
  /// Where the server was when the device was enrolled.
  const Address& server() const { return server_; }
  /// One, or two while the server's key is rotated.
  const std::vector<Pin>& server_pins() const { return server_pins_; }
  /// Accepts the key `next` beside `shown`, which the server has in the session in which it says
  /// so. On the disk when this returns.
  Result<void> accept_server_key(const Pin& shown, const Pin& next) {
    return change_server_pins(
        shown, shown == next ? std::vector<Pin>{shown} : std::vector<Pin>{shown, next});
  }
  /// The server has shown the key `shown`: of two, the one before it is not accepted any more. True
  /// where that has changed something.
  Result<bool> settle_server_key(const Pin& shown) {
    if (server_pins_.size() < 2 || server_pins_.back() != shown) return false;
    const Result<void> changed = change_server_pins(shown, {shown});
    if (!changed) return changed.failure();
    return true;
  }

  // An enrolment, in the order of its steps. The key waits in a file of its own until the server
  // has taken it, so that a token can be shown again after a loss of power, and an earlier key
  // works until then.

  static Result<PrivateKey> make_next_key(const IdentityFolder& folder) {
    return read_or_make_key(folder, next_key_name);
  }
  /// The server has taken the key.
  static Result<void> complete(const IdentityFolder& folder, const std::string& name,
                               const EnrollToken& token) {
    const Result<FileLock> lock = folder.lock();
    if (!lock) return lock.failure();
    const Result<void> written =
        write(folder, {name, to_string(token.server), {to_hex(token.server_pin)}});
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

  DeviceCredentials(IdentityFolder folder, TlsContext context)
      : folder_(std::move(folder)), context_(std::move(context)) {}

  static Result<Record> read(const IdentityFolder& folder) {
    const Result<std::string> text = folder.read(record_name);
    if (!text) return text.failure();
    const Result<Json> json = parse_json(*text);
    Result<Record> record = json ? parse_json_fields<Record>(*json) : json.failure();
    if (!record)
      return failure(ErrorCode::data, folder.path_of(record_name), ": ", record.failure().message);
    bool good = !record->server_pins.empty();
    Pin pin{};
    for (const std::string& hex : record->server_pins) good = good && parse_hex(hex, pin);
    if (good) return record;
    return failure(ErrorCode::data, folder.path_of(record_name),
                   ": expected the server's pins of 64 hexadecimal digits");
  }
  static Result<void> write(const IdentityFolder& folder, const Record& record) {
    return folder.write(record_name, iotsl::to_text(to_json_fields(record), 1) + "\n");
  }
  /// Meanwhile the device may have been enrolled anew, even with a server of another key than
  /// `shown`: what it knows of that stays.
  Result<void> change_server_pins(const Pin& shown, std::vector<Pin> pins) {
    const Result<FileLock> lock = folder_.lock();
    if (!lock) return lock.failure();
    Result<Record> record = read(folder_);
    if (!record) return record.failure();
    std::vector<std::string>& known = record->server_pins;
    if (std::find(known.begin(), known.end(), to_hex(shown)) == known.end())
      return failure(ErrorCode::usage, folder_.path_of(record_name),
                     ": is of another enrolment by now; start the device again");
    known.clear();
    for (const Pin& pin : pins) known.push_back(to_hex(pin));
    const Result<void> written = write(folder_, *record);
    if (written) server_pins_ = std::move(pins);
    return written;
  }

  IdentityFolder folder_;
  TlsContext context_;
  std::string name_;
  Address server_;
  std::vector<Pin> server_pins_;
};

}  // namespace net
IOTSL_NAMESPACE_END
