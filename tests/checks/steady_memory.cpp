// Steps of training with what keeps something until the walk: batch norm, pools, dropout, labels.
// Fails where a step leaves memory behind.

#include <cstdio>

#include "iotsl/iotsl.hpp"

int main() {
  using namespace iotsl;
  set_threads(1);
  Sequential<float> net = build_model<float>({.width = 4});
  net.initialize(1);
  Optimizer<float> optimizer(net.parameters(), {});
  const data::Dataset digits = data::make_glyphs(data::Split::train, 8);
  const data::Batch batch = data::Loader(digits, 8).fetch(0);
  std::size_t in_use = 0;
  for (int step = 0; step < 4; ++step) {
    backward(softmax_cross_entropy<float>(net.forward(batch.x), batch.labels));
    optimizer.step();
    const std::size_t now = memory_statistics().in_use_bytes;
    if (step >= 2 && now != in_use) {
      std::printf("step %d: %zu bytes in use, %zu before it\n", step, now, in_use);
      return 1;
    }
    in_use = now;
  }
  std::printf("%zu bytes in use after each step\n", in_use);
}
