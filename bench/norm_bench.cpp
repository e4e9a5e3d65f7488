// Batch normalisation on the activations of VGG-16. Names: <function>/<n>/<c>/<hw>. Counters: bytes
// of the activations that must be read and written per second, each once; statistics and gradient
// walk them twice and hope for the cache. Threads: OMP_NUM_THREADS. Target: IOTSL_TARGET.

#include <vector>

#include "iotsl/kernels/norm.hpp"
#include "run_benchmarks.hpp"

namespace {

using namespace iotsl;

struct Activations {
  explicit Activations(const benchmark::State& state)
      : n(state.range(0)),
        c(state.range(1)),
        hw(state.range(2)),
        x(static_cast<std::size_t>(n * c * hw)),
        mean(static_cast<std::size_t>(c)),
        var(mean),
        scale(mean.size(), 1.0F) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1013) * 1e-3F - 0.4F;
    gy = y = x;
  }
  void report(benchmark::State& state, Index tensors) const {
    state.SetBytesProcessed(state.iterations() * tensors *
                            static_cast<Index>(x.size() * sizeof(float)));
  }

  Index n, c, hw;
  std::vector<float> x, gy, y;
  std::vector<float> mean, var, scale;
};

void batch_norm_stats(benchmark::State& state) {
  Activations a(state);
  for (auto _ : state)
    kernels::batch_norm_stats(a.n, a.c, a.hw, a.x.data(), a.mean.data(), a.var.data());
  a.report(state, 1);
}

void batch_norm_apply(benchmark::State& state) {
  Activations a(state);
  for (auto _ : state)
    kernels::batch_norm_apply(a.n, a.c, a.hw, a.x.data(), a.mean.data(), a.scale.data(),
                              a.scale.data(), a.mean.data(), a.y.data());
  a.report(state, 2);
}

void batch_norm_grad(benchmark::State& state) {
  Activations a(state);
  std::vector<float> ggamma(a.mean.size()), gbeta(a.mean.size());
  for (auto _ : state)
    kernels::batch_norm_grad(a.n, a.c, a.hw, a.x.data(), a.gy.data(), a.mean.data(), a.scale.data(),
                             a.scale.data(), a.y.data(), ggamma.data(), gbeta.data());
  a.report(state, 3);
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->Args({64, 64, 784})->Args({64, 128, 196})->Args({64, 256, 49});
  bench->Args({64, 512, 9})->Args({64, 512, 1})->UseRealTime();
}
BENCHMARK(batch_norm_stats)->Apply(shapes);
BENCHMARK(batch_norm_apply)->Apply(shapes);
BENCHMARK(batch_norm_grad)->Apply(shapes);

}  // namespace

int main(int argc, char** argv) { return run_benchmarks(argc, argv); }
