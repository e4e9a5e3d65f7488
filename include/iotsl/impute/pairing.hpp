#pragma once
// Partner search (the paper's Algorithm 2, lines 11 to 17): which generators fill what a defective
// device lacks, by what the generation log says that they give.

#include <array>

#include "iotsl/impute/generation_log.hpp"

IOTSL_NAMESPACE_BEGIN
namespace impute {

/// What the log says of every generator, as the search asks for it.
class Offers {
 public:
  /// A generator has hardly seen a class below `scarce` of its mean class size.
  Offers(const GenerationLog& log, std::size_t classes, double scarce = default_scarce)
      : grades_(log.generators), given_(grades_.size(), std::vector<Index>(classes, 0)) {
    for (const GenerationEntry& entry : log.entries)
      given_[entry.device][entry.label] = static_cast<Index>(entry.trained);
    for (const std::vector<Index>& row : given_)
      hardly_seen_below_.push_back(scarce * mean_class_size(row));
  }

  Index generators() const { return static_cast<Index>(given_.size()); }
  bool gives(Index generator, Index label) const { return trained(generator, label) > 0; }
  bool hardly_seen(Index generator, Index label) const {
    return static_cast<double>(trained(generator, label)) <
           hardly_seen_below_[static_cast<std::size_t>(generator)];
  }
  const GeneratorGrade& grade(Index generator) const {
    return grades_[static_cast<std::size_t>(generator)];
  }
  /// Whether any generator but that of `receiver` gives the class.
  bool anybody_gives(Index receiver, Index label) const {
    for (Index j = 0; j < generators(); ++j)
      if (j != receiver && gives(j, label)) return true;
    return false;
  }

 private:
  Index trained(Index generator, Index label) const {
    return given_[static_cast<std::size_t>(generator)][static_cast<std::size_t>(label)];
  }
  std::vector<GeneratorGrade> grades_;
  std::vector<std::vector<Index>> given_;  // [generator][class]: samples trained on
  std::vector<double> hardly_seen_below_;
};

/// What told apart generators that give as many missing classes, in the order in which it is asked.
enum class TieBreak { none, most_scarce, lower_loss, seen_more, lower_number };

inline constexpr std::array<std::string_view, 5> tie_break_names{
    "", "more scarce classes", "lower loss", "fewer classes hardly seen", "lower number"};

/// One generator, the classes it is to fill, ascending, and what spoke for it.
struct Partner {
  Index generator = 0;  ///< the device whose generator it is
  std::vector<Index> classes;
  bool superset = false;  ///< it alone gives all that is missing; else it is one of a cover
  TieBreak tie = TieBreak::none;
};

namespace detail {

/// A generator that may be chosen next.
struct Candidate {
  Index generator = 0;
  std::vector<Index> missing, scarce;  ///< that it gives of what is still open
  Index hardly_seen = 0;               ///< of these
};

inline std::vector<Candidate> find_candidates(const Offers& offers, Index receiver,
                                              const Defects& open) {
  std::vector<Candidate> out;
  for (Index j = 0; j < offers.generators(); ++j) {
    if (j == receiver) continue;
    Candidate candidate{.generator = j, .missing = {}, .scarce = {}};
    const auto take = [&](const std::vector<Index>& from, std::vector<Index>& to) {
      for (const Index c : from) {
        if (!offers.gives(j, c)) continue;
        to.push_back(c);
        candidate.hardly_seen += offers.hardly_seen(j, c);
      }
    };
    take(open.missing, candidate.missing);
    take(open.scarce, candidate.scarce);
    out.push_back(std::move(candidate));
  }
  return out;
}

/// Leaves those of `from` than which none is better; whether that has thrown any out.
template <class Better>
bool keep_best(std::vector<Candidate>& from, const Better& better) {
  const Candidate best = *std::min_element(from.begin(), from.end(), better);
  return std::erase_if(from, [&](const Candidate& each) { return better(best, each); }) > 0;
}

/// The next generator for what is open. `first`: none was chosen before.
inline Partner choose(const Offers& offers, std::vector<Candidate> from, const Defects& open,
                      bool first) {
  keep_best(from, [](const Candidate& a, const Candidate& b) {
    return a.missing.size() > b.missing.size();
  });
  Partner out;
  out.superset = first && !open.missing.empty() && from[0].missing.size() == open.missing.size();
  if (keep_best(from, [](const Candidate& a,
                         const Candidate& b) { return a.scarce.size() > b.scarce.size(); }) &&
      !open.missing.empty())
    out.tie = TieBreak::most_scarce;
  if (keep_best(from, [&](const Candidate& a, const Candidate& b) {
        return offers.grade(a.generator) < offers.grade(b.generator);
      }))
    out.tie = TieBreak::lower_loss;
  if (keep_best(from, [](const Candidate& a, const Candidate& b) {
        return a.hardly_seen < b.hardly_seen;
      }))
    out.tie = TieBreak::seen_more;
  if (from.size() > 1) out.tie = TieBreak::lower_number;
  out.generator = from[0].generator;
  out.classes = std::move(from[0].missing);
  out.classes.insert(out.classes.end(), from[0].scarce.begin(), from[0].scarce.end());
  std::sort(out.classes.begin(), out.classes.end());
  return out;
}

}  // namespace detail

/// The generators that fill what device `receiver` lacks, in the order of the search; never its
/// own. Where generators give all that is missing (L_j a superset of L', the paper's condition), it
/// is one of these; otherwise a greedy set cover, which takes the one that gives most of what is
/// still missing, and so few of them. Equal ones are told apart by how many of the scarce classes
/// they give, too, which spares a further generator; then by the lower relative loss of their
/// checks; then by how few of the classes they have hardly seen; then by the lower number. Scarce
/// classes that no partner for the missing ones gives get partners in the same way. A failure names
/// every class that no other generator gives.
inline Result<std::vector<Partner>> find_partners(const Offers& offers, Index receiver,
                                                  Defects open) {
  std::string nobody;
  for (const std::vector<Index>* lacking : {&open.missing, &open.scarce})
    for (const Index c : *lacking)
      if (!offers.anybody_gives(receiver, c)) nobody += concat(nobody.empty() ? "" : ", ", c);
  if (!nobody.empty())
    return failure(ErrorCode::data, "imputation: device ", receiver,
                   " lacks classes that no other device's generator can give: ", nobody);
  std::vector<Partner> out;
  while (!open.none()) {
    Partner chosen =
        detail::choose(offers, detail::find_candidates(offers, receiver, open), open, out.empty());
    const auto filled = [&](Index c) {
      return std::binary_search(chosen.classes.begin(), chosen.classes.end(), c);
    };
    std::erase_if(open.missing, filled);
    std::erase_if(open.scarce, filled);
    out.push_back(std::move(chosen));
  }
  return out;
}

}  // namespace impute
IOTSL_NAMESPACE_END
