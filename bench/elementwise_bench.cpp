// Element-wise kernels and sums. Names: <function>/<elements>. Counters: bytes that must be read
// and written per second. Threads: OMP_NUM_THREADS. Target: IOTSL_TARGET.

#include <array>
#include <vector>

#include "iotsl/kernels/elementwise.hpp"
#include "iotsl/kernels/loss.hpp"
#include "iotsl/kernels/reduce.hpp"
#include "run_benchmarks.hpp"

namespace {

using namespace iotsl;
using kernels::Binary;
using kernels::Unary;

std::vector<float> values(Index n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1013) * 1e-3F - 0.4F;
  return x;
}

void report(benchmark::State& state, Index elements_moved) {
  state.SetBytesProcessed(state.iterations() * elements_moved * static_cast<Index>(sizeof(float)));
}

void unary(benchmark::State& state, Unary op) {
  const Index n = state.range(0);
  const std::vector<float> x = values(n);
  std::vector<float> y(x.size());
  for (auto _ : state) kernels::unary(op, n, x.data(), y.data());
  report(state, 2 * n);
}

void binary(benchmark::State& state, Binary op) {
  const Index n = state.range(0);
  const std::vector<float> a = values(n), b = values(n);
  std::vector<float> y(a.size());
  for (auto _ : state) kernels::binary(op, n, a.data(), b.data(), y.data());
  report(state, 3 * n);
}

void axpy(benchmark::State& state) {
  const Index n = state.range(0);
  const std::vector<float> x = values(n);
  std::vector<float> y(x.size());
  for (auto _ : state) kernels::axpy(n, 0.5F, x.data(), y.data());
  report(state, 3 * n);
}

/// x[64,64,28,28] summed to a value per channel, as a bias gradient is.
void sum_per_channel(benchmark::State& state) {
  const std::array<Index, 4> shape{64, 64, 28, 28};
  const std::vector<float> x = values(64 * 64 * 28 * 28);
  std::vector<float> y(64);
  for (auto _ : state) kernels::reduce_sum(shape.data(), 0b1101U, x.data(), y.data());
  report(state, static_cast<Index>(x.size()));
}

void log_softmax(benchmark::State& state) {
  const Index n = state.range(0), classes = state.range(1);
  const std::vector<float> x = values(n * classes);
  std::vector<float> y(x.size());
  for (auto _ : state) kernels::log_softmax(n, classes, x.data(), y.data());
  report(state, 2 * n * classes);
}

// A small tensor in the first-level cache, and the first activations of VGG-16 at batch 64.
constexpr Index small = 4096, activations = 64 * 64 * 28 * 28;

BENCHMARK_CAPTURE(unary, relu, Unary::relu)->Arg(small)->Arg(activations)->UseRealTime();
BENCHMARK_CAPTURE(unary, exp, Unary::exp)->Arg(small)->Arg(activations)->UseRealTime();
BENCHMARK_CAPTURE(unary, log, Unary::log)->Arg(small)->Arg(activations)->UseRealTime();
BENCHMARK_CAPTURE(unary, sigmoid, Unary::sigmoid)->Arg(small)->Arg(activations)->UseRealTime();
BENCHMARK_CAPTURE(unary, tanh, Unary::tanh)->Arg(small)->Arg(activations)->UseRealTime();
BENCHMARK_CAPTURE(binary, add, Binary::add)->Arg(small)->Arg(activations)->UseRealTime();
BENCHMARK_CAPTURE(binary, relu_grad, Binary::relu_grad)
    ->Arg(small)
    ->Arg(activations)
    ->UseRealTime();
BENCHMARK(axpy)->Arg(small)->Arg(activations)->UseRealTime();
BENCHMARK(sum_per_channel)->UseRealTime();
BENCHMARK(log_softmax)->Args({64, 10})->Args({4096, 1000})->UseRealTime();

}  // namespace

int main(int argc, char** argv) { return run_benchmarks(argc, argv); }
