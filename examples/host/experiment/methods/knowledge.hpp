#pragma once
// What the server of a run comes to know of the devices' data.

#include "host/options/run_options.hpp"

namespace iotsl::tool {

/// "labels, smashed data, sums with noise": in a few words, and no less than what is sent
/// (split/README.md, privacy/README.md).
std::string server_learns(const RunOptions& options);

}  // namespace iotsl::tool
