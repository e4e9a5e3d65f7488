// Batch normalisation where it is hard. Comparison and gradients: tests/cases/norm_cases.hpp.

#include <cmath>

#include "iotsl/kernels/norm/norm.hpp"

#include "kernels/judge.hpp"

using namespace iotsl;

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

TEST_CASE("normalisation and its gradient in place") {
  judge::on_each_target([] {
    for (Index hw : {1, 4, 17, 196}) {
      const Index n = 5, c = 3, all = n * c * hw;
      judge::Range x = judge::uniform(all, 3, -1, 3, 1), gy = judge::uniform(all, 4);
      const judge::Range mean = judge::uniform(c, 5), inv_std = judge::uniform(c, 6, 0.5F, 2);
      judge::Range y(all, 3), gx(all), ggamma(c), gbeta(c);
      INFO("hw ", hw);
      kernels::batch_norm_grad(n, c, hw, x.data(), gy.data(), mean.data(), inv_std.data(),
                               mean.data(), gx.data(), ggamma.data(), gbeta.data());
      kernels::batch_norm_grad(n, c, hw, x.data(), gy.data(), mean.data(), inv_std.data(),
                               mean.data(), gy.data(), ggamma.data(), gbeta.data());
      CHECK(gy.same_bits(gx));
      kernels::batch_norm_apply(n, c, hw, x.data(), mean.data(), inv_std.data(), mean.data(),
                                mean.data(), y.data());
      kernels::batch_norm_apply(n, c, hw, x.data(), mean.data(), inv_std.data(), mean.data(),
                                mean.data(), x.data());
      CHECK(x.same_bits(y));
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
