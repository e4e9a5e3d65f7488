// A program whose net has layers of a plug-in that it opens itself: gradients must be those of a
// net that is all its own. usage: host PLUGIN

#include "plugin.hpp"

#include <dlfcn.h>

#include <cstdio>

namespace {

using namespace iotsl;

struct Square {
  static constexpr const char* type = "square";
  Tensor<float> forward(Tensor<float> x) { return square(std::move(x)); }
};

Sequential<float> make_net(AnyLayer<float> middle, AnyLayer<float> last) {
  Sequential<float> net;
  net.add("a", Linear<float>(4, 8));
  net.add("middle", std::move(middle));
  net.add("b", Linear<float>(8, 3));
  net.add("last", std::move(last));
  net.initialize(1);
  return net;
}

Tensor<float> loss_of(const Sequential<float>& net) {
  static const std::int32_t labels[] = {0, 1};
  return softmax_cross_entropy<float>(net.forward(Tensor<float>::full({2, 4}, 0.5F)), labels);
}

int failed(const char* what) {
  std::printf("%s\n", what);
  return 1;
}

bool have_same_gradients(const Sequential<float>& a, const Sequential<float>& b) {
  const auto of_a = a.parameters(), of_b = b.parameters();
  for (std::size_t i = 0; i < of_a.size(); ++i) {
    const Tensor<float> x = of_a[i].tensor.grad(), y = of_b[i].tensor.grad();
    if (!x.defined() || !y.defined()) return false;
    for (Index j = 0; j < x.size(); ++j)
      if (x.data()[j] != y.data()[j]) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  void* library = argc == 2 ? ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) return failed("no plug-in");
  Plugin plugin;
  reinterpret_cast<void (*)(Plugin&)>(::dlsym(library, "get_plugin"))(plugin);

  const Sequential<float> own = make_net(Square{}, Relu<float>{});
  const Sequential<float> mixed = make_net(plugin.make_layer(), plugin.make_relu());
  backward(loss_of(own));
  backward(loss_of(mixed));
  if (!have_same_gradients(own, mixed)) return failed("layers of the plug-in: other gradients");
  // Twice from here, then from there: each walk must know its own marks from the others'.
  for (int walk = 0; walk < 3; ++walk) {
    const Tensor<float> loss = loss_of(mixed);
    for (const auto& parameter : mixed.parameters()) Tensor<float>(parameter.tensor).clear_grad();
    plugin.walk(loss);
    if (!have_same_gradients(own, mixed)) return failed("a walk in the plug-in: other gradients");
  }
  if (mixed.layers()[3].layer.get_if<Relu<float>>() == nullptr)
    return failed("a ReLU of the plug-in is no Relu here");
  if (mixed.layers()[1].layer.get_if<Square>() != nullptr)
    return failed("a type without linkage is taken for one of the same name");
  std::printf("the same\n");
  return 0;
}
