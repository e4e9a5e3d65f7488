#pragma once
// Every layer of the library by name.

#include "iotsl/nn/layer_list.hpp"
#include "iotsl/nn/layers/activation.hpp"
#include "iotsl/nn/layers/gan.hpp"
#include "iotsl/nn/layers/small_net.hpp"

IOTSL_NAMESPACE_BEGIN

/// What a program can build whose size does not count. A device program has StandardLayers, and of
/// these the ones that it names.
template <class T>
using AllLayers = typename StandardLayers<T>::template With<
    LeakyRelu<T>, Sigmoid<T>, Tanh<T>, Silu<T>, Gelu<T>, Softmax<T>, GroupedConv2d<T>, AvgPool2d<T>,
    GroupNorm<T>, LayerNorm<T>, Unflatten<T>, ConvTranspose2d<T>, PixelNorm<T>,
    SpectralNorm<T, Conv2d>, SpectralNorm<T, Linear>>;

IOTSL_NAMESPACE_END
