#pragma once
// A black-box attack on membership: whoever was trained on may be nearer to the nearest image that
// a generator draws (distance to the closest record; Chen, Yu, Zhang, Fritz, "GAN-Leaks", CCS
// 2020).

#include "iotsl/moments/audit/canaries.hpp"
#include "iotsl/moments/generator.hpp"
#include "iotsl/moments/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// Area under the ROC curve: the chance that a member has a higher score than another one, ties
/// count half (Mann and Whitney). 0.5: nothing is told.
inline double roc_area(std::span<const double> scores, std::span<const std::uint8_t> in) {
  double wins = 0, members = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (in[i] == 0) continue;
    members += 1;
    for (std::size_t j = 0; j < scores.size(); ++j)
      if (in[j] == 0) wins += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
  }
  return wins / (members * (static_cast<double>(scores.size()) - members));
}

/// Its standard deviation where scores tell nothing.
inline double roc_area_error(double members, double others) {
  return scalar_math::sqrt((members + others + 1) / (12 * members * others));
}

/// Of every canary: less the squared distance of its pixels to the nearest of `draws` images of its
/// class.
inline std::vector<double> nearness(const Canaries& canaries, const Generator& generator,
                                    Index draws, std::uint64_t seed) {
  data::Dataset drawn = canaries.set;
  drawn.pixels.clear();
  drawn.labels.clear();
  for (Index c = 0; c < drawn.classes; ++c) generator.append(drawn, c, draws, seed);
  std::vector<double> out(canaries.in.size());
  parallel_for(canaries.size(), [&](Index i) {
    const auto own = canaries.set.sample(i);
    const Index first = draws * canaries.set.labels[static_cast<std::size_t>(i)];
    std::int64_t nearest = std::int64_t{1} << 62;
    for (Index k = first; k < first + draws; ++k) {
      const auto other = drawn.sample(k);
      std::int64_t squares = 0;
      for (std::size_t p = 0; p < own.size(); ++p)
        squares += (own[p] - other[p]) * (own[p] - other[p]);
      nearest = std::min(nearest, squares);
    }
    out[static_cast<std::size_t>(i)] = -static_cast<double>(nearest);
  });
  return out;
}

/// The attack's area on a generator that is made of the canaries that are in.
inline double membership_area(const Canaries& canaries, const Settings& s,
                              const privacy::ChaChaKey& key, Index draws, std::uint64_t seed) {
  Trainer trainer(canaries.set, canaries.members(), s, key);
  while (!trainer.done()) trainer.step();
  const Generator generator(trainer.release());
  return roc_area(nearness(canaries, generator, draws, seed), canaries.in);
}

}  // namespace moments
IOTSL_NAMESPACE_END
