#include <algorithm>

#include "bench/work/net_work.hpp"
#include "bench/work/workloads.hpp"
#include "iotsl/autograd/grad.hpp"
#include "iotsl/models/generator_spec.hpp"
#include "iotsl/models/model.hpp"

namespace iotsl::bench {
namespace {

Tensor<float> values(const Shape& shape, std::uint32_t number) {
  Tensor<float> out = Tensor<float>::uninitialized(shape);
  fill_uniform(out, 1.0, 1, number);
  return out;
}

/// `forward(x, weight)` alone, without a graph.
template <class Forward>
Workload forward_only(std::string name, const Shape& x, const Shape& weight, const Work& work,
                      Forward forward) {
  return {std::move(name), work, 2 * work.bytes, [=]() -> Run {
            return [=, input = values(x, 0), w = values(weight, 1)] {
              const NoRecord no_graph;
              forward(input, w);
            };
          }};
}

/// The gradient of the input or of the weight alone.
template <class Forward>
Workload gradient_only(std::string name, const Shape& x, const Shape& weight, bool of_weight,
                       const Work& work, Forward forward) {
  return {std::move(name), work, 3 * work.bytes, [=]() -> Run {
            Tensor<float> input = values(x, 0), w = values(weight, 1);
            Tensor<float>& wanted = of_weight ? w : input;
            wanted.set_requires_grad();
            const Tensor<float> y = forward(input, w);
            const Tensor<float> gradient = values(y.shape(), 2);
            return [y, wanted, gradient] { grad(y, wanted, gradient, {.retain_graph = true}); };
          }};
}

/// All three directions of an operation of an input and a weight.
template <class Forward>
void add_three(Workloads& out, const std::string& name, Index batch, const Shape& x,
               const Shape& weight, const Work& work, Forward forward) {
  const std::string end = concat("/n", batch);
  out.push_back(forward_only(name + "/forward" + end, x, weight, work, forward));
  out.push_back(gradient_only(name + "/grad_x" + end, x, weight, false, work, forward));
  out.push_back(gradient_only(name + "/grad_weight" + end, x, weight, true, work, forward));
}

void add_conv(Workloads& out, const Conv2d<float>& layer, const Shape& x, Index batch) {
  const std::string name = concat("conv2d/", layer.in_channels, "-", layer.out_channels, "@", x[2]);
  const Shape weight = layer.weight_shape();
  const Index outputs = layer.output_shape(x).value().elements();
  const Work work = product_work(outputs * (weight.elements() / layer.out_channels), x.elements(),
                                 weight.elements(), outputs);
  add_three(out, name, batch, x, weight, work,
            [options = layer.options](const Tensor<float>& input, const Tensor<float>& w) {
              return conv2d(input, w, Tensor<float>(), options);
            });
}

void add_linear(Workloads& out, Index in, Index features, Index batch) {
  const Shape x{batch, in}, weight{features, in};
  add_three(out, concat("linear/", in, "-", features), batch, x, weight,
            product_work(batch * features * in, x.elements(), weight.elements(), batch * features),
            [](const Tensor<float>& input, const Tensor<float>& w) {
              return linear(input, w, Tensor<float>());
            });
}

/// The two layers from `first` on as the net runs them. Operations as LayerCost counts them, twice
/// for backward; bytes: one map in and one out, backward the gradient beside them.
void add_norm(Workloads& out, const Sequential<float>& net, std::size_t first, const Shape& x) {
  Sequential<float> layers = net.slice(first, first + 2);
  layers.train();
  const std::string name = concat("batch_norm_relu/", x[1], "@", x[2]), end = concat("/n", x[0]);
  const double operations = static_cast<double>(layers.cost(x).operations * x[0]);
  const double map_bytes = 4.0 * static_cast<double>(x.elements());
  out.push_back({name + "/forward" + end, {operations, 2 * map_bytes}, 3 * map_bytes, [=]() -> Run {
                   return [layers, input = values(x, 0)]() mutable {
                     const NoRecord no_graph;
                     layers.forward(input);
                   };
                 }});
  out.push_back({name + "/backward" + end,
                 {2 * operations, 3 * map_bytes},
                 6 * map_bytes,
                 [=]() mutable -> Run {
                   Tensor<float> input = values(x, 0);
                   input.set_requires_grad();
                   std::vector<Tensor<float>> wanted{input};
                   for (const NamedTensor<float>& p : layers.parameters())
                     wanted.push_back(p.tensor);
                   const Tensor<float> y = layers.forward(input), gradient = values(x, 1);
                   return [y, wanted, gradient] {
                     grad<float>({y}, wanted, {gradient}, {.retain_graph = true});
                   };
                 }});
}

}  // namespace

Workloads kernel_workloads(const Scale& scale) {
  Workloads convolutions, linears, norms;
  const Index n = scale.kernel_batch;
  const ModelSpec spec;
  const auto net = build_model<float>(spec);
  Shape x = sample_shape(spec);
  x.set(0, n);
  // Layers of the same shape stand one after the other.
  std::string last;
  for (std::size_t i = 0; i < net.size(); ++i) {
    const AnyLayer<float>& layer = net[i].layer;
    const std::string shapes = concat(layer.type(), " ", x, " ", layer.output_shape(x).value());
    if (const auto* conv = layer.get_if<Conv2d<float>>(); conv != nullptr && shapes != last)
      add_conv(convolutions, *conv, x, n);
    if (const auto* full = layer.get_if<Linear<float>>())
      add_linear(linears, full->in_features, full->out_features, n);
    if (layer.get_if<BatchNorm2d<float>>() != nullptr &&
        std::none_of(norms.begin(), norms.end(), [&](const Workload& w) {
          return w.name.starts_with(concat("batch_norm_relu/", x[1], "@", x[2], "/"));
        }))
      add_norm(norms, net, i, x);
    if (layer.get_if<Conv2d<float>>() != nullptr) last = shapes;
    x = layer.output_shape(x).value();
  }
  const GeneratorLayout generator = lay_out({.width = scale.gan_width});
  add_linear(linears, generator.linear_in, generator.linear_out, scale.gan_batch);
  Workloads out = std::move(convolutions);
  for (Workloads* more : {&linears, &norms})
    std::move(more->begin(), more->end(), std::back_inserter(out));
  return out;
}

}  // namespace iotsl::bench
