#pragma once
// Max pooling. Padding counts as minus infinity and is never chosen.

#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

namespace detail {

/// Offset within the [h,w] plane of position `at` (row-major) in the window of output (p,q).
inline Index window_offset(const PoolShape& s, Index p, Index q, Index at) {
  const Index h = p * s.stride_h - s.pad_h + at / s.kernel_w;
  const Index w = q * s.stride_w - s.pad_w + at % s.kernel_w;
  return h * s.w + w;
}

/// Calls visit(y_index, x_index) for every output and the input that `index` says it came from.
template <class Visit>
void for_each_maximum(const PoolShape& s, const std::uint8_t* index, const Visit& visit) {
  for (Index plane = 0; plane < s.n * s.c; ++plane)
    for (Index p = 0; p < s.p; ++p)
      for (Index q = 0; q < s.q; ++q) {
        const Index out = (plane * s.p + p) * s.q + q;
        visit(out, plane * s.h * s.w + window_offset(s, p, q, index[out]));
      }
}

}  // namespace detail

/// y[n,c,p,q] = maximum of the window; index[n,c,p,q] = its position r * kernel_w + s in the
/// window, the first where several are equal. A NaN counts as larger than every number.
template <class T>
void max_pool2d(const PoolShape& s, const T* x, T* y, std::uint8_t* index) {
  for (Index plane = 0; plane < s.n * s.c; ++plane, x += s.h * s.w)
    for (Index p = 0; p < s.p; ++p)
      for (Index q = 0; q < s.q; ++q) {
        Index best = -1;
        T maximum{};
        for (Index at = 0; at < s.kernel_h * s.kernel_w; ++at) {
          const Index h = p * s.stride_h - s.pad_h + at / s.kernel_w;
          const Index w = q * s.stride_w - s.pad_w + at % s.kernel_w;
          if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
          const T value = x[h * s.w + w];
          if (best < 0 || value > maximum || value != value) {
            best = at;
            maximum = value;
          }
        }
        *y++ = maximum;
        *index++ = static_cast<std::uint8_t>(best);
      }
}

/// gx[n,c,h,w] = sum of the gy[n,c,p,q] whose maximum lay there.
template <class T>
void max_pool2d_grad(const PoolShape& s, const T* gy, const std::uint8_t* index, T* gx) {
  for (Index i = 0; i < s.n * s.c * s.h * s.w; ++i) gx[i] = T(0);
  detail::for_each_maximum(s, index, [&](Index out, Index in) { gx[in] += gy[out]; });
}

/// y[n,c,p,q] = x at the place that `index` names: the adjoint of `max_pool2d_grad`.
template <class T>
void max_pool2d_gather(const PoolShape& s, const T* x, const std::uint8_t* index, T* y) {
  detail::for_each_maximum(s, index, [&](Index out, Index in) { y[out] = x[in]; });
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
