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

/// The exact sums of a training's step without noise; `step` 0: the moments, 1: the centre.
inline double exact_change(const Canaries& canaries, Settings s, Index step) {
  s.noise = false;
  const ImageSpec images{canaries.set.channels, canaries.set.height, canaries.set.width,
                         canaries.set.classes};
  const auto sums = [&](const std::vector<Index>& samples) {
    Trainer trainer(canaries.set, samples, s, {});
    const Disclosure first = trainer.step();
    return step == 1 ? trainer.step().sums
                     : for_all_classes(first, trainer.counts(), coef_shape(s, images));
  };
  const QueryScale scale = step == 1 ? centre_scale(s) : moments_scale(s);
  return largest_change(canaries, static_cast<double>(scale.bound), sums);
}

/// That of a step of the head with these weights and this centre.
inline double exact_head_change(const Canaries& canaries, const Settings& s,
                                const std::vector<double>& centre,
                                const std::vector<float>& weights) {
  const data::Dataset& set = canaries.set;
  const ImageSpec images{set.channels, set.height, set.width, set.classes};
  const HeadInput input(images, std::vector<float>(centre.begin(), centre.end()), s.head_constant);
  std::vector<Index> row_of;
  for (Index c = 0; c < set.classes; ++c) row_of.push_back(c);
  const HeadScale scale = head_scale(s);
  return largest_change(canaries, static_cast<double>(scale.bound()),
                        [&](const std::vector<Index>& samples) {
                          return gradient_sums(head_data(set, samples, input, row_of, set.classes),
                                               weights, s.head_clip, scale);
                        });
}

}  // namespace detail

/// Audits a part by what a training with `s` disclosed to the end of it. Every class has a member.
/// Fails (an Error) where the transcript has another length.
inline PartAudit audit_part(const Canaries& canaries, const Settings& s, Part part,
                            std::span<const Disclosure> disclosed, double delta) {
  const auto steps =
      static_cast<std::size_t>(part == Part::moments ? 1 : part == Part::centre ? 2 : 2 + s.head_steps);
  if (disclosed.size() != steps)
    fail("audit: a transcript of ", disclosed.size(), " steps; expected ", steps, " for the ",
         part_name(part));
  const auto bound_of = [](const Disclosure& d) { return static_cast<double>(d.bound); };
  const data::Dataset& set = canaries.set;
  CanaryTest test(canaries);
  double change = 0;
  if (part == Part::moments) {
    test.round(plain::Moments(set, s, bound_of(disclosed[0])), disclosed[0]);
    change = detail::exact_change(canaries, s, 0);
  } else if (part == Part::centre) {
    test.round(plain::Centre(set, bound_of(disclosed[1])), disclosed[1]);
    change = detail::exact_change(canaries, s, 1);
  } else {
    const auto records = static_cast<double>(canaries.members().size());
    const std::vector<double> centre =
        plain::released_centre(disclosed[1].sums, bound_of(disclosed[1]), records);
    plain::Head head(set, s, centre);
    std::vector<float> weights;
    for (const Disclosure& step : disclosed.subspan(2)) {
      weights = head.weights();
      head.begin_step(bound_of(step));
      test.round(head, step);
      head.end_step(step.sums, bound_of(step), records);
    }
    change = detail::exact_head_change(canaries, s, centre, weights);
  }
  PartAudit out = test.result(part_name(part), part_mu(s, part), delta);
  out.change = change;
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
