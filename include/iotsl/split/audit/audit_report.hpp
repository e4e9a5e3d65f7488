#pragma once
// What an audit of smashed data has found out, as JSON: what `iotsl audit smashed` prints and
// `iotsl plan` reads.

#include <cmath>
#include <string>
#include <vector>

#include "iotsl/core/json/fields.hpp"
#include "iotsl/options/training.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// How near the images come that were made of what one front sends in one form.
struct AuditedForm {
  std::string cut;  ///< the last layer of the front
  WireCoding wire = WireCoding::fp32;
  Index values = 0;         ///< of a sample
  std::uint64_t bytes = 0;  ///< of a sample on the wire
  double mse = 0, ssim = 0;
  double seconds = 0;  ///< of the audit

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("cut", self.cut);
    f("wire", self.wire);
    f("values", self.values);
    f("bytes", self.bytes);
    f("mse", self.mse);
    f("ssim", self.ssim);
    f("seconds", self.seconds);
  }
};

struct SmashedAudit {
  static constexpr const char* this_format = "iotsl-audit-smashed-1";

  std::string format = this_format;
  std::string model, weights, dataset;  ///< weights: a path, or "initial"
  Index width = 0;
  Index known = 0, targets = 0;  ///< images that the decoder was trained on, and others
  Index epochs = 0, decoder_width = 0;
  double mean_image_mse = 0, mean_image_ssim = 0;  ///< of a server that looks at nothing
  std::vector<AuditedForm> rows;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("model", self.model);
    f("width", self.width);
    f("weights", self.weights);
    f("dataset", self.dataset);
    f("known", self.known);
    f("targets", self.targets);
    f("epochs", self.epochs);
    f("decoder_width", self.decoder_width);
    f("mean_image_mse", self.mean_image_mse);
    f("mean_image_ssim", self.mean_image_ssim);
    f("rows", self.rows);
  }
  /// The row of a cut and a form, or null.
  const AuditedForm* find(std::string_view cut, WireCoding wire) const {
    for (const AuditedForm& row : rows)
      if (row.cut == cut && row.wire == wire) return &row;
    return nullptr;
  }
};

/// An audit from its JSON; the failure says what is missing or wrong.
inline Result<SmashedAudit> parse_smashed_audit(const Json& json) {
  Result<SmashedAudit> out = parse_json_fields<SmashedAudit>(json);
  if (out && out->format != SmashedAudit::this_format)
    return failure(ErrorCode::data, "format '", out->format, "', expected '",
                   SmashedAudit::this_format, "'");
  if (!out) return out;
  for (const AuditedForm& row : out->rows)
    if (!(std::abs(row.ssim) <= 1) || !(row.mse >= 0))
      return failure(ErrorCode::data, "row ", row.cut, ": ssim ", row.ssim, ", mse ", row.mse,
                     "; expected -1 to 1, and 0 or more");
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
