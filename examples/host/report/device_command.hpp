#pragma once
// The command that starts a device of a server's run, as it must be typed on the device.

#include <string>
#include <vector>

#include "host/options/run_options.hpp"
#include "iotsl/net/address.hpp"

namespace iotsl::tool {

/// Under which addresses a server that listens on `listening` can be reached: itself, or for
/// 0.0.0.0 and [::] those of this machine's networks; its loopback where there is no other.
std::vector<net::Address> reachable_addresses(const net::Address& listening);

/// What the server prints for the people at its devices: the command, and what to copy there first.
/// `manifest`: file of the run's partition, or empty where each device trains on all it has.
/// `identity`: folder of the server's key, or empty where nothing is encrypted.
std::string device_instructions(const RunOptions& run, const split::RunConfig& config,
                                const std::vector<net::Address>& addresses,
                                const std::string& manifest, const std::string& identity);

/// `text` as a word of a shell.
std::string shell_word(const std::string& text);

}  // namespace iotsl::tool
