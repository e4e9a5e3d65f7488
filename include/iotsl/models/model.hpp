#pragma once
// The classifiers by name, and where they can be cut.

#include "iotsl/models/vanilla5.hpp"
#include "iotsl/models/vgg16.hpp"

IOTSL_NAMESPACE_BEGIN

/// The models that build_model() knows.
inline constexpr const char* model_names[] = {"vgg16bn-compact", "vgg16bn-paper", "vanilla5"};
/// Least ModelSpec::width.
inline constexpr Index min_model_width = 2;
/// Largest ModelSpec::width.
inline constexpr Index max_model_width = 1024;

/// Checks a description; the failure names what was given and what can be had.
inline Result<void> check_model(const ModelSpec& spec) {
  bool known = false;
  std::string names;
  for (const char* name : model_names) {
    known = known || spec.name == name;
    names += names.empty() ? name : concat(", ", name);
  }
  if (!known)
    return failure(ErrorCode::usage, "unknown model '", spec.name, "'; expected one of ", names);
  if (spec.width < min_model_width || spec.width > max_model_width)
    return failure(ErrorCode::usage, "width ", spec.width, "; expected ", min_model_width, " to ",
                   max_model_width);
  const ImageSpec& images = spec.images;
  if (images.channels < 1 || images.classes < 2)
    return failure(ErrorCode::usage, spec.name, ": ", images.channels, " input channels and ",
                   images.classes, " classes; expected at least 1 and 2");
  // Every pool needs a window: four halvings in the compact net, two in the others.
  const Index least = spec.name == "vgg16bn-compact" ? 16 : 4;
  if (images.height < least || images.width < least || images.height > 1024 || images.width > 1024)
    return failure(ErrorCode::usage, spec.name, ": images of ", images.height, "x", images.width,
                   "; expected ", least, " to 1024");
  return {};
}

/// The model without initial weights (call initialize). Raises an Error where check_model fails.
template <class T>
Sequential<T> build_model(const ModelSpec& spec) {
  if (const Result<void> checked = check_model(spec); !checked) fail(checked.failure().message);
  if (spec.name == "vanilla5") return vanilla5<T>(spec);
  return spec.name == "vgg16bn-paper" ? vgg16bn_paper<T>(spec) : vgg16bn_compact<T>(spec);
}

/// Number of layers in the front for a cut after the layer of that name or index (from 0) of the
/// outer chain: what lies inside one of its layers stays in one piece. `of_model` is for the text.
template <class T>
Result<std::size_t> find_cut(const Sequential<T>& model, std::string_view cut,
                             std::string_view of_model = "") {
  if (model.size() < 2)
    return failure(ErrorCode::usage, "cut '", cut, "': a net of ", model.size(),
                   " layer cannot be cut");
  std::size_t place = model.size();
  for (std::size_t i = 0; i < model.size(); ++i)
    if (model[i].name == cut) place = i;
  for (std::size_t i = 0; i < model.size() && place == model.size(); ++i) {
    const std::string& name = model[i].name;
    if (cut.size() > name.size() && cut.starts_with(name) && cut[name.size()] == '.' &&
        model[i].layer.info().leaves != nullptr)
      return failure(ErrorCode::usage, "cut '", cut, "' lies inside layer '", name,
                     "'; a cut lies after a layer of the outer chain, such as '", name, "'");
  }
  bool number = !cut.empty() && cut.size() <= 4;
  std::size_t index = 0;
  for (char c : cut) {
    number = number && c >= '0' && c <= '9';
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  if (number && place == model.size()) place = index;
  if (place + 1 >= model.size())
    return failure(ErrorCode::usage, "cut '", cut, "'", of_model.empty() ? "" : " of ", of_model,
                   "; expected a layer's name (", model[0].name, " to ",
                   model[model.size() - 2].name, ") or an index from 0 to ", model.size() - 2);
  return place + 1;
}

/// The same of a model by name. An empty cut means after the first pool of the VGG nets and after
/// the second of vanilla5.
template <class T>
Result<std::size_t> find_cut(const Sequential<T>& model, const ModelSpec& spec,
                             std::string_view cut) {
  if (cut.empty()) cut = spec.name == "vanilla5" ? "features.5" : "features.6";
  return find_cut(model, cut, spec.name);
}

IOTSL_FLOAT(Sequential<float> build_model(const ModelSpec&))

IOTSL_NAMESPACE_END
