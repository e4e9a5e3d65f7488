#pragma once
// What must be known of a network beside its weights to use it: stands in a run folder as
// model.json, and in an exported weights file as metadata.

#include "iotsl/core/json/json.hpp"
#include "iotsl/models/model_spec.hpp"

namespace iotsl::tool {

struct ModelCard {
  ModelSpec spec;
  std::string cut;           ///< empty: the default one
  bool center_crop = false;  ///< how the images were fitted that it has learned from
  std::string dataset;       ///< empty: not known
  std::vector<std::string> class_names;
};

inline constexpr const char* model_card_name = "model.json";
/// Key of the card in a weights file's metadata.
inline constexpr const char* model_card_key = "iotsl.model";

/// {format, model, width, cut, input: [C,H,W], center_crop, dataset, classes}
Json to_json(const ModelCard& card);
Result<ModelCard> parse_model_card(const std::string& text);

/// The name of a class, or its number where the card has none.
std::string class_name(const ModelCard& card, Index label);

}  // namespace iotsl::tool
