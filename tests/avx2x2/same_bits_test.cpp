// The kernels of sixteen lanes give the same bits in AVX-512 registers as in pairs of AVX2 ones.
// The tests of tests/kernels, which this program runs too, show that those bits are right.

#include <doctest/doctest.h>

#include <vector>

#include "iotsl/kernels/kernels.hpp"
#include "kernels/judge.hpp"
#include "support/skip.hpp"

using namespace iotsl;
using judge::Range;
using judge::uniform;

namespace {

bool can_compare() {
  return simd::reachable(simd::Target::avx512) && simd::reachable(simd::Target::avx2x2);
}

/// Runs body(), which returns a Range, on both targets.
template <class Body>
void check_same_bits(const Body& body) {
  const simd::Target before = simd::active_target();
  simd::set_target(simd::Target::avx512);
  const Range wide = body();
  simd::set_target(simd::Target::avx2x2);
  const Range pair = body();
  simd::set_target(before);
  CHECK(wide.same_bits(pair));
}

}  // namespace

TEST_CASE("avx512 and avx2x2: convolution, to the bit") {
  if (!can_compare()) return (void)SKIP_TEST("needs AVX-512");
  struct Row {
    Index n, c, size, k, kernel, stride, pad;
  };
  for (const Row& row :
       {Row{3, 1, 28, 40, 3, 1, 1}, Row{2, 24, 14, 33, 3, 1, 1}, Row{9, 70, 3, 48, 3, 1, 1},
        Row{4, 20, 14, 36, 5, 2, 2}, Row{3, 17, 9, 19, 1, 1, 0}, Row{7, 32, 13, 64, 3, 1, 1}}) {
    const Index out = (row.size + 2 * row.pad - row.kernel) / row.stride + 1;
    const kernels::ConvShape s{row.n,      row.c,      row.size, row.size, row.k,
                               row.kernel, row.kernel, out,      out,      row.stride,
                               row.stride, row.pad,    row.pad,  1,        1};
    INFO("channels ", row.c, " to ", row.k, ", ", row.size, " pixels, kernel ", row.kernel);
    const Index x_size = s.n * s.c * s.h * s.w, w_size = s.k * s.c * s.r * s.s;
    const Index y_size = s.n * s.k * s.p * s.q;
    const Range x = uniform(x_size, 1), w = uniform(w_size, 2), b = uniform(s.k, 3);
    const Range gy = uniform(y_size, 4);
    check_same_bits([&] {
      Range y(y_size);
      kernels::conv2d(s, x.data(), w.data(), b.data(), y.data());
      return y;
    });
    check_same_bits([&] {
      Range gx(x_size);
      kernels::conv2d_input_grad(s, gy.data(), w.data(), gx.data());
      return gx;
    });
    check_same_bits([&] {
      Range gw(w_size);
      kernels::conv2d_weight_grad(s, x.data(), gy.data(), gw.data());
      return gw;
    });
  }
}

TEST_CASE("avx512 and avx2x2: depthwise convolution, to the bit") {
  if (!can_compare()) return (void)SKIP_TEST("needs AVX-512");
  const Index n = 3, c = 5;
  for (Index stride : {1, 2})
    for (Index size : {5, 14, 37}) {
      const Index out = (size - 1) / stride + 1;
      const kernels::ConvShape s{n, c, size, size, c, 3, 3, out, out, stride, stride, 1, 1, 1, 1};
      INFO("stride ", stride, ", ", size, " pixels");
      const Range x = uniform(n * c * size * size, 1), w = uniform(c * 9, 2), b = uniform(c, 3);
      const Range gy = uniform(n * c * out * out, 4);
      check_same_bits([&] {
        Range y(gy.size());
        kernels::grouped_conv2d(s, c, x.data(), w.data(), b.data(), y.data());
        return y;
      });
      check_same_bits([&] {
        Range gx(x.size());
        kernels::grouped_conv2d_input_grad(s, c, gy.data(), w.data(), gx.data());
        return gx;
      });
      check_same_bits([&] {
        Range gw(w.size());
        kernels::grouped_conv2d_weight_grad(s, c, x.data(), gy.data(), gw.data());
        return gw;
      });
    }
}

TEST_CASE("avx512 and avx2x2: products, to the bit") {
  if (!can_compare()) return (void)SKIP_TEST("needs AVX-512");
  const Index m = 37, n = 53, k = 300;
  const Range a = uniform(m * k, 1), b = uniform(k * n, 2), v = uniform(k, 3);
  for (bool trans_a : {false, true})
    for (bool trans_b : {false, true})
      check_same_bits([&] {
        Range y(m * n);
        kernels::gemm(trans_a, trans_b, m, n, k, a.data(), b.data(), y.data());
        return y;
      });
  check_same_bits([&] {
    Range y(m);
    kernels::matvec(m, k, a.data(), v.data(), y.data());
    return y;
  });
  check_same_bits([&] {
    Range y(k);
    kernels::matvec_transposed(m, k, a.data(), b.data(), y.data());
    return y;
  });
}

TEST_CASE("avx512 and avx2x2: functions of elements, to the bit") {
  if (!can_compare()) return (void)SKIP_TEST("needs AVX-512");
  using kernels::Unary;
  const Index n = 1003;
  Range x = uniform(n, 1, -20, 20);
  x[3] = judge::nan;
  x[17] = judge::infinity;
  x[31] = -judge::infinity;
  x[40] = 1e-40F;
  const Range y = uniform(n, 2, -1, 1);
  for (Unary op : {Unary::neg, Unary::exp, Unary::log, Unary::sqrt, Unary::rsqrt, Unary::square,
                   Unary::reciprocal, Unary::sigmoid, Unary::tanh, Unary::relu, Unary::abs})
    check_same_bits([&] {
      Range z(n);
      kernels::unary(op, n, x.data(), z.data());
      for (Index i = 0; i < n; ++i)
        if (z[i] != z[i]) z[i] = judge::nan;  // which NaN is free
      return z;
    });
  using kernels::Activation;
  for (Activation f :
       {Activation::normal_cdf, Activation::silu, Activation::gelu, Activation::gelu_tanh})
    check_same_bits([&] {
      Range z(2 * n);
      kernels::activation(f, n, x.data(), z.data());
      kernels::activation_grad(f, n, x.data(), y.data(), z.data() + n);
      for (Index i = 0; i < 2 * n; ++i)
        if (z[i] != z[i]) z[i] = judge::nan;
      return z;
    });
  check_same_bits([&] {
    Range w = y, m(n), v(n);
    kernels::adam_step(n, 1e-3, 0.9, 0.999, 1e-8, 1e-4, 0.1, 0.001, y.data(), m.data(), v.data(),
                       w.data());
    return w;
  });
}

TEST_CASE("avx512 and avx2x2: rows and planes, to the bit") {
  if (!can_compare()) return (void)SKIP_TEST("needs AVX-512");
  for (Index size : {1, 3, 7, 14, 28}) {
    const Index n = 5, c = 19, hw = size * size, all = n * c * hw;
    INFO("planes of ", size, " x ", size);
    const Range x = uniform(all, 1), gy = uniform(all, 2), gamma = uniform(c, 3);
    const Range beta = uniform(c, 4);
    check_same_bits([&] {
      Range stats(2 * c);
      kernels::batch_norm_stats(n, c, hw, x.data(), stats.data(), stats.data() + c);
      return stats;
    });
    check_same_bits([&] {
      Range y(all);
      kernels::batch_norm_apply(n, c, hw, x.data(), beta.data(), gamma.data(), gamma.data(),
                                beta.data(), y.data());
      return y;
    });
    check_same_bits([&] {
      Range gx(all + 2 * c);
      kernels::batch_norm_grad(n, c, hw, x.data(), gy.data(), beta.data(), gamma.data(),
                               gamma.data(), gx.data(), gx.data() + all, gx.data() + all + c);
      return gx;
    });
    check_same_bits([&] {
      Range y(all + n * hw);
      kernels::pixel_norm(n, c, hw, 1e-8, x.data(), y.data() + all, y.data());
      return y;
    });
    check_same_bits([&] {
      Range y(all);
      kernels::log_softmax(n * hw, c, x.data(), y.data());
      return y;
    });
    if (size < 3) continue;
    const Index half = size / 2;
    const kernels::PoolShape pool{n, c, size, size, half, half, 2, 2, 2, 2, 0, 0};
    check_same_bits([&] {
      Range y(n * c * half * half + all);
      std::vector<std::uint8_t> index(static_cast<std::size_t>(n * c * half * half));
      kernels::max_pool2d(pool, x.data(), y.data(), index.data());
      kernels::max_pool2d_grad(pool, gy.data(), index.data(), y.data() + n * c * half * half);
      return y;
    });
  }
}
