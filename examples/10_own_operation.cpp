// An operation of your own with its gradient: a loop over the values, and a function that says what
// the gradient is in terms of other operations. So the gradient of the gradient comes by itself.
// Compile with: g++ -std=c++20 -Iinclude FILE

#include <cmath>
#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

// softplus(x) = log(1 + e^x), without overflow for large x.

/// Given dL/dy, sets dL/dx for each input: here dL/dy * sigmoid(x). `node` has what was saved.
template <class T>
void softplus_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = mul(gy, sigmoid(node.saved(0)));
}
template <class T>
inline constexpr OpInfo<T> softplus_op{"softplus", &softplus_vjp<T>};

template <class T>
Tensor<T> softplus(const Tensor<T>& x) {
  Tensor<T> y = Tensor<T>::uninitialized(x.shape());
  const T* from = x.data();
  T* to = y.mutable_data();
  for (Index i = 0; i < x.size(); ++i)
    to[i] = std::max(from[i], T(0)) + std::log1p(std::exp(-std::abs(from[i])));
  // Null where nobody wants a gradient.
  if (Node<T>* node = record(softplus_op<T>, y, x)) node->save(x);
  return y;
}

int main() {
  using T = double;
  Tensor<T> x = Tensor<T>::from({2, 3}, {-40.0, -1.5, -0.1, 0.3, 2.0, 800.0});
  x.set_requires_grad();
  const Tensor<T> y = softplus(x);
  const Tensor<T> first = grad(sum(y), x, {}, {.create_graph = true});
  const Tensor<T> second = grad(sum(first), x);

  // Judge: differences. softplus' = sigmoid, softplus'' = sigmoid (1 - sigmoid).
  const T h = 1e-5;
  const Tensor<T> above = softplus(add_scalar(x.detach(), h));
  const Tensor<T> below = softplus(add_scalar(x.detach(), -h));
  T worst = 0;
  for (Index i = 0; i < x.size(); ++i) {
    const T measured = (above.data()[i] - below.data()[i]) / (2 * h);
    const T curvature = (above.data()[i] - 2 * y.data()[i] + below.data()[i]) / (h * h);
    std::printf("x %6.1f: y %.6f, y' %.6f (measured %.6f), y'' %.4f (measured %.4f)\n", x.data()[i],
                y.data()[i], first.data()[i], measured, second.data()[i], curvature);
    worst = std::max(worst, std::abs(first.data()[i] - measured));
    if (std::abs(x.data()[i]) < 10)  // elsewhere the second difference is rounding
      worst = std::max(worst, 1e-4 * std::abs(second.data()[i] - curvature));
  }
  std::printf("largest difference %.1e\n", worst);
  return worst < 1e-8 ? 0 : 1;
}
