#pragma once
// Convolution of few channels, such as a first layer: one tap is too short a sum there, and turning
// the many outputs channel-last would cost more than the products. The few inputs are copied
// instead, as one row of pixels per tap of a patch, and a matrix product writes the many outputs
// where they belong.

#include <algorithm>

#include "iotsl/core/memory.hpp"
#include "iotsl/kernels/conv2d/patches/window.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// y[n,k,p,q] = bias[k] + sum over c,r,s, in this order; `bias` may be null.
inline void patch_forward(const ConvShape& s, const float* x, const float* w, const float* bias,
                          float* y) {
  if (s.n * s.k * s.p * s.q == 0) return;
  // Eight tasks at least, which decides no bits.
  const Index band = detail::patch_band(s, s.n >= 8 ? 1 : (8 + s.n - 1) / s.n);
  const Index bands = (s.p + band - 1) / band;
  const Index depth = detail::patch_depth(s), plane = s.p * s.q;
  const detail::PatchWindow window(s, band);
  const Scratch scratch(static_cast<std::size_t>(threads() * window.floats()) * sizeof(float));
  run_tasks(s.n * s.k * plane * depth, s.n * bands, [&](Index task) {
    const Index image = task / bands, begin = task % bands * band;
    const Index rows = std::min(band, s.p - begin);
    float* patches = scratch.as<float>() + worker_index() * window.floats();
    window.load(x + image * s.c * s.h * s.w, begin, rows, 0, patches);
    patch_table().filter({s.k, depth, rows * s.q, w, patches, window.taps(), bias,
                          y + image * s.k * plane + begin * s.q, plane});
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
