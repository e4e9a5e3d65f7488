// Where Winograd pays: times both algorithms in turn over a grid of shapes and prints, for each,
// the quotient of their products, that of their times (above 1: Winograd is faster) and what
// kernels/conv2d/algorithm.hpp chooses. Its thresholds are read off this table; a line that ends
// with an exclamation mark disagrees by more than a tenth. With `bf16` it is where bfloat16 pays:
// the speed of what kernels/bf16/products.hpp may choose over that of float.
//
// usage: winograd_rule [forward|input_grad|weight_grad|all] [bf16]   Target: IOTSL_TARGET. One
// thread; processor time, so that a shared machine disturbs little.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

#include "iotsl/kernels/bf16/operands.hpp"
#include "iotsl/kernels/bf16/products.hpp"
#include "iotsl/kernels/conv2d/conv2d.hpp"

namespace {

using iotsl::Index;
using iotsl::kernels::ConvAlgorithm;
using iotsl::kernels::ConvOperation;
using iotsl::kernels::ConvShape;

struct Arrays {
  std::vector<float> x, w, y;
  explicit Arrays(const ConvShape& s)
      : x(static_cast<std::size_t>(s.n * s.c * s.h * s.w), 0.5F),
        w(static_cast<std::size_t>(s.k * s.c * 9), 0.25F),
        y(static_cast<std::size_t>(s.n * s.k * s.p * s.q), 0.125F) {}
};

namespace detail = iotsl::kernels::detail;

template <class Operands>
void run(Operands operands, ConvOperation operation, ConvAlgorithm algorithm, const ConvShape& s,
         Arrays& a) {
  if (operation == ConvOperation::forward)
    detail::conv2d_by(operands, algorithm, s, a.x.data(), a.w.data(), nullptr, a.y.data());
  else if (operation == ConvOperation::input_grad)
    detail::conv2d_input_grad_by(operands, algorithm, s, a.y.data(), a.w.data(), a.x.data());
  else
    detail::conv2d_weight_grad_by(operands, algorithm, s, a.x.data(), a.y.data(), a.w.data());
}

template <class Operands>
double seconds(Operands operands, ConvOperation operation, ConvAlgorithm algorithm,
               const ConvShape& s) {
  Arrays arrays(s);
  const std::clock_t begin = std::clock();
  int runs = 0;
  do {
    run(operands, operation, algorithm, s, arrays);
    ++runs;
  } while (std::clock() - begin < CLOCKS_PER_SEC / 100);
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / runs;
}

/// Of the times of the first and the second way.
template <class First, class Second>
double median_ratio(const First& first, const Second& second) {
  std::vector<double> ratios;
  for (int round = 0; round < 5; ++round) {
    const double time = first();
    ratios.push_back(time / second());
  }
  std::nth_element(ratios.begin(), ratios.begin() + 2, ratios.end());
  return ratios[2];
}

double speed_of_winograd(ConvOperation operation, const ConvShape& s) {
  const detail::FloatOperands floats;
  return median_ratio([&] { return seconds(floats, operation, ConvAlgorithm::direct, s); },
                      [&] { return seconds(floats, operation, ConvAlgorithm::winograd, s); });
}
double speed_of_bf16(ConvOperation operation, const ConvShape& s) {
  const ConvAlgorithm algorithm = iotsl::kernels::choose_algorithm(operation, s);
  return median_ratio([&] { return seconds(detail::FloatOperands{}, operation, algorithm, s); },
                      [&] { return seconds(detail::Bf16Operands{}, operation, algorithm, s); });
}

}  // namespace

int main(int argc, char** argv) {
  const struct {
    const char* name;
    ConvOperation operation;
  } operations[] = {{"forward", ConvOperation::forward},
                    {"input_grad", ConvOperation::input_grad},
                    {"weight_grad", ConvOperation::weight_grad}};
  iotsl::set_threads(1);
  const bool bf16 = argc > 2 && std::strcmp(argv[2], "bf16") == 0;
  if (bf16 && !iotsl::simd::multiplies_bfloat16()) {
    std::fprintf(stderr, "winograd_rule: no AVX-512 BF16 here\n");
    return 1;
  }
  std::printf("target %s\n%-12s %5s %5s %5s %5s %9s %6s  %s\n",
              iotsl::simd::name(iotsl::simd::active_target()), "operation", "n", "c", "k", "size",
              "products", "speed", "chosen");
  for (const auto& op : operations) {
    if (argc > 1 && std::strcmp(argv[1], "all") != 0 && std::strcmp(argv[1], op.name) != 0)
      continue;
    for (Index size : {28, 14, 8, 7, 6, 5, 4, 3})
      for (Index c : {16, 64, 256})
        for (Index k : {16, 64, 256})
          for (Index n : {1, 2, 8, 32}) {
            const ConvShape s{n, c, size, size, k, 3, 3, size, size, 1, 1, 1, 1, 1, 1};
            const double speed =
                bf16 ? speed_of_bf16(op.operation, s) : speed_of_winograd(op.operation, s);
            const bool chosen = bf16 ? iotsl::kernels::bf16_pays(s)
                                     : iotsl::kernels::winograd_pays(op.operation, s);
            const bool wrong = chosen ? speed < 0.9 : speed > 1.1;
            std::printf("%-12s %5d %5d %5d %5d %9.2f %6.2f  %s%s\n", op.name, static_cast<int>(n),
                        static_cast<int>(c), static_cast<int>(k), static_cast<int>(size),
                        iotsl::kernels::winograd_saving(s), speed,
                        !chosen ? (bf16 ? "float" : "direct") : (bf16 ? "bf16" : "winograd"),
                        wrong ? " !" : "");
            std::fflush(stdout);
          }
  }
}
