#pragma once
// What a generator file says of its privacy: the mechanism, its numbers, what it promises under
// both adjacencies, and what it does not cover.

#include <limits>

#include "iotsl/core/json/fields.hpp"
#include "iotsl/privacy/settings.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// Epsilon of the release by itself, or of all releases of a device together.
struct PrivacyLoss {
  double epsilon = 0;              ///< zero-out, at the card's delta
  double epsilon_replace_one = 0;  ///< the same where a record is replaced by another
  double epsilon_small_delta = 0;  ///< zero-out, at delta 1e-6
  std::string accountant;          ///< exact (Gaussian, or in steps that are known), or renyi

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("epsilon", self.epsilon);
    f("epsilon_replace_one", self.epsilon_replace_one);
    f("epsilon_small_delta", self.epsilon_small_delta);
    f("accountant", self.accountant);
  }
};

/// All there is to say of one release. Of mode off only mode and statement.
struct PrivacyCard {
  PrivacyMode mode = PrivacyMode::off;
  std::string statement;        ///< one sentence for people
  std::string mechanism;        ///< what is noised, with its source
  std::string unit;             ///< what is protected: one image, its label public
  std::string adjacency;        ///< of `epsilon`
  double sensitivity = 0;       ///< L2, zero-out, in the mechanism's unit
  double noise_multiplier = 0;  ///< standard deviation of the noise over the sensitivity, zero-out
  std::uint64_t records = 0;    ///< N
  std::uint64_t steps = 0;      ///< T
  double sampling_rate = 1;     ///< q
  std::uint64_t critics = 1;    ///< K
  double clip = 0;
  double delta = 0;
  double records_times_delta = 0;  ///< N * delta: to be far below 1
  double zcdp_rho = 0;             ///< mu^2/2 where the mechanism is Gaussian; else 0
  PrivacyLoss release;             ///< this file
  PrivacyLoss all_releases;        ///< this file and what the device has released before
  std::uint64_t releases = 1;      ///< behind all_releases
  bool new_data_declared = false;  ///< earlier releases are left out: the owner says other records
  bool seeded_noise = false;       ///< for tests: such a file protects nobody
  /// Of gswgan: the epsilon that its authors' count gives for the same numbers, which takes each of
  /// a step's rows for a query of its own with a secret index. Not a promise.
  double published_count = 0;
  std::vector<std::string> not_covered;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("mode", self.mode);
    f("statement", self.statement);
    if (self.mode == PrivacyMode::off) return;
    f("mechanism", self.mechanism);
    f("unit", self.unit);
    f("adjacency", self.adjacency);
    f("sensitivity", self.sensitivity);
    f("noise_multiplier", self.noise_multiplier);
    f("records", self.records);
    f("steps", self.steps);
    f("sampling_rate", self.sampling_rate);
    f("critics", self.critics);
    f("clip", self.clip);
    f("delta", self.delta);
    f("records_times_delta", self.records_times_delta);
    f("zcdp_rho", self.zcdp_rho);
    f("release", self.release);
    f("all_releases", self.all_releases);
    f("releases", self.releases);
    f("new_data_declared", self.new_data_declared);
    f("seeded_noise", self.seeded_noise);
    if (self.mode == PrivacyMode::gswgan) f("published_count", self.published_count);
    f("not_covered", self.not_covered);
  }
};

/// Epsilon (zero-out) of all releases of the device, at the card's delta; infinite where nothing is
/// promised.
inline double promised_epsilon(const PrivacyCard& card) {
  return card.mode == PrivacyMode::off || card.seeded_noise
             ? std::numeric_limits<double>::infinity()
             : card.all_releases.epsilon;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
