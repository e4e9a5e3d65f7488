// A data set from a camera's buffer: bytes as a camera gives them, pixel by pixel with their
// colours side by side (HWC), become batches for a net, and a new frame a prediction.
// Compile with: g++ -std=c++20 -Iinclude FILE

#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

static constexpr Index height = 12, width = 16;
static const data::ImageLayout rgb{
    .channels = 3, .height = height, .width = width, .classes = 2, .order = data::PixelOrder::hwc};

// Stands for the camera: a scene that is red (0) or green (1), with noise. The buffer is RGBRGB...
static void capture(std::uint64_t frame, int colour, std::vector<std::uint8_t>& buffer) {
  const Random noise(/*seed=*/5, Stream::user);
  for (Index i = 0; i < height * width * 3; ++i) {
    const std::uint64_t dim =
        noise.below(frame * height * width * 3 + static_cast<std::uint64_t>(i), 120);
    buffer.push_back(static_cast<std::uint8_t>(dim + (i % 3 == colour ? 60 : 0)));
  }
}

int main() {
  // Frames one after another in one buffer, and what somebody has said that they show.
  std::vector<std::uint8_t> frames;
  std::vector<data::Label> labels;
  for (std::uint64_t frame = 0; frame < 80; ++frame) {
    labels.push_back(static_cast<data::Label>(frame % 2));
    capture(frame, labels.back(), frames);
  }
  const std::uint8_t first_green = frames[1];
  const data::Dataset set = data::make_dataset(std::move(frames), std::move(labels), rgb);

  // Batches have planes, [N,C,H,W]: the second value of the buffer is the first green one.
  const data::Loader loader(set, /*batch=*/16);
  const data::Batch batch = loader.fetch(0);
  std::printf("%lld frames, a batch is %s\n", static_cast<long long>(set.size()),
              to_string(batch.x.shape()).c_str());
  if (batch.x.data()[height * width] != static_cast<float>(first_green) / 255.0f) return 1;

  Sequential<float> net;
  net.add("conv", Conv2d<float>(3, 4, 3));
  net.add("norm", GroupNorm<float>(2, 4));
  net.add("relu", Relu<float>{});
  net.add("pool", GlobalAvgPool2d<float>{});
  net.add("head", Linear<float>(4, 2));
  net.initialize(/*seed=*/1);
  Optimizer<float> optimizer(net.parameters(), {.kind = OptimizerKind::adam, .lr = 3e-2});
  for (Index step = 0; step < 30; ++step) {
    const data::Batch b = loader.fetch(step % loader.batches());
    backward(softmax_cross_entropy<float>(net.forward(b.x), b.labels));
    optimizer.step();
  }

  // New frames, straight from the buffer.
  std::vector<std::uint8_t> seen;
  for (int colour : {0, 1, 1, 0}) capture(1000 + seen.size(), colour, seen);
  const std::vector<Index> found = argmax(net.predict(data::image_tensor(seen, rgb)));
  std::printf("red, green, green, red are taken for");
  for (const Index c : found) std::printf(" %s", c == 0 ? "red" : "green");
  std::printf("\n");
  return found == std::vector<Index>{0, 1, 1, 0} ? 0 : 1;
}
