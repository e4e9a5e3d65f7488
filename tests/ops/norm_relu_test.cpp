// Batch normalisation, ReLU and pool as one operation give the bits of the three. Comparison with
// the reference and gradients: tests/cases/norm_cases.hpp.

#include "iotsl/ops/norm_relu.hpp"

#include <doctest/doctest.h>

#include "iotsl/autograd/grad.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;

namespace norm_relu_test {

namespace {

enum class Form { one_pass, separate };

struct Problem {
  Shape x;
  bool pools;
  Pool2dOptions pool = {};
};
const Problem problems[] = {{{4, 3, 28, 28}, false},
                            {{4, 3, 28, 28}, true},
                            {{3, 5, 7, 9}, false},
                            {{3, 5, 7, 9}, true},
                            {{2, 2, 2, 2}, true},
                            {{1, 3, 3, 70}, true},
                            {{2, 3, 1, 5}, false},
                            {{2, 3, 40, 41}, true},
                            {{5, 3, 1, 1}, false},
                            {{5, 6}, false},
                            {{2, 3, 9, 8}, true, {3, 3, 2, 2, 1, 1}}};

Tensor<float> uniform(const Shape& shape, std::uint64_t seed, float low = -1) {
  const judge::Range values = judge::uniform(shape.elements(), seed, low);
  Tensor<float> out = Tensor<float>::uninitialized(shape);
  std::copy_n(values.data(), values.size(), out.mutable_data());
  return out;
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), sizeof(float) * static_cast<std::size_t>(a.size())) == 0;
}

/// Value, running statistics, gradients of both orders.
std::vector<Tensor<float>> all_of(const Problem& p, Form form, bool training, bool with_nan) {
  Tensor<float> x = uniform(p.x, 1), gamma = uniform({p.x[1]}, 2), beta = uniform({p.x[1]}, 3);
  if (with_nan) x.mutable_data()[1] = judge::nan;
  for (Tensor<float>* t : {&x, &gamma, &beta}) t->set_requires_grad(true);
  Tensor<float> mean = uniform({p.x[1]}, 4), var = uniform({p.x[1]}, 5, 0.5F);
  const BatchNormOptions options{.training = training};
  Tensor<float> y;
  if (form == Form::separate) {
    y = relu(batch_norm2d(x, gamma, beta, mean, var, options));
    if (p.pools) y = max_pool2d(y, p.pool);
  } else {
    y = p.pools ? batch_norm2d_relu_max_pool2d(x, gamma, beta, mean, var, options, p.pool)
                : batch_norm2d_relu(x, gamma, beta, mean, var, options);
  }
  const Tensor<float> gy = uniform(y.shape(), 6);
  std::vector<Tensor<float>> out{y.detach(), mean, var};
  const std::vector<Tensor<float>> inputs{x, gamma, beta};
  for (const Tensor<float>& g : grad<float>({y}, inputs, {gy}, {.retain_graph = true}))
    out.push_back(g);
  const auto first = grad<float>({y}, inputs, {gy}, {.create_graph = true});
  for (const Tensor<float>& g : first) out.push_back(g.detach());
  for (const Tensor<float>& g :
       grad<float>({first[0]}, {x, gamma}, {uniform(x.shape(), 7)}, {.retain_graph = true}))
    out.push_back(g);
  return out;
}

}  // namespace

TEST_CASE("batch norm, ReLU and pool in one pass: the bits of the three, to second order") {
  judge::on_each_target([] {
    for (const Problem& p : problems)
      for (bool training : {true, false})
        for (bool with_nan : {false, true}) {
          const auto want = all_of(p, Form::separate, training, with_nan);
          const auto got = all_of(p, Form::one_pass, training, with_nan);
          REQUIRE(want.size() == got.size());
          for (std::size_t i = 0; i < want.size(); ++i) {
            INFO(concat(p.x), " pools ", p.pools, " training ", training, " NaN ", with_nan,
                 " value ", i);
            CHECK(same_bits(want[i], got[i]));
          }
        }
  });
}

TEST_CASE("batch norm and ReLU in one pass: the same with any number of threads") {
  const Tensor<float> x = uniform({16, 12, 28, 28}, 1), gamma = uniform({12}, 2),
                      beta = uniform({12}, 3);
  judge::check_threads([&] {
    Tensor<float> mean = Tensor<float>::zeros({12}), var = Tensor<float>::full({12}, 1);
    const Tensor<float> y = batch_norm2d_relu_max_pool2d(x, gamma, beta, mean, var);
    judge::Range out(y.size());
    std::copy_n(y.data(), y.size(), out.data());
    return out;
  });
}

TEST_CASE("batch norm and ReLU in one pass: evaluation without a graph, and what is refused") {
  const NoRecord no_record;
  for (const Problem& p : problems) {
    const Tensor<float> x = uniform(p.x, 1), gamma = uniform({p.x[1]}, 2),
                        beta = uniform({p.x[1]}, 3);
    Tensor<float> mean = uniform({p.x[1]}, 4), var = uniform({p.x[1]}, 5, 0.5F);
    const BatchNormOptions options{.training = false};
    Tensor<float> want = relu(batch_norm2d(x, gamma, beta, mean, var, options));
    if (p.pools) want = max_pool2d(want, p.pool);
    CHECK(same_bits(
        want, p.pools ? batch_norm2d_relu_max_pool2d(x, gamma, beta, mean, var, options, p.pool)
                      : batch_norm2d_relu(x, gamma, beta, mean, var, options)));
  }
  const Tensor<float> x = uniform({2, 3, 4, 4}, 1), three = uniform({3}, 2), two = uniform({2}, 2);
  Tensor<float> mean = uniform({3}, 4), var = uniform({3}, 5, 0.5F);
  CHECK_THROWS_WITH_AS(batch_norm2d_relu(x, three, two, mean, var),
                       "batch_norm2d: x [2,3,4,4] expects parameters of shape [3], given [2]",
                       Error);
  CHECK_THROWS_AS(batch_norm2d_relu_max_pool2d(x, three, three, mean, var, {}, {9, 9}), Error);
}

TEST_CASE("batch norm and ReLU in one pass: a parameter that was changed in place is noticed") {
  Tensor<float> x = uniform({2, 3, 4, 4}, 1), gamma = uniform({3}, 2), beta = uniform({3}, 3);
  for (Tensor<float>* t : {&x, &gamma, &beta}) t->set_requires_grad(true);
  Tensor<float> mean = uniform({3}, 4), var = uniform({3}, 5, 0.5F);
  const Tensor<float> y = batch_norm2d_relu(x, gamma, beta, mean, var);
  beta.mutable_data()[0] = 1;
  CHECK_THROWS_AS(grad<float>({y}, {x}, {uniform(y.shape(), 6)}), Error);
}

}  // namespace norm_relu_test
