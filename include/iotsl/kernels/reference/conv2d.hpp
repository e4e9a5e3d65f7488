#pragma once
// Convolution (cross-correlation, as the field calls it) and its two adjoints. All three are the
// same trilinear form sum y[n,k,p,q] x[n,c,h,w] w[k,c,r,s] with h = p*stride + r*dilation - pad,
// differentiated by one of its arguments. With groups, output channel k meets the channels of its
// own group only, and w is [k, c / groups, r, s].

#include "iotsl/kernels/reference/accumulator.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

namespace detail {

/// Calls visit(y_index, x_index, w_index) for every product in the form, the padding left out.
template <class Visit>
void for_each_product(const ConvShape& s, Index groups, const Visit& visit) {
  const Index depth = s.c / groups;
  for (Index n = 0; n < s.n; ++n)
    for (Index k = 0; k < s.k; ++k)
      for (Index p = 0; p < s.p; ++p)
        for (Index q = 0; q < s.q; ++q)
          for (Index c = 0; c < depth; ++c)
            for (Index r = 0; r < s.r; ++r) {
              const Index h = p * s.stride_h + r * s.dilation_h - s.pad_h;
              if (h < 0 || h >= s.h) continue;
              for (Index t = 0; t < s.s; ++t) {
                const Index w = q * s.stride_w + t * s.dilation_w - s.pad_w;
                if (w < 0 || w >= s.w) continue;
                const Index channel = k / (s.k / groups) * depth + c;
                visit(((n * s.k + k) * s.p + p) * s.q + q,
                      ((n * s.c + channel) * s.h + h) * s.w + w,
                      ((k * depth + c) * s.r + r) * s.s + t);
              }
            }
}

}  // namespace detail

/// y[n,k,p,q] = bias[k] + sum over c,r,s of x[n,c,h,w] w[k,c,r,s]. `bias` may be null.
template <class T>
void conv2d(const ConvShape& s, const T* x, const T* w, const T* bias, T* y, Index groups = 1) {
  for (Index n = 0; n < s.n; ++n)
    for (Index k = 0; k < s.k; ++k)
      for (Index i = 0; i < s.p * s.q; ++i)
        y[(n * s.k + k) * s.p * s.q + i] = bias != nullptr ? bias[k] : T(0);
  detail::for_each_product(s, groups,
                           [&](Index iy, Index ix, Index iw) { y[iy] += x[ix] * w[iw]; });
}

/// gx[n,c,h,w] = sum over k,p,q of gy[n,k,p,q] w[k,c,r,s]: the adjoint in x.
template <class T>
void conv2d_input_grad(const ConvShape& s, const T* gy, const T* w, T* gx, Index groups = 1) {
  for (Index i = 0; i < s.n * s.c * s.h * s.w; ++i) gx[i] = T(0);
  detail::for_each_product(s, groups,
                           [&](Index iy, Index ix, Index iw) { gx[ix] += gy[iy] * w[iw]; });
}

/// gw[k,c,r,s] = sum over n,p,q of gy[n,k,p,q] x[n,c,h,w]: the adjoint in w.
template <class T>
void conv2d_weight_grad(const ConvShape& s, const T* x, const T* gy, T* gw, Index groups = 1) {
  for (Index i = 0; i < s.k * (s.c / groups) * s.r * s.s; ++i) gw[i] = T(0);
  detail::for_each_product(s, groups,
                           [&](Index iy, Index ix, Index iw) { gw[iw] += gy[iy] * x[ix]; });
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
