// Runs one convolution a number of times on one thread: what count_instructions.py counts.
//
// usage: convolution_runs RUNS OPERATION N C SIZE K KERNEL STRIDE PAD
// OPERATION: forward, input_grad or weight_grad; the image is SIZE x SIZE, the kernel KERNEL x
// KERNEL.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "iotsl/kernels/conv2d/conv2d.hpp"

int main(int argc, char** argv) {
  using iotsl::Index;
  if (argc != 10) {
    std::fprintf(stderr, "usage: %s RUNS OPERATION N C SIZE K KERNEL STRIDE PAD\n", argv[0]);
    return 2;
  }
  Index number[7];
  for (int i = 0; i < 7; ++i) number[i] = std::atol(argv[3 + i]);
  const auto [n, c, size, k, kernel, stride, pad] = number;
  const Index out = (size + 2 * pad - kernel) / stride + 1;
  const iotsl::kernels::ConvShape s{n,   c,      size,   size, k,   kernel, kernel, out,
                                    out, stride, stride, pad,  pad, 1,      1};
  const auto floats = [](Index count, float value) {
    return std::vector<float>(static_cast<std::size_t>(count), value);
  };
  std::vector<float> x = floats(n * c * size * size, 0.5F);
  std::vector<float> w = floats(k * c * kernel * kernel, 0.25F);
  std::vector<float> y = floats(n * k * out * out, 0.125F);
  iotsl::set_threads(1);
  for (int runs = std::atoi(argv[1]); runs > 0; --runs) {
    if (std::strcmp(argv[2], "forward") == 0)
      iotsl::kernels::conv2d(s, x.data(), w.data(), nullptr, y.data());
    else if (std::strcmp(argv[2], "input_grad") == 0)
      iotsl::kernels::conv2d_input_grad(s, y.data(), w.data(), x.data());
    else
      iotsl::kernels::conv2d_weight_grad(s, x.data(), y.data(), w.data());
  }
  return 0;
}
