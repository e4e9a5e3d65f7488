#include "host/experiment/report/line_style.hpp"

namespace iotsl::tool {
namespace {

/// IoTSL by what is special about the run: nothing but generators, the wire, the kind of generator.
LineStyle style_of_iotsl(const RunOptions& o) {
  using generators::GeneratorKind;
  const bool noised = chosen_mode(o.generator) != privacy::PrivacyMode::off;
  if (o.preparation.generator_only) return {.colour = 6, .mark = 9};
  if (o.training.wire == WireCoding::int4) return {.colour = 10, .dashes = 4, .mark = 5};
  if (o.training.wire != WireCoding::fp32) return {.colour = 9, .dashes = 3, .mark = 4};
  if (noised) return {.colour = 5, .dashes = 2, .mark = 3};
  if (chosen_kind(o.generator) == GeneratorKind::moments)
    return {.colour = 4, .dashes = 1, .mark = 2};
  return {.colour = 3, .mark = 0};
}

LineStyle style_of_method(const RunOptions& o) {
  switch (o.method) {
    case Method::central:
      return {.colour = 0, .mark = 6};
    case Method::split_learning:
      return o.training.replay > 0 ? LineStyle{.colour = 2, .dashes = 1, .mark = 7}
                                   : LineStyle{.colour = 1, .mark = 1};
    case Method::iotsl:
      return style_of_iotsl(o);
    case Method::cached:
      return o.training.wire == WireCoding::fp32 ? LineStyle{.colour = 7, .mark = 8}
                                                 : LineStyle{.colour = 8, .dashes = 2, .mark = 10};
    case Method::federated_averaging:
      return {.colour = 11, .mark = 11};
    case Method::random_gradient:
      break;
  }
  return {.colour = 12, .dashes = 5, .mark = 4};
}

}  // namespace

LineStyle line_style(const Experiment& experiment, const CurveSpec& curve) {
  LineStyle out = style_of_method(options_of(experiment, curve, 1));
  for (const CurveSpec& other : experiment.spec->curves) {
    if (&other == &curve || other.key == curve.key) break;
    if (other.panel != curve.panel) continue;
    if (style_of_method(options_of(experiment, other, 1)).colour != out.colour) continue;
    out.dashes = (out.dashes + 1) % line_dashes;
    out.mark = (out.mark + 1) % line_marks;
  }
  return out;
}

}  // namespace iotsl::tool
