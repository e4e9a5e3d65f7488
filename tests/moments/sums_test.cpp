// What a record adds to the sums, and by how much one record can change them.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "moments/small_set.hpp"

namespace sums_test {

using namespace moments_test;
using namespace iotsl::moments;

namespace {

double squared_norm(std::span<const std::int64_t> values) {
  double out = 0;
  for (const std::int64_t v : values) out += static_cast<double>(v) * static_cast<double>(v);
  return out;
}

}  // namespace

TEST_CASE("cosine transform: orthonormal, and back") {
  const ImageSpec images{2, 9, 12, 3};
  Settings all;
  all.side = 12;
  all.max_coefs = 400;
  const CosineTransform whole(coef_shape(all, images), images);
  CHECK(whole.shape() == CoefShape{2, 9, 12});
  const data::Dataset set = random_set(images, 5);
  std::vector<double> coefs(static_cast<std::size_t>(whole.shape().size()));
  std::vector<std::uint8_t> back(static_cast<std::size_t>(set.sample_elems()));
  for (Index i = 0; i < set.size(); ++i) {
    whole.forward(set.sample(i), coefs);
    double in = 0, out = 0;
    for (const std::uint8_t v : set.sample(i)) in += v / 255.0 * v / 255.0;
    for (const double v : coefs) out += v * v;
    CHECK(out == doctest::Approx(in).epsilon(1e-12));
    whole.inverse(coefs, back);
    CHECK(std::equal(back.begin(), back.end(), set.sample(i).begin()));
  }
  // The first coefficient is the sum over sqrt(pixels): the definition, on one known image.
  const std::vector<std::uint8_t> white(static_cast<std::size_t>(set.sample_elems()), 255);
  whole.forward(white, coefs);
  CHECK(coefs[0] == doctest::Approx(std::sqrt(9.0 * 12)));
  CHECK(std::abs(coefs[1]) < 1e-12);
  // Fewer coefficients are the same ones.
  const CosineTransform low(CoefShape{2, 3, 4}, images);
  std::vector<double> few(24);
  low.forward(set.sample(0), few);
  whole.forward(set.sample(0), coefs);
  for (std::size_t k = 0; k < 3; ++k)
    for (std::size_t l = 0; l < 4; ++l)
      CHECK(few[12 + k * 4 + l] == doctest::Approx(coefs[108 + k * 12 + l]));
}

TEST_CASE("a record's integers are within the bound, whatever its coefficients") {
  const double inf = std::numeric_limits<double>::infinity();
  const double strange[] = {0, 1e-310, 1e-9, 0.5, 1, 3, 1e9, 1e160, 1e308, inf, -inf, std::nan("")};
  for (const double mu : {0.02, 0.5, 2.0, 49.0}) {
    CAPTURE(mu);
    const QueryScale scale = query_scale(true, mu);
    const double most = static_cast<double>(scale.bound) * static_cast<double>(scale.bound);
    const Index d = 7;
    RecordQuery query(scale, d);
    const Random random(3, Stream::user, 0);
    std::uint64_t at = 0;
    double largest = 0;
    for (int trial = 0; trial < 2000; ++trial) {
      std::vector<double> x;
      for (Index i = 0; i < d; ++i) {
        const double value = random.normal(at++);
        const double odd = strange[random.below(at++, std::size(strange))];
        x.push_back(trial % 3 == 0 ? value * odd : trial % 3 == 1 ? value : (i == trial % d) * odd);
      }
      const auto values = query(x, 1.0);
      // The second moments count twice, for the class and for all.
      const double squares =
          squared_norm(values) + squared_norm(values.subspan(static_cast<std::size_t>(d)));
      CHECK(squares <= most);
      largest = std::max(largest, squares / most);
      for (const double v : x)
        if (std::isnan(v)) CHECK(squares == 0);
    }
    CHECK(largest > 0.99);  // the bound is reached, so that it is no bigger than it must be
  }
}

TEST_CASE("a norm is checked in 64 bits, where squares would wrap") {
  const std::int64_t bound = (std::int64_t{1} << 31) - 1;
  const std::vector<std::int64_t> one{bound}, two{bound, 1}, many(5, std::int64_t{1} << 30);
  CHECK(within_norm(one, bound));
  CHECK_FALSE(within_norm(two, bound));
  CHECK_FALSE(within_norm(many, bound));
  CHECK_FALSE(within_norm(std::vector<std::int64_t>{std::int64_t{1} << 62}, bound));
  CHECK(truncated(-2.9) == -2);
  CHECK(truncated(2.9) == 2);
  CHECK(truncated(std::nan("")) == 0);
  CHECK(truncated(1e300) == 0);
}

TEST_CASE("two sets that differ in one image: sums are at most the bound apart") {
  // Images far beyond the clip norm, where a forgotten clip shows.
  data::Dataset set = random_set({}, 40);
  for (std::size_t i = 0; i < set.pixels.size(); ++i)
    if ((i / 16 + i / 784) % 3 == 0) set.pixels[i] = 255;
  Settings s;
  const std::vector<Index> all = data::count_up(set.size());
  const auto whole = class_sums(set, all, s);
  const auto whole_features = feature_sums(set, all, s);
  CHECK(static_cast<Index>(whole.size()) == 56550);
  const Index inputs = head_inputs({});
  CHECK(inputs == 1349);
  const HeadInput input({}, std::vector<float>(static_cast<std::size_t>(inputs - 1), 0.01F), 0.3);
  const HeadScale scale = head_scale(s);
  std::vector<float> weights(static_cast<std::size_t>(10 * inputs));
  for (std::size_t j = 0; j < weights.size(); ++j)
    weights[j] = 4 * static_cast<float>(Random(4, Stream::user, 0).normal(j));
  const HeadData inputs_of_all = head_data(set, all, input, data::count_up(10), 10);
  const auto gradient = gradient_sums(inputs_of_all, weights, s.head_clip, scale);

  for (const Index canary : all) {
    // A black image of the same label contributes nothing to the moments.
    data::Dataset other = set;
    std::fill_n(other.pixels.begin() + static_cast<std::ptrdiff_t>(canary * 784), 784,
                std::uint8_t{0});
    const auto apart = [](std::vector<std::int64_t> a, const std::vector<std::int64_t>& b) {
      for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
      return std::sqrt(squared_norm(a));
    };
    const auto moments_bound = static_cast<double>(moments_scale(s).bound);
    const double moved = apart(whole, class_sums(other, all, s));
    CHECK(moved <= moments_bound);
    CHECK(moved > 0.99 * moments_bound);  // all are clipped
    const auto feature_bound = static_cast<double>(centre_scale(s).bound);
    CHECK(apart(whole_features, feature_sums(other, all, s)) <= feature_bound);

    std::vector<Index> without = all;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(canary));
    const auto rest = gradient_sums(head_data(set, without, input, data::count_up(10), 10), weights,
                                    s.head_clip, scale);
    const double change = apart(gradient, rest);
    CHECK(change <= static_cast<double>(scale.bound()));
    CHECK(change > 0);
  }
}

TEST_CASE("error vectors: clipped, truncated, zero where not finite") {
  float out[3];
  std::vector<double> logits{0, 0, 0};
  integer_error(logits, 1, 2.0, 1000, out);
  // (1/3, -2/3, 1/3) * 500
  CHECK(out[0] == 166);
  CHECK(out[1] == -333);
  logits = {50, 0, 0};
  integer_error(logits, 1, 0.5, 1000, out);  // (1, -1, 0) clipped to 0.5, which is 1000 units
  CHECK(out[0] == 707);
  CHECK(out[1] == -707);
  CHECK(out[2] == 0);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    logits = {0, bad, 0};
    integer_error(logits, 0, 0.5, 1000, out);
    for (const float v : out) CHECK(v == 0);
  }
}

TEST_CASE("the head's sums do not depend on threads, and are those of a plain loop") {
  const data::Dataset set = random_set({3, 10, 8, 4}, 70);
  Settings s = quick();
  const std::vector<Index> all = data::count_up(set.size());
  const ImageSpec images{3, 10, 8, 4};
  const Index inputs = head_inputs(images);
  CHECK(inputs == 1152 + 3 * 196 + 1);
  const HeadInput input(images, std::vector<float>(static_cast<std::size_t>(inputs - 1)), 0.3);
  const HeadData own = head_data(set, all, input, data::count_up(4), 4);
  const std::vector<float> weights(static_cast<std::size_t>(4 * inputs));
  const HeadScale scale = head_scale(s);
  const int usual = threads();
  set_threads(1);
  const auto one = gradient_sums(own, weights, s.head_clip, scale);
  set_threads(2);
  CHECK(gradient_sums(own, weights, s.head_clip, scale) == one);
  CHECK(class_sums(set, all, s).size() > 0);
  set_threads(usual);
  std::vector<std::int64_t> plain(one.size());
  for (Index i = 0; i < own.size(); ++i) {
    std::vector<double> logits(4);
    float errors[4];
    integer_error(logits, own.labels[static_cast<std::size_t>(i)], s.head_clip, scale.error_bound,
                  errors);
    for (Index c = 0; c < 4; ++c)
      for (Index j = 0; j < inputs; ++j)
        plain[static_cast<std::size_t>(c * inputs + j)] +=
            scale.factor * static_cast<std::int64_t>(errors[c]) *
            own.values[static_cast<std::size_t>(i * inputs + j)];
  }
  CHECK(plain == one);
}

}  // namespace sums_test
