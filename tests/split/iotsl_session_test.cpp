// Method iotsl: the same numbers over every transport, and its books.

#include <doctest/doctest.h>

#include <thread>

#include "iotsl/split/session.hpp"
#include "split/iotsl_run.hpp"
#include "support/temporary_folder.hpp"

namespace iotsl_session_test {

using namespace tiny;

namespace {

std::string history(const RunSummary& summary) {
  std::string out = summary.weights_sha256;
  for (const measure::EpochRecord& r : summary.epochs)
    out += concat("\n", r.epoch, " ", r.device, " ", r.steps, " ", r.samples, " ",
                  to_text(Json(r.loss)), " ", to_text(Json(r.test_accuracy)));
  return out;
}

}  // namespace

TEST_CASE("iotsl: none and inproc give the same weights, and imputation gives both classes") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  const RunConfig config = iotsl_config();
  const auto none = run_none(config, {}, train, test, samples);
  REQUIRE_MESSAGE(none.ok(), none.failure().message);
  const auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  CHECK(history(*inproc) == history(*none));
}

}  // namespace iotsl_session_test
