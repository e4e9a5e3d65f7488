#pragma once
// What a device has released of its samples so far: a file that is written and synced before the
// steps that spend, so that neither a kill nor a second start releases anything uncounted. Every
// release composes with every other, whatever samples it was made of, unless the owner has declared
// of the samples of one that they are others than those before.

#include "iotsl/core/files/shared_file.hpp"
#include "iotsl/core/json/parse.hpp"
#include "iotsl/privacy/card.hpp"
#include "iotsl/privacy/gaussian.hpp"
#include "iotsl/privacy/renyi_accountant.hpp"
#include "iotsl/privacy/revealed.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

inline constexpr const char* ledger_name = "privacy-ledger.json";

/// One release as the accountants see it. Only the noise differs between the adjacencies.
struct Release {
  std::string id;  ///< of the training; the same training again is the same release
  PrivacyMode mode = PrivacyMode::off;
  double noise_multiplier = 0;              ///< under zero-out
  double noise_multiplier_replace_one = 0;  ///< under replace-one
  double sampling_rate = 1;
  std::uint64_t steps = 1;
  bool sample_revealed = false;
  bool new_data = false;  ///< the owner: none of its records is in an earlier release
  std::string data = {};  ///< the same for the same samples; empty: not known

  Mechanism under(Adjacency adjacency) const {
    return {.noise_multiplier =
                adjacency == Adjacency::zero_out ? noise_multiplier : noise_multiplier_replace_one,
            .sampling_rate = sampling_rate,
            .steps = steps,
            .sample_revealed = sample_revealed,
            .bounded_output = noises_generator(mode)};
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("id", self.id);
    f("mode", self.mode);
    f("noise_multiplier", self.noise_multiplier);
    f("noise_multiplier_replace_one", self.noise_multiplier_replace_one);
    f("sampling_rate", self.sampling_rate);
    f("steps", self.steps);
    f("sample_revealed", self.sample_revealed);
    f("new_data", self.new_data);
    f.later("data", self.data);
  }
};

/// The epsilon of all `releases` together at `delta`.
inline double composed_epsilon(std::span<const Release> releases, Adjacency adjacency,
                               double delta) {
  std::vector<Mechanism> mechanisms;
  bool gaussian = true;
  for (const Release& each : releases) {
    mechanisms.push_back(each.under(adjacency));
    gaussian = gaussian && each.sampling_rate == 1;
  }
  if (gaussian) return gaussian_epsilon(detail::gaussian_part(mechanisms), delta);
  if (mechanisms.size() == 1 && has_revealed_epsilon(mechanisms[0]))
    return revealed_epsilon(mechanisms[0], delta);
  return renyi_epsilon(mechanisms, adjacency, delta).epsilon;
}

/// Under both adjacencies.
inline PrivacyLoss compose(std::span<const Release> releases, double delta) {
  bool exact = true;
  for (const Release& each : releases) exact = exact && each.sampling_rate == 1;
  if (releases.size() == 1)
    exact = exact || has_revealed_epsilon(releases[0].under(Adjacency::zero_out));
  return {.epsilon = composed_epsilon(releases, Adjacency::zero_out, delta),
          .epsilon_replace_one = composed_epsilon(releases, Adjacency::replace_one, delta),
          .epsilon_small_delta = composed_epsilon(releases, Adjacency::zero_out, 1e-6),
          .accountant = exact ? "exact" : "renyi"};
}

struct Ledger {
  std::string format = "iotsl-privacy-ledger-1";
  std::vector<Release> releases;  ///< in their order

  const Release* find(const std::string& id) const {
    for (const Release& each : releases)
      if (each.id == id) return &each;
    return nullptr;
  }
  /// What composes with the release of this id, in their order: of those before it all that may be
  /// of the same records, and all that came later, whatever they declared of it.
  std::vector<Release> composing_with(const std::string& id) const {
    std::vector<Release> out;
    std::size_t at = 0;
    while (at + 1 < releases.size() && releases[at].id != id) ++at;
    for (std::size_t i = 0; i < releases.size(); ++i)
      if (i > at || may_share_records(i, at)) out.push_back(releases[i]);
    return out;
  }
  /// What composes with the last release.
  std::vector<Release> current() const {
    return composing_with(releases.empty() ? std::string() : releases.back().id);
  }
  /// The first release of the samples of release `i`; itself where they are not known.
  std::size_t first_of_samples(std::size_t i) const {
    for (std::size_t j = 0; j < i; ++j)
      if (!releases[i].data.empty() && releases[j].data == releases[i].data) return j;
    return i;
  }
  /// Samples that were declared to be new when they first came share no record with those that had
  /// come before.
  bool may_share_records(std::size_t i, std::size_t j) const {
    const std::size_t a = first_of_samples(i), b = first_of_samples(j);
    return a == b || !releases[a > b ? a : b].new_data;
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("releases", self.releases);
  }
};

/// A file that is not there is an empty ledger; a damaged one is refused, since what was released
/// is then unknown.
inline Result<Ledger> read_ledger(const std::string& path) {
  const Result<bool> there = look_for_file(path);
  if (!there) return there.failure();
  if (!*there) return Ledger{};
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.failure();
  const auto wrong = [&](const std::string& why) {
    return failure(ErrorCode::data, path, ": ", why,
                   "; without the ledger nobody knows what this device has released");
  };
  const Result<Json> json = parse_json(*text);
  if (!json) return wrong(json.failure().message);
  Result<Ledger> ledger = parse_json_fields<Ledger>(*json);
  if (!ledger) return wrong(ledger.failure().message);
  if (ledger->format != Ledger().format)
    return wrong(concat("format '", ledger->format, "', expected '", Ledger().format, "'"));
  for (const Release& each : ledger->releases) {
    if (each.steps == 0) return wrong(concat("release '", each.id, "' has 0 steps"));
    for (const Adjacency adjacency : {Adjacency::zero_out, Adjacency::replace_one})
      if (const Result<void> good = check(each.under(adjacency)); !good)
        return wrong(good.failure().message);
  }
  return ledger;
}

/// What the ledger of `path` is with this release; refused as enter_release() would.
inline Result<Ledger> with_release(Ledger ledger, const std::string& path, const Release& release,
                                   double delta, double max_epsilon) {
  if (ledger.find(release.id) == nullptr) {
    ledger.releases.push_back(release);
    const std::size_t last = ledger.releases.size() - 1;
    if (const std::size_t known = ledger.first_of_samples(last); release.new_data && known < last)
      return failure(ErrorCode::usage, "--new-data: these samples are those of release ",
                     ledger.releases[known].id.substr(0, 16), " of ", path,
                     "; nothing is released");
  }
  const std::vector<Release> all = ledger.composing_with(release.id);
  const double epsilon = composed_epsilon(all, Adjacency::zero_out, delta);
  if (!(epsilon <= max_epsilon))
    return failure(ErrorCode::usage, "privacy: with this release the device has spent epsilon ",
                   epsilon, " at delta ", delta, " in ", all.size(),
                   " releases, more than the limit ", max_epsilon, "; nothing is released");
  return ledger;
}

/// Enters a release before its first step, unless it is there already, and gives the ledger with
/// it. Refused, there or not, where all releases that compose exceed `max_epsilon` (zero-out) at
/// `delta`, or where samples are declared to be new that are not: then nothing is entered. On the
/// disk when it returns.
inline Result<Ledger> enter_release(const std::string& path, const Release& release, double delta,
                                    double max_epsilon) {
  const Result<FileLock> lock = FileLock::take(path + ".lock", 0600);
  if (!lock)
    return failure(ErrorCode::other, lock.failure().message, "; nothing is released without it");
  Result<Ledger> ledger = read_ledger(path);
  if (!ledger) return ledger;
  const std::string folder = iotsl::detail::parent_folder(path);
  const bool entered = ledger->find(release.id) != nullptr;
  if (!entered) remove_leftovers(folder, last_component(path));  // nobody else writes it meanwhile
  ledger = with_release(std::move(ledger).value(), path, release, delta, max_epsilon);
  if (!ledger) return ledger;
  // Who entered it may have died before its name was on the disk.
  const Result<void> written =
      entered ? iotsl::detail::sync_folder(folder)
              : write_file_atomic(path, to_text(to_json_fields(*ledger), 2) + "\n");
  if (!written) return written.failure();
  return ledger;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
