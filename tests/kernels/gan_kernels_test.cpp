// Pixel norm, and the products of a matrix with vectors.

#include "iotsl/kernels/norm/pixel_norm.hpp"
#include "iotsl/kernels/spectral.hpp"
#include "kernels/judge.hpp"

namespace {

using namespace iotsl;

TEST_CASE("pixel norm and its gradient equal the reference") {
  judge::on_each_target([] {
    for (Index c : {1, 2, 3, 8, 33})
      for (Index hw : {1, 4, 7, 8, 9, 16, 49, 121})
        for (Index n : {0, 1, 3}) {
          INFO("n ", n, ", c ", c, ", hw ", hw);
          const Index size = n * c * hw;
          const judge::Range x = judge::uniform(size, 1, -2, 2, 1), gy = judge::uniform(size, 2);
          judge::Range y(size, 1), want(size), inv(n * hw), want_inv(n * hw), gx(size),
              want_gx(size);
          kernels::pixel_norm(n, c, hw, 1e-10, x.data(), inv.data(), y.data());
          kernels::reference::pixel_norm(n, c, hw, 1e-10, x.data(), want_inv.data(), want.data());
          CHECK(judge::worst(y, want, 1e-6, 1e-6) <= 1);
          CHECK(judge::worst(inv, want_inv, 1e-6, 1e-6) <= 1);
          kernels::pixel_norm_grad(n, c, hw, x.data(), want_inv.data(), gy.data(), gx.data());
          kernels::reference::pixel_norm_grad(n, c, hw, x.data(), want_inv.data(), gy.data(),
                                              want_gx.data());
          // With one channel the two terms cancel: what is left is rounding of inv * gy.
          float largest = 1;
          for (Index i = 0; i < n * hw; ++i) largest = std::max(largest, want_inv[i]);
          CHECK(judge::worst(gx, want_gx, 2e-6 * static_cast<double>(largest), 2e-6) <= 1);
        }
  });
}

TEST_CASE("pixels of zeros stay zero") {
  judge::on_each_target([] {
    const judge::Range x(4 * 9);
    judge::Range y = judge::uniform(4 * 9, 1), inv(9);
    kernels::pixel_norm(1, 4, 9, 1e-10, x.data(), inv.data(), y.data());
    for (Index i = 0; i < 36; ++i) CHECK(y[i] == 0);
    CHECK(inv[0] == doctest::Approx(1e5));
  });
}

TEST_CASE("matrix and vector") {
  judge::on_each_target([] {
    for (Index rows : {1, 2, 10, 65})
      for (Index cols : {1, 3, 8, 25, 70, 1601}) {
        INFO(rows, " x ", cols);
        const judge::Range w = judge::uniform(rows * cols, 1), u = judge::uniform(rows, 2),
                           v = judge::uniform(cols, 3);
        judge::Range y(rows), want(rows), z(cols), want_z(cols), r(rows * cols, 1),
            want_r(rows * cols);
        kernels::matvec(rows, cols, w.data(), v.data(), y.data());
        kernels::reference::matvec(rows, cols, w.data(), v.data(), want.data());
        CHECK(judge::worst(y, want, 2e-5, 1e-6) <= 1);
        kernels::matvec_transposed(rows, cols, w.data(), u.data(), z.data());
        kernels::reference::matvec_transposed(rows, cols, w.data(), u.data(), want_z.data());
        CHECK(judge::worst(z, want_z, 1e-5, 1e-6) <= 1);
        kernels::rank_one(rows, cols, 0.5F, w.data(), -2.0F, u.data(), v.data(), r.data());
        kernels::reference::rank_one(rows, cols, 0.5F, w.data(), -2.0F, u.data(), v.data(),
                                     want_r.data());
        CHECK(judge::worst(r, want_r, 1e-6, 1e-6) <= 1);
      }
  });
}

TEST_CASE("neither depends on the number of threads") {
  const judge::Range x = judge::uniform(40 * 64 * 121, 1), v = judge::uniform(64 * 121, 2);
  judge::check_threads([&] {
    judge::Range y(x.size()), inv(40 * 121);
    kernels::pixel_norm(40, 64, 121, 1e-10, x.data(), inv.data(), y.data());
    return y;
  });
  judge::check_threads([&] {
    judge::Range y(40);
    kernels::matvec(40, 64 * 121, x.data(), v.data(), y.data());
    return y;
  });
  judge::check_threads([&] {
    judge::Range y(64 * 121);
    kernels::matvec_transposed(40, 64 * 121, x.data(), v.data(), y.data());
    return y;
  });
}

}  // namespace
