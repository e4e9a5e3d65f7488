// Max pooling. Names: <function>/<n>/<c>/<height and width>/<kernel>/<stride>/<padding>. Counters:
// bytes of inputs, outputs and indices that must be read and written per second. Threads:
// OMP_NUM_THREADS. Target: IOTSL_TARGET.

#include <vector>

#include "iotsl/kernels/pool.hpp"
#include "run_benchmarks.hpp"

namespace {

using namespace iotsl;

struct Planes {
  explicit Planes(const benchmark::State& state) {
    const Index size = state.range(2), kernel = state.range(3), stride = state.range(4);
    const Index pad = state.range(5), out = (size + 2 * pad - kernel) / stride + 1;
    shape = {state.range(0), state.range(1), size,   size,   out, out,
             kernel,         kernel,         stride, stride, pad, pad};
    x.resize(static_cast<std::size_t>(shape.n * shape.c * size * size));
    y.resize(static_cast<std::size_t>(shape.n * shape.c * out * out));
    index.resize(y.size());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7919 % 1013);
    kernels::max_pool2d(shape, x.data(), y.data(), index.data());
  }
  void report(benchmark::State& state) const {
    const std::size_t bytes = (x.size() + y.size()) * sizeof(float) + index.size();
    state.SetBytesProcessed(state.iterations() * static_cast<Index>(bytes));
  }

  kernels::PoolShape shape;
  std::vector<float> x, y;
  std::vector<std::uint8_t> index;
};

void max_pool2d(benchmark::State& state) {
  Planes p(state);
  for (auto _ : state) kernels::max_pool2d(p.shape, p.x.data(), p.y.data(), p.index.data());
  p.report(state);
}

void max_pool2d_grad(benchmark::State& state) {
  Planes p(state);
  for (auto _ : state) kernels::max_pool2d_grad(p.shape, p.y.data(), p.index.data(), p.x.data());
  p.report(state);
}

// The pools of vgg16bn-compact, and one of those of vgg16bn-paper that keep the size.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->Args({64, 64, 28, 2, 2, 0})->Args({64, 128, 14, 2, 2, 0})->Args({64, 256, 7, 2, 2, 0});
  bench->Args({64, 512, 3, 2, 2, 0})->Args({64, 128, 14, 3, 1, 1})->UseRealTime();
}
BENCHMARK(max_pool2d)->Apply(shapes);
BENCHMARK(max_pool2d_grad)->Apply(shapes);

}  // namespace

int main(int argc, char** argv) { return run_benchmarks(argc, argv); }
