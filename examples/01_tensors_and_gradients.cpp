// Tensors and gradients: a tensor is a shared handle, operators record a graph where a gradient is
// wanted, and grad() walks it back.

#include <cmath>
#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

static void print(const char* name, const Tensor<float>& t) {
  std::printf("%-10s %-6s", name, to_string(t.shape()).c_str());
  for (float v : t.values()) std::printf(" %8.4f", static_cast<double>(v));
  std::printf("\n");
}

int main() {
  // y = tanh(x W + b): a layer with two inputs and three outputs, for a batch of two.
  const auto x = Tensor<float>::from({2, 2}, {1.0f, -2.0f, 0.5f, 3.0f});
  auto weight = Tensor<float>::from({2, 3}, {0.1f, -0.2f, 0.3f, 0.4f, 0.5f, -0.6f});
  auto bias = Tensor<float>::zeros({3});
  weight.set_requires_grad();
  bias.set_requires_grad();

  const auto y = tanh(matmul(x, weight) + bias);  // the bias is broadcast over the batch
  const auto loss = mean(square(y));
  print("y", y);
  print("loss", loss);

  // One gradient per input, with that input's shape.
  const auto gradients = grad<float>({loss}, {weight, bias});
  print("d/dweight", gradients[0]);
  print("d/dbias", gradients[1]);

  // The gradient predicts what a small step does: loss(w - h g) = loss(w) - h |g|^2 + O(h^2).
  const float step = 1e-2f;
  const auto moved = mean(square(tanh(matmul(x, weight - scale(gradients[0], step)) + bias)));
  const float predicted = loss.item() - step * sum(square(gradients[0])).item();
  std::printf("after a step of %g: loss %.6f, predicted %.6f\n", static_cast<double>(step),
              static_cast<double>(moved.item()), static_cast<double>(predicted));
  if (std::abs(moved.item() - predicted) > 1e-4f) return 1;

  // Inside NoRecord nothing is recorded: evaluation needs no graph.
  {
    const NoRecord guard;
    if (matmul(x, weight).requires_grad()) return 1;
  }

  // Mistakes are named, with the values. Without exceptions the text is printed and the program
  // ends.
#if IOTSL_EXCEPTIONS
  try {
    matmul(x, bias);
  } catch (const Error& error) {
    std::printf("as it should be: %s\n", error.what());
    return 0;
  }
  return 1;
#else
  return 0;
#endif
}
