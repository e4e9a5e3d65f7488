#pragma once
// The built-in faces as a set: drawn here, on the host; devices read packed sets.

#include "host/options/data_options.hpp"
#include "iotsl/data/packed.hpp"

namespace iotsl::tool {

/// Draws one part: --per-class images of every class, a tenth of them (rounded down, at least one)
/// to test, of --image-size, by --split-seed. Without `pixels` they are drawn for the set's hash
/// only. Refused with `pixels`: a part of more than 2 GiB.
Result<data::Dataset> load_faces(const DataOptions& options, data::Split split, bool pixels);

/// Writes both parts into `folder` as a packed set, drawn a few at a time: they may be larger than
/// memory.
Result<data::PackCard> pack_faces(const DataOptions& options, const std::string& folder);

}  // namespace iotsl::tool
