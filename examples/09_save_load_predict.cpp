// Train, save, load, predict: one file holds the net and its weights, and predicting changes
// nothing of it. Compile with: g++ -std=c++20 -Iinclude FILE

#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

static Sequential<float> small_net() {
  Sequential<float> net;
  net.add("conv", Conv2d<float>(1, 8, 5, {.stride_h = 2, .stride_w = 2}));
  net.add("bn", BatchNorm2d<float>(8));
  net.add("relu", Relu<float>{});
  net.add("flatten", Flatten<float>{});
  net.add("drop", Dropout<float>{0.2});
  net.add("head", Linear<float>(8 * 12 * 12, 10));
  net.initialize(/*seed=*/1);
  return net;
}

int main() {
  const auto train_set = data::make_glyphs(data::Split::train, 900);
  const auto test_set = data::make_glyphs(data::Split::test, 120);

  // One step after the other, with the checks that a training needs.
  train::Trainer trainer(small_net(), {.kind = OptimizerKind::adam, .lr = 3e-3}, /*seed=*/1);
  const data::Loader loader(train_set, /*batch=*/30);
  for (std::uint64_t step = 0; step < 100; ++step) {
    const Index b = static_cast<Index>(step) % loader.batches();
    const auto outcome = trainer.train(loader.fetch(b), step);
    if (!outcome) {
      std::printf("%s\n", outcome.failure().message.c_str());
      return 1;
    }
  }

  // Save: layers and weights. PyTorch reads the weights under the same names.
  const std::string path = "digits.safetensors";
  const Shape sample{1, 1, 28, 28};
  if (const auto saved = save_net(path, trainer.net(), sample); !saved) {
    std::printf("%s\n", saved.failure().message.c_str());
    return 1;
  }

  // Load: in another program, which need not know the net. The file may be anybody's, so the
  // result is a net or a failure.
  Result<Sequential<float>> net = load_net(path);
  std::remove(path.c_str());
  if (!net) {
    std::printf("%s\n", net.failure().message.c_str());
    return 1;
  }
  const std::string before = state_sha256(*net);

  // Predict: probabilities, and the likeliest class of each image.
  const std::vector<Index> some = data::count_up(5);
  const data::Batch batch = data::fetch_batch(test_set, some);
  const Tensor<float> logits = net->predict(batch.x);
  const Tensor<float> probabilities = softmax(logits);
  const std::vector<Index> classes = argmax(logits);
  for (std::size_t i = 0; i < classes.size(); ++i)
    std::printf(
        "image %zu: class %lld with %.1f %%, labelled %d\n", i, static_cast<long long>(classes[i]),
        100.0 * static_cast<double>(probabilities.data()[static_cast<Index>(i) * 10 + classes[i]]),
        batch.labels[i]);
  const double accuracy = train::evaluate(*net, test_set).accuracy();
  std::printf("test accuracy %.1f %%\n", 100 * accuracy);

  // Neither weights nor running statistics have changed, and nothing was recorded: not even by a
  // net that is in the middle of its training, as this one is.
  Sequential<float>& training = trainer.net();
  const bool same = state_sha256(*net) == before && state_sha256(training) == before;
  const Tensor<float> theirs = training.predict(batch.x);
  for (Index i = 0; i < logits.size(); ++i)
    if (theirs.data()[i] != logits.data()[i]) return 1;
  if (!same || state_sha256(training) != before || logits.requires_grad()) return 1;
  return accuracy > 0.6 ? 0 : 1;
}
