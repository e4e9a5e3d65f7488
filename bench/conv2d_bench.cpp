// Convolution and its two adjoints at the layers of the networks. Threads: OMP_NUM_THREADS; target:
// IOTSL_TARGET. FLOP counts two per multiply-add of the plain definition, padding included, so that
// the rates compare with other libraries; bytes are those of the three arrays, once each.

#include <string>
#include <vector>

#include "iotsl/kernels/conv2d/conv2d.hpp"
#include "run_benchmarks.hpp"

namespace {

using iotsl::Index;
using iotsl::kernels::ConvShape;

enum class Pass { forward, input_grad, weight_grad };

ConvShape square(Index n, Index c, Index size, Index k, Index kernel, Index stride, Index pad) {
  const Index out = (size + 2 * pad - kernel) / stride + 1;
  return {n, c, size, size, k, kernel, kernel, out, out, stride, stride, pad, pad, 1, 1};
}

void run(benchmark::State& state, Pass pass, const ConvShape& s) {
  const auto x_size = static_cast<std::size_t>(s.n * s.c * s.h * s.w);
  const auto w_size = static_cast<std::size_t>(s.k * s.c * s.r * s.s);
  const auto y_size = static_cast<std::size_t>(s.n * s.k * s.p * s.q);
  std::vector<float> x(x_size, 0.5F), w(w_size, 0.25F), y(y_size, 0.125F);
  for (auto _ : state) {
    switch (pass) {
      case Pass::forward:
        iotsl::kernels::conv2d(s, x.data(), w.data(), nullptr, y.data());
        break;
      case Pass::input_grad:
        iotsl::kernels::conv2d_input_grad(s, y.data(), w.data(), x.data());
        break;
      case Pass::weight_grad:
        iotsl::kernels::conv2d_weight_grad(s, x.data(), y.data(), w.data());
        break;
    }
    benchmark::ClobberMemory();
  }
  const double flop = 2.0 * static_cast<double>(y_size) * static_cast<double>(s.c * s.r * s.s);
  state.counters["FLOP/s"] =
      benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>((x_size + w_size + y_size) * sizeof(float)));
}

void add(const std::string& layer, const ConvShape& s) {
  const struct {
    const char* name;
    Pass pass;
  } passes[] = {{"forward", Pass::forward},
                {"input_grad", Pass::input_grad},
                {"weight_grad", Pass::weight_grad}};
  for (const auto& p : passes) {
    const std::string name =
        iotsl::concat("conv2d/", layer, "/", p.name, "/n", s.n, "_c", s.c, "_h", s.h, "_k", s.k,
                      "_r", s.r, "_stride", s.stride_h, "_pad", s.pad_h);
    benchmark::RegisterBenchmark(
        name.c_str(), [pass = p.pass, s](benchmark::State& state) { run(state, pass, s); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (Index n : {64, 1}) {
    add("vgg", square(n, 1, 28, 64, 3, 1, 1));
    add("vgg", square(n, 64, 28, 64, 3, 1, 1));
    add("vgg", square(n, 64, 14, 128, 3, 1, 1));
    add("vgg", square(n, 128, 14, 128, 3, 1, 1));
    add("vgg", square(n, 128, 7, 256, 3, 1, 1));
    add("vgg", square(n, 256, 7, 256, 3, 1, 1));
    add("vgg", square(n, 256, 3, 512, 3, 1, 1));
    add("vgg", square(n, 512, 3, 512, 3, 1, 1));
    add("vgg", square(n, 512, 1, 512, 3, 1, 1));
  }
  add("critic", square(64, 1, 28, 64, 5, 2, 2));
  add("critic", square(64, 64, 14, 128, 5, 2, 2));
  add("critic", square(64, 128, 7, 256, 5, 2, 2));
  // The deconvolutions of the generator are the input gradients of these.
  add("generator", square(32, 128, 8, 256, 5, 1, 0));
  add("generator", square(32, 64, 11, 128, 5, 1, 0));
  add("generator", square(32, 1, 28, 64, 8, 2, 0));
  return run_benchmarks(argc, argv);
}
