#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "iotsl/simd/vec.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels {
// Each function of the vector type, applied to eight values, and the widths.
struct SimdProbe {
  Index lanes;
  void (*apply)(int op, const float* a, const float* b, const float* c, float* y);
  void (*copy_partial)(const float* x, float* y, Index count);
  float (*sum)(const float* x);
  float (*largest)(const float* x);
  void (*transpose)(const float* x, float* y);
};
}  // namespace kernels
IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "kernels/simd_probe-inl.hpp"
#include "iotsl/simd/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels {
inline const SimdProbe& simd_probe() { return IOTSL_TARGET_TABLE(simd_probe); }
}  // namespace kernels
IOTSL_NAMESPACE_END

using namespace iotsl;

namespace {
struct EachTarget {
  template <class Body>
  void operator()(const Body& body) const {
    const simd::Target before = simd::active_target();
    for (simd::Target target : simd::reachable_targets()) {
      INFO("target ", std::string(simd::name(target)));
      simd::set_target(target);
      body(kernels::simd_probe());
    }
    simd::set_target(before);
  }
};
constexpr EachTarget on_each_target;

const float a[8] = {1.5F, -2.0F, 3.25F, 0.1F, -7.0F, 9.0F, 1e-3F, 4.0F};
const float b[8] = {-0.5F, -2.0F, 0.3F, 0.7F, 11.0F, 2.0F, 1e3F, 5.0F};
const float c[8] = {1e-7F, 2.0F, 8.0F, -0.07F, 77.0F, 3.0F, -1.0F, 6.0F};
}  // namespace

TEST_CASE("every target has the same arithmetic") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const bool rounds_twice = simd::active_target() == simd::Target::baseline;
    float y[13][8];
    for (int op = 0; op < 13; ++op) probe.apply(op, a, b, c, y[op]);
    for (std::size_t i = 0; i < 8; ++i) {
      CHECK(y[0][i] == a[i] + b[i]);
      CHECK(y[1][i] == a[i] - b[i]);
      CHECK(y[2][i] == a[i] * b[i]);
      CHECK(y[3][i] == a[i] / b[i]);
      const volatile float product = a[i] * b[i];
      CHECK(y[4][i] == (rounds_twice ? product + c[i] : std::fma(a[i], b[i], c[i])));
      CHECK(y[5][i] == (rounds_twice ? c[i] - product : std::fma(-a[i], b[i], c[i])));
      CHECK(y[6][i] == -a[i]);
      CHECK(y[7][i] == std::fabs(a[i]));
      CHECK(y[8][i] == std::sqrt(std::fabs(a[i])));
      CHECK(y[9][i] == (a[i] < b[i] ? a[i] : b[i]));
      CHECK(y[10][i] == (a[i] > b[i] ? a[i] : b[i]));
      CHECK(y[11][i] == (a[i] < b[i] && !(a[i] == c[i]) ? a[i] : c[i]));
      CHECK(y[12][i] == product + c[i]);  // add(mul(a, b), c) is never contracted
    }
  });
}

TEST_CASE("pieces of exp and log") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const float n[8] = {-126.0F, -1.0F, 0.0F, 1.0F, 10.0F, 127.0F, 2.0F, -20.0F};
    const float x[8] = {0.5F, 1.5F, 2.5F, -0.5F, -1.49F, 1000.7F, 1e-20F, -88.0F};
    const float v[8] = {1e-30F, 1.0F, 1.999999F, 2.0F, 3e38F, 0.1F, 1234.5F, 0.75F};
    float y[8];
    probe.apply(13, n, b, c, y);
    for (std::size_t i = 0; i < 8; ++i) CHECK(y[i] == std::exp2(n[i]));
    probe.apply(14, x, b, c, y);
    for (std::size_t i = 0; i < 8; ++i) CHECK(y[i] == std::nearbyint(x[i]));
    float e[8], m[8];
    probe.apply(15, v, b, c, e);
    probe.apply(16, v, b, c, m);
    for (std::size_t i = 0; i < 8; ++i) {
      CHECK(m[i] >= 1.0F);
      CHECK(m[i] < 2.0F);
      CHECK(std::ldexp(m[i], static_cast<int>(e[i])) == v[i]);
    }
  });
}

TEST_CASE("min and max give the second operand where one is NaN") {
  on_each_target([](const kernels::SimdProbe& probe) {
    std::vector<float> nan(8, std::numeric_limits<float>::quiet_NaN());
    float y[8];
    for (int op : {9, 10}) {
      probe.apply(op, nan.data(), b, c, y);
      CHECK(y[3] == b[3]);
      probe.apply(op, b, nan.data(), c, y);
      CHECK(std::isnan(y[3]));
    }
  });
}

TEST_CASE("NaN is found and bytes keep whole numbers") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float x[8] = {nan, 1.0F, -nan, std::numeric_limits<float>::infinity(), 0.0F, nan, -1.0F};
    const float whole[8] = {0.0F, 255.0F, 128.0F, 3.0F, 127.0F, 1.0F, 200.0F, 9.0F};
    float y[8];
    probe.apply(17, x, b, c, y);
    for (std::size_t i = 0; i < 8; ++i) CHECK(y[i] == (x[i] != x[i] ? b[i] : c[i]));
    probe.apply(18, whole, b, c, y);
    for (std::size_t i = 0; i < 8; ++i) CHECK(y[i] == whole[i]);
  });
}

TEST_CASE("partial loads and stores touch only their lanes") {
  on_each_target([](const kernels::SimdProbe& probe) {
    for (Index count = 0; count <= probe.lanes; ++count) {
      // Exactly `count` values: a read or write beyond them is caught by the address sanitizer.
      std::vector<float> x(a, a + count), y(8, -1.0F);
      probe.copy_partial(x.data(), y.data(), count);
      for (Index i = 0; i < 8; ++i) {
        const auto at = static_cast<std::size_t>(i);
        CHECK(y[at] == (i < count ? a[at] : -1.0F));
      }
    }
  });
}

TEST_CASE("reductions pair the halves") {
  on_each_target([](const kernels::SimdProbe& probe) {
    float s[8];
    for (std::size_t i = 0; i < 8; ++i) s[i] = a[i];
    for (Index width = probe.lanes / 2; width > 0; width /= 2)
      for (Index i = 0; i < width; ++i)
        s[static_cast<std::size_t>(i)] += s[static_cast<std::size_t>(i + width)];
    CHECK(probe.sum(a) == s[0]);
    CHECK(probe.largest(a) == (probe.lanes == 8 ? 9.0F : 3.25F));
  });
}

TEST_CASE("transpose of a block") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const auto n = static_cast<std::size_t>(probe.lanes);
    std::vector<float> x(n * n), y(n * n);
    for (std::size_t i = 0; i < n * n; ++i) x[i] = static_cast<float>(i);
    probe.transpose(x.data(), y.data());
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) CHECK(y[j * n + i] == x[i * n + j]);
  });
}

TEST_CASE("a target that cannot run is refused") {
  CHECK(!simd::reachable_targets().empty());
  CHECK(simd::active_target() == simd::reachable_targets().back());
  const simd::Target foreign =
      simd::reachable(simd::Target::neon) ? simd::Target::avx2 : simd::Target::neon;
  CHECK_THROWS_WITH(simd::set_target(foreign), doctest::Contains("cannot run here"));
}
