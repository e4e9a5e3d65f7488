#pragma once
// ReLU and dropout.

#include "iotsl/core/parallel.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/ops/elementwise.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> dropout(Tensor<T> x, double probability, const Random& random);

namespace detail {

template <class T>
Tensor<T> relu_grad(Tensor<T> gy, const Tensor<T>& y);

template <class T>
void relu_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  // The derivative's own derivative is zero almost everywhere: the mask is a constant.
  gx[0] = relu_grad(std::move(gy), node.saved(0).detach());
}
template <class T>
void relu_grad_vjp(const Node<T>& node, Tensor<T>& gz, Tensor<T>* gx) {
  gx[0] = relu_grad(std::move(gz), node.saved(0));
}
template <class T>
inline constexpr OpInfo<T> relu_op{"relu", &relu_vjp<T>};
template <class T>
inline constexpr OpInfo<T> relu_grad_op{"relu_grad", &relu_grad_vjp<T>};

/// gy where y > 0, else 0.
template <class T>
Tensor<T> relu_grad(Tensor<T> gy, const Tensor<T>& y) {
  Tensor<T> gx = output_like(gy);
  kernels::binary(kernels::Binary::relu_grad, gy.size(), gy.data(), y.data(), gx.mutable_data());
  if (Node<T>* node = record(relu_grad_op<T>, gx, gy)) node->save(y);
  return gx;
}

struct DropoutAttributes {
  Random random;
  double probability;
};

template <class T>
void dropout_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  // The mask is a function of the counters, so it is drawn again instead of being kept.
  const auto a = node.template attributes<DropoutAttributes>();
  gx[0] = dropout(std::move(gy), a.probability, a.random);
}
template <class T>
inline constexpr OpInfo<T> dropout_op{"dropout", &dropout_vjp<T>};

}  // namespace detail

/// max(x, 0). Gradient: gy where the output is positive, 0 elsewhere (also at 0); saves its output.
template <class T>
Tensor<T> relu(Tensor<T> x) {
  Tensor<T> y = detail::output_like(x);
  kernels::unary(kernels::Unary::relu, x.size(), x.data(), y.mutable_data());
  if (Node<T>* node = record(detail::relu_op<T>, y, x)) node->save_output(y);
  return y;
}

/// Sets each value to 0 with `probability` in [0, 1) and divides the others by 1 - probability.
/// Value i is dropped if number i of `random` is below the probability.
template <class T>
Tensor<T> dropout(Tensor<T> x, double probability, const Random& random) {
  if (!(probability >= 0 && probability < 1))
    fail("dropout: probability ", probability, "; expected 0 <= p < 1");
  if (probability == 0) return x;
  Tensor<T> y = detail::output_like(x);
  const auto threshold = static_cast<std::uint64_t>(probability * 0x1p32);
  const T factor = static_cast<T>(1 / (1 - probability));
  const T* from = x.data();
  T* to = y.mutable_data();
  // A multiple of 4, the numbers of a block of `random`; decides no bits.
  constexpr Index chunk_elems = 1 << 14;
  parallel_chunks(x.size(), chunk_elems, [&](Index begin, Index end) {
    for (Index i = begin; i < end; i += 4) {
      const auto words = random.block(static_cast<std::uint64_t>(i) / 4);
      for (Index lane = 0; lane < 4 && i + lane < end; ++lane)
        to[i + lane] =
            words[static_cast<std::size_t>(lane)] < threshold ? T(0) : from[i + lane] * factor;
    }
  });
  if (Node<T>* node = record(detail::dropout_op<T>, y, x))
    node->set_attributes(detail::DropoutAttributes{random, probability});
  return y;
}

IOTSL_FLOAT(Tensor<float> relu(Tensor<float>))
IOTSL_FLOAT(Tensor<float> dropout(Tensor<float>, double, const Random&))

IOTSL_NAMESPACE_END
