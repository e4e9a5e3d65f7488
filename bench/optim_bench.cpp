// Optimiser steps. Names: <optimiser>/<parameters>. Counters: bytes of weights, gradients and state
// that must be read and written per second. Threads: OMP_NUM_THREADS. Target: IOTSL_TARGET.

#include <utility>
#include <vector>

#include "cases/optim_sizes.hpp"
#include "iotsl/kernels/optim.hpp"
#include "run_benchmarks.hpp"

namespace {

using namespace iotsl;

void report(benchmark::State& state, Index tensors_moved) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * state.range(0) * tensors_moved *
                          static_cast<Index>(sizeof(float)));
}

void sgd(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  std::vector<float> w(n, 1.0F), grad(n, 1e-3F);
  for (auto _ : state)
    kernels::sgd_step<float>(state.range(0), 1e-3, 0, 5e-4, false, grad.data(), nullptr, false,
                             w.data());
  report(state, 3);
}

void sgd_momentum(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  std::vector<float> w(n, 1.0F), grad(n, 1e-3F), velocity(n);
  for (auto _ : state)
    kernels::sgd_step<float>(state.range(0), 1e-3, 0.9, 5e-4, false, grad.data(), velocity.data(),
                             false, w.data());
  report(state, 5);
}

void adam(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  std::vector<float> w(n, 1.0F), grad(n, 1e-3F), m(n), v(n);
  for (auto _ : state)
    kernels::adam_step<float>(state.range(0), 1e-3, 0.9, 0.999, 1e-8, 0, 0.5, 0.5, grad.data(),
                              m.data(), v.data(), w.data());
  report(state, 7);
}

}  // namespace

int main(int argc, char** argv) {
  const std::pair<const char*, void (*)(benchmark::State&)> optimisers[] = {
      {"sgd", sgd}, {"sgd_momentum", sgd_momentum}, {"adam", adam}};
  for (const auto& [name, step] : optimisers)
    for (const cases::OptimSize& size : cases::optim_sizes)
      if (size.timed) benchmark::RegisterBenchmark(name, step)->Arg(size.parameters)->UseRealTime();
  return run_benchmarks(argc, argv);
}
