#pragma once
// The audit of a moments training: each of its three mechanisms alone, from what it disclosed.

#include "iotsl/moments/audit/canary_test.hpp"
#include "iotsl/moments/audit/plain_sums.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// The three mechanisms, in the order of a training's steps.
enum class Part { moments, centre, head };
inline constexpr Part all_parts[] = {Part::moments, Part::centre, Part::head};

inline const char* part_name(Part part) {
  return part == Part::moments ? "moments" : part == Part::centre ? "centre" : "head";
}
/// mu of one part of such a training.
inline double part_mu(const Settings& s, Part part) {
  const Budget b = budget(s);
  return part == Part::moments ? b.moments : part == Part::centre ? b.centre : b.head;
}

/// For which every part's own training is within mu_range: the centre has a tenth of it.
inline constexpr privacy::Range audit_mu_range{0.5, 5};

/// Settings with a mu of which this part has `mu`.
inline Settings part_settings(Settings s, Part part, double mu) {
  if (!audit_mu_range.contains(mu)) fail("audit: mu ", mu, "; expected ", audit_mu_range);
  s.noise = true;
  s.mu = 1;
  s.mu = mu / part_mu(s, part);
  return s;
}

/// What a training on the canaries that are in discloses, up to the last step of this part.
inline std::vector<Disclosure> transcript(const Canaries& canaries, const Settings& s, Part part,
                                          const privacy::ChaChaKey& key) {
  Trainer trainer(canaries.set, canaries.members(), s, key);
  const Index steps = part == Part::moments ? 1 : part == Part::centre ? 2 : trainer.steps();
  std::vector<Disclosure> out;
  for (Index i = 0; i < steps; ++i) out.push_back(trainer.step());
  return out;
}

namespace detail {

/// Sums of the moments, with zeros for the classes that no sample has.
inline std::vector<std::int64_t> for_all_classes(const Disclosure& disclosed,
                                                 const std::vector<std::uint64_t>& counts,
                                                 const CoefShape& shape) {
  const auto each = static_cast<std::ptrdiff_t>(shape.size() + shape.pairs());
  std::vector<std::int64_t> out;
  auto from = disclosed.sums.begin();
  for (const std::uint64_t n : counts) {
    if (n == 0) out.insert(out.end(), static_cast<std::size_t>(each), 0);
    if (n > 0) out.insert(out.end(), from, from + each), from += each;
  }
  out.insert(out.end(), from, disclosed.sums.end());
  return out;
}

using ExactSums = std::vector<std::vector<std::int64_t>>;

/// The sums of moments and of features that a training on these samples adds noise to.
inline ExactSums exact_sums(const data::Dataset& set, const std::vector<Index>& samples,
                            Settings s) {
  s.noise = false;
  Trainer trainer(set, samples, s, {});
  const Disclosure first = trainer.step(), second = trainer.step();
  const CoefShape shape = coef_shape(s, {set.channels, set.height, set.width, set.classes});
  return {for_all_classes(first, trainer.counts(), shape), second.sums};
}

/// The exact sums of two steps of the head with this centre: the first, whose weights are 0, so
/// that every record's gradient is clipped to the bound, and one with these weights.
class ExactHead {
 public:
  ExactHead(const data::Dataset& set, const Settings& s, const std::vector<double>& centre,
            std::vector<float> weights)
      : set_(set),
        settings_(s),
        input_({set.channels, set.height, set.width, set.classes},
               std::vector<float>(centre.begin(), centre.end()), s.head_constant),
        weights_(std::move(weights)) {
    for (Index c = 0; c < set.classes; ++c) row_of_.push_back(c);
  }
  ExactSums operator()(const std::vector<Index>& samples) const {
    const HeadData data = head_data(set_, samples, input_, row_of_, set_.classes);
    const HeadScale scale = head_scale(settings_);
    const std::vector<float> zeros(weights_.size());
    return {gradient_sums(data, zeros, settings_.head_clip, scale),
            gradient_sums(data, weights_, settings_.head_clip, scale)};
  }

 private:
  const data::Dataset& set_;
  Settings settings_;
  HeadInput input_;
  std::vector<float> weights_;
  std::vector<Index> row_of_;
};

}  // namespace detail

/// Changes of the integer sums of all parts, over their bounds, by the canary that changes them
/// most.
struct ExactChanges {
  double moments = 0, centre = 0;
};

/// `sums(samples)`: as detail::exact_sums() of the settings without noise.
template <class Sums>
ExactChanges exact_changes(const Canaries& canaries, Settings s, const Sums& sums) {
  s.noise = false;
  const std::vector<double> norms = largest_changes(canaries, sums);
  return {norms[0] / static_cast<double>(moments_scale(s).bound),
          norms[1] / static_cast<double>(centre_scale(s).bound)};
}
inline ExactChanges exact_changes(const Canaries& canaries, const Settings& s) {
  return exact_changes(canaries, s, [&](const std::vector<Index>& samples) {
    return detail::exact_sums(canaries.set, samples, s);
  });
}

/// What the transcript of a head says: the test of all its rounds, and where its last step stood.
struct HeadRounds {
  CanaryTest test;
  std::vector<double> centre;
  std::vector<float> weights;  ///< before the last step
};
inline HeadRounds head_rounds(const Canaries& canaries, const Settings& s,
                              std::span<const Disclosure> disclosed) {
  const auto bound_of = [](const Disclosure& d) { return static_cast<double>(d.bound); };
  const auto records = static_cast<double>(canaries.members().size());
  HeadRounds out{CanaryTest(canaries),
                 plain::released_centre(disclosed[1].sums, bound_of(disclosed[1]), records),
                 {}};
  plain::Head head(canaries.set, s, out.centre);
  for (const Disclosure& step : disclosed.subspan(2)) {
    out.weights = head.weights();
    head.begin_step(bound_of(step));
    out.test.round(head, step);
    head.end_step(step.sums, bound_of(step), records);
  }
  return out;
}

/// Audits a part by what a training with `s` disclosed to the end of it. Every class has a member.
/// Raises an Error where the transcript has another length. Of moments and centre the change is
/// left to exact_changes(), which takes both at once.
inline PartAudit audit_part(const Canaries& canaries, const Settings& s, Part part,
                            std::span<const Disclosure> disclosed, double delta) {
  const Index steps = part == Part::moments ? 1 : part == Part::centre ? 2 : 2 + s.head_steps;
  if (static_cast<Index>(disclosed.size()) != steps)
    fail("audit: a transcript of ", disclosed.size(), " steps; expected ", steps, " for the ",
         part_name(part));
  if (part == Part::head) {
    const HeadRounds rounds = head_rounds(canaries, s, disclosed);
    PartAudit out = rounds.test.result(part_name(part), part_mu(s, part), delta);
    const detail::ExactHead exact(canaries.set, s, rounds.centre, rounds.weights);
    const std::vector<double> norms = largest_changes(canaries, exact);
    out.change = std::max(norms[0], norms[1]) / static_cast<double>(head_scale(s).bound());
    return out;
  }
  const Disclosure& own = disclosed.back();
  const auto bound = static_cast<double>(own.bound);
  CanaryTest test(canaries);
  if (part == Part::moments)
    test.round(plain::Moments(canaries.set, s, bound), own);
  else
    test.round(plain::Centre(canaries.set, bound), own);
  return test.result(part_name(part), part_mu(s, part), delta);
}

/// The audit of a training with these settings but for its mu: of each part alone with `mu`, on the
/// canaries. `key_of(part)`: of the noise.
template <class KeyOf>
std::vector<PartAudit> audit(const Canaries& canaries, const Settings& settings, double mu,
                             double delta, const KeyOf& key_of) {
  const ExactChanges changes = exact_changes(canaries, settings);
  std::vector<PartAudit> out;
  for (const Part part : all_parts) {
    const Settings s = part_settings(settings, part, mu);
    out.push_back(
        audit_part(canaries, s, part, transcript(canaries, s, part, key_of(part)), delta));
    if (part == Part::moments) out.back().change = changes.moments;
    if (part == Part::centre) out.back().change = changes.centre;
  }
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
