#pragma once
// What a run promises about single images, for its report.

#include "iotsl/core/json/json.hpp"
#include "iotsl/split/records/preparation_record.hpp"

namespace iotsl::tool {

/// The promise of a whole run. `preparation` is null for a method without generators.
struct RunPromise {
  const split::PreparationRecord* preparation = nullptr;
  bool generator_only = false;
  bool keeps_smashed = false;  ///< method cache: the server holds every smashed sample

  /// Whether every generator promises something.
  bool is_private() const;
};

/// One line: the run's own claim.
std::string privacy_line(const RunPromise& run);

/// The line, what a cache of smashed samples means, and for private generators a table of the
/// devices.
std::string format_privacy(const RunPromise& run);

/// Claim, epsilon and delta (the weakest promise) and every device's card.
Json privacy_json(const RunPromise& run);

}  // namespace iotsl::tool
