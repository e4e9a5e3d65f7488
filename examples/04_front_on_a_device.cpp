// Front on a device: what a device does in split learning. It runs the first layers, hands their
// output ("smashed data") to the server, gets the gradient of the loss with respect to it, and
// trains its layers with that. Here the server is a function in the same program.

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

// The other half. It never sees an image, only smashed data and labels.
class Server {
 public:
  explicit Server(Sequential<float> back)
      : back_(std::move(back)), optimizer_(back_.parameters(), {.lr = 0.1, .momentum = 0.9}) {}

  /// Trains the back by one step; gives the loss and the gradient of the loss w.r.t. `smashed`.
  std::pair<float, Tensor<float>> step(Tensor<float> smashed,
                                       std::span<const std::int32_t> labels) {
    smashed.set_requires_grad();
    const auto loss = softmax_cross_entropy(back_.forward(smashed), labels);
    backward(loss);
    optimizer_.step();
    return {loss.item(), smashed.grad()};
  }

 private:
  Sequential<float> back_;
  Optimizer<float> optimizer_;
};

int main(int argc, char** argv) {
  const Index images = argc > 1 ? std::atoi(argv[1]) : 320;
  // VGG-16-BN at an eighth of its width, cut after the first pool.
  const ModelSpec spec{.name = "vgg16bn-compact", .width = 8};
  auto model = build_model<float>(spec);
  model.initialize(/*seed=*/1);
  const std::size_t cut = find_cut(model, spec, "features.6").value();
  Sequential<float> front = model.slice(0, cut);
  Server server(model.slice(cut, model.size()));

  Optimizer<float> optimizer(front.parameters(), {.lr = 0.1, .momentum = 0.9});
  const auto digits = data::make_glyphs(data::Split::train, images);
  const data::Loader loader(digits, /*batch=*/32);

  std::size_t peak_bytes = 0;
  double device_seconds = 0;
  float first_loss = 0, loss = 0;
  for (Index b = 0; b < loader.batches(); ++b) {
    const data::Batch batch = loader.fetch(b);

    const auto begin = std::chrono::steady_clock::now();
    const auto smashed = front.forward(batch.x);
    const auto forward_done = std::chrono::steady_clock::now();

    // Over the wire: a copy of the values up, the gradient down. detach() leaves the graph here.
    const auto [batch_loss, gradient] = server.step(smashed.detach().clone(), batch.labels);

    const auto resumed = std::chrono::steady_clock::now();
    reset_memory_peak();
    backward(smashed, gradient);  // the server's gradient is the seed
    optimizer.step();
    const auto end = std::chrono::steady_clock::now();

    device_seconds +=
        std::chrono::duration<double>((forward_done - begin) + (end - resumed)).count();
    peak_bytes = std::max(peak_bytes, memory_statistics().peak_bytes);
    if (b == 0) first_loss = batch_loss;
    loss = batch_loss;
  }

  const Shape sent = front.output_shape({1, 1, 28, 28}).value();
  std::printf("front: %zu of %zu layers, sends %lld values per image %s\n", front.size(),
              model.size(), static_cast<long long>(sent.elements()), to_string(sent).c_str());
  std::printf("device: %.1f ms per batch of 32, peak memory in its backward pass %.1f MB\n",
              1e3 * device_seconds / static_cast<double>(loader.batches()),
              static_cast<double>(peak_bytes) / 1e6);
  std::printf("loss: %.3f at first, %.3f after %lld steps\n", static_cast<double>(first_loss),
              static_cast<double>(loss), static_cast<long long>(loader.batches()));
  return images < 320 || loss < first_loss ? 0 : 1;
}
