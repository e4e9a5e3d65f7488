#pragma once
// Loss and accuracy of a classifier on a data set, overall and per class.

#include "iotsl/data/dataset.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct Evaluation {
  double loss = 0;                      ///< mean cross-entropy
  std::vector<Index> correct, samples;  ///< per class

  Index total() const { return sum(samples); }
  /// Fraction of all samples that are classified correctly.
  double accuracy() const { return fraction(sum(correct), total()); }
  /// Fraction per class; 0 for a class without samples.
  std::vector<double> class_accuracy() const {
    std::vector<double> out;
    for (std::size_t c = 0; c < samples.size(); ++c)
      out.push_back(fraction(correct[c], samples[c]));
    return out;
  }

 private:
  static Index sum(const std::vector<Index>& counts) {
    Index total = 0;
    for (const Index count : counts) total += count;
    return total;
  }
  static double fraction(Index part, Index whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

/// The class with the largest of `classes` logits; the first of equals.
inline Index predicted_class(const float* logits, Index classes) {
  return std::max_element(logits, logits + classes) - logits;
}

/// Evaluates `predict`, which gives logits [n,classes] for samples [n,C,H,W], on the whole set,
/// which must have at least one sample.
template <class Predict>
Evaluation evaluate(const data::Dataset& set, const Predict& predict, Index batch = 200) {
  if (set.size() == 0) fail("evaluate: the set '", set.name, "' has no samples");
  const NoRecord no_record;
  Evaluation out;
  out.correct.assign(static_cast<std::size_t>(set.classes), 0);
  out.samples.assign(static_cast<std::size_t>(set.classes), 0);
  double loss = 0;
  for (Index begin = 0; begin < set.size(); begin += batch) {
    const Index n = std::min(batch, set.size() - begin);
    std::vector<Index> numbers;
    for (Index i = 0; i < n; ++i) numbers.push_back(begin + i);
    Tensor<float> x = Tensor<float>::uninitialized({n, set.channels, set.height, set.width});
    std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
    data::copy_batch(set, numbers, x.mutable_data(), labels.data());
    const Tensor<float> logits = predict(x);
    const Tensor<float> batch_loss =
        softmax_cross_entropy(logits, std::span<const std::int32_t>(labels));
    loss += static_cast<double>(batch_loss.item()) * static_cast<double>(n);
    for (Index i = 0; i < n; ++i) {
      const auto label = static_cast<std::size_t>(labels[static_cast<std::size_t>(i)]);
      const Index guess = predicted_class(logits.data() + i * logits.extent(1), logits.extent(1));
      ++out.samples[label];
      out.correct[label] += guess == static_cast<Index>(label);
    }
  }
  out.loss = loss / static_cast<double>(set.size());
  return out;
}

/// The same for a net, in evaluation mode.
inline Evaluation evaluate(Sequential<float>& model, const data::Dataset& set, Index batch = 200) {
  return evaluate(
      set, [&model](const Tensor<float>& x) { return model.forward(x, ForwardMode{}); }, batch);
}

}  // namespace split
IOTSL_NAMESPACE_END
