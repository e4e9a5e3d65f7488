#pragma once
// Which algorithm computes a convolution: a function of (operation, shape, target) alone, never of
// a timing or of the number of threads.

#include <cstdlib>
#include <cstring>

#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

enum class ConvOperation { forward, input_grad, weight_grad };

enum class ConvAlgorithm {
  direct,   ///< channel-last blocks, one pass per kernel tap
  patches,  ///< few input channels: whole patches are summed, the outputs stay as they lie
  winograd  ///< 3x3 at stride 1: a quarter of the products, at some more rounding error
};

/// Whether Winograd may be chosen: IOTSL_WINOGRAD=0 in the environment turns it off.
inline bool winograd_allowed() {
  static const bool allowed = [] {
    const char* wanted = std::getenv("IOTSL_WINOGRAD");
    return wanted == nullptr || std::strcmp(wanted, "0") != 0;
  }();
  return allowed;
}

/// Whether the shape is one that Winograd can compute.
constexpr bool winograd_applies(const ConvShape& s) {
  return s.r == 3 && s.s == 3 && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 &&
         s.dilation_w == 1 && s.pad_h <= 2 && s.pad_w <= 2 && s.c >= 16 && s.k >= 16 && s.n > 0 &&
         s.p > 0 && s.q > 0;
}

namespace detail {

/// Products of one image and pair of channels in direct convolution: taps beyond the edge are left
/// out.
constexpr Index direct_products(Index out, Index in, Index pad) {
  Index products = 0;
  for (Index tap = 0; tap < 3; ++tap)
    for (Index o = 0; o < out; ++o)
      if (const Index i = o + tap - pad; i >= 0 && i < in) ++products;
  return products;
}

/// Tiles of one image, of 4x4 outputs each.
constexpr Index winograd_tiles(const ConvShape& s) { return (s.p + 3) / 4 * ((s.q + 3) / 4); }

}  // namespace detail

/// Products of direct convolution to those of Winograd, 4 at most.
constexpr double winograd_saving(const ConvShape& s) {
  const Index direct =
      detail::direct_products(s.p, s.h, s.pad_h) * detail::direct_products(s.q, s.w, s.pad_w);
  return static_cast<double>(direct) / static_cast<double>(36 * detail::winograd_tiles(s));
}

/// Whether Winograd is faster. The bounds are read off the table that bench/winograd_rule.cpp
/// prints for the forward pass on AVX-512; the gradients and AVX2 agree at the layers of the
/// networks, and so does NEON, by executed instructions (bench/README.md). The weight gradient
/// keeps at least one image transformed, which bounds the size of the image.
constexpr bool winograd_pays(ConvOperation operation, const ConvShape& s) {
  const Index tiles = detail::winograd_tiles(s);
  return winograd_applies(s) && winograd_saving(s) >= 2.0 && s.n * tiles >= 32 &&
         (operation != ConvOperation::weight_grad || tiles <= 256);
}

/// Input channels up to which patches are taken. Decides bits: a patch is summed by channel and
/// then by tap, the direct form by tap and then by channel.
inline constexpr Index patch_channels = 4;

/// The one that Winograd competes with; it fits every shape.
constexpr ConvAlgorithm direct_algorithm(const ConvShape& s) {
  return s.c > 0 && s.c <= patch_channels && s.r * s.s > 1 ? ConvAlgorithm::patches
                                                           : ConvAlgorithm::direct;
}

inline ConvAlgorithm choose_algorithm(ConvOperation operation, const ConvShape& s) {
  return winograd_allowed() && winograd_pays(operation, s) ? ConvAlgorithm::winograd
                                                           : direct_algorithm(s);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
