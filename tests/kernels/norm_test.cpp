#include "iotsl/kernels/norm.hpp"

#include "kernels/judge.hpp"

using namespace iotsl;

namespace {

struct Case {
  Index n, c, hw;
};
const Case cases[] = {{1, 1, 2},  {2, 1, 1},   {64, 17, 1}, {3, 5, 4},      {5, 3, 9},
                      {7, 4, 49}, {2, 3, 196}, {8, 2, 784}, {2, 2, 70001},  {150, 3, 997},
                      {1, 3, 7},  {4, 1, 15},  {3, 2, 17},  {9, 1, 100000}, {33, 9, 3}};

std::vector<double> widen(const judge::Range& x) { return {x.data(), x.data() + x.size()}; }

}  // namespace

TEST_CASE("mean and variance equal the reference") {
  judge::on_each_target([] {
    for (const Case& s : cases) {
      const judge::Range x = judge::uniform(s.n * s.c * s.hw, 1, -1, 3, 1);
      judge::Range mean(s.c), var(s.c), want_mean(s.c), want_var(s.c);
      kernels::batch_norm_stats(s.n, s.c, s.hw, x.data(), mean.data(), var.data());
      kernels::reference::batch_norm_stats(s.n, s.c, s.hw, x.data(), want_mean.data(),
                                           want_var.data());
      INFO("n ", s.n, ", c ", s.c, ", hw ", s.hw);
      CHECK(judge::worst(mean, want_mean, 1e-7, 1e-6) <= 1);
      CHECK(judge::worst(var, want_var, 1e-8, 1e-6) <= 1);
    }
  });
}

TEST_CASE("the variance survives a mean that is far larger than the deviations") {
  judge::on_each_target([] {
    const Index n = 4, hw = 50000;
    const judge::Range noise = judge::uniform(n * hw, 2, -1, 1);
    judge::Range x(n * hw);
    for (Index i = 0; i < x.size(); ++i) x[i] = 4096.0F + noise[i];
    judge::Range mean(1), var(1), want_mean(1), want_var(1);
    kernels::batch_norm_stats(n, 1, hw, x.data(), mean.data(), var.data());
    kernels::reference::batch_norm_stats(n, 1, hw, x.data(), want_mean.data(), want_var.data());
    CHECK(mean[0] == want_mean[0]);
    CHECK(judge::worst(var, want_var, 0, 1e-6) <= 1);
    for (Index i = 0; i < x.size(); ++i) x[i] = 0.1F;  // constant: no variance at all, none below 0
    kernels::batch_norm_stats(n, 1, hw, x.data(), mean.data(), var.data());
    CHECK(mean[0] == 0.1F);
    CHECK(var[0] >= 0.0F);
    CHECK(var[0] < 1e-17F);
  });
}

TEST_CASE("normalisation equals the reference, also in place") {
  judge::on_each_target([] {
    for (const Case& s : cases) {
      judge::Range x = judge::uniform(s.n * s.c * s.hw, 3, -1, 3, 1);
      const judge::Range mean = judge::uniform(s.c, 4), inv_std = judge::uniform(s.c, 5, 0.5F, 2);
      const judge::Range gamma = judge::uniform(s.c, 6), beta = judge::uniform(s.c, 7);
      judge::Range y(x.size(), 3), want(x.size());
      kernels::batch_norm_apply(s.n, s.c, s.hw, x.data(), mean.data(), inv_std.data(), gamma.data(),
                                beta.data(), y.data());
      kernels::reference::batch_norm_apply(s.n, s.c, s.hw, x.data(), mean.data(), inv_std.data(),
                                           gamma.data(), beta.data(), want.data());
      INFO("n ", s.n, ", c ", s.c, ", hw ", s.hw);
      CHECK(judge::worst(y, want, 2e-6, 1e-6) <= 1);
      kernels::batch_norm_apply(s.n, s.c, s.hw, x.data(), mean.data(), inv_std.data(), gamma.data(),
                                beta.data(), x.data());
      CHECK(x.same_bits(y));
    }
  });
}

TEST_CASE("the gradient equals that of the reference in double") {
  judge::on_each_target([] {
    for (const Case& s : cases) {
      const Index n = s.n * s.c * s.hw;
      const judge::Range x = judge::uniform(n, 8, -1, 3, 1);
      judge::Range gy = judge::uniform(n, 9, -1, 1, 2);
      const judge::Range mean = judge::uniform(s.c, 10, 0.9F, 1.1F);
      const judge::Range inv_std = judge::uniform(s.c, 11, 0.7F, 1),
                         gamma = judge::uniform(s.c, 12);
      std::vector<double> wide_gx(static_cast<std::size_t>(n));
      std::vector<double> wide_ggamma(static_cast<std::size_t>(s.c)), wide_gbeta = wide_ggamma;
      kernels::batch_norm_grad(s.n, s.c, s.hw, widen(x).data(), widen(gy).data(),
                               widen(mean).data(), widen(inv_std).data(), widen(gamma).data(),
                               wide_gx.data(), wide_ggamma.data(), wide_gbeta.data());
      judge::Range want(n), want_ggamma(s.c), want_gbeta(s.c);
      for (Index i = 0; i < n; ++i) want[i] = static_cast<float>(wide_gx[std::size_t(i)]);
      for (Index i = 0; i < s.c; ++i) {
        want_ggamma[i] = static_cast<float>(wide_ggamma[std::size_t(i)]);
        want_gbeta[i] = static_cast<float>(wide_gbeta[std::size_t(i)]);
      }
      judge::Range gx(n), ggamma(s.c), gbeta(s.c);
      kernels::batch_norm_grad(s.n, s.c, s.hw, x.data(), gy.data(), mean.data(), inv_std.data(),
                               gamma.data(), gx.data(), ggamma.data(), gbeta.data());
      INFO("n ", s.n, ", c ", s.c, ", hw ", s.hw);
      const double scale = std::sqrt(static_cast<double>(s.n * s.hw));
      CHECK(judge::worst(gx, want, 2e-6, 1e-6) <= 1);
      CHECK(judge::worst(ggamma, want_ggamma, 3e-7 * scale, 1e-6) <= 1);
      CHECK(judge::worst(gbeta, want_gbeta, 3e-7 * scale, 1e-6) <= 1);
      kernels::batch_norm_grad(s.n, s.c, s.hw, x.data(), gy.data(), mean.data(), inv_std.data(),
                               gamma.data(), gy.data(), ggamma.data(), gbeta.data());
      CHECK(gy.same_bits(gx));
    }
  });
}

TEST_CASE("NaN in one channel stays in that channel") {
  judge::on_each_target([] {
    judge::Range x = judge::uniform(2 * 3 * 20, 1);
    x[20] = judge::nan;
    judge::Range mean(3), var(3);
    kernels::batch_norm_stats(2, 3, 20, x.data(), mean.data(), var.data());
    CHECK(std::isnan(mean[1]));
    CHECK(std::isnan(var[1]));
    CHECK(std::isfinite(mean[0]));
    CHECK(std::isfinite(var[2]));
  });
}

TEST_CASE("batch normalisation does not depend on the number of threads") {
  const Index n = 16, c = 9, hw = 500;
  const judge::Range x = judge::uniform(n * c * hw, 1), gy = judge::uniform(n * c * hw, 2);
  const judge::Range ones = judge::uniform(c, 3, 0.5F, 2);
  judge::check_threads([&] {
    judge::Range y(n * c * hw + 2 * c);
    kernels::batch_norm_stats(n, c, hw, x.data(), y.data(), y.data() + c);
    kernels::batch_norm_apply(n, c, hw, x.data(), y.data(), ones.data(), ones.data(), ones.data(),
                              y.data() + 2 * c);
    return y;
  });
  judge::check_threads([&] {
    judge::Range y(n * c * hw + 2 * c);
    kernels::batch_norm_grad(n, c, hw, x.data(), gy.data(), ones.data(), ones.data(), ones.data(),
                             y.data() + 2 * c, y.data(), y.data() + c);
    return y;
  });
}
