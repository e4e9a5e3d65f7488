#pragma once
// What a model costs, per layer and per side of the cut.

#include "iotsl/models/model.hpp"
#include "iotsl/nn/layer_list.hpp"

IOTSL_NAMESPACE_BEGIN

/// A layer as a table shows it.
struct LayerSummary {
  std::string name;
  const char* type;
  std::string fields;  ///< what it is built from, where that is not usual: "kernel 3x3"
  Shape output;
  LayerCost cost;
};

/// Costs for one sample, counted as the paper does (see LayerCost).
struct ModelSummary {
  std::vector<LayerSummary> layers;
  std::size_t front_layers = 0;
  LayerCost total, front, back;
  Index smashed_values = 0;  ///< F: values that leave the front per sample
};

/// Summary of `model` cut after its first `front_layers` layers.
template <class T>
ModelSummary summarize(const Sequential<T>& model, const ModelSpec& spec,
                       std::size_t front_layers) {
  ModelSummary out;
  out.front_layers = front_layers;
  Shape shape = sample_shape(spec);
  for (std::size_t i = 0; i < model.size(); ++i) {
    const LayerCost cost = model[i].cost(shape);
    shape = model[i].output_shape(shape).value();
    out.layers.push_back(
        {model[i].name, model[i].type(), fields_text(model[i].layer), shape, cost});
    for (LayerCost* sum : {&out.total, i < front_layers ? &out.front : &out.back}) *sum += cost;
    if (i + 1 == front_layers) out.smashed_values = shape.elements();
  }
  return out;
}

IOTSL_NAMESPACE_END
