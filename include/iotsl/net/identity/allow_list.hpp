#pragma once
// Who may join: the devices of a server with the pins of their keys, and the tokens that wait to be
// used. A value; server_credentials.hpp keeps it on the disk.

#include <algorithm>
#include <optional>

#include "iotsl/core/json/fields.hpp"
#include "iotsl/net/identity/token.hpp"
#include "iotsl/net/messages/run_description.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// A device that is, was or is to be enrolled.
struct ListedDevice {
  std::string name;
  std::vector<Pin> pins = {};     ///< accepted; two while the key is rotated, the new one last
  std::vector<Pin> revoked = {};  ///< of keys that were accepted once
  std::optional<EnrollSecret> token = {};       ///< waits to be used
  std::optional<Sha256Digest> used_token = {};  ///< enroll_id of the last one
  std::optional<Pin> server_pin = {};  ///< of the server: the last that it was told, and keeps

  /// In a word, for a person: waiting (for its token to be used), enrolled, rotating or revoked.
  const char* state() const {
    if (pins.empty()) return token ? "waiting" : "revoked";
    return token || pins.size() > 1 ? "rotating" : "enrolled";
  }
};

/// What a key says about its holder.
struct KeyVerdict {
  enum class Kind { known, revoked, unknown };
  Kind kind = Kind::unknown;
  std::string name;  ///< of the device; empty where unknown
  friend bool operator==(const KeyVerdict&, const KeyVerdict&) = default;
};

class AllowList {
 public:
  const std::vector<ListedDevice>& devices() const { return devices_; }

  KeyVerdict verdict(const Pin& pin) const {
    for (const ListedDevice& each : devices_) {
      if (contains(each.pins, pin)) return {KeyVerdict::Kind::known, each.name};
      if (contains(each.revoked, pin)) return {KeyVerdict::Kind::revoked, each.name};
    }
    return {};
  }

  /// A token for a device that has no key yet, or none any more. An earlier token is void.
  Result<void> add(const std::string& name, const EnrollSecret& secret) {
    if (name.empty() || name.size() > max_name_bytes || !is_printable(name))
      return failure(ErrorCode::usage, "device name '", make_printable(name), "': expected 1 to ",
                     max_name_bytes, " bytes of UTF-8 without control characters");
    ListedDevice* device = find(name);
    if (device != nullptr && !device->pins.empty())
      return failure(ErrorCode::usage, "device '", name,
                     "' is enrolled already; iotsl device rotate gives it another key");
    if (device == nullptr) device = &devices_.emplace_back(ListedDevice{.name = name});
    device->token = secret;
    return {};
  }
  /// A token for a device that has a key, which stays good until the new one is used.
  Result<void> rotate(const std::string& name, const EnrollSecret& secret) {
    ListedDevice* const device = find(name);
    if (device == nullptr || device->pins.empty())
      return failure(ErrorCode::usage, "device '", name,
                     "' is not enrolled; iotsl device add does that");
    device->token = secret;
    return {};
  }
  /// No key of the device is accepted any more, and no token.
  Result<void> revoke(const std::string& name) {
    ListedDevice* const device = find(name);
    if (device == nullptr) return failure(ErrorCode::usage, "no device '", name, "' is listed");
    device->revoked.insert(device->revoked.end(), device->pins.begin(), device->pins.end());
    device->pins.clear();
    device->token.reset();
    return {};
  }

  /// A device shows a token in a session of its key `pin`; the device's name. The token is used up,
  /// and works again for the same key only: the answer to it may have been lost.
  Result<std::string> enroll(const Sha256Digest& token_id, const Sha256Digest& proof,
                             const Sha256Digest& exporter, const Pin& pin) {
    const auto refuse = [](const auto&... why) { return failure(ErrorCode::network, why...); };
    const KeyVerdict owner = verdict(pin);
    for (ListedDevice& device : devices_) {
      if (device.used_token == token_id) {
        device.server_pin.reset();
        if (contains(device.pins, pin)) return device.name;
        return refuse("the token of device '", device.name, "' has been used already");
      }
      if (!device.token || enroll_id(*device.token) != token_id) continue;
      if (!equal_secrets(enroll_proof(*device.token, exporter, pin), proof))
        return refuse("the proof for the token of device '", device.name, "' is wrong");
      if (owner.kind != KeyVerdict::Kind::unknown)
        return refuse("the key is already that of device '", owner.name, "'");
      // The last of two has never been used to join: it gives way.
      if (device.pins.size() > 1) retire(device, 1);
      device.pins.push_back(pin);
      device.used_token = token_id;
      device.token.reset();
      device.server_pin.reset();  // the token's is what it knows now
      return device.name;
    }
    return refuse("no such token waits here: it is void, or of another server");
  }
  /// A device has joined with the key `pin`: of two the other one is not accepted any more. True
  /// where that has changed something.
  bool settle(const Pin& pin) {
    for (ListedDevice& device : devices_)
      if (device.pins.size() > 1 && device.pins.back() == pin) {
        retire(device, 0);
        return true;
      }
    return false;
  }

  /// The device with the key `pin` accepts the server's key `server` from now on.
  void keep_server_key(const Pin& pin, const Pin& server) {
    for (ListedDevice& device : devices_)
      if (contains(device.pins, pin)) device.server_pin = server;
  }
  bool keeps_server_key(const Pin& pin, const Pin& server) const {
    return std::any_of(devices_.begin(), devices_.end(), [&](const ListedDevice& each) {
      return contains(each.pins, pin) && each.server_pin == server;
    });
  }
  /// Whom a server with the key `server` would lock out: devices that have not said that they
  /// accept it, and those whose token names another one.
  std::vector<std::string> strangers_to(const Pin& server) const {
    std::vector<std::string> out;
    for (const ListedDevice& device : devices_)
      if (device.token || (!device.pins.empty() && device.server_pin != server))
        out.push_back(device.name);
    return out;
  }

  static Result<AllowList> parse(std::string_view text) {
    const Result<Json> json = parse_json(text);
    if (!json) return json.failure();
    const Result<File> file = parse_json_fields<File>(*json);
    if (!file) return file.failure();
    if (file->version != version)
      return failure(ErrorCode::data, "version ", file->version, ", expected ", version);
    AllowList out;
    for (const Entry& entry : file->devices) {
      ListedDevice device{.name = entry.name};
      bool good = !entry.name.empty() && out.find(entry.name) == nullptr;
      const auto read = [&good](const std::string& hex) {
        Pin pin{};
        good = good && parse_hex(hex, pin);
        return pin;
      };
      for (const std::string& hex : entry.pins) device.pins.push_back(read(hex));
      for (const std::string& hex : entry.revoked) device.revoked.push_back(read(hex));
      if (!entry.token.empty()) device.token = read(entry.token);
      if (!entry.used_token.empty()) device.used_token = read(entry.used_token);
      if (!entry.server_pin.empty()) device.server_pin = read(entry.server_pin);
      if (!good)
        return failure(ErrorCode::data, "device '", entry.name,
                       "': listed twice, or a value of it has not 64 hexadecimal digits");
      out.devices_.push_back(std::move(device));
    }
    return out;
  }
  std::string text() const {
    File file;
    for (const ListedDevice& device : devices_) {
      Entry& entry = file.devices.emplace_back(Entry{.name = device.name});
      for (const Pin& pin : device.pins) entry.pins.push_back(to_hex(pin));
      for (const Pin& pin : device.revoked) entry.revoked.push_back(to_hex(pin));
      if (device.token) entry.token = to_hex(*device.token);
      if (device.used_token) entry.used_token = to_hex(*device.used_token);
      if (device.server_pin) entry.server_pin = to_hex(*device.server_pin);
    }
    return iotsl::to_text(to_json_fields(file), 1) + "\n";
  }

 private:
  static constexpr std::uint32_t version = 1;

  /// The file's form.
  struct Entry {
    std::string name;
    std::vector<std::string> pins = {}, revoked = {};
    std::string token = {}, used_token = {}, server_pin = {};
    template <class Self, class Fields>
    static void json_fields(Self& self, Fields& f) {
      f("name", self.name);
      f("pins", self.pins);
      f("revoked", self.revoked);
      f("token", self.token);
      f("used_token", self.used_token);
      f.later("server_pin", self.server_pin);
    }
  };
  struct File {
    std::uint32_t version = AllowList::version;
    std::vector<Entry> devices;
    template <class Self, class Fields>
    static void json_fields(Self& self, Fields& f) {
      f("version", self.version);
      f("devices", self.devices);
    }
  };

  static bool contains(const std::vector<Pin>& pins, const Pin& pin) {
    return std::find(pins.begin(), pins.end(), pin) != pins.end();
  }
  /// The pin at place `at` is not accepted any more.
  static void retire(ListedDevice& device, std::ptrdiff_t at) {
    device.revoked.push_back(device.pins[static_cast<std::size_t>(at)]);
    device.pins.erase(device.pins.begin() + at);
  }
  ListedDevice* find(const std::string& name) {
    const auto at = std::find_if(devices_.begin(), devices_.end(),
                                 [&](const ListedDevice& each) { return each.name == name; });
    return at == devices_.end() ? nullptr : &*at;
  }

  std::vector<ListedDevice> devices_;
};

}  // namespace net
IOTSL_NAMESPACE_END
