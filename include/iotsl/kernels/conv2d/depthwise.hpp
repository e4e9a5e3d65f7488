#pragma once
// Depthwise convolution in float: every output channel reads one input channel, so there is no sum
// over channels to make a matrix product of, and every plane is a task. Its input is copied into
// lines: the rows with their padding, each cut into `stride_w` phases (columns equal modulo the
// stride), so that what a kernel tap needs for a row of outputs lies side by side at every stride
// and dilation.

#include <algorithm>
#include <cstring>
#include <vector>

#include "iotsl/core/memory.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"
#include "iotsl/simd/target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// height x width outputs of one plane; output (p, i) meets lines[p * row_step + tap[t] + i].
struct DepthwisePlane {
  Index height, width;
  Index row_step;
  Index taps;
  const Index* tap;
};

struct DepthwiseTable {
  void (*forward)(const DepthwisePlane& d, const float* lines, const float* w, float bias,
                  float* y);
  void (*scatter)(const DepthwisePlane& d, const float* gy, const float* w, float* lines);
  void (*products)(const DepthwisePlane& d, const float* lines, const float* gy, double* gw);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/conv2d/depthwise-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(DepthwiseTable, depthwise_table)

namespace detail {

/// The lines of a plane and its taps. A negative pad leaves rows and columns out.
class DepthwiseLines {
 public:
  /// A vector of 16 lanes may read that far beyond the last output.
  static constexpr Index slack = 16;

  /// `planes`: planes that an output sums over, each with the taps of a kernel of its own.
  DepthwiseLines(Index planes, Index in_h, Index in_w, Index out_h, Index out_w, Index r, Index s,
                 Index stride_h, Index stride_w, Index pad_h, Index pad_w, Index dilation_h,
                 Index dilation_w)
      : in_h_(in_h), in_w_(in_w), stride_w_(stride_w), pad_h_(pad_h), pad_w_(pad_w) {
    phase_ = out_w + dilation_w * (s - 1) / stride_w + slack;
    rows_ = (out_h - 1) * stride_h + dilation_h * (r - 1) + 1;
    for (Index plane = 0; plane < planes; ++plane)
      for (Index y = 0; y < r; ++y)
        for (Index x = 0; x < s; ++x) {
          const Index row = plane * rows_ + y * dilation_h, column = x * dilation_w;
          tap_.push_back((row * stride_w + column % stride_w) * phase_ + column / stride_w);
        }
    plane_ = {out_h, out_w, stride_h * stride_w * phase_, static_cast<Index>(tap_.size()),
              tap_.data()};
  }
  DepthwiseLines(const DepthwiseLines&) = delete;
  DepthwiseLines& operator=(const DepthwiseLines&) = delete;

  const DepthwisePlane& plane() const { return plane_; }
  /// Floats of the lines of one plane.
  Index elems() const { return rows_ * stride_w_ * phase_; }

  void fill(const float* x, float* lines) const {
    std::memset(lines, 0, static_cast<std::size_t>(elems()) * sizeof(float));
    for_each_run(
        [&](float* line, Index at, Index count) {
          const float* from = x + at;
          if (stride_w_ == 1) return copy(from, count, line);
          for (Index i = 0; i < count; ++i) line[i] = from[i * stride_w_];
        },
        lines);
  }
  /// The adjoint of `fill`: what the lines hold of the plane; zero where they hold nothing.
  void collect(float* lines, float* gx) const {
    std::memset(gx, 0, static_cast<std::size_t>(in_h_ * in_w_) * sizeof(float));
    for_each_run(
        [&](const float* line, Index at, Index count) {
          float* to = gx + at;
          if (stride_w_ == 1) return copy(line, count, to);
          for (Index i = 0; i < count; ++i) to[i * stride_w_] = line[i];
        },
        lines);
  }

 private:
  static void copy(const float* from, Index count, float* to) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  }
  /// Calls visit(line, at, count): `count` columns from number `at` of the plane on, a stride
  /// apart, lie side by side from `line` on.
  template <class Visit>
  void for_each_run(const Visit& visit, float* lines) const {
    for (Index row = 0; row < rows_; ++row) {
      const Index h = row - pad_h_;
      if (h < 0 || h >= in_h_) continue;
      for (Index phase = 0; phase < stride_w_; ++phase) {
        // Position j of a phase is column j * stride + phase - pad.
        const Index shift = pad_w_ - phase;
        const Index first = shift <= 0 ? 0 : (shift + stride_w_ - 1) / stride_w_;
        const Index last = std::min(phase_, (in_w_ - 1 + shift + stride_w_) / stride_w_);
        if (first < last)
          visit(lines + (row * stride_w_ + phase) * phase_ + first,
                h * in_w_ + first * stride_w_ - shift, last - first);
      }
    }
  }

  Index in_h_, in_w_, stride_w_, pad_h_, pad_w_;
  Index phase_, rows_;
  std::vector<Index> tap_;
  DepthwisePlane plane_;
};

/// Calls body(plane, lines) in parallel for all planes; `lines` are `elems` floats of scratch.
template <class Body>
void for_each_depthwise_plane(Index planes, Index elems, const Body& body) {
  const Scratch scratch(static_cast<std::size_t>(threads() * elems) * sizeof(float));
  const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, elems));
  parallel_chunks(planes, grain, [&](Index begin, Index end) {
    for (Index plane = begin; plane < end; ++plane)
      body(plane, scratch.as<float>() + worker_index() * elems);
  });
}

// All for s.c groups of one input channel and s.k / s.c output channels each.

inline void depthwise_forward(const ConvShape& s, const float* x, const float* w, const float* bias,
                              float* y) {
  const DepthwiseLines from(1, s.h, s.w, s.p, s.q, s.r, s.s, s.stride_h, s.stride_w, s.pad_h,
                            s.pad_w, s.dilation_h, s.dilation_w);
  const DepthwiseTable& table = depthwise_table();
  const Index outputs = s.k / s.c, taps = s.r * s.s;
  for_each_depthwise_plane(s.n * s.c, from.elems(), [&](Index plane, float* lines) {
    from.fill(x + plane * s.h * s.w, lines);
    const Index first = plane % s.c * outputs;
    float* to = y + plane * outputs * s.p * s.q;
    for (Index i = 0; i < outputs; ++i)
      table.forward(from.plane(), lines, w + (first + i) * taps,
                    bias != nullptr ? bias[first + i] : 0.0F, to + i * s.p * s.q);
  });
}

inline void depthwise_input_grad(const ConvShape& s, const float* gy, const float* w, float* gx) {
  const DepthwiseTable& table = depthwise_table();
  const Index outputs = s.k / s.c, taps = s.r * s.s;
  if (s.stride_h == 1 && s.stride_w == 1) {
    // Itself a convolution, of the group's output channels with the turned kernels.
    const DepthwiseLines from(outputs, s.p, s.q, s.h, s.w, s.r, s.s, 1, 1,
                              s.dilation_h * (s.r - 1) - s.pad_h,
                              s.dilation_w * (s.s - 1) - s.pad_w, s.dilation_h, s.dilation_w);
    std::vector<float> turned(static_cast<std::size_t>(s.k * taps));
    for (Index k = 0; k < s.k; ++k)
      std::reverse_copy(w + k * taps, w + (k + 1) * taps, turned.data() + k * taps);
    for_each_depthwise_plane(s.n * s.c, outputs * from.elems(), [&](Index plane, float* lines) {
      for (Index i = 0; i < outputs; ++i)
        from.fill(gy + (plane * outputs + i) * s.p * s.q, lines + i * from.elems());
      table.forward(from.plane(), lines, turned.data() + plane % s.c * outputs * taps, 0.0F,
                    gx + plane * s.h * s.w);
    });
    return;
  }
  const DepthwiseLines to(1, s.h, s.w, s.p, s.q, s.r, s.s, s.stride_h, s.stride_w, s.pad_h, s.pad_w,
                          s.dilation_h, s.dilation_w);
  for_each_depthwise_plane(s.n * s.c, to.elems(), [&](Index plane, float* lines) {
    std::memset(lines, 0, static_cast<std::size_t>(to.elems()) * sizeof(float));
    for (Index i = 0; i < outputs; ++i)
      table.scatter(to.plane(), gy + (plane * outputs + i) * s.p * s.q,
                    w + (plane % s.c * outputs + i) * taps, lines);
    to.collect(lines, gx + plane * s.h * s.w);
  });
}

inline void depthwise_weight_grad(const ConvShape& s, const float* x, const float* gy, float* gw) {
  const DepthwiseLines from(1, s.h, s.w, s.p, s.q, s.r, s.s, s.stride_h, s.stride_w, s.pad_h,
                            s.pad_w, s.dilation_h, s.dilation_w);
  const DepthwiseTable& table = depthwise_table();
  const Index outputs = s.k / s.c, taps = s.r * s.s;
  std::vector<double> sums(static_cast<std::size_t>(s.k * taps));
  // A channel is a task: its sums over the images are taken in their order.
  for_each_depthwise_plane(s.c, from.elems(), [&](Index channel, float* lines) {
    for (Index n = 0; n < s.n; ++n) {
      const Index plane = n * s.c + channel;
      from.fill(x + plane * s.h * s.w, lines);
      for (Index i = 0; i < outputs; ++i)
        table.products(from.plane(), lines, gy + (plane * outputs + i) * s.p * s.q,
                       sums.data() + (channel * outputs + i) * taps);
    }
  });
  for (std::size_t i = 0; i < sums.size(); ++i) gw[i] = static_cast<float>(sums[i]);
}

}  // namespace detail

}  // namespace kernels

IOTSL_NAMESPACE_END
