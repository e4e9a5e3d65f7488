// ResNet-18 (He et al. 2015) under torchvision's names, so that a state_dict() of PyTorch loads
// strictly and ours loads there. Compile with: g++ -std=c++20 -O2 -fopenmp -Iinclude FILE
//
//   ./a.out WIDTH CLASSES                       writes resnet18.safetensors with initial weights
//   ./a.out WIDTH CLASSES WEIGHTS IMAGES OUT    logits of IMAGES ("x" [N,3,H,W] in a safetensors
//                                               file) with these weights, as "logits" in OUT
//
// WIDTH is 64 in the original. Without arguments: a narrow one, once forward, nothing is written.

#include <cstdio>
#include <cstdlib>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

static Conv2d<float> conv(Index in, Index out, Index kernel, Index stride) {
  const Index pad = kernel / 2;
  return {in,
          out,
          kernel,
          {.stride_h = stride, .stride_w = stride, .pad_h = pad, .pad_w = pad},
          /*with_bias=*/false};
}

// Two blocks of two convolutions each; the first may halve the image. Layers without state do not
// appear in the names of weights, so the activation after a sum may be a layer of its own.
static Sequential<float> stage(Index in, Index out, Index stride) {
  Sequential<float> chain;
  for (const Index block : {0, 1}) {
    const Index from = block == 0 ? in : out, by = block == 0 ? stride : 1;
    Residual<float> sum;
    sum.body.add("conv1", conv(from, out, 3, by));
    sum.body.add("bn1", BatchNorm2d<float>(out));
    sum.body.add("relu", Relu<float>{});
    sum.body.add("conv2", conv(out, out, 3, 1));
    sum.body.add("bn2", BatchNorm2d<float>(out));
    if (from != out || by != 1) {
      sum.projection.add("0", conv(from, out, 1, by));
      sum.projection.add("1", BatchNorm2d<float>(out));
    }
    chain.add(std::to_string(block), std::move(sum));
    chain.add("relu" + std::to_string(block), Relu<float>{});
  }
  return chain;
}

static Sequential<float> resnet18(Index width, Index classes) {
  Sequential<float> net;
  net.add("conv1", conv(3, width, 7, 2));
  net.add("bn1", BatchNorm2d<float>(width));
  net.add("relu", Relu<float>{});
  net.add("maxpool", MaxPool2d<float>{{3, 3, 2, 2, 1, 1}});
  net.add("layer1", stage(width, width, 1));
  net.add("layer2", stage(width, 2 * width, 2));
  net.add("layer3", stage(2 * width, 4 * width, 2));
  net.add("layer4", stage(4 * width, 8 * width, 2));
  net.add("avgpool", GlobalAvgPool2d<float>{});
  net.add("fc", Linear<float>(8 * width, classes));
  net.initialize(/*seed=*/1);
  return net;
}

static int refuse(const Failure& why) {
  std::printf("%s\n", why.message.c_str());
  return 1;
}

static int predict_file(Sequential<float>& net, char** paths) {
  const Result<SafeTensors> weights = load_safetensors(paths[0]);
  if (!weights) return refuse(weights.failure());
  // Strictly: a tensor too many, too few or of another shape is refused by its name.
  if (const auto loaded = load_state(net, *weights); !loaded) return refuse(loaded.failure());
  const Result<SafeTensors> images = load_safetensors(paths[1]);
  if (!images) return refuse(images.failure());
  const SafeTensor* found = images->find("x");
  if (found == nullptr) return refuse({ErrorCode::data, "the images have no tensor 'x'"});
  const Result<Tensor<float>> x = tensor_of<float>(*found);
  if (!x) return refuse(x.failure());
  const Tensor<float> logits = net.predict(*x);
  const auto saved = save_safetensors(paths[2], {safe_tensor("logits", logits)});
  return saved ? 0 : refuse(saved.failure());
}

int main(int argc, char** argv) {
  const Index width = argc > 1 ? std::atoi(argv[1]) : 4;
  const Index classes = argc > 2 ? std::atoi(argv[2]) : 10;
  Sequential<float> net = resnet18(width, classes);
  if (argc > 5) return predict_file(net, argv + 3);

  const LayerCost cost = net.cost({1, 3, 224, 224});
  std::printf("ResNet-18 of width %lld: %lld parameters, %.2f G operations for 224x224\n",
              static_cast<long long>(width), static_cast<long long>(cost.parameters),
              static_cast<double>(cost.operations) / 1e9);
  if (argc > 2) {
    const auto saved = save_safetensors("resnet18.safetensors", state_views(net));
    return saved ? 0 : refuse(saved.failure());
  }
  const Tensor<float> logits = net.predict(Tensor<float>::full({2, 3, 64, 64}, 0.5f));
  std::printf("logits %s, class %lld\n", to_string(logits.shape()).c_str(),
              static_cast<long long>(argmax(logits)[0]));
  return 0;
}
