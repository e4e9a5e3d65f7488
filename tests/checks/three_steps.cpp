// Three training steps. Prints the SHA-256 of all state, which same_bits.py compares between
// optimisation levels; with the argument `values` the losses and what every
// parameter moved by as lines of numbers, which same_steps.py compares between processors.
#include <cstdio>

#include "iotsl/iotsl.hpp"
#include "iotsl/nn/state.hpp"

int main(int argc, char**) {
  using namespace iotsl;
  set_threads(1);
  const bool values = argc > 1;
  // Batch norms over nine values make a rounding grow to 1e-3 within three steps, even between two
  // targets of one machine, so the values are of a net without them.
  Sequential<float> net = values ? build_model<float>({.name = "vanilla5", .width = 12})
                                 : build_model<float>({.width = 6});
  net.initialize(1);
  std::vector<Tensor<float>> first;
  for (const NamedTensor<float>& parameter : net.parameters())
    first.push_back(parameter.tensor.clone());
  // Adam divides by the size of the gradient: where that is rounding noise, so is the step.
  Optimizer<float> optimizer(
      net.parameters(),
      {.kind = values ? OptimizerKind::sgd : OptimizerKind::adam, .lr = values ? 1 : 1e-3});
  const data::Dataset digits = data::make_glyphs(data::Split::train, 27);
  const data::Loader loader(digits, 9);
  for (Index b = 0; b < loader.batches(); ++b) {
    const data::Batch batch = loader.fetch(b);
    const Tensor<float> loss = softmax_cross_entropy<float>(net.forward(batch.x), batch.labels);
    if (values) std::printf("loss %.9g\n", static_cast<double>(loss.item()));
    backward(loss);
    optimizer.step();
  }
  if (!values) {
    std::printf("%s\n", state_sha256(net).c_str());
    return 0;
  }
  std::size_t place = 0;
  for (const NamedTensor<float>& parameter : net.parameters()) {
    std::printf("%s", parameter.name.c_str());
    const float* before = first[place++].data();
    for (Index i = 0; i < parameter.tensor.size(); ++i)
      std::printf(" %.9g", static_cast<double>(parameter.tensor.data()[i] - before[i]));
    std::printf("\n");
  }
}
