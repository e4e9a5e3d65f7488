#pragma once
// The five-convolution net of the paper's experiment on forgetting (Fig. 4 and 5). Its widths are
// not given there; ours are 32, 64, 128, 128, 128 at base width 64.

#include "iotsl/models/model_spec.hpp"

IOTSL_NAMESPACE_BEGIN

/// conv, ReLU, pool, conv, ReLU, pool | three times conv, ReLU; global average; linear. No batch
/// norm.
template <class T>
Sequential<T> vanilla5(const ModelSpec& spec) {
  Sequential<T> net;
  int place = 0;
  Index channels = spec.images.channels;
  const auto add_conv = [&](Index base) {
    const Index next = detail::scaled(spec, base);
    net.add(concat("features.", place++), Conv2d<T>(channels, next, 3, {.pad_h = 1, .pad_w = 1}));
    net.add(concat("features.", place++), Relu<T>{});
    channels = next;
  };
  for (Index base : {32, 64}) {
    add_conv(base);
    net.add(concat("features.", place++), MaxPool2d<T>{});
  }
  for (int i = 0; i < 3; ++i) add_conv(128);
  net.add("avgpool", GlobalAvgPool2d<T>{});
  net.add("classifier", Linear<T>(channels, spec.images.classes));
  return net;
}

IOTSL_NAMESPACE_END
