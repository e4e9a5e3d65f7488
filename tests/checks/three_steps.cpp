// Three training steps of the compact net; prints the SHA-256 of all state. same_bits.py compiles it
// at several optimisation levels.
#include <cstdio>

#include "iotsl/iotsl.hpp"
#include "iotsl/nn/state.hpp"

int main() {
  using namespace iotsl;
  set_threads(1);
  Sequential<float> net = build_model<float>({.width = 6});
  net.initialize(1);
  Optimizer<float> optimizer(net.parameters(), {.kind = OptimizerKind::adam, .lr = 1e-3});
  const data::Dataset digits = data::make_glyphs(data::Split::train, 27);
  const data::Loader loader(digits, 9);
  for (Index b = 0; b < loader.batches(); ++b) {
    Tensor<float> x = Tensor<float>::uninitialized({loader.batch_size(b), 1, 28, 28});
    std::vector<std::int32_t> labels(static_cast<std::size_t>(loader.batch_size(b)));
    loader.fill(b, x.mutable_data(), labels.data());
    backward(softmax_cross_entropy<float>(net.forward(x), labels));
    optimizer.step();
  }
  std::printf("%s\n", state_sha256(net).c_str());
}
