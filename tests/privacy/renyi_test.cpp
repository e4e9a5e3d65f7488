#include <cmath>
#include <limits>

#include "iotsl/privacy/gaussian.hpp"
#include "iotsl/privacy/renyi_accountant.hpp"
#include "privacy/reference_rows.hpp"

namespace renyi_test {

using namespace iotsl::privacy;
using privacy_test::error_of;

namespace {
double epsilon_of(const Mechanism& m, double delta, Adjacency adjacency = Adjacency::zero_out) {
  return renyi_epsilon({&m, 1}, adjacency, delta).epsilon;
}
}  // namespace

TEST_CASE("Renyi accountant: every row of the reference") {
  int rows = 0;
  for (const auto& row : privacy_test::reference_rows()) {
    CAPTURE(row.mechanism.noise_multiplier);
    CAPTURE(row.mechanism.sampling_rate);
    CAPTURE(row.mechanism.steps);
    const RenyiEpsilon found = renyi_epsilon({&row.mechanism, 1}, Adjacency::zero_out, row.delta);
    CHECK(found.epsilon <= 1.001 * row.epsilon_rdp);
    CHECK(found.epsilon >= row.epsilon_tight);
    CHECK(found.order > 1);
    CHECK_FALSE(found.order_at_limit);
    ++rows;
  }
  CHECK(rows == 48);
}

TEST_CASE("log moments of the sampled Gaussian, against quadrature with 40 digits") {
  struct Known {
    double rate, noise_multiplier, order, log_moment;
  };
  for (const Known& k : {Known{0.01, 0.8, 1.5, 0.000136655350020194},
                         {0.1, 2, 7.3, 0.0768864980927556},
                         {0.5, 0.5, 1.05, 0.0362861271042734},
                         {0.001, 0.3, 2.5, 3.59199037780917},
                         {0.9, 1.5, 20.25, 84.4918826670629},
                         {0.01, 1.07, 3, 0.000427003365620333},
                         {0.2, 1, 33, 474.888548889676}}) {
    CAPTURE(k.rate);
    CAPTURE(k.order);
    const Mechanism m{k.noise_multiplier, k.rate, 1};
    const double moment = renyi_log_moment(m, Adjacency::zero_out, k.order);
    CHECK(moment >= k.log_moment * (1 - 1e-12));
    CHECK(moment <= k.log_moment * (1 + 1e-7));
  }
  // Too small for the fractional series: the chord between two integer orders takes over.
  const double small = renyi_log_moment({50, 0.001, 1}, Adjacency::zero_out, 40.5);
  CHECK(small >= 3.20018923496762e-7);
  CHECK(small <= 3.202e-7);
}

TEST_CASE(
    "log moments: 0 at order 1, convex, below the unsampled ones, in the order of what is known") {
  for (const double q : {1e-6, 0.003, 0.2, 0.6, 0.999})
    for (const double m : {0.05, 0.7, 4.0, 300.0}) {
      CAPTURE(q);
      CAPTURE(m);
      const Mechanism hidden{m, q, 1}, revealed{m, q, 1, true}, all{m, 1, 1};
      double last_slope = 0, last = 0, last_order = 1;
      for (double order = 1.03; order < 80; order *= 1.07) {
        const double moment = renyi_log_moment(hidden, Adjacency::zero_out, order);
        CAPTURE(order);
        CHECK(moment <=
              renyi_log_moment(revealed, Adjacency::zero_out, order) * (1 + 2e-9) + 1e-14);
        CHECK(moment <=
              renyi_log_moment(hidden, Adjacency::replace_one, order) * (1 + 2e-9) + 1e-14);
        CHECK(renyi_log_moment(revealed, Adjacency::zero_out, order) <=
              renyi_log_moment(all, Adjacency::zero_out, order));
        const double slope = (moment - last) / (order - last_order);
        CHECK(slope >= last_slope * (1 - 1e-6) - 1e-12);
        last_slope = slope;
        last = moment;
        last_order = order;
      }
    }
}

TEST_CASE("Renyi accountant: published figures") {
  // zCDP with rho = mu^2 / 2 = 2.
  CHECK(epsilon_of({0.5, 1, 1}, 1e-5) == doctest::Approx(10.72).epsilon(1e-3));
  // Wang, Balle, Kasiviswanathan for one of 100 shards at a time.
  CHECK(epsilon_of({1.07, 0.01, 20000}, 1e-5, Adjacency::replace_one) ==
        doctest::Approx(19.4).epsilon(3e-3));
}

TEST_CASE("Renyi accountant: mechanisms compose in any order and any split") {
  const Mechanism a{1.1, 0.02, 700}, b{3, 1, 2}, c{0.9, 0.004, 1000}, d{2, 0.1, 5, true};
  const auto both = [](const std::vector<Mechanism>& list, Adjacency adjacency) {
    return renyi_epsilon(list, adjacency, 1e-6).epsilon;
  };
  for (const Adjacency adjacency : {Adjacency::zero_out, Adjacency::replace_one}) {
    const double together = both({a, b, c, d}, adjacency);
    CHECK(both({d, b, c, a}, adjacency) == doctest::Approx(together).epsilon(1e-9));
    CHECK(both({a, b, {0.9, 0.004, 400}, {0.9, 0.004, 600}, d}, adjacency) ==
          doctest::Approx(together).epsilon(1e-9));
    for (const Mechanism& one : {a, b, c, d}) CHECK(both({one}, adjacency) < together);
    // What releases nothing costs nothing.
    CHECK(both({a, b, c, d, {1e-6, 0, 5}, {1e-6, 1, 0}}, adjacency) == together);
  }
  CHECK(renyi_epsilon({}, Adjacency::zero_out, 1e-5).epsilon == 0);
}

TEST_CASE("Renyi accountant: corners give a number, and one that is not below the exact one") {
  for (const double m : {1e-6, 1e-3, 0.3, 1.0, 1e4, 1e9})
    for (const double q : {0.0, min_sampling_rate, 1e-17, 1e-3, 0.5, 1 - 1.2e-16, 1.0})
      for (const std::uint64_t steps : {std::uint64_t{0}, std::uint64_t{1}, max_steps})
        for (const double delta : {1e-17, 1e-5, 1 - 1.2e-16})
          for (const Adjacency adjacency : {Adjacency::zero_out, Adjacency::replace_one}) {
            CAPTURE(m);
            CAPTURE(q);
            CAPTURE(steps);
            CAPTURE(delta);
            const double epsilon = epsilon_of({m, q, steps}, delta, adjacency);
            CHECK(std::isfinite(epsilon));
            CHECK(epsilon >= 0);
            if (q == 0 || steps == 0) CHECK(epsilon == 0);
            if (q == 1)
              CHECK(epsilon >= gaussian_epsilon(std::sqrt(static_cast<double>(steps)) / m, delta) *
                                   (1 - 1e-12));
          }
}

TEST_CASE("Renyi accountant: the best order is looked for on either side") {
  const auto huge =
      renyi_epsilon(std::vector<Mechanism>{{1e-3, 1, 1000000}}, Adjacency::zero_out, 1e-5);
  CHECK(huge.order < 1.001);
  CHECK_FALSE(huge.order_at_limit);
  const auto tiny =
      renyi_epsilon(std::vector<Mechanism>{{1000, 0.01, 10}}, Adjacency::zero_out, 1e-8);
  CHECK(tiny.order > 10000);
  CHECK_FALSE(tiny.order_at_limit);
  const auto limit = renyi_epsilon(std::vector<Mechanism>{{1e7, 1, 1}}, Adjacency::zero_out, 1e-12);
  CHECK(limit.order_at_limit);
}

TEST_CASE("Renyi accountant: wrong arguments are named") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(error_of([&] {
          epsilon_of({nan, 0.1, 1}, 1e-5);
        }) == "noise_multiplier nan: expected a number from 1e-06 to 1e+09");
  CHECK(error_of([&] {
          epsilon_of({0, 0.1, 1}, 1e-5);
        }) == "noise_multiplier 0: expected a number from 1e-06 to 1e+09");
  CHECK(error_of([&] {
          epsilon_of({infinity, 0.1, 1}, 1e-5);
        }) == "noise_multiplier inf: expected a number from 1e-06 to 1e+09");
  CHECK(error_of([&] {
          epsilon_of({1, 1.5, 1}, 1e-5);
        }) == "sampling_rate 1.5: expected a number from 0 to 1");
  CHECK(error_of([&] {
          epsilon_of({1, 0.1, max_steps + 1}, 1e-5);
        }) == "steps 9007199254740993: expected at most 9007199254740992");
  CHECK(error_of([&] {
          epsilon_of({1, 0.1, 1}, 1);
        }) == "delta 1: out of range, expected 1e-17 <= delta < 1");
}

}  // namespace renyi_test
