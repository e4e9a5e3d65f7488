#pragma once
// VGG-16 with batch norm (Simonyan, Zisserman 2014; torchvision's layer names). The default cut is
// after the first pool: the device holds the first two convolutions (paper, section V-A).

#include <span>

#include "iotsl/models/model_spec.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

/// Channels of the convolutions in order, at base width 64; 0 stands for a pool.
inline constexpr Index vgg16_channels[] = {64, 64,  0,   128, 128, 0,   256, 256, 256,
                                           0,  512, 512, 512, 0,   512, 512, 512, 0};

inline constexpr Pool2dOptions halving_pool{};
/// Keeps the size: 3x3, stride 1, padding 1.
inline constexpr Pool2dOptions keeping_pool{
    .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1};

/// Adds `features.0`, `features.1`, ... with the given pools in order; as many pools as given.
template <class T>
void add_vgg_features(Sequential<T>& net, const ModelSpec& spec,
                      std::span<const Pool2dOptions> pools) {
  int place = 0;
  std::size_t pool = 0;
  Index channels = spec.images.channels;
  const auto name = [&place] { return concat("features.", place++); };
  for (const Index base : vgg16_channels) {
    if (base == 0) {
      if (pool < pools.size()) net.add(name(), MaxPool2d<T>{pools[pool++]});
      continue;
    }
    const Index next = scaled(spec, base);
    net.add(name(), Conv2d<T>(channels, next, 3, {.pad_h = 1, .pad_w = 1}));
    net.add(name(), BatchNorm2d<T>(next));
    net.add(name(), Relu<T>{});
    channels = next;
  }
}

}  // namespace detail

/// The default model: 13 convolutions, four halving pools (28, 14, 7, 3, 1), no fifth pool, one
/// linear layer. 14,727,114 parameters at width 64 and 1x28x28.
template <class T>
Sequential<T> vgg16bn_compact(const ModelSpec& spec) {
  Sequential<T> net;
  const Pool2dOptions pools[] = {detail::halving_pool, detail::halving_pool, detail::halving_pool,
                                 detail::halving_pool};
  detail::add_vgg_features(net, spec, pools);
  net.add("flatten", Flatten<T>{});
  const Shape features = net.output_shape(sample_shape(spec)).value();
  net.add("classifier", Linear<T>(features[1], spec.images.classes));
  return net;
}

/// The size that the paper counts (section V-C): pools 2 to 4 keep 14x14, pool 5 halves, and three
/// linear layers with dropout. 134,308,810 parameters at width 64 and 1x28x28.
template <class T>
Sequential<T> vgg16bn_paper(const ModelSpec& spec) {
  Sequential<T> net;
  const Pool2dOptions pools[] = {detail::halving_pool, detail::keeping_pool, detail::keeping_pool,
                                 detail::keeping_pool, detail::halving_pool};
  detail::add_vgg_features(net, spec, pools);
  net.add("flatten", Flatten<T>{});
  const Shape features = net.output_shape(sample_shape(spec)).value();
  const Index hidden = detail::scaled(spec, 4096);
  net.add("classifier.0", Linear<T>(features[1], hidden));
  net.add("classifier.1", Relu<T>{});
  net.add("classifier.2", Dropout<T>{0.5});
  net.add("classifier.3", Linear<T>(hidden, hidden));
  net.add("classifier.4", Relu<T>{});
  net.add("classifier.5", Dropout<T>{0.5});
  net.add("classifier.6", Linear<T>(hidden, spec.images.classes));
  return net;
}

IOTSL_NAMESPACE_END
