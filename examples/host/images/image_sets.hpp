#pragma once
// Image folders and CelebA: files are decoded here, on the host; devices read packed sets.

#include "host/images/image.hpp"
#include "host/options/data_options.hpp"
#include "iotsl/data/celeba.hpp"

namespace iotsl::tool {

/// Loads one part of the chosen set. Without `pixels` only labels are kept where that saves memory.
Result<data::Dataset> load_set(const DataOptions& options, data::Split split, bool pixels = true);

/// Whether `count` images of `bytes_each` may be decoded or drawn into memory at once.
Result<void> check_in_memory(const std::string& set, Index count, Index bytes_each);

/// Writes both parts of the chosen set into `folder` as a packed set. Image files are decoded a few
/// at a time, so that the set may be larger than memory. An older set in `folder` gives way, with
/// `overwrite`, to the whole new one.
Result<data::PackCard> pack_set(const DataOptions& options, const std::string& folder,
                                bool overwrite);

}  // namespace iotsl::tool
