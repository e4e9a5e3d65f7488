#pragma once
// The front on the wire: its layers as JSON in FRONT_INIT. The device builds its half from them, so
// it needs neither the back nor a table of models, and both sides know from it how large each
// message may be. With method fedavg the front is the whole net.

#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/net/messages/transfer.hpp"
#include "iotsl/nn/layer_list.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What a device accepts: 256 MiB of float32 for the front's state, and as much for the output of
/// one of its layers for one sample.
inline constexpr LayerLimits front_limits{.state_values = Index{1} << 26,
                                          .values = Index{1} << 26,
                                          .layers = 1024,
                                          .depth = 8,
                                          .name_bytes = 112};  // with the state's names: below 160

/// The same of a whole net: 1 GiB for its state, since the paper's takes half of that.
inline constexpr LayerLimits whole_net_limits{.state_values = Index{1} << 28,
                                              .values = front_limits.values,
                                              .layers = front_limits.layers,
                                              .depth = front_limits.depth,
                                              .name_bytes = front_limits.name_bytes};

/// FRONT_INIT of a front; a failure where it is larger than a device takes.
inline Result<net::Message> describe_front(const Sequential<float>& front) {
  const std::string layers = to_text(describe_layers(front));
  if (layers.size() > net::max_front_init_bytes)
    return failure(ErrorCode::usage, "the description of the front takes ", layers.size(),
                   " bytes, limit ", net::max_front_init_bytes);
  return net::make_message(net::FrontInit{iotsl::bytes_of(layers.data(), layers.size())});
}

/// The front of a description for samples of the given shape [1,C,H,W], without weights. `known`:
/// the layers that this program has; `limits` that differ from front_limits in the sizes alone.
/// Everything is checked before memory is taken.
inline Result<Sequential<float>> build_front(const net::FrontInit& description, const Shape& sample,
                                             LayerTypes<float> known,
                                             const LayerLimits& limits = front_limits) {
  const auto wrong = [](const Failure& why) {
    return failure(ErrorCode::network, "front: ", why.message);
  };
  const Result<Json> json =
      parse_json(text_of(description.layers),
                 {.max_bytes = net::max_front_init_bytes, .max_depth = 2 * front_limits.depth + 4});
  if (!json) return wrong(json.failure());
  Result<Sequential<float>> front = build_layers(*json, sample, known, limits);
  if (!front) return wrong(front.failure());
  return front;
}

}  // namespace split
IOTSL_NAMESPACE_END
