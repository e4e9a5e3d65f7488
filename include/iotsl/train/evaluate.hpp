#pragma once
// Loss and accuracy of a classifier on a data set, overall and per class.

#include "iotsl/data/batch.hpp"
#include "iotsl/nn/sequential.hpp"
#include "iotsl/ops/loss.hpp"

IOTSL_NAMESPACE_BEGIN
namespace train {

/// How good a classifier is on a set.
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

/// Evaluates `predict`, which gives logits [n,classes] for samples [n,C,H,W], on the whole set,
/// which must have at least one sample.
template <class Predict>
Evaluation evaluate(const data::Dataset& set, const Predict& predict, Index batch = 200) {
  if (set.size() == 0) fail("evaluate: the set '", set.name, "' has no samples");
  if (batch < 1) fail("evaluate: batches of ", batch, " samples, expected at least 1");
  const NoRecord no_record;
  Evaluation out;
  out.correct.assign(static_cast<std::size_t>(set.classes), 0);
  out.samples.assign(static_cast<std::size_t>(set.classes), 0);
  const std::vector<Index> all = data::count_up(set.size());
  double loss = 0;
  for (std::size_t begin = 0; begin < all.size(); begin += static_cast<std::size_t>(batch)) {
    const std::size_t n = std::min(static_cast<std::size_t>(batch), all.size() - begin);
    const data::Batch own = data::fetch_batch(set, std::span(all).subspan(begin, n));
    const Tensor<float> logits = predict(own.x);
    const Tensor<float> batch_loss = softmax_cross_entropy<float>(logits, own.labels);
    loss += static_cast<double>(batch_loss.item()) * static_cast<double>(n);
    const std::vector<Index> predicted = argmax(logits);
    for (std::size_t i = 0; i < predicted.size(); ++i) {
      const auto label = static_cast<std::size_t>(own.labels[i]);
      ++out.samples[label];
      out.correct[label] += predicted[i] == own.labels[i];
    }
  }
  out.loss = loss / static_cast<double>(set.size());
  return out;
}

/// The same for a net, in evaluation mode.
template <class T>
Evaluation evaluate(Sequential<T>& model, const data::Dataset& set, Index batch = 200) {
  return evaluate(
      set, [&model](const Tensor<T>& x) { return model.forward(x, ForwardMode{}); }, batch);
}

}  // namespace train
IOTSL_NAMESPACE_END
