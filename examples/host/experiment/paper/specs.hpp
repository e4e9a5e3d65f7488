#pragma once
// The paper's figures, one each; table.hpp has what they are made of.

#include "host/experiment/table.hpp"

namespace iotsl::tool {

/// The VGG-16 of the paper's counts (section V-C).
inline constexpr std::string_view paper_network = "vgg16bn-paper";

// Pre-training.
ExperimentSpec fig9();
ExperimentSpec fig10();
ExperimentSpec fig13();
// What training costs.
ExperimentSpec fig3();
ExperimentSpec fig11();
// Devices that lack classes.
ExperimentSpec fig5();
ExperimentSpec fig12();
ExperimentSpec fig14();
ExperimentSpec fig15();
ExperimentSpec quickstart();

}  // namespace iotsl::tool
