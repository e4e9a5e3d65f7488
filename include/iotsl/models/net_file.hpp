#pragma once
// A net as one file: safetensors with its state, and its layers as JSON in the metadata, so that a
// program can load it that was not told what the net looks like.

#include "iotsl/nn/layers/all.hpp"
#include "iotsl/nn/state.hpp"

IOTSL_NAMESPACE_BEGIN

/// The key in the file's metadata of `{"input": [1,C,H,W], "layers": [...]}`.
inline constexpr std::string_view net_metadata_key = "iotsl.net";

namespace detail {

inline Result<Shape> read_sample_shape(const Json& description) {
  const Result<const JsonArray*> input = get_array(description, "input");
  if (!input) return input.failure();
  Shape sample;
  for (const Json& extent : **input) {
    if (!extent.is_int() || extent.as_int() < 1 || sample.rank() == max_dims)
      return failure(ErrorCode::data, "'input' must be at most ", max_dims,
                     " extents of at least 1");
    sample.push_back(extent.as_int());
  }
  if (!sample.has_at_most(LayerLimits{}.values))
    return failure(ErrorCode::data, "'input' has more than ", LayerLimits{}.values, " values");
  return sample;
}

/// A failure where load_net() would refuse the description in a program with these layers, or the
/// state of `net` for what is built from it.
template <class T>
Result<void> check_readable(const std::string& text, const Sequential<T>& net,
                            LayerTypes<T> types) {
  for (const LayerInfo<T>* type : types)
    if (type->make == nullptr) return {};  // its program loads the state into a net that is there
  const Result<Json> description = parse_json(text);
  if (!description) return description.failure();
  const Result<Shape> sample = read_sample_shape(*description);
  if (!sample) return sample.failure();
  const Json& layers = *description->find("layers");
  const Result<Sequential<T>> planned = plan_layers(layers, *sample, types, LayerLimits{});
  if (!planned) return planned.failure();
  const auto has = state_entries<T>(net), read = state_entries<T>(*planned);
  for (std::size_t i = 0; i < std::max(has.size(), read.size()); ++i) {
    if (i < has.size() && i < read.size() && has[i].name == read[i].name &&
        has[i].kind == read[i].kind && has[i].shape == read[i].shape)
      continue;
    const auto text_of = [i](const auto& entries) {
      return i < entries.size() ? concat("'", entries[i].name, "' ", entries[i].shape)
                                : std::string("nothing");
    };
    return failure(ErrorCode::usage, "the net has ", text_of(has),
                   " where one that is built from its layers' fields has ", text_of(read));
  }
  return {};
}

template <class T>
Result<Sequential<T>> read_net(const SafeTensors& file, LayerTypes<T> known) {
  const std::string* text = file.find_metadata(net_metadata_key);
  if (text == nullptr)
    return failure(ErrorCode::data, "has no description of a net ('", net_metadata_key,
                   "' in its metadata); load_state() loads it into a net that is there");
  const Result<Json> description = parse_json(*text);
  if (!description) return description.failure();
  const Result<Shape> sample = read_sample_shape(*description);
  if (!sample) return sample.failure();
  const Result<const Json*> layers = get_member(*description, "layers");
  if (!layers) return layers.failure();
  // A net that the file fills has no more values than the file: no memory for one that it does not.
  LayerLimits limits{.state_values = 0,
                     .values = std::min<Index>(LayerLimits{}.values, Shape::max_elements)};
  for (const SafeTensor& tensor : file.tensors)
    limits.state_values +=
        static_cast<Index>(tensor.bytes.size()) / static_cast<Index>(dtype_bytes(tensor.dtype));
  limits.state_values = std::min<Index>(limits.state_values, Shape::max_elements);
  Result<Sequential<T>> net = build_layers(**layers, *sample, known, limits);
  if (!net) return net;
  if (const Result<void> loaded = load_state(*net, file); !loaded) return loaded.failure();
  return net;
}

}  // namespace detail

/// Writes `net`, which takes samples of the shape `sample` [1,...]. The file appears when it is
/// whole; PyTorch reads its tensors under their names. A failure, and no file, where load_net()
/// would refuse it: a name that no file can have, a field out of its range, state that does not
/// follow from the fields. Raises an Error where the net does not take such samples.
template <class T>
Result<void> save_net(const std::string& path, const Sequential<T>& net, const Shape& sample) {
  net.output_shape(sample).value();
  Json description = Json::object(), input = Json::array();
  for (int d = 0; d < sample.rank(); ++d) input.push_back(sample[d]);
  description["input"] = std::move(input);
  std::vector<const LayerInfo<T>*> types;
  description["layers"] = detail::write_layers(net, &types);
  const std::string text = to_text(description);
  if (const Result<void> good = detail::check_readable<T>(text, net, types); !good)
    return failure(ErrorCode::usage, path,
                   ": is not written, since load_net() would refuse it: ", good.failure().message);
  return save_safetensors(path, state_views(net), {{std::string(net_metadata_key), text}});
}

/// The net of a file that save_net() has written, in evaluation mode. `known`: the layers that this
/// program has, with its own (`AllLayers<T>::template With<Mine<T>>::template types<T>()`). The
/// file may come from anybody: everything is checked, and the failure names what is wrong.
template <class T = float>
Result<Sequential<T>> load_net(const std::string& path,
                               LayerTypes<T> known = AllLayers<T>::template types<T>()) {
  const Result<SafeTensors> file = load_safetensors(path);
  if (!file) return file.failure();
  Result<Sequential<T>> net = detail::read_net<T>(*file, known);
  if (!net) return failure(net.failure().code, path, ": ", net.failure().message);
  net->eval();
  return net;
}

IOTSL_NAMESPACE_END
