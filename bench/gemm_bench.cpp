// Matrix product at the sizes of the linear layers, and square. Threads: OMP_NUM_THREADS; target:
// IOTSL_TARGET. FLOP counts two per multiply-add; bytes are those of the three matrices, once each.

#include <string>
#include <vector>

#include "iotsl/kernels/gemm.hpp"
#include "run_benchmarks.hpp"

namespace {

using iotsl::Index;

void run(benchmark::State& state, bool trans_a, bool trans_b, Index m, Index n, Index k) {
  const auto a_size = static_cast<std::size_t>(m * k), b_size = static_cast<std::size_t>(k * n);
  const auto c_size = static_cast<std::size_t>(m * n);
  std::vector<float> a(a_size, 0.5F), b(b_size, 0.25F), c(c_size);
  for (auto _ : state) {
    iotsl::kernels::gemm(trans_a, trans_b, m, n, k, a.data(), b.data(), c.data());
    benchmark::ClobberMemory();
  }
  const double flop = 2.0 * static_cast<double>(c_size) * static_cast<double>(k);
  state.counters["FLOP/s"] =
      benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>((a_size + b_size + c_size) * sizeof(float)));
}

void add(const char* form, bool trans_a, bool trans_b, Index m, Index n, Index k) {
  const std::string name = iotsl::concat("gemm/", form, "/m", m, "_n", n, "_k", k);
  benchmark::RegisterBenchmark(
      name.c_str(), [=](benchmark::State& state) { run(state, trans_a, trans_b, m, n, k); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  for (Index size : {64, 256, 512}) {
    add("nn", false, false, size, size, size);
    add("nt", false, true, size, size, size);
    add("tn", true, false, size, size, size);
  }
  // A linear layer [batch, in] -> [batch, out]: forward nt, input gradient nn, weight gradient tn.
  const struct {
    Index batch, in, out;
  } layers[] = {{64, 512, 10}, {64, 4096, 4096}, {1, 512, 10}, {1, 4096, 4096}};
  for (const auto& l : layers) {
    add("nt", false, true, l.batch, l.out, l.in);
    add("nn", false, false, l.batch, l.in, l.out);
    add("tn", true, false, l.out, l.in, l.batch);
  }
  return run_benchmarks(argc, argv);
}
