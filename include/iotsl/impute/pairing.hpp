#pragma once
// Partner search (the paper's Algorithm 2, lines 11 to 17): which generators fill what a defective
// device lacks.

#include <algorithm>
#include <limits>

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/impute/histogram.hpp"

IOTSL_NAMESPACE_BEGIN
namespace impute {

/// What is known of one device's generator.
struct GeneratorCheck {
  double loss = 0;       ///< of its own quality check, the lower the better; infinite: not checked
  bool flagged = false;  ///< failed that check: used only where nobody else has a class
  /// Samples of each class that it was trained on; empty: the device's whole histogram.
  std::vector<Index> trained = {};
};

/// The loss of the check as a share of what guessing costs, log(classes): few classes are easily
/// told apart. Infinite for one class, with which every judge is right. `trained` must be set.
inline double relative_loss(const GeneratorCheck& check) {
  const auto known =
      std::count_if(check.trained.begin(), check.trained.end(), [](Index n) { return n > 0; });
  return known < 2 ? std::numeric_limits<double>::infinity()
                   : check.loss / scalar_math::log(static_cast<double>(known));
}

/// One generator and the classes it is to fill, ascending.
struct Partner {
  Index generator = 0;  ///< the device whose generator it is
  std::vector<Index> classes;
};

/// Which generator can give which class, and how well. The search for one device's partners goes
/// through the best givers of each class only.
class Offers {
 public:
  /// How far a generator is from being the right one for a class.
  enum class Grade { good, scarce, flagged, none };

  /// `checks`: one per device of `histograms`, which must have passed check_histograms(). A
  /// generator is no good giver of a class that was scarce when it was trained.
  static Result<Offers> create(const data::CountTable& histograms,
                               std::vector<GeneratorCheck> checks, double scarce = default_scarce) {
    if (checks.size() != histograms.size())
      return failure(ErrorCode::data, "imputation: ", checks.size(), " generators for ",
                     histograms.size(), " devices");
    Offers out;
    for (std::size_t d = 0; d < checks.size(); ++d) {
      GeneratorCheck& check = checks[d];
      if (check.trained.empty()) check.trained = histograms[d];
      if (check.trained.size() != histograms[d].size())
        return failure(ErrorCode::data, "imputation: the generator of device ", d, " has ",
                       check.trained.size(), " classes, expected ", histograms[d].size());
      if (std::isnan(check.loss))
        return failure(ErrorCode::data, "imputation: the loss of the generator of device ", d,
                       " is ", check.loss, ", expected a number");
      for (std::size_t c = 0; c < check.trained.size(); ++c)
        if (check.trained[c] < 0 || check.trained[c] > max_class_count)
          return failure(ErrorCode::data, "imputation: the generator of device ", d,
                         " was trained on ", check.trained[c], " samples of class ", c,
                         ", expected 0 to ", max_class_count);
      const double mean = mean_class_size(check.trained);
      std::vector<Grade>& grades = out.grades_.emplace_back();
      for (const Index n : check.trained)
        grades.push_back(n <= 0                                   ? Grade::none
                         : check.flagged                          ? Grade::flagged
                         : static_cast<double>(n) < scarce * mean ? Grade::scarce
                                                                  : Grade::good);
      out.losses_.push_back(relative_loss(check));
    }
    return out;
  }

  Index devices() const { return static_cast<Index>(grades_.size()); }
  Grade grade(Index device, Index label) const {
    return grades_[static_cast<std::size_t>(device)][static_cast<std::size_t>(label)];
  }
  /// The best grade of `label` among all generators but that of `receiver`.
  Grade best(Index receiver, Index label) const {
    Grade out = Grade::none;
    for (Index j = 0; j < devices(); ++j)
      if (j != receiver) out = std::min(out, grade(j, label));
    return out;
  }
  /// Whether `a` is to be preferred to `b` where both give as many classes.
  bool before(Index a, Index b) const {
    const double left = losses_[static_cast<std::size_t>(a)];
    const double right = losses_[static_cast<std::size_t>(b)];
    return left != right ? left < right : a < b;
  }

 private:
  std::vector<double> losses_;              // relative
  std::vector<std::vector<Grade>> grades_;  // [device][class]
};

/// The generators that fill the classes `wanted` (ascending) of device `receiver`, in the order of
/// the search. Each class comes from a generator that gives it in the best grade that any has. Of
/// these: one that has all of `wanted`; where there is none, a greedy set cover, which takes the
/// generator with most of what is still open and so few of them. Ties go to the lower
/// relative_loss(), then to the lower id. Never the receiver's own. A failure names every class
/// that no other generator can give.
///
/// The grades are ours: the paper takes a superset, however poor. A generator that failed its check
/// or has hardly seen a class makes poor images of it, and a poor superset would win over good
/// generators of a few classes each. The price is that a second generator may have to be sent.
inline Result<std::vector<Partner>> find_partners(const Offers& offers, Index receiver,
                                                  const std::vector<Index>& wanted) {
  std::string nobody;
  for (const Index c : wanted)
    if (offers.best(receiver, c) == Offers::Grade::none)
      nobody += concat(nobody.empty() ? "" : ", ", c);
  if (!nobody.empty())
    return failure(ErrorCode::data, "imputation: device ", receiver,
                   " lacks classes that no other device's generator can give: ", nobody);

  std::vector<Partner> out;
  std::vector<Index> open = wanted;
  // A superset of all that is open is what the greedy choice takes, too: the first turn finds it.
  while (!open.empty()) {
    Partner chosen{.generator = -1, .classes = {}};
    for (Index j = 0; j < offers.devices(); ++j) {
      if (j == receiver) continue;
      std::vector<Index> given;
      for (const Index c : open)
        if (offers.grade(j, c) == offers.best(receiver, c)) given.push_back(c);
      const bool better = given.size() > chosen.classes.size() ||
                          (given.size() == chosen.classes.size() && !given.empty() &&
                           offers.before(j, chosen.generator));
      if (better) chosen = {j, std::move(given)};
    }
    const auto filled = [&](Index c) {
      return std::binary_search(chosen.classes.begin(), chosen.classes.end(), c);
    };
    open.erase(std::remove_if(open.begin(), open.end(), filled), open.end());
    out.push_back(std::move(chosen));
  }
  return out;
}

}  // namespace impute
IOTSL_NAMESPACE_END
