#pragma once
// How the line of a method looks: one colour for each, the same on every page.

#include "host/experiment/runs.hpp"
#include "host/page/svg_chart.hpp"

namespace iotsl::tool {

/// Of the curve among those of its panel: where several are of one method, the later ones have
/// other dashes and points.
LineStyle line_style(const Experiment& experiment, const CurveSpec& curve);

}  // namespace iotsl::tool
