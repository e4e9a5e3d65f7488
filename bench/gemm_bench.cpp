// Matrix products, the timed sizes of tests/cases. Threads: OMP_NUM_THREADS; target:
// IOTSL_TARGET. FLOP counts two per multiply-add; bytes are those of the three matrices, once each.

#include <string>
#include <vector>

#include "cases/product_sizes.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"
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

void add(const char* form, bool trans_a, bool trans_b, const cases::ProductSize& s) {
  const std::string name = iotsl::concat("gemm/", form, "/m", s.m, "_n", s.n, "_k", s.k);
  benchmark::RegisterBenchmark(
      name.c_str(), [=](benchmark::State& state) { run(state, trans_a, trans_b, s.m, s.n, s.k); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  for (const cases::ProductSize& s : cases::product_sizes())
    if (s.timed) {
      add("nn", false, false, s);
      add("nt", false, true, s);
      add("tn", true, false, s);
    }
  return run_benchmarks(argc, argv);
}
