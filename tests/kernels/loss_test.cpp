#include "iotsl/kernels/reduce/loss.hpp"

#include <cmath>

#include "kernels/judge.hpp"

using namespace iotsl;

TEST_CASE("log-softmax and cross-entropy equal the reference") {
  judge::on_each_target([] {
    for (Index classes : {1, 2, 3, 4, 7, 8, 9, 10, 16, 17, 100, 1001})
      for (Index n : {1, 2, 5, 64}) {
        const judge::Range x = judge::uniform(n * classes, 1, -9, 9, 1);
        std::vector<std::int32_t> labels;
        for (Index i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(i * 7 % classes));
        judge::Range y(n * classes, 1), want(n * classes), loss(1), want_loss(1);
        INFO("n ", n, ", classes ", classes);
        kernels::log_softmax(n, classes, x.data(), y.data());
        kernels::reference::log_softmax(n, classes, x.data(), want.data());
        CHECK(judge::worst(y, want, 1e-6, 3e-7) <= 1);
        kernels::softmax_cross_entropy(n, classes, x.data(), labels.data(), y.data(), loss.data());
        kernels::reference::softmax_cross_entropy(n, classes, x.data(), labels.data(), want.data(),
                                                  want_loss.data());
        CHECK(judge::worst(y, want, 1e-6, 3e-7) <= 1);
        CHECK(judge::worst(loss, want_loss, 1e-6, 3e-7) <= 1);
      }
  });
}

TEST_CASE("extreme logits") {
  judge::on_each_target([] {
    const float x[10] = {1000, 0, -1000, 999, -judge::infinity, 3e38F, 2, 3, 4, 5};
    float y[10];
    kernels::log_softmax(2, 5, x, y);
    CHECK(y[0] == doctest::Approx(-std::log1p(std::exp(-1.0))));
    CHECK(y[2] == -2000.0F - static_cast<float>(std::log1p(std::exp(-1.0))));
    CHECK(y[4] == -judge::infinity);
    CHECK(y[5] == 0.0F);
    CHECK(y[6] == -3e38F);
    float bad[3] = {1, judge::nan, 2};
    kernels::log_softmax(1, 3, bad, bad);
    for (float value : bad) CHECK(std::isnan(value));
  });
}

TEST_CASE("a wrong certain prediction costs the distance of its logits") {
  judge::on_each_target([] {
    const float logits[4] = {50, 0, 0, 50};
    const std::int32_t labels[2] = {1, 1};
    float log_prob[4], loss = 0;
    kernels::softmax_cross_entropy(2, 2, logits, labels, log_prob, &loss);
    CHECK(loss == 25.0F);
  });
}

TEST_CASE("log-softmax does not depend on the number of threads") {
  const judge::Range x = judge::uniform(5000 * 10, 2, -5, 5);
  judge::check_threads([&] {
    judge::Range y(x.size());
    kernels::log_softmax(5000, 10, x.data(), y.data());
    return y;
  });
}
