#include "host/run/model_card.hpp"

#include "iotsl/data/packed.hpp"
#include "iotsl/models/model.hpp"

namespace iotsl::tool {
namespace {
constexpr const char* card_format = "iotsl-model-1";
}

Json to_json(const ModelCard& card) {
  Json out = Json::object();
  out["format"] = card_format;
  out["model"] = card.spec.name;
  out["width"] = card.spec.width;
  out["cut"] = card.cut;
  const Index input[] = {card.spec.images.channels, card.spec.images.height,
                         card.spec.images.width};
  out["input"] = Json::array_of(std::vector<Index>(input, input + 3));
  out["center_crop"] = card.center_crop;
  out["dataset"] = card.dataset;
  Json names = Json::array();
  for (Index c = 0; c < card.spec.images.classes; ++c) names.push_back(class_name(card, c));
  out["classes"] = std::move(names);
  return out;
}

Result<ModelCard> parse_model_card(const std::string& text) {
  const auto json = parse_json(text);
  if (!json) return json.failure();
  ModelCard out;
  std::string format;
  for (const auto& [key, field] :
       {std::pair{"format", &format}, std::pair{"model", &out.spec.name},
        std::pair{"cut", &out.cut}, std::pair{"dataset", &out.dataset}}) {
    auto value = get_string(*json, key);
    if (!value) return value.failure();
    *field = std::move(*value);
  }
  if (format != card_format)
    return failure(ErrorCode::data, "format is '", format, "', expected '", card_format, "'");
  const auto width = get_int(*json, "width", 1, 4096);
  if (!width) return width.failure();
  out.spec.width = *width;
  const auto input = get_array(*json, "input");
  if (!input) return input.failure();
  Index* const sides[] = {&out.spec.images.channels, &out.spec.images.height,
                          &out.spec.images.width};
  if ((*input)->size() != 3)
    return failure(ErrorCode::data, "input has ", (*input)->size(), " numbers, expected 3");
  for (std::size_t i = 0; i < 3; ++i) {
    const Json& side = (**input)[i];
    if (!side.is_int() || side.as_int() < 1 || side.as_int() > 4096)
      return failure(ErrorCode::data, "input[", i, "] must be an integer from 1 to 4096");
    *sides[i] = side.as_int();
  }
  const auto crop = get_bool(*json, "center_crop");
  if (!crop) return crop.failure();
  out.center_crop = *crop;
  auto names = data::parse_class_names(*json);
  if (!names) return names.failure();
  out.class_names = std::move(*names);
  out.spec.images.classes = static_cast<Index>(out.class_names.size());
  // The reader adds the name of the file.
  if (const Result<void> known = check_model(out.spec); !known)
    return failure(ErrorCode::data, known.failure().message);
  return out;
}

std::string class_name(const ModelCard& card, Index label) {
  const auto place = static_cast<std::size_t>(label);
  return place < card.class_names.size() ? card.class_names[place] : std::to_string(label);
}

}  // namespace iotsl::tool
