#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "iotsl/simd/vec.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels {
// Each function of the vector type, applied to sixteen values, and the widths.
struct SimdProbe {
  Index lanes;
  void (*apply)(int op, const float* a, const float* b, const float* c, float* y);
  void (*copy_partial)(const float* x, float* y, Index count);
  float (*sum)(const float* x);
  float (*largest)(const float* x);
  void (*transpose)(const float* x, float* y);
  void (*transpose_partial)(Index rows, Index cols, const float* x, float* y);
  void (*spread)(const float* x, float* y);
  void (*copy_next)(const float* x, float* y);
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

constexpr std::size_t count = 16;  // lanes of the widest target
const float a[count] = {1.5F,  -2.0F, 3.25F, 0.1F, -7.0F, 9.0F, 1e-3F, 4.0F,
                        -0.5F, 12.0F, 6.25F, 1e4F, -3e5F, 0.7F, 8e-9F, -1.0F};
const float b[count] = {-0.5F, -2.0F, 0.3F, 0.7F, 11.0F, 2.0F, 1e3F, 5.0F,
                        0.9F,  -3.0F, 1e8F, 0.2F, 17.0F, 7.0F, 1e6F, -9.0F};
const float c[count] = {1e-7F, 2.0F, 8.0F, -0.07F, 77.0F, 3.0F, -1.0F, 6.0F,
                        2e-3F, 4.0F, 5.5F, -0.6F,  1e5F,  0.7F, -4.0F, 0.3F};
}  // namespace

TEST_CASE("every target has the same arithmetic") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const bool rounds_twice = std::string(simd::name(simd::active_target())) == "baseline";
    float y[13][count];
    for (int op = 0; op < 13; ++op) probe.apply(op, a, b, c, y[op]);
    for (std::size_t i = 0; i < count; ++i) {
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
    const float n[count] = {-126.0F, -1.0F,  0.0F, 1.0F,  10.0F, 127.0F, 2.0F,  -20.0F,
                            -125.0F, 126.0F, 7.0F, -7.0F, 64.0F, -64.0F, 99.0F, 23.0F};
    const float x[count] = {0.5F,  1.5F, 2.5F, -0.5F, -1.49F, 1000.7F, 1e-20F, -88.0F,
                            -1.5F, 3.5F, 1e5F, -2.5F, 0.49F,  -0.51F,  1e6F,   77.5F};
    const float v[count] = {1e-30F, 1.0F, 1.999999F, 2.0F, 3e38F, 0.1F, 1234.5F, 0.75F,
                            3e-38F, 5.0F, 0.3333F,   8e7F, 1e20F, 9.9F, 4e-10F,  17.0F};
    float y[count];
    probe.apply(13, n, b, c, y);
    for (std::size_t i = 0; i < count; ++i) CHECK(y[i] == std::exp2(n[i]));
    probe.apply(14, x, b, c, y);
    for (std::size_t i = 0; i < count; ++i) CHECK(y[i] == std::nearbyint(x[i]));
    float e[count], m[count];
    probe.apply(15, v, b, c, e);
    probe.apply(16, v, b, c, m);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(m[i] >= 1.0F);
      CHECK(m[i] < 2.0F);
      CHECK(std::ldexp(m[i], static_cast<int>(e[i])) == v[i]);
    }
  });
}

TEST_CASE("min and max give the second operand where one is NaN") {
  on_each_target([](const kernels::SimdProbe& probe) {
    std::vector<float> nan(count, std::numeric_limits<float>::quiet_NaN());
    float y[count];
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
    const float x[count] = {nan,  1.0F, -nan,  std::numeric_limits<float>::infinity(),
                            0.0F, nan,  -1.0F, 2.0F,
                            nan,  0.0F, 3.0F,  nan,
                            -nan, 4.0F, 1e9F,  nan};
    const float whole[count] = {0.0F,  255.0F, 128.0F, 3.0F,   127.0F, 1.0F,   200.0F, 9.0F,
                                60.0F, 254.0F, 2.0F,   129.0F, 77.0F,  130.0F, 0.0F,   251.0F};
    float y[count];
    probe.apply(17, x, b, c, y);
    for (std::size_t i = 0; i < count; ++i) CHECK(y[i] == (x[i] != x[i] ? b[i] : c[i]));
    probe.apply(18, whole, b, c, y);
    for (std::size_t i = 0; i < count; ++i) CHECK(y[i] == whole[i]);
  });
}

TEST_CASE("partial loads and stores touch only their lanes") {
  on_each_target([](const kernels::SimdProbe& probe) {
    for (Index part = 0; part <= probe.lanes; ++part) {
      // Exactly `part` values: a read or write beyond them is caught by the address sanitizer.
      std::vector<float> x(a, a + part), y(count, -1.0F);
      probe.copy_partial(x.data(), y.data(), part);
      for (std::size_t i = 0; i < count; ++i)
        CHECK(y[i] == (static_cast<Index>(i) < part ? a[i] : -1.0F));
    }
  });
}

TEST_CASE("one float in all lanes: from memory, moving on, and as a factor by lane") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const auto lanes = static_cast<std::size_t>(probe.lanes);
    std::vector<float> y(3 * lanes * lanes, -1.0F);
    probe.spread(a, y.data());
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == a[i / lanes % lanes]);
  });
}

TEST_CASE("vectors that are loaded one behind the other") {
  on_each_target([](const kernels::SimdProbe& probe) {
    float y[count];
    probe.copy_next(a, y);
    CHECK(std::equal(a, a + count, y));
  });
}

TEST_CASE("reductions pair the halves") {
  on_each_target([](const kernels::SimdProbe& probe) {
    float s[count];
    for (std::size_t i = 0; i < count; ++i) s[i] = a[i];
    for (Index width = probe.lanes / 2; width > 0; width /= 2)
      for (Index i = 0; i < width; ++i)
        s[static_cast<std::size_t>(i)] += s[static_cast<std::size_t>(i + width)];
    CHECK(probe.sum(a) == s[0]);
    CHECK(probe.largest(a) == *std::max_element(a, a + probe.lanes));
  });
}

TEST_CASE("even and odd lanes, and back") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const auto lanes = static_cast<std::size_t>(probe.lanes);
    float even[count], odd[count], low[count], high[count];
    probe.apply(19, a, b, c, even);
    probe.apply(20, a, b, c, odd);
    probe.apply(21, a, b, c, low);
    probe.apply(22, a, b, c, high);
    for (std::size_t first = 0; first < count; first += lanes)
      for (std::size_t i = 0; i < lanes; ++i) {
        const auto both = [&](std::size_t j) {
          return j < lanes ? a[first + j] : b[first + j - lanes];
        };
        const float zipped = (i % 2 == 0 ? a : b)[first + i / 2];
        const float zipped_high = (i % 2 == 0 ? a : b)[first + lanes / 2 + i / 2];
        CHECK(even[first + i] == both(2 * i));
        CHECK(odd[first + i] == both(2 * i + 1));
        CHECK(low[first + i] == zipped);
        CHECK(high[first + i] == zipped_high);
      }
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

TEST_CASE("transpose of a part of a block reads and writes nothing else") {
  on_each_target([](const kernels::SimdProbe& probe) {
    const auto n = static_cast<std::size_t>(probe.lanes);
    for (std::size_t rows = 1; rows <= n; ++rows)
      for (std::size_t cols = 1; cols <= n; ++cols) {
        std::vector<float> x(rows * cols), y(n * n, -1.0F), expected = y;
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
        for (std::size_t i = 0; i < rows; ++i)
          for (std::size_t j = 0; j < cols; ++j) expected[j * n + i] = x[i * cols + j];
        probe.transpose_partial(static_cast<Index>(rows), static_cast<Index>(cols), x.data(),
                                y.data());
        CAPTURE(rows);
        CAPTURE(cols);
        CHECK(y == expected);
      }
  });
}

TEST_CASE("a target that cannot run is refused") {
  CHECK(!simd::reachable_targets().empty());
  CHECK(simd::active_target() == simd::reachable_targets().back());
  const auto foreign = static_cast<simd::Target>(99);
  CHECK(!simd::reachable(foreign));
  CHECK_THROWS_WITH(simd::set_target(foreign), doctest::Contains("cannot run here"));
}
