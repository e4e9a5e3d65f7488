#pragma once
// Joules of a device by a table of what it draws in which state, for whoever has no meter.

#include <array>
#include <optional>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/parse.hpp"
#include "iotsl/measure/energy/energy.hpp"
#include "iotsl/measure/metrics.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// What a device has done, in seconds. The last three lie within `awake` and exclude each other;
/// what they leave of it the device waits.
struct DeviceTimes {
  double awake = 0;
  double computing = 0;
  double sending = 0, receiving = 0;

  DeviceTimes& operator+=(const DeviceTimes& other) {
    awake += other.awake;
    computing += other.computing;
    sending += other.sending;
    receiving += other.receiving;
    return *this;
  }
};

/// A device's part of an epoch. It is awake while it computes, while its messages travel and while
/// the server makes the gradient that it waits for; what it waits for its next turn is not counted
/// (nor in the paper: "we only measure the power consumption of devices in the training state").
/// The network's seconds are shared out to the directions by their bytes. An epoch that the server
/// trains on what it has kept (method cache) needs no device.
///
/// `slowdown`: how many times as long as in the record the device's computing takes on the device
/// meant. `network_seconds`: on the network meant; nothing: those of the record.
inline DeviceTimes device_times(const EpochRecord& record, double slowdown = 1,
                                std::optional<double> network_seconds = std::nullopt) {
  const auto up = static_cast<double>(record.bytes_up),
             down = static_cast<double>(record.bytes_down);
  DeviceTimes out;
  if (record.seconds_device <= 0 && up + down <= 0) return out;
  const double network = network_seconds.value_or(record.seconds_network);
  out.computing = slowdown * record.seconds_device;
  if (up + down > 0) {
    out.sending = network * up / (up + down);
    out.receiving = network * down / (up + down);
  }
  out.awake = out.computing + network + record.seconds_server;
  return out;
}

/// What a device draws, in watts, at its supply.
struct PowerModel {
  std::string name;
  std::string source;  ///< who has measured it, on what, where that can be read
  double idle_watts = 0, computing_watts = 0;
  /// While it sends or receives and nothing else; nothing: not known, and counted as idle.
  std::optional<double> sending_watts = {}, receiving_watts = {};

  /// idle awake + (computing - idle) t_computing + (sending - idle) t_sending
  ///   + (receiving - idle) t_receiving, each in watts times seconds.
  double joules(const DeviceTimes& t) const {
    return idle_watts * t.awake + (computing_watts - idle_watts) * t.computing +
           (sending_watts.value_or(idle_watts) - idle_watts) * t.sending +
           (receiving_watts.value_or(idle_watts) - idle_watts) * t.receiving;
  }

  /// "model pi4: 2.7 W idle, 6.4 W computing, the network counted as idle".
  std::string figures() const {
    const auto watts = [](double w) { return to_text(Json(w)) + " W "; };
    std::string out = concat("model ", name, ": ", watts(idle_watts), "idle, ",
                             watts(computing_watts), "computing");
    if (sending_watts) out += ", " + watts(*sending_watts) + "sending";
    if (receiving_watts) out += ", " + watts(*receiving_watts) + "receiving";
    if (sending_watts && receiving_watts) return out;
    return concat(out, ", ",
                  sending_watts     ? "receiving"
                  : receiving_watts ? "sending"
                                    : "the network",
                  " counted as idle");
  }
  /// The same, and whose figures they are.
  std::string origin() const { return concat(figures(), " (", source, ")"); }
};

/// More than any device that this is for; a number above it is milliwatts by mistake.
inline constexpr double most_watts = 10'000;

/// {"name": ..., "source": ..., "idle_watts": ..., "computing_watts": ..., "sending_watts": ...,
/// "receiving_watts": ...}: the last two may be missing or null, the source must say something.
/// `where` begins the messages.
inline Result<PowerModel> parse_power_model(const Json& json, const std::string& where) {
  const auto wrong = [&](const auto&... why) {
    return failure(ErrorCode::data, where, ": ", why...);
  };
  if (!json.is_object()) return wrong("is not an object with name, source, idle_watts, ...");
  constexpr std::array known{"name",          "source",         "idle_watts", "computing_watts",
                             "sending_watts", "receiving_watts"};
  for (const JsonMember& member : json.as_object())
    if (std::find(known.begin(), known.end(), member.key) == known.end())
      return wrong("unknown key '", make_printable(member.key),
                   "', expected name, source, idle_watts, computing_watts, sending_watts and "
                   "receiving_watts");
  PowerModel out;
  JsonReader read(json);
  read("name", out.name);
  read("source", out.source);
  read("idle_watts", out.idle_watts);
  read("computing_watts", out.computing_watts);
  const auto read_known = [&](const char* key, std::optional<double>& value) {
    const Json* member = json.find(key);
    if (member != nullptr && !member->is_null()) read(key, value.emplace());
  };
  read_known("sending_watts", out.sending_watts);
  read_known("receiving_watts", out.receiving_watts);
  if (!read.status()) return wrong(read.status().failure().message);
  if (out.name.empty()) return wrong("name is empty");
  if (out.source.empty()) return wrong("source is empty; expected who has measured it, and how");
  const std::pair<const char*, std::optional<double>> all[] = {
      {"idle_watts", out.idle_watts},
      {"computing_watts", out.computing_watts},
      {"sending_watts", out.sending_watts},
      {"receiving_watts", out.receiving_watts}};
  for (const auto& [key, value] : all) {
    if (!value) continue;
    if (!(*value > 0 && *value <= most_watts))
      return wrong(key, " is ", *value, ", expected watts above 0 and up to ", most_watts);
    if (*value < out.idle_watts)
      return wrong(key, " is ", *value, ", less than idle_watts ", out.idle_watts);
  }
  return out;
}

inline Result<PowerModel> load_power_model(const std::string& path) {
  const Result<std::string> text = read_text_file(path, 1 << 16);
  if (!text) return text.failure();
  const Result<Json> json = parse_json(*text);
  if (!json) return failure(ErrorCode::data, path, ": ", json.failure().message);
  return parse_power_model(*json, path);
}

}  // namespace measure
IOTSL_NAMESPACE_END
