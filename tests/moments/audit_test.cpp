// The audit of moments trainings: it must pass what is right, and see what is wrong. The mistakes
// are made here, by a copy of the trainer's steps that can be told to make them.

#include <doctest/doctest.h>

#include <cmath>

#include "iotsl/moments/audit/membership.hpp"
#include "iotsl/moments/audit/parts.hpp"
#include "moments/small_set.hpp"

namespace audit_test {

using namespace moments_test;
using namespace iotsl::moments;
using Sums = std::vector<std::int64_t>;

namespace {

const ImageSpec four_classes{1, 28, 28, 4};

Settings small_settings(Part part, double mu = 2) {
  Settings s = quick();
  s.head_steps = 12;
  return part_settings(s, part, mu);
}

enum class Mistake { none, half_noise, no_clip, all_twice };

/// The steps of moments::Trainer, with a mistake in those of one part.
class WrongTrainer {
 public:
  WrongTrainer(const Canaries& canaries, const Settings& s, Part part, Mistake mistake,
               std::uint64_t key)
      : canaries_(canaries),
        images_{1, 28, 28, canaries.set.classes},
        s_(s),
        part_(part),
        mistake_(mistake),
        key_(privacy::seeded_noise_key(key)) {}

  std::vector<Disclosure> run() {
    const data::Dataset& set = canaries_.set;
    const std::vector<Index> samples = canaries_.members();
    const QueryScale first = moments_scale(s_), second = centre_scale(s_);
    std::vector<Disclosure> out;
    out.push_back(disclose(Part::moments,
                           wrong(Part::moments, Mistake::no_clip) ? unclipped_moments(samples)
                                                                  : class_sums(set, samples, s_),
                           first.bound, first.variance));
    if (part_ == Part::moments) return out;
    Sums features = feature_sums(set, samples, s_);
    // Features that are not scaled to norm 1 but to 2.
    if (wrong(Part::centre, Mistake::no_clip))
      for (std::int64_t& v : features) v *= 2;
    out.push_back(disclose(Part::centre, std::move(features), second.bound, second.variance));
    if (part_ == Part::head) add_head(samples, out);
    return out;
  }

 private:
  bool wrong(Part part, Mistake mistake) const { return part_ == part && mistake_ == mistake; }

  Disclosure disclose(Part part, Sums sums, std::int64_t bound, std::uint64_t variance) {
    if (wrong(part, Mistake::all_twice))
      for (std::int64_t& v : sums) v *= 2;
    privacy::SecureRandom random = privacy::step_random(key_, step_++);
    add_noise(sums, wrong(part, Mistake::half_noise) ? variance / 4 : variance, random);
    return {std::move(sums), bound, variance};
  }

  Sums unclipped_moments(const std::vector<Index>& samples) const {
    const CoefShape shape = coef_shape(s_, images_);
    const CosineTransform transform(shape, images_);
    const double norm = clip_norm(s_, images_), unit = moments_scale(s_).unit();
    const auto d = static_cast<std::size_t>(shape.size());
    const auto pairs = static_cast<std::size_t>(shape.pairs());
    Sums out(classes_ * (d + pairs) + pairs);
    std::vector<double> x(d);
    for (const Index i : samples) {
      transform.forward(canaries_.set.sample(i), x);
      std::int64_t* own =
          out.data() + canaries_.set.labels[static_cast<std::size_t>(i)] * (d + pairs);
      std::int64_t* pair = own + d;
      std::int64_t* all = out.data() + classes_ * (d + pairs);
      for (std::size_t k = 0; k < d; ++k) {
        own[k] += truncated(x[k] / norm * unit);
        for (std::size_t l = 0; l <= k; ++l) {
          const double value = x[k] * x[l] / norm / norm * unit * (k == l ? 1 : std::sqrt(2.0));
          *pair++ += truncated(value);
          *all++ += truncated(value);
        }
      }
    }
    return out;
  }

  void add_head(const std::vector<Index>& samples, std::vector<Disclosure>& out) {
    const std::vector<double> mean = plain::released_centre(
        out[1].sums, static_cast<double>(out[1].bound), static_cast<double>(samples.size()));
    const HeadInput input(images_, std::vector<float>(mean.begin(), mean.end()), s_.head_constant);
    const HeadData data =
        head_data(canaries_.set, samples, input, data::count_up(images_.classes), images_.classes);
    const HeadScale scale = head_scale(s_);
    HeadDescent descent(classes_ * static_cast<std::size_t>(data.inputs));
    for (Index step = 0; step < s_.head_steps; ++step) {
      Sums sums = wrong(Part::head, Mistake::no_clip)
                      ? unclipped_gradients(data, descent.weights, scale)
                      : gradient_sums(data, descent.weights, s_.head_clip, scale);
      out.push_back(disclose(Part::head, std::move(sums), scale.bound(), scale.variance));
      descent.update(out.back().sums, step, static_cast<Index>(samples.size()), s_, scale);
    }
  }

  Sums unclipped_gradients(const HeadData& data, const std::vector<float>& weights,
                           const HeadScale& scale) const {
    const auto inputs = static_cast<std::size_t>(data.inputs);
    Sums out(weights.size());
    for (std::size_t i = 0; i < data.labels.size(); ++i) {
      const std::int16_t* x = data.values.data() + i * inputs;
      std::vector<double> logits(classes_);
      for (std::size_t c = 0; c < classes_; ++c)
        for (std::size_t j = 0; j < inputs; ++j)
          logits[c] += static_cast<double>(weights[c * inputs + j]) * x[j] / input_bound;
      softmax(logits);
      logits[static_cast<std::size_t>(data.labels[i])] -= 1;
      for (std::size_t c = 0; c < classes_; ++c) {
        const auto e = truncated(logits[c] * static_cast<double>(scale.error_bound) / s_.head_clip);
        for (std::size_t j = 0; j < inputs; ++j) out[c * inputs + j] += e * x[j] * scale.factor;
      }
    }
    return out;
  }

  const Canaries& canaries_;
  ImageSpec images_;
  std::size_t classes_ = static_cast<std::size_t>(images_.classes);
  Settings s_;
  Part part_;
  Mistake mistake_;
  privacy::ChaChaKey key_;
  std::uint32_t step_ = 0;
};

/// Without the noiseless test, whose tests are apart.
PartAudit audit_quickly(const Canaries& canaries, const Settings& s, Part part,
                        const std::vector<Disclosure>& disclosed) {
  if (part == Part::head)
    return head_rounds(canaries, s, disclosed).test.result("head", part_mu(s, part), 1e-5);
  return audit_part(canaries, s, part, disclosed, 1e-5);
}

std::string describe(const PartAudit& a) {
  return concat(a.part, ": mu ", a.estimate, " +- ", a.estimate_error, ", share ", a.share, ", s ",
                a.spread, " +- ", a.spread_error, ", left ", a.left, ", epsilon above ",
                a.one_run.epsilon);
}

}  // namespace

TEST_CASE("canaries: the same light each, at least twice the clip norm, half of them in") {
  for (const Index channels : {1, 3}) {
    const ImageSpec images{channels, 28, 28, 10};
    const Canaries canaries = make_canaries(images, 1000, 7);
    CHECK(canaries.set.size() == 1000);
    const auto members = canaries.members(), others = canaries.members(false);
    CHECK(members.size() + others.size() == 1000);
    CHECK(std::abs(static_cast<double>(members.size()) - 500) < 80);
    const auto white = static_cast<double>((channels * 49 + 1) / 2);
    for (Index i = 0; i < canaries.size(); ++i) {
      double squares = 0;
      for (const std::uint8_t v : canaries.set.sample(i)) squares += v / 255.0 * v / 255.0;
      REQUIRE(squares == doctest::Approx(16 * white));
      REQUIRE(std::sqrt(squares) >= 2 * clip_norm({}, images));
    }
    CHECK(make_canaries(images, 1000, 7).set.pixels == canaries.set.pixels);
    CHECK(make_canaries(images, 1000, 8).set.pixels != canaries.set.pixels);
  }
  CHECK_THROWS_WITH_AS(make_canaries({}, 100, 1), "audit: 100 canaries; expected 200 to 4000",
                       Error);
  CHECK_THROWS_AS(make_canaries({1, 32, 32, 10}, 1000, 1), Error);
}

TEST_CASE("the plain sums are the trainer's, to the last digits that rounding has") {
  for (const Index channels : {1, 3}) {
    CAPTURE(channels);
    const Canaries canaries = make_canaries({channels, 28, 28, 4}, 200, 3);
    const std::vector<Index> all = data::count_up(canaries.size());
    for (const double mu : {0.5, 2.0}) {
      Settings s = small_settings(Part::moments, mu);
      s.max_coefs = 60;  // fewer a side where there are three channels
      const auto worst = [&](const auto& queries, const Sums& exact) {
        std::vector<double> sums(queries.numbers());
        REQUIRE(exact.size() == sums.size());
        for (const Index i : all) queries.add(i, 1, sums);
        double out = 0;
        for (std::size_t j = 0; j < sums.size(); ++j)
          out = std::max(out, std::abs(sums[j] - static_cast<double>(exact[j])));
        return out;
      };
      const auto bound = static_cast<double>(moments_scale(s).bound);
      // Every record's number is truncated: one unit each, where the last bits differ.
      CHECK(worst(plain::Moments(canaries.set, s, bound), class_sums(canaries.set, all, s)) <= 200);
      // Features of the trainer are floats: 24 bits.
      const auto unit = static_cast<double>(centre_scale(s).bound);
      CHECK(worst(plain::Centre(canaries.set, unit), feature_sums(canaries.set, all, s)) <=
            200 * (1 + unit * 0x1p-19));
    }
  }
}

TEST_CASE("audit: a training that is right passes, in all parts, for several seeds") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Canaries canaries = make_canaries(four_classes, 300, seed);
    for (const Part part : all_parts) {
      const Settings s = small_settings(part);
      CHECK(part_mu(s, part) == doctest::Approx(2));
      const PartAudit found = audit_quickly(
          canaries, s, part, transcript(canaries, s, part, privacy::seeded_noise_key(seed + 1000)));
      INFO(describe(found));
      CHECK(found.passes());
      CHECK(found.stated_mu == doctest::Approx(2).epsilon(1e-9));
      CHECK(found.one_run.epsilon > 0);  // the attack sees something
      CHECK(found.estimate_error < 0.25);
    }
  }
}

TEST_CASE("audit: the trainer with mistakes is the trainer, where it makes none") {
  const Canaries canaries = make_canaries(four_classes, 200, 4);
  const Settings s = small_settings(Part::head);
  const auto right = transcript(canaries, s, Part::head, privacy::seeded_noise_key(4));
  const auto copy = WrongTrainer(canaries, s, Part::head, Mistake::none, 4).run();
  REQUIRE(right.size() == copy.size());
  for (std::size_t i = 0; i < right.size(); ++i) {
    CHECK(right[i].sums == copy[i].sums);
    CHECK(right[i].bound == copy[i].bound);
    CHECK(right[i].variance == copy[i].variance);
  }
}

TEST_CASE("audit: noise halved, a clip forgotten, every record twice are seen in every part") {
  const Canaries few = make_canaries(four_classes, 300, 5), many = make_canaries({}, 600, 5);
  for (const Part part : all_parts)
    for (const Mistake mistake : {Mistake::half_noise, Mistake::no_clip, Mistake::all_twice}) {
      // A head's errors are at most twice the clip: fewer canaries would not show that it is gone.
      const Canaries& canaries = part == Part::head ? many : few;
      const Settings s = small_settings(part);
      const PartAudit found =
          audit_quickly(canaries, s, part, WrongTrainer(canaries, s, part, mistake, 5).run());
      CAPTURE(static_cast<int>(mistake));
      MESSAGE(describe(found));
      CHECK(found.mu_stated());  // what is stated is as it should be: only canaries can tell
      CHECK_FALSE(found.passes());
      if (mistake == Mistake::half_noise) {
        CHECK(found.spread == doctest::Approx(0.5).epsilon(0.05));
        CHECK(std::abs(found.estimate - 4) < found.mu_tolerance());
        CHECK_FALSE(found.mu_good());
        CHECK_FALSE(found.spread_good());
      }
      // Once is in the plain sums, once too many in what is left.
      if (mistake == Mistake::all_twice) CHECK_FALSE((found.mu_good() && found.spread_good()));
    }
}

TEST_CASE("audit: a training that states less noise than was asked for fails") {
  const Canaries canaries = make_canaries(four_classes, 200, 6);
  const Settings asked = small_settings(Part::moments);
  Settings less = asked;
  less.mu *= 2;
  const auto disclosed = transcript(canaries, less, Part::moments, privacy::seeded_noise_key(6));
  const PartAudit found = audit_part(canaries, asked, Part::moments, disclosed, 1e-5);
  CHECK(found.spread_good());
  CHECK_FALSE(found.mu_stated());
  CHECK_FALSE(found.passes());
  CHECK_THROWS_AS(audit_part(canaries, asked, Part::head, disclosed, 1e-5), Error);
  CHECK_THROWS_AS(part_settings({}, Part::centre, 6), Error);
}

TEST_CASE(
    "noiseless: removing a canary moves sums by the bound at most; one that is in twice shows") {
  const Canaries canaries = make_canaries(four_classes, 200, 8);
  const Settings s = small_settings(Part::moments);
  const ExactChanges right = exact_changes(canaries, s);
  CHECK(right.moments <= 1);
  CHECK(right.moments > 0.999);
  CHECK(right.centre <= 1);
  CHECK(right.centre > 0.999);
  const auto with_one_twice = [](std::vector<Index> samples) {
    if (std::find(samples.begin(), samples.end(), Index{137}) != samples.end())
      samples.push_back(137);
    return samples;
  };
  // The trainer refuses a list with one twice: its part is added once more.
  const ExactChanges twice = exact_changes(canaries, s, [&](const std::vector<Index>& samples) {
    auto sums = moments::detail::exact_sums(canaries.set, samples, s);
    if (with_one_twice(samples).size() == samples.size()) return sums;
    std::vector<Index> others = samples;
    std::erase(others, Index{137});
    const auto without = moments::detail::exact_sums(canaries.set, others, s);
    for (std::size_t part = 0; part < sums.size(); ++part)
      for (std::size_t i = 0; i < sums[part].size(); ++i)
        sums[part][i] += sums[part][i] - without[part][i];
    return sums;
  });
  CHECK(twice.moments == doctest::Approx(2).epsilon(1e-3));
  CHECK(twice.centre == doctest::Approx(2).epsilon(1e-3));

  const Settings h = small_settings(Part::head);
  const HeadRounds rounds =
      head_rounds(canaries, h, transcript(canaries, h, Part::head, privacy::seeded_noise_key(8)));
  const moments::detail::ExactHead exact(canaries.set, h, rounds.centre, rounds.weights);
  const auto bound = static_cast<double>(head_scale(h).bound());
  const std::vector<double> change = largest_changes(canaries, exact);
  for (const double norm : change) CHECK(norm <= bound);
  CHECK(change[0] > 0.95 * bound);  // errors and inputs are truncated to about a thousandth
  const std::vector<double> doubled = largest_changes(
      canaries, [&](const std::vector<Index>& samples) { return exact(with_one_twice(samples)); });
  CHECK(doubled[0] == doctest::Approx(2 * bound).epsilon(0.05));
}

TEST_CASE("one run: chances and epsilons that can be worked out by hand") {
  // All right: q^r = error.
  const double q = std::pow(0.05, 0.01);
  CHECK(one_run_epsilon(100, 100, 100, 0, 0.05) == doctest::Approx(std::log(q / (1 - q))));
  // Fair coins: P(B >= 2 of 3) = 1/2; half of them right says nothing.
  CHECK(one_run_chance(3, 3, 2, 0, 0) == doctest::Approx(0.5));
  CHECK(one_run_epsilon(1000, 1000, 500, 0, 0.05) == 0);
  // v = 1 of r = 1: P(B >= 1) = q, alpha = P(B = 0): q + 2 m delta (1 - q).
  const double chance = std::exp(1.0) / (1 + std::exp(1.0));
  CHECK(one_run_chance(10, 1, 1, 1, 0.01) == doctest::Approx(chance + 0.2 * (1 - chance)));
  // v = 2 of 2: the larger of P(B = 1) and (P(B = 1) + P(B = 0)) / 2.
  const double one = 2 * chance * (1 - chance), none = (1 - chance) * (1 - chance);
  CHECK(one_run_chance(10, 2, 2, 1, 0.01) ==
        doctest::Approx(chance * chance + 0.2 * std::max(one, (one + none) / 2)));
  // Delta makes it weaker.
  CHECK(one_run_epsilon(1000, 100, 95, 1e-3, 0.05) < one_run_epsilon(1000, 100, 95, 0, 0.05));
  CHECK_THROWS_AS(one_run_chance(10, 11, 5, 1, 0), Error);
}

TEST_CASE("one run: the bound holds for randomised answers, and comes near") {
  const Random random(9, Stream::user, 0);
  const double epsilon = 2, chance = 1 / (1 + std::exp(-epsilon));
  int above = 0;
  double total = 0;
  std::uint64_t at = 0;
  constexpr int runs = 200;
  for (int run = 0; run < runs; ++run) {
    std::vector<double> scores;
    std::vector<std::uint8_t> in;
    for (int i = 0; i < 400; ++i) {
      in.push_back(static_cast<std::uint8_t>(random.below(at++, 2)));
      const bool honest = random.uniform(at++) < chance;
      // Of the same answers, any order.
      scores.push_back(((in.back() != 0) == honest ? 1 : -1) + 0.5 * random.uniform(at++));
    }
    const double found = one_run_bound(scores, in, 0).epsilon;
    above += found > epsilon;
    total += found;
  }
  CHECK(above <= 20);  // 5 % of 200, and three standard deviations
  CHECK(total / runs > 1.3);
}

TEST_CASE("ridge regression: the normal equations hold") {
  const Random random(10, Stream::user, 0);
  constexpr Index n = 30;
  std::vector<std::vector<double>> q;
  std::vector<double> y;
  std::uint64_t at = 0;
  for (Index i = 0; i < n; ++i) {
    q.emplace_back();
    for (Index j = 0; j < 20; ++j) q.back().push_back(random.normal(at++));
  }
  for (Index j = 0; j < 20; ++j) y.push_back(random.normal(at++));
  Ridge ridge(static_cast<std::size_t>(n));
  const auto row = [&](Index i) -> const std::vector<double>& {
    return q[static_cast<std::size_t>(i)];
  };
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j <= i; ++j) ridge.product(i, j) = plain::dot(row(i), row(j));
    ridge.target(i) = plain::dot(row(i), y);
  }
  const std::vector<double> w = ridge.solution(0.7);
  for (Index i = 0; i < n; ++i) {
    double left = 0.7 * w[static_cast<std::size_t>(i)];
    for (Index j = 0; j < n; ++j)
      left += plain::dot(row(i), row(j)) * w[static_cast<std::size_t>(j)];
    CHECK(left == doctest::Approx(plain::dot(row(i), y)));
  }
}

TEST_CASE("membership by distance: areas by hand; noise takes most of what a generator tells") {
  const std::vector<std::uint8_t> in{1, 1, 0, 0};
  CHECK(roc_area(std::vector<double>{3, 4, 1, 2}, in) == 1);
  CHECK(roc_area(std::vector<double>{1, 2, 3, 4}, in) == 0);
  CHECK(roc_area(std::vector<double>{1, 1, 1, 1}, in) == 0.5);
  CHECK(roc_area(std::vector<double>{2, 4, 1, 3}, in) == 0.75);
  const Canaries canaries = make_canaries({1, 28, 28, 10}, 300, 11);
  Settings s = quick();
  s.side = 10;
  const double hidden = membership_area(canaries, s, privacy::seeded_noise_key(11), 60, 1);
  s.noise = false;
  const double open = membership_area(canaries, s, privacy::seeded_noise_key(11), 60, 1);
  MESSAGE("area with noise ", hidden, ", without ", open);
  CHECK(open > 0.7);
  CHECK(open > hidden + 0.1);
}

}  // namespace audit_test
