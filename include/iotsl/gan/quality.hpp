#pragma once
// Is a generator worth sharing? A small classifier is trained on what it makes and tested on real
// samples that it has never seen; and does it repeat its training samples?

#include <limits>

#include "iotsl/data/held_out.hpp"
#include "iotsl/gan/sample.hpp"
#include "iotsl/nn/sequential.hpp"
#include "iotsl/optim/optimizer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// What the check found. Fractions are in [0,1]; distances are Euclidean over pixels in [0,1].
struct Quality {
  bool checked = false;  ///< else nothing is known of accuracy and loss, and no class is listed
  double accuracy = 0;   ///< on the held-out samples, each class with the same weight
  double loss = 0;       ///< cross-entropy on them; of guessing: log(classes the judge knows)
  std::vector<std::uint32_t> classes;         ///< those that were checked
  std::vector<double> class_accuracy;         ///< in their order
  std::vector<std::uint64_t> class_held_out;  ///< samples behind it
  double distinct = 0;           ///< share of different images among those generated for the check
  double nearest_generated = 0;  ///< mean distance of generated images to the nearest training one
  double nearest_held_out = 0;   ///< the same of the held-out ones: much more means memorisation
  double threshold = 0;
  bool flagged = false;  ///< below the threshold: better not used

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("checked", self.checked);
    f("accuracy", self.accuracy);
    f("loss", self.loss);
    f("classes", self.classes);
    f("class_accuracy", self.class_accuracy);
    f("class_held_out", self.class_held_out);
    f("distinct", self.distinct);
    f("nearest_generated", self.nearest_generated);
    f("nearest_held_out", self.nearest_held_out);
    f("threshold", self.threshold);
    f("flagged", self.flagged);
  }
};

/// Holds out 5 % of each class, at least 10, but never more than half of it; drawn by `seed`.
inline data::HeldOutSplit hold_out(const data::Dataset& set, std::span<const Index> samples,
                                   std::uint64_t seed) {
  return data::hold_out(set, samples, Random(seed, Stream::quality), [](Index members) {
    return std::min(std::max<Index>(10, (members + 19) / 20), members / 2);
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

namespace detail {

/// Two convolutions and a linear layer: enough for digits, trained in a second.
inline Sequential<float> judge_net(const data::Dataset& set) {
  const Index h = set.height / 2 / 2, w = set.width / 2 / 2;
  const Pool2dOptions half{.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2};
  Sequential<float> net;
  net.add("conv1", Conv2d<float>(set.channels, 16, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("relu1", Relu<float>{});
  net.add("pool1", MaxPool2d<float>{half});
  net.add("conv2", Conv2d<float>(16, 32, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("relu2", Relu<float>{});
  net.add("pool2", MaxPool2d<float>{half});
  net.add("flatten", Flatten<float>{});
  net.add("linear", Linear<float>(32 * h * w, set.classes));
  return net;
}

/// Samples [begin, end) of an order as one batch.
struct Batch {
  Tensor<float> pixels;
  std::vector<std::int32_t> labels;

  Batch(const data::Dataset& set, std::span<const Index> samples)
      : pixels(Tensor<float>::uninitialized(
            Shape{static_cast<Index>(samples.size()), set.channels, set.height, set.width})),
        labels(samples.size()) {
    data::copy_batch(set, samples, pixels.mutable_data(), labels.data());
  }
};

inline Sequential<float> train_judge(const data::Dataset& generated, std::uint64_t seed,
                                     Index steps) {
  Sequential<float> net = judge_net(generated);
  net.initialize(seed);
  Optimizer<float> adam(net.parameters(), {.kind = OptimizerKind::adam, .lr = 2e-3});
  const Index batch = std::min<Index>(64, generated.size());
  std::vector<Index> chosen(static_cast<std::size_t>(batch));
  for (Index step = 0; step < steps; ++step) {
    const Random random(seed, Stream::quality, static_cast<std::uint32_t>(step) + 1);
    for (std::size_t i = 0; i < chosen.size(); ++i)
      chosen[i] = static_cast<Index>(random.below(i, static_cast<std::uint64_t>(generated.size())));
    const Batch b(generated, chosen);
    backward(softmax_cross_entropy<float>(net.forward(b.pixels, {.training = true}), b.labels));
    adam.step();
  }
  return net;
}

/// Mean over `from` of the distance to the nearest of `to`.
inline double mean_nearest(const data::Dataset& from, std::span<const Index> some,
                           const data::Dataset& to, std::span<const Index> others) {
  if (some.empty() || others.empty()) return 0;
  double sum = 0;
  for (const Index i : some) {
    const auto a = from.sample(i);
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    for (const Index j : others) {
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
  return sum / static_cast<double>(some.size());
}

/// At most `count` of them, evenly spread.
inline std::vector<Index> spread(std::span<const Index> values, std::size_t count) {
  std::vector<Index> out;
  const std::size_t used = std::min(count, values.size());
  for (std::size_t i = 0; i < used; ++i) out.push_back(values[i * values.size() / used]);
  return out;
}

/// Tests the judge on the held-out samples, class by class.
inline void test_judge(Sequential<float>& judge, const data::Dataset& set,
                       std::span<const Index> test, Quality& out) {
  const auto classes = static_cast<std::size_t>(set.classes);
  std::vector<std::uint64_t> correct(classes), seen(classes);
  const NoRecord values_only;
  double loss = 0;
  for (std::size_t begin = 0; begin < test.size(); begin += 64) {
    const Batch b(set, test.subspan(begin, std::min<std::size_t>(64, test.size() - begin)));
    const Tensor<float> logits = judge.forward(b.pixels, {});
    loss += static_cast<double>(softmax_cross_entropy<float>(logits, b.labels).item()) *
            static_cast<double>(b.labels.size());
    for (std::size_t i = 0; i < b.labels.size(); ++i) {
      const float* row = logits.data() + static_cast<Index>(i) * set.classes;
      const auto label = static_cast<std::size_t>(b.labels[i]);
      ++seen[label];
      correct[label] += std::max_element(row, row + set.classes) == row + label;
    }
  }
  out.loss = loss / static_cast<double>(test.size());
  for (std::size_t label = 0; label < classes; ++label) {
    if (seen[label] == 0) continue;
    out.classes.push_back(static_cast<std::uint32_t>(label));
    out.class_held_out.push_back(seen[label]);
    out.class_accuracy.push_back(static_cast<double>(correct[label]) /
                                 static_cast<double>(seen[label]));
    out.accuracy += out.class_accuracy.back();
  }
  out.accuracy /= static_cast<double>(out.classes.size());
}

}  // namespace detail

struct QualityOptions {
  Index per_class = 200;        ///< generated images that the judge is trained on
  Index steps = 150;            ///< of the judge's training, 64 images each
  double threshold = 0.6;       ///< accuracy below which a generator is flagged
  std::size_t neighbours = 64;  ///< images of either kind whose nearest training sample is sought
  bool memorisation = true;     ///< look for nearest neighbours at all
};

/// Checks images that stand for the training samples of `set` against those that were held out.
/// Where samples of fewer than two classes were, there is nothing to tell apart: `checked` stays
/// false. What is said of distinct images and of distances holds in any case. `seed`: of the judge.
inline Quality check_images(const data::Dataset& generated, const data::Dataset& set,
                            const data::HeldOutSplit& samples, std::uint64_t seed,
                            const QualityOptions& options = {}) {
  Quality out;
  out.threshold = options.threshold;
  if (generated.size() == 0) return out;

  std::vector<std::string_view> images;
  const auto elems = static_cast<std::size_t>(generated.sample_elems());
  for (Index i = 0; i < generated.size(); ++i)
    images.push_back({reinterpret_cast<const char*>(generated.sample(i).data()), elems});
  std::sort(images.begin(), images.end());
  const auto different = std::unique(images.begin(), images.end()) - images.begin();
  out.distinct = static_cast<double>(different) / static_cast<double>(generated.size());

  if (options.memorisation) {
    const std::vector<Index> all = data::count_up(generated.size());
    out.nearest_generated = detail::mean_nearest(generated, detail::spread(all, options.neighbours),
                                                 set, samples.train);
    out.nearest_held_out = detail::mean_nearest(
        set, detail::spread(samples.held_out, options.neighbours), set, samples.train);
  }
  if (!can_be_checked(set, samples)) return out;
  Sequential<float> judge = detail::train_judge(generated, seed, options.steps);
  detail::test_judge(judge, set, samples.held_out, out);
  out.checked = true;
  out.flagged = out.accuracy < options.threshold;
  return out;
}

/// check_images() for a generator of `set`'s classes.
inline Quality check_quality(const GeneratorNet<float>& net, const data::Dataset& set,
                             const data::HeldOutSplit& samples, const SampleSource& source,
                             const QualityOptions& options = {}) {
  data::Dataset generated = empty_set(set.name, net.spec().images);
  std::vector<bool> trained(static_cast<std::size_t>(set.classes));
  for (const Index i : samples.train) trained[set.labels[static_cast<std::size_t>(i)]] = true;
  for (std::size_t label = 0; label < trained.size(); ++label)
    if (trained[label])
      append_generated(generated, net, static_cast<Index>(label), options.per_class, source);
  return check_images(generated, set, samples, source.seed, options);
}

}  // namespace gan
IOTSL_NAMESPACE_END
