#pragma once
// A server's run in as many sessions as it takes: one, or with method cache another one behind the
// plateau at which the front begins to be trained.

#include <optional>
#include <utility>

#include "iotsl/split/records/run_config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What the last session ends with. `serve(config)` takes the run as far as its end, or without a
/// value as far as it has to be taken up again.
template <class Serve>
Result<RunSummary> run_sessions(RunConfig config, const Serve& serve) {
  for (;;) {
    Result<std::optional<RunSummary>> done = serve(std::as_const(config));
    if (!done) return done.failure();
    if (*done) return std::move(**done);
    config.resume = true;
  }
}

}  // namespace split
IOTSL_NAMESPACE_END
