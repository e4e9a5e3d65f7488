#pragma once
// Is a generator worth sharing? A small classifier is trained on what it makes and tested on real
// samples that it has never seen; and does it repeat its training samples?

#include <limits>

#include "iotsl/data/batch.hpp"
#include "iotsl/data/held_out.hpp"
#include "iotsl/gan/judge.hpp"
#include "iotsl/gan/sample.hpp"
#include "iotsl/gan/small_images.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Informedness below which a class fails: half of the way from guessing to no mistake, which is an
/// accuracy of 75 % with two classes and of 55 % with ten. A convention.
inline constexpr double default_informedness = 0.5;

/// What the check found. Distances are Euclidean over pixels in [0,1] of small_images().
///
/// A class is judged by its informedness (Youden 1950): the part of its own held-out samples that
/// the judge takes for it, less the part of each other class's, on average, that it takes for it.
/// Whoever guesses has 0 on average, with any number of classes and any preference; who makes no
/// mistake 1, and who is wrong on purpose less than 0. Where the judge names none but the held-out
/// classes, C of them, the mean over these is (accuracy - 1/C) / (1 - 1/C). Of two classes both
/// have the same: which of them is to blame cannot be told.
struct Quality {
  bool checked = false;     ///< else nothing is known of accuracy and loss, and no class is listed
  double accuracy = 0;      ///< on the held-out samples, each class with the same weight, in [0,1]
  double informedness = 0;  ///< likewise, in [-1,1]
  double loss = 0;          ///< cross-entropy on them; of guessing: log(classes the judge knows)
  std::vector<std::uint32_t> classes;         ///< those that were checked, ascending
  std::vector<double> class_accuracy;         ///< in their order
  std::vector<double> class_informedness;     ///< likewise
  std::vector<std::uint64_t> class_held_out;  ///< samples behind both
  double distinct = 0;           ///< share of different images among those generated for the check
  double nearest_generated = 0;  ///< mean distance of generated images to the nearest training one
  double nearest_held_out = 0;   ///< the same of the held-out ones: much more means memorisation
  double threshold = 0;          ///< informedness that a class must have

  /// The checked classes that have it, or those that do not: better not used.
  std::vector<std::uint32_t> passed() const { return classes_where(true); }
  std::vector<std::uint32_t> failed() const { return classes_where(false); }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("checked", self.checked);
    f("accuracy", self.accuracy);
    f("informedness", self.informedness);
    f("loss", self.loss);
    f("classes", self.classes);
    f("class_accuracy", self.class_accuracy);
    f("class_informedness", self.class_informedness);
    f("class_held_out", self.class_held_out);
    f("distinct", self.distinct);
    f("nearest_generated", self.nearest_generated);
    f("nearest_held_out", self.nearest_held_out);
    f("threshold", self.threshold);
  }

 private:
  std::vector<std::uint32_t> classes_where(bool good) const {
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < classes.size(); ++i)
      if ((class_informedness[i] >= threshold) == good) out.push_back(classes[i]);
    return out;
  }
};

/// Whether a Quality from a file is one of a generator of so many classes.
inline Result<void> check_quality_record(const Quality& quality, std::size_t classes) {
  const std::size_t checked = quality.classes.size();
  if (quality.class_accuracy.size() != checked || quality.class_informedness.size() != checked ||
      quality.class_held_out.size() != checked)
    return failure(ErrorCode::data, "quality: ", checked, " classes with ",
                   quality.class_accuracy.size(), " accuracies, ",
                   quality.class_informedness.size(), " values of informedness and ",
                   quality.class_held_out.size(), " numbers of samples");
  for (std::size_t i = 0; i < checked; ++i)
    if (quality.classes[i] >= classes || (i > 0 && quality.classes[i] <= quality.classes[i - 1]))
      return failure(ErrorCode::data, "quality: class ", quality.classes[i], " at place ", i,
                     ", expected ascending numbers below ", classes);
  return {};
}

/// Holds out 5 % of the different images of each class, at least 10, but never more than half of
/// them; drawn by `seed`.
inline data::HeldOutSplit hold_out(const data::Dataset& set, std::span<const Index> samples,
                                   std::uint64_t seed) {
  return data::hold_out(set, samples, Random(seed, Stream::quality), [](Index images) {
    return std::min(std::max<Index>(10, (images + 19) / 20), images / 2);
  });
}

/// Whether a judge's accuracy on the held-out samples means anything: one that knows a single class
/// is always right, whatever the generator makes.
inline bool can_be_checked(const data::Dataset& set, const data::HeldOutSplit& samples) {
  for (const Index i : samples.held_out)
    if (set.labels[static_cast<std::size_t>(i)] !=
        set.labels[static_cast<std::size_t>(samples.held_out[0])])
      return true;
  return false;
}

struct QualityOptions {
  Index per_class = 200;  ///< generated images that the judge is trained on
  Index steps = 150;      ///< of the judge's training, 64 images each
  double threshold = default_informedness;
  std::size_t neighbours = 64;  ///< images of either kind whose nearest training sample is sought
  bool memorisation = true;     ///< look for nearest neighbours at all
  StopCheck stop = {};          ///< asked several times a second
};

namespace detail {

/// Mean over `from`, at most `count` of them, evenly spread, of the distance to the nearest of
/// `to`. Nothing where it was stopped.
inline std::optional<double> mean_nearest(const data::Dataset& from, const data::Dataset& to,
                                          std::size_t count, const StopCheck& stop) {
  const auto all = static_cast<std::size_t>(from.size());
  const std::size_t used = std::min(count, all);
  if (used == 0 || to.size() == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0; i < used; ++i) {
    if (stop()) return std::nullopt;
    const auto a = from.sample(static_cast<Index>(i * all / used));
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    for (Index j = 0; j < to.size(); ++j) {
      const auto b = to.sample(j);
      std::uint64_t squares = 0;
      for (std::size_t k = 0; k < a.size(); ++k) {
        const int difference = int{a[k]} - int{b[k]};
        squares += static_cast<std::uint64_t>(difference * difference);
      }
      least = std::min(least, squares);
    }
    sum += scalar_math::sqrt(static_cast<double>(least)) / 255;
  }
  return sum / static_cast<double>(used);
}

/// Every class that has held-out samples.
inline void judge_classes(const Verdicts& verdicts, Quality& out) {
  for (std::size_t label = 0; label < verdicts.named.size(); ++label)
    if (verdicts.samples(label) > 0) out.classes.push_back(static_cast<std::uint32_t>(label));
  const auto count = static_cast<double>(out.classes.size());
  for (const std::uint32_t label : out.classes) {
    double mistaken = 0;
    for (const std::uint32_t other : out.classes)
      if (other != label) mistaken += verdicts.share(other, label) / (count - 1);
    const double known = verdicts.share(label, label);
    out.class_held_out.push_back(static_cast<std::uint64_t>(verdicts.samples(label)));
    out.class_accuracy.push_back(known);
    out.class_informedness.push_back(known - mistaken);
    out.accuracy += known / count;
    out.informedness += (known - mistaken) / count;
  }
  out.loss = verdicts.loss;
}

}  // namespace detail

/// Checks images that stand for the training samples of `set` against those that were held out.
/// Where samples of fewer than two classes were, there is nothing to tell apart: `checked` stays
/// false. What is said of distinct images and of distances holds in any case. `seed`: of the judge.
/// Nothing where it was stopped.
inline std::optional<Quality> check_images(const data::Dataset& generated, const data::Dataset& set,
                                           const data::HeldOutSplit& samples, std::uint64_t seed,
                                           const QualityOptions& options = {}) {
  Quality out;
  out.threshold = options.threshold;
  if (generated.size() == 0) return out;
  const std::vector<Index> all = data::count_up(generated.size());
  out.distinct = static_cast<double>(data::group_equal_images(generated, all).size()) /
                 static_cast<double>(generated.size());
  const data::Dataset made = small_images(generated, all),
                      held_out = small_images(set, samples.held_out);
  if (options.memorisation) {
    const data::Dataset train = small_images(set, samples.train);
    for (const auto& [from, away] :
         {std::pair{&made, &out.nearest_generated}, std::pair{&held_out, &out.nearest_held_out}}) {
      const auto mean = detail::mean_nearest(*from, train, options.neighbours, options.stop);
      if (!mean) return std::nullopt;
      *away = *mean;
    }
  }
  if (!can_be_checked(set, samples)) return out;
  auto judge = detail::train_judge(made, seed, options.steps, options.stop);
  if (!judge) return std::nullopt;
  const auto verdicts = detail::ask_judge(*judge, held_out, options.stop);
  if (!verdicts) return std::nullopt;
  detail::judge_classes(*verdicts, out);
  out.checked = true;
  return out;
}

/// check_images() for a generator of `set`'s classes.
inline std::optional<Quality> check_quality(const GeneratorNet<float>& net,
                                            const data::Dataset& set,
                                            const data::HeldOutSplit& samples,
                                            const SampleSource& source,
                                            const QualityOptions& options = {}) {
  data::Dataset generated = empty_set(set.name, net.spec().images);
  std::vector<bool> trained(static_cast<std::size_t>(set.classes));
  for (const Index i : samples.train) trained[set.labels[static_cast<std::size_t>(i)]] = true;
  for (std::size_t label = 0; label < trained.size(); ++label)
    if (trained[label] && !append_generated(generated, net, static_cast<Index>(label),
                                            options.per_class, source, options.stop))
      return std::nullopt;
  return check_images(generated, set, samples, source.seed, options);
}

}  // namespace gan
IOTSL_NAMESPACE_END
