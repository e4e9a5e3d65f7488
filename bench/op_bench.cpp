// Every row of tests/cases that has a batch for benches, forward and each gradient. Names:
// <operation>/<row>/<forward or grad_INPUT>/n<batch>; and at batch 1. FLOP/s count two per
// multiply-add of the plain definition, padding included, so that the rates compare with other
// libraries; bytes are those of the inputs and the output, once each. Threads: OMP_NUM_THREADS;
// target: IOTSL_TARGET.

#include "cases/all_cases.hpp"
#include "run_benchmarks.hpp"

namespace {

using cases::OpCase;
using iotsl::Index;
using iotsl::Tensor;

OpCase at_batch(OpCase c, Index batch) {
  for (cases::Input& input : c.inputs)
    if (input.batched) input.shape.set(0, batch);
  return c;
}

/// The gradient of input number `input`, or the forward pass where it is below 0.
void run(benchmark::State& state, const OpCase& c, Index batch, int input) {
  std::vector<Tensor<float>> inputs = cases::values<float>(c.inputs);
  Tensor<float> y;
  // The first call takes its memory from the system, the others have it again: one output, as
  // other libraries' benches have it, and not two in turn, which would share the caches.
  if (input < 0) {
    y = c.in_float(inputs);
    for (auto _ : state) {
      y = {};
      y = c.in_float(inputs);
    }
  } else {
    Tensor<float>& wanted = inputs[static_cast<std::size_t>(input)];
    wanted.set_requires_grad();
    y = c.in_float(inputs);
    const Tensor<float> u = cases::values<float>({"u", y.shape()}, 7);
    const auto gradient = [&] { return iotsl::grad(y, wanted, u, {.retain_graph = true}); };
    gradient();
    for (auto _ : state) benchmark::DoNotOptimize(gradient().data());
  }
  Index moved = y.size();
  for (const Tensor<float>& tensor : inputs) moved += tensor.size();
  state.SetBytesProcessed(state.iterations() * moved * static_cast<Index>(sizeof(float)));
  if (c.products_per_sample > 0)
    state.counters["FLOP/s"] =
        benchmark::Counter(2 * c.products_per_sample * static_cast<double>(batch),
                           benchmark::Counter::kIsIterationInvariantRate);
}

void add(const OpCase& c, Index batch) {
  const OpCase sized = at_batch(c, batch);
  for (int input = -1; input < static_cast<int>(c.inputs.size()); ++input) {
    const std::string direction =
        input < 0 ? "forward" : "grad_" + c.inputs[static_cast<std::size_t>(input)].name;
    const std::string name = iotsl::concat(c.name, "/", direction, "/n", batch);
    benchmark::RegisterBenchmark(
        name.c_str(),
        [sized, batch, input](benchmark::State& state) { run(state, sized, batch, input); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const OpCase& c : cases::all_rows()) {
    if (c.bench_batch == 0) continue;
    add(c, c.bench_batch);
    if (c.bench_batch != 1) add(c, 1);
  }
  return run_benchmarks(argc, argv);
}
