#include "host/experiment/calibration.hpp"

#include "iotsl/core/error.hpp"
#include "iotsl/core/json/json.hpp"

namespace iotsl::tool {

const Calibration& calibration_of(std::string_view dataset) {
  static constexpr Calibration all[] = {
      {"mnist", 0.0012, 92, 97, 90, 6000, 16},
      {"fashion-mnist", 0.002, 79, 77, 75, 6000, 16},
  };
  for (const Calibration& each : all)
    if (each.dataset == dataset) return each;
  return all[0];
}

std::string describe(const Calibration& c) {
  return concat("plain SGD, constant ", to_text(Json(c.rate)), ", with which SL on ", c.dataset,
                " exceeds ", c.threshold, " % of the validation part after ", c.crossing,
                " device epochs (the paper's SL its own threshold after ", c.paper_crossing,
                "); chosen on SL alone, ", c.images, " images, width ", c.width);
}

}  // namespace iotsl::tool
