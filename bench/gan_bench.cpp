// Steps of the GAN: the critic's with its gradient penalty and optimiser, and the generator's.
// Names: gan/<step>/width:<w>/batch:<n>. Threads: OMP_NUM_THREADS.

#include "iotsl/gan/sample.hpp"
#include "iotsl/gan/wgan_gp.hpp"
#include "iotsl/iotsl.hpp"
#include "run_benchmarks.hpp"

namespace {

using namespace iotsl;

constexpr OptimizerOptions adam{
    .kind = OptimizerKind::adam, .lr = 1e-4, .beta1 = 0.5, .beta2 = 0.9};

struct Nets {
  explicit Nets(Index width, Index n) : generator({.width = width}), critic({}, width) {
    generator.initialize(1);
    critic.initialize(1);
    real = Tensor<float>::uninitialized({n, 1, 28, 28});
    alpha = Tensor<float>::uninitialized({n});
    const Random random(1, Stream::user);
    for (Tensor<float>* t : {&real, &alpha}) {
      float* values = t->mutable_data();
      for (Index i = 0; i < t->size(); ++i)
        values[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
    }
    for (Index i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(i % 10));
    noise = gan::draw_noise(n, 10, false, random, 0);
  }
  GeneratorNet<float> generator;
  CriticNet<float> critic;
  Tensor<float> real, alpha, noise;
  std::vector<std::int32_t> labels;
};

void report(benchmark::State& state, Index n) {
  state.SetItemsProcessed(state.iterations() * n);
  state.counters["peak_bytes"] = static_cast<double>(memory_statistics().peak_bytes);
}

void critic_step(benchmark::State& state) {
  const Index n = state.range(1);
  Nets nets(state.range(0), n);
  Optimizer<float> optimizer(nets.critic.parameters(), adam);
  reset_memory_peak();
  for (auto _ : state) {
    Tensor<float> fake;
    {
      const NoRecord values_only;
      fake = nets.generator.forward(nets.noise, nets.labels);
    }
    nets.critic.follow_spectrum();
    backward(gan::critic_loss<float>(nets.critic, nets.real, fake, nets.labels, nets.alpha).total);
    optimizer.step();
  }
  report(state, n);
}

void generator_step(benchmark::State& state) {
  const Index n = state.range(1);
  Nets nets(state.range(0), n);
  Optimizer<float> optimizer(nets.generator.parameters(), adam);
  reset_memory_peak();
  for (auto _ : state) {
    backward(gan::generator_loss<float>(nets.critic, nets.generator, nets.noise, nets.labels));
    optimizer.step();
  }
  report(state, n);
}

void timed(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"width", "batch"})->Unit(benchmark::kMillisecond)->UseRealTime();
  for (const std::int64_t width : {64, 32, 16}) bench->Args({width, 32});
}

BENCHMARK(critic_step)->Name("gan/critic")->Apply(timed);
BENCHMARK(generator_step)->Name("gan/generator")->Apply(timed);

}  // namespace

int main(int argc, char** argv) { return run_benchmarks(argc, argv); }
