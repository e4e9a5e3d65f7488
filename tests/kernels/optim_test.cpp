#include "iotsl/kernels/optim.hpp"

#include <cmath>

#include "cases/optim_sizes.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;

namespace {
std::vector<Index> compared_sizes() {
  std::vector<Index> out;
  for (const cases::OptimSize& size : cases::optim_sizes)
    if (size.compared) out.push_back(size.parameters);
  return out;
}
}  // namespace

TEST_CASE("SGD equals the reference over three steps") {
  judge::on_each_target([] {
    for (Index n : compared_sizes())
      for (double momentum : {0.0, 0.9})
        for (double decay : {0.0, 5e-4})
          for (bool nesterov : {false, true}) {
            judge::Range w = judge::uniform(n, 1, -1, 1, 1), want = w;
            judge::Range v(n, 3), want_v(n);
            for (Index i = 0; i < n; ++i) v[i] = judge::nan;  // the first step must not read it
            for (int step = 0; step < 3; ++step) {
              const judge::Range g = judge::uniform(n, 10U + static_cast<unsigned>(step));
              kernels::sgd_step(n, 0.1, momentum, decay, nesterov, g.data(),
                                momentum > 0 ? v.data() : nullptr, step == 0, w.data());
              kernels::reference::sgd_step(n, 0.1, momentum, decay, nesterov, g.data(),
                                           momentum > 0 ? want_v.data() : nullptr, step == 0,
                                           want.data());
            }
            INFO("n ", n, ", momentum ", momentum, ", decay ", decay, ", nesterov ", nesterov);
            CHECK(judge::worst(w, want, 5e-7, 0) <= 1);
            if (momentum > 0) CHECK(judge::worst(v, want_v, 5e-7, 0) <= 1);
          }
  });
}

TEST_CASE("Adam equals the reference over three steps") {
  judge::on_each_target([] {
    for (Index n : compared_sizes())
      for (double decay : {0.0, 1e-2}) {
        judge::Range w = judge::uniform(n, 1, -1, 1, 1), want = w;
        judge::Range m(n, 1), v(n, 2), want_m(n), want_v(n);
        for (int step = 1; step <= 3; ++step) {
          const judge::Range g = judge::uniform(n, 10U + static_cast<unsigned>(step), 0.1F, 1);
          const double c1 = 1 - std::pow(0.9, step), c2 = 1 - std::pow(0.999, step);
          kernels::adam_step(n, 1e-2, 0.9, 0.999, 1e-8, decay, c1, c2, g.data(), m.data(), v.data(),
                             w.data());
          kernels::reference::adam_step(n, 1e-2, 0.9, 0.999, 1e-8, decay, c1, c2, g.data(),
                                        want_m.data(), want_v.data(), want.data());
        }
        INFO("n ", n, ", decay ", decay);
        CHECK(judge::worst(m, want_m, 0, 1e-6) <= 1);
        CHECK(judge::worst(v, want_v, 0, 1e-6) <= 1);
        CHECK(judge::worst(w, want, 5e-7, 0) <= 1);
      }
  });
}

TEST_CASE("the pull of elastic weight consolidation equals the reference") {
  judge::on_each_target([] {
    for (Index n : compared_sizes()) {
      const judge::Range g = judge::uniform(n, 1), fisher = judge::uniform(n, 2, 0, 1);
      const judge::Range anchor = judge::uniform(n, 3), w = judge::uniform(n, 4);
      judge::Range seen = judge::uniform(n, 5, 0, 1), want_seen = seen, out(n), want(n);
      kernels::elastic_gradient(n, 3.0, g.data(), fisher.data(), anchor.data(), w.data(),
                                seen.data(), out.data());
      kernels::reference::elastic_gradient(n, 3.0, g.data(), fisher.data(), anchor.data(), w.data(),
                                           want_seen.data(), want.data());
      INFO("n ", n);
      CHECK(judge::worst(seen, want_seen, 5e-7, 0) <= 1);
      CHECK(judge::worst(out, want, 1e-6, 0) <= 1);  // differences that cancel
    }
    // 2 + 0.5 * 4 * (3 - 1); the square of 2 is added to 10.
    const float g = 2, fisher = 4, anchor = 1, w = 3;
    float seen = 10, out = 0;
    kernels::elastic_gradient(1, 0.5, &g, &fisher, &anchor, &w, &seen, &out);
    CHECK(out == 6.0F);
    CHECK(seen == 14.0F);
  });
}

TEST_CASE("known steps") {
  judge::on_each_target([] {
    // Adam's first step moves every weight by lr against the sign of its gradient.
    float w[2] = {1, 1}, m[2] = {0, 0}, v[2] = {0, 0};
    const float g[2] = {1e-3F, -20};
    kernels::adam_step(2, 0.5, 0.9, 0.999, 1e-12, 0, 1 - 0.9, 1 - 0.999, g, m, v, w);
    CHECK(w[0] == doctest::Approx(0.5).epsilon(1e-5));
    CHECK(w[1] == doctest::Approx(1.5).epsilon(1e-5));
    float x = 1, velocity = 0;
    const float one = 1;
    kernels::sgd_step(1, 0.5, 0.5, 0, false, &one, &velocity, true, &x);
    CHECK(x == 0.5F);
    kernels::sgd_step(1, 0.5, 0.5, 0, false, &one, &velocity, false, &x);
    CHECK(x == -0.25F);  // velocity 1.5
    kernels::sgd_step(1, 0.5, 0.5, 0, true, &one, &velocity, false, &x);
    CHECK(x == -1.1875F);  // velocity 1.75, direction 1.875
  });
}

TEST_CASE("steps do not depend on the number of threads") {
  const judge::Range g = judge::uniform(100001, 1);
  judge::check_threads([&] {
    judge::Range w = judge::uniform(100001, 2), m(100001), v(100001);
    kernels::adam_step(g.size(), 1e-3, 0.9, 0.999, 1e-8, 0, 0.1, 0.001, g.data(), m.data(),
                       v.data(), w.data());
    return w;
  });
}
