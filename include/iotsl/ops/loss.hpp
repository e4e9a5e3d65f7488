#pragma once
// Softmax, softmax cross-entropy and the mean squared error.

#include "iotsl/kernels/reduce/loss.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/labels.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> log_softmax(const Tensor<T>& x);

namespace detail {

template <class T>
void log_softmax_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const Tensor<T> y = node.saved(0);
  gx[0] = sub(gy, mul(exp(y), sum(gy, {1}, true)));
}
/// (softmax(x) - one_hot(label)) / N.
template <class T>
void softmax_cross_entropy_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const Tensor<T> x = node.saved(0);
  const Index n = x.shape()[0], classes = x.shape()[1];
  const Tensor<T> target = one_hot<T>(kept_labels(node, static_cast<std::size_t>(n)), classes);
  gx[0] = mul(sub(exp(log_softmax(x)), target), scale(gy, T(1) / static_cast<T>(n)));
}
template <class T>
inline constexpr OpInfo<T> log_softmax_op{"log_softmax", &log_softmax_vjp<T>};
template <class T>
inline constexpr OpInfo<T> softmax_cross_entropy_op{"softmax_cross_entropy",
                                                    &softmax_cross_entropy_vjp<T>};

}  // namespace detail

/// Logarithm of the softmax over the classes: [N,M] to [N,M].
template <class T>
Tensor<T> log_softmax(const Tensor<T>& x) {
  if (x.rank() != 2 || x.shape()[1] < 1) fail("log_softmax: expects x [N,M], given ", x.shape());
  Tensor<T> y = Tensor<T>::uninitialized(x.shape());
  kernels::log_softmax(x.shape()[0], x.shape()[1], x.data(), y.mutable_data());
  if (Node<T>* node = record(detail::log_softmax_op<T>, y, x)) node->save_output(y);
  return y;
}

/// The shape of softmax(x), that of x; a failure where x is not [N,M].
inline Result<Shape> softmax_shape(const Shape& x) {
  if (x.rank() != 2 || x[1] < 1)
    return failure(ErrorCode::usage, "softmax: expects x [N,M], given ", x);
  return x;
}

/// e^x / sum e^x over the classes: [N,M] to [N,M], rows of probabilities.
template <class T>
Tensor<T> softmax(const Tensor<T>& x) {
  softmax_shape(x.shape()).value();
  return exp(log_softmax(x));
}

/// The shape of mse_loss, a scalar; a failure where x and target differ in shape or are empty.
inline Result<Shape> mse_loss_shape(const Shape& x, const Shape& target) {
  if (!(x == target) || x.elements() == 0)
    return failure(ErrorCode::usage, "mse_loss: x ", x, " and target ", target,
                   "; expected one shape, with elements");
  return Shape{};
}

/// Mean over all elements of (x - target)^2, a scalar; differentiable in both.
template <class T>
Tensor<T> mse_loss(const Tensor<T>& x, const Tensor<T>& target) {
  mse_loss_shape(x.shape(), target.shape()).value();
  return mean(square(sub(x, target)));
}

/// Mean over the batch of -log softmax(logits)[label]: logits [N,M], N labels in [0, M); a scalar.
/// Raises an Error that names the first label out of range.
template <class T>
Tensor<T> softmax_cross_entropy(const Tensor<T>& logits, std::span<const std::int32_t> labels) {
  const Shape& s = logits.shape();
  if (s.rank() != 2 || s[0] < 1 || s[0] != static_cast<Index>(labels.size()))
    fail("softmax_cross_entropy: logits ", s, " and ", labels.size(),
         " labels; expected logits [N,M] and N labels");
  detail::check_labels("softmax_cross_entropy", labels, s[1]);
  Tensor<T> loss = Tensor<T>::uninitialized(Shape{});
  const Scratch log_prob(static_cast<std::size_t>(logits.size()) * sizeof(T));
  kernels::softmax_cross_entropy(s[0], s[1], logits.data(), labels.data(), log_prob.as<T>(),
                                 loss.mutable_data());
  if (Node<T>* node = record(detail::softmax_cross_entropy_op<T>, loss, logits)) {
    node->save(logits);
    node->save_bytes(detail::keep_labels(labels));
  }
  return loss;
}

IOTSL_FLOAT(Tensor<float> log_softmax(const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> softmax(const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> mse_loss(const Tensor<float>&, const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> softmax_cross_entropy(const Tensor<float>&,
                                                std::span<const std::int32_t>))

IOTSL_NAMESPACE_END
