// Training steps: forward, loss, backward and optimiser of a whole model, and what a device
// and the server compute in split learning. Names: <what>/<model>[/<optimiser or
// precision>]/batch:<n>. Threads: OMP_NUM_THREADS.

#include <string>

#include "iotsl/iotsl.hpp"
#include "iotsl/net/messages/wire_format.hpp"
#include "iotsl/ops/bfloat16.hpp"
#include "iotsl/split/halves/cut.hpp"
#include "run_benchmarks.hpp"

namespace {

using namespace iotsl;

/// Multiply-adds of the layers that have any, per sample.
struct MultiplyAdds {
  Index all = 0;
  Index first = 0;  ///< of the first layer, whose input needs no gradient
};

MultiplyAdds multiply_adds(const Sequential<float>& net, Shape shape) {
  MultiplyAdds out;
  for (const NamedLayer<float>& layer : net.layers()) {
    const LayerCost cost = layer.cost(shape);
    shape = layer.output_shape(shape).value();
    const std::string type = layer.type();
    if (type != "conv2d" && type != "linear") continue;
    // A convolution's cost counts its bias as well.
    const Index macs = type == "linear" ? cost.operations : cost.operations - shape.elements();
    if (out.all == 0) out.first = macs;
    out.all += macs;
  }
  return out;
}

struct Batch {
  Batch(const ModelSpec& spec, Index n) {
    x = Tensor<float>::uninitialized(
        {n, spec.images.channels, spec.images.height, spec.images.width});
    const Random random(1, Stream::user);
    float* values = x.mutable_data();
    for (Index i = 0; i < x.size(); ++i)
      values[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
    for (Index i = 0; i < n; ++i)
      labels.push_back(static_cast<std::int32_t>(i % spec.images.classes));
  }
  Tensor<float> x;
  std::vector<std::int32_t> labels;
};

/// `passes`: 1 for a forward pass, 3 with both gradients of every layer but the first.
void report(benchmark::State& state, const MultiplyAdds& macs, int passes, Index n) {
  const Index per_sample = 2 * (passes * macs.all - (passes == 3 ? macs.first : 0));
  state.SetItemsProcessed(state.iterations() * n);
  state.counters["FLOP/s"] = benchmark::Counter(static_cast<double>(per_sample * n),
                                                benchmark::Counter::kIsIterationInvariantRate);
  state.counters["peak_bytes"] = static_cast<double>(memory_statistics().peak_bytes);
}

void train_step(benchmark::State& state, const std::string& name, OptimizerOptions options) {
  const ModelSpec spec{.name = name};
  const Index n = state.range(0);
  auto net = build_model<float>(spec);
  net.initialize(1);
  Optimizer<float> optimizer(net.parameters(), options);
  const Batch batch(spec, n);
  reset_memory_peak();
  for (auto _ : state) {
    const auto loss =
        softmax_cross_entropy(net.forward(batch.x), std::span<const std::int32_t>(batch.labels));
    backward(loss);
    optimizer.step();
  }
  report(state, multiply_adds(net, sample_shape(spec)), 3, n);
}

void predict(benchmark::State& state, const std::string& name) {
  const ModelSpec spec{.name = name};
  auto net = build_model<float>(spec);
  net.initialize(1);
  net.eval();
  const Batch batch(spec, state.range(0));
  const NoRecord no_graph;
  reset_memory_peak();
  for (auto _ : state) benchmark::DoNotOptimize(net.forward(batch.x).data());
  report(state, multiply_adds(net, sample_shape(spec)), 1, state.range(0));
}

/// The device half: forward, then backward from the gradient that the server sent.
void device_step(benchmark::State& state) {
  const ModelSpec spec;
  const Index n = state.range(0);
  auto net = build_model<float>(spec);
  net.initialize(1);
  auto front = net.slice(0, find_cut(net, spec, "").value());
  const Batch batch(spec, n);
  Tensor<float> gradient = Tensor<float>::zeros({n, 64, 14, 14});
  fill_normal(gradient, 1.0, 1, 0);
  reset_memory_peak();
  for (auto _ : state) {
    backward(front.forward(batch.x), gradient);
    for (NamedTensor<float>& p : front.parameters()) p.tensor.clear_grad();
  }
  report(state, multiply_adds(front, sample_shape(spec)), 3, n);
}

/// The server half: forward, backward as far as the smashed batch and the weights, update.
void server_step(benchmark::State& state, bool bf16) {
  if (bf16 && !simd::multiplies_bfloat16()) {
    state.SkipWithError("this CPU or target has no AVX-512 BF16");
    return;
  }
  const ModelSpec spec;
  const Index n = state.range(0);
  auto net = build_model<float>(spec);
  net.initialize(1);
  const std::size_t cut = find_cut(net, spec, "").value();
  split::BackHalf back(net.slice(cut, net.size()), {.lr = 0.01, .momentum = 0.9}, 1, true,
                       bf16 ? bfloat16_products() : ProductPrecision());
  const Batch batch(spec, n);
  Tensor<float> smashed = Tensor<float>::zeros({n, 64, 14, 14});
  fill_normal(smashed, 1.0, 1, 0);
  reset_memory_peak();
  std::uint64_t step = 0;
  for (auto _ : state) {
    if (!back.train(smashed, batch.labels, ++step)) return state.SkipWithError("no step");
  }
  MultiplyAdds macs = multiply_adds(back.layers(), {1, 64, 14, 14});
  macs.first = 0;  // the device waits for the gradient of what it sent
  report(state, macs, 3, n);
}

/// What a step of `server_step` costs in few bits: both batches coded on one side and decoded on
/// the other.
void code_step(benchmark::State& state, WireCoding coding) {
  const net::WireFormat format{.smashed = coding, .gradients = default_gradient_coding(coding)};
  const Index n = state.range(0);
  Tensor<float> batch = Tensor<float>::zeros({n, 64, 14, 14});
  fill_normal(batch, 1.0, 1, 0);
  std::uint64_t step = 0;
  for (auto _ : state) {
    ++step;
    const net::EncodedBatch up = format.encode_smashed(batch, {1, step});
    benchmark::DoNotOptimize(format.decode_smashed(up.bytes(), batch.shape()).data());
    const net::EncodedBatch down = format.encode_gradient(batch, {1, step});
    benchmark::DoNotOptimize(format.decode_gradient(down.bytes(), batch.shape()).data());
  }
}

const OptimizerOptions momentum{.lr = 0.01, .momentum = 0.9};
const OptimizerOptions adam{.kind = OptimizerKind::adam, .lr = 1e-3};

void timed(benchmark::internal::Benchmark* bench) {
  bench->ArgName("batch")->Unit(benchmark::kMillisecond)->UseRealTime();
}

BENCHMARK_CAPTURE(train_step, sgd, "vgg16bn-compact", momentum)
    ->Name("train_step/vgg16bn-compact/sgd")
    ->Apply(timed)
    ->Arg(64);
BENCHMARK_CAPTURE(train_step, adam, "vgg16bn-compact", adam)
    ->Name("train_step/vgg16bn-compact/adam")
    ->Apply(timed)
    ->Arg(64);
BENCHMARK_CAPTURE(train_step, small, "vanilla5", momentum)
    ->Name("train_step/vanilla5/sgd")
    ->Apply(timed)
    ->Arg(64);
BENCHMARK(device_step)->Name("device_step/vgg16bn-compact")->Apply(timed)->Arg(32)->Arg(64);
BENCHMARK_CAPTURE(server_step, float, false)
    ->Name("server_step/vgg16bn-compact/float")
    ->Apply(timed)
    ->Arg(64);
BENCHMARK_CAPTURE(server_step, bf16, true)
    ->Name("server_step/vgg16bn-compact/bf16")
    ->Apply(timed)
    ->Arg(64);
BENCHMARK_CAPTURE(code_step, fp16, WireCoding::fp16)->Name("code_step/fp16")->Apply(timed)->Arg(64);
BENCHMARK_CAPTURE(code_step, int8, WireCoding::int8)->Name("code_step/int8")->Apply(timed)->Arg(64);
BENCHMARK_CAPTURE(code_step, int4, WireCoding::int4)->Name("code_step/int4")->Apply(timed)->Arg(64);
BENCHMARK_CAPTURE(predict, compact, "vgg16bn-compact")
    ->Name("predict/vgg16bn-compact")
    ->Apply(timed)
    ->Arg(1)
    ->Arg(64);

}  // namespace

int main(int argc, char** argv) { return run_benchmarks(argc, argv); }
