#pragma once
// Layers by the name of their type, and chains out of their description.

#include <algorithm>
#include <string_view>

#include "iotsl/core/heap_sort.hpp"
#include "iotsl/core/json/json.hpp"
#include "iotsl/nn/branch.hpp"
#include "iotsl/nn/layers/standard.hpp"

IOTSL_NAMESPACE_BEGIN

/// The types of layer that a program knows; a program adds its own:
/// `StandardLayers<float>::With<MyLayer>`.
template <class... Layers>
struct LayerList {
  template <class... More>
  using With = LayerList<Layers..., More...>;

  template <class T>
  static LayerTypes<T> types() {
    static_assert((LayerOf<Layers, T> && ...), "every type of the list must be a LayerOf<T>");
    static_assert((std::default_initializable<Layers> && ...),
                  "a layer that is built from a description needs a default constructor");
    static constexpr const LayerInfo<T>* all[] = {&layer_info<T, Layers>...};
    static_assert(have_different_names<T>(), "two layers of the list have the same `type`");
    return all;
  }

 private:
  template <class T>
  static constexpr bool have_different_names() {
    const std::string_view names[] = {layer_info<T, Layers>.type...};
    for (std::size_t i = 0; i < sizeof...(Layers); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (names[i] == names[j]) return false;
    return true;
  }
};

/// What every program of the library can build.
template <class T>
using StandardLayers =
    LayerList<Conv2d<T>, BatchNorm2d<T>, Relu<T>, MaxPool2d<T>, GlobalAvgPool2d<T>, Flatten<T>,
              Dropout<T>, Linear<T>, Sequential<T>, Residual<T>, Concat<T>>;

namespace detail {

template <class T>
Json write_layers(const Sequential<T>& chain, std::vector<const LayerInfo<T>*>* types) {
  Json out = Json::array();
  for (const NamedLayer<T>& named : chain.layers()) {
    Json layer = Json::object();
    layer["name"] = named.name;
    layer["type"] = named.type();
    if (types != nullptr) types->push_back(&named.layer.info());
    LayerFields<T> fields(std::move(layer), types);
    named.layer.visit_fields(fields);
    out.push_back(fields.take());
  }
  return out;
}

template <class T>
Result<AnyLayer<T>> make_layer(std::string_view type, LayerTypes<T> known) {
  std::string names;
  for (const LayerInfo<T>* info : known) {
    if (type == info->type) return AnyLayer<T>(*info);
    names += concat(names.empty() ? "" : ", ", info->type);
  }
  return failure(ErrorCode::data, "is of type '", type,
                 "', which this program does not have; it has ", names);
}

/// One layer of a description. The failure does not say which.
template <class T>
Result<AnyLayer<T>> read_layer(const Json& json, LayerReading<T>& reading) {
  const Result<std::string> type = get_string(json, "type");
  if (!type) return type.failure();
  Result<AnyLayer<T>> layer = make_layer(*type, reading.known);
  if (!layer) return layer;
  LayerFields<T> fields(json, 2, reading);
  layer->visit_fields(fields);
  if (const Result<void> read = fields.finish(); !read) return read.failure();
  if (layer->info().leaves != nullptr) return layer;  // those within it were counted
  StateList<T> state;
  layer->visit_state(state);
  reading.state_values += count_values(state);
  if (reading.state_values > static_cast<double>(reading.limits.state_values))
    return failure(ErrorCode::data, "with those before it has more than ",
                   reading.limits.state_values, " parameters");
  return layer;
}

template <class T>
Result<void> read_layers(const Json& list, Sequential<T>& chain, LayerReading<T>& reading) {
  if (!list.is_array())
    return failure(ErrorCode::data, "layers must be an array, found ", list.type_name());
  if (++reading.depth > reading.limits.depth)
    return failure(ErrorCode::data, "layers are nested deeper than ", reading.limits.depth);
  const std::string outer = reading.prefix;
  for (const Json& json : list.as_array()) {
    const Result<std::string> name = get_string(json, "name");
    const std::string full = outer + (name ? *name : std::to_string(chain.size()));
    const auto wrong = [&](const std::string& why) {
      reading.located = true;
      return failure(ErrorCode::data, "layer '", full.substr(0, reading.limits.name_bytes), "' ",
                     why);
    };
    if (!name) return wrong("has no name: " + name.failure().message);
    if (name->empty() || full.size() > reading.limits.name_bytes)
      return wrong(
          concat("has an empty name or one of more than ", reading.limits.name_bytes, " bytes"));
    if (chain.find(*name) != nullptr) return wrong("is there twice");
    if (++reading.layers > reading.limits.layers)
      return wrong(concat("is one of more than ", reading.limits.layers));
    reading.prefix = full + ".";
    Result<AnyLayer<T>> layer = read_layer(json, reading);
    if (!layer) return reading.located ? layer.failure() : wrong(layer.failure().message);
    chain.append(*name, std::move(layer).value());
  }
  reading.prefix = outer;
  --reading.depth;
  return {};
}

/// A layer `a.b` beside a layer `b` within `a` would share its names in a file.
template <class T>
Result<void> check_state_names(const Sequential<T>& chain) {
  std::vector<std::string> names;
  for (StateEntry<T>& entry : state_entries<T>(chain)) names.push_back(std::move(entry.name));
  heap_sort(names);
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return {};
  return failure(ErrorCode::data, "two layers have a tensor '", *twice, "'");
}

/// build_layers() without the memory.
template <class T>
Result<Sequential<T>> plan_layers(const Json& description, const Shape& sample, LayerTypes<T> known,
                                  const LayerLimits& limits) {
  LayerReading<T> reading{known, limits};
  Sequential<T> chain;
  const Result<void> read = read_layers(description, chain, reading);
  if (!read) return read.failure();
  if (chain.size() == 0) return failure(ErrorCode::data, "there are no layers");
  const Result<Shape> output = chain.output_shape(sample, limits.values);
  if (!output) return failure(ErrorCode::data, output.failure().message);
  if (const Result<void> apart = check_state_names(chain); !apart) return apart.failure();
  return chain;
}

}  // namespace detail

/// The layers of a chain with all their fields, without weights: an array of
/// {"name": "features.0", "type": "conv2d", ...}.
template <class T>
Json describe_layers(const Sequential<T>& chain) {
  return detail::write_layers(chain);
}

/// The chain of a description, for samples of the shape `sample` [1,...], with memory for its
/// state. The description may come from anybody: names, types, fields, shapes and sizes are checked
/// before memory is taken. The failure names the layer.
template <class T>
Result<Sequential<T>> build_layers(const Json& description, const Shape& sample,
                                   LayerTypes<T> known, const LayerLimits& limits = {}) {
  Result<Sequential<T>> chain = detail::plan_layers(description, sample, known, limits);
  if (chain) chain->allocate();
  return chain;
}

/// The fields of a layer that differ from its type's defaults: "in_channels 1, kernel 3x3".
template <class T>
std::string fields_text(const AnyLayer<T>& layer) {
  LayerFields<T> own, usual;
  layer.visit_fields(own);
  if (layer.info().make != nullptr) AnyLayer<T>(layer.info()).visit_fields(usual);
  const Json values = own.take(), defaults = usual.take();
  std::string out;
  for (const JsonMember& member : values.as_object()) {
    const Json& value = member.value;
    const Json* without = defaults.find(member.key);
    if (without != nullptr && value == *without) continue;
    out += concat(out.empty() ? "" : ", ", member.key, " ");
    if (!value.is_array())
      out += to_text(value);
    else if (value.size() == 2 && value.as_array()[0].is_int())
      out += concat(value.as_array()[0].as_int(), "x", value.as_array()[1].as_int());
    else
      out += std::to_string(value.size());
  }
  return out;
}

IOTSL_NAMESPACE_END
