#pragma once
// The optimiser with which SL alone comes to an accuracy about as late as in the paper: its own is
// not known, and with ours SL is so early that pre-training has little left to save.

#include <string>
#include <string_view>

#include "iotsl/core/shape.hpp"

namespace iotsl::tool {

/// What a grid of rates has come to (bench/calibrate_sl_rate.py; the grid is in bench/README.md).
/// Chosen on the validation part, on SL only.
struct Calibration {
  std::string_view dataset;
  double rate;     ///< of plain SGD, the same in all epochs
  Index crossing;  ///< device epochs of SL until the validation accuracy exceeds the threshold
  Index paper_crossing;  ///< of the paper's SL and its threshold
  double threshold;      ///< %
  Index images, width;   ///< over all devices, the validation part among them; of the network
};

/// Of the set, or where there is none of MNIST.
const Calibration& calibration_of(std::string_view dataset);

/// "sgd 0.002, constant, with which SL exceeds 90 % after 97 device epochs (paper: 97; ...)".
std::string describe(const Calibration& calibration);

}  // namespace iotsl::tool
