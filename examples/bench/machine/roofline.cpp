#include "bench/machine/roofline.hpp"

#include "iotsl/core/tensor.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/simd/vec.hpp"

namespace iotsl::bench {
struct RooflineTable {
  Index multiply_adds_per_round;
  float (*multiply_add)(Index rounds, float factor, float summand);
  void (*triad)(Index n, const float* b, const float* c, float factor, float* a);
};
}  // namespace iotsl::bench

#define IOTSL_TARGET_INCLUDE "bench/machine/roofline-inl.hpp"
#include "iotsl/simd/foreach_target.hpp"

namespace iotsl::bench {
namespace {

const RooflineTable& table_of(simd::Target target) {
  const simd::Target active = simd::active_target();
  simd::set_target(target);
  const RooflineTable& table = IOTSL_TARGET_TABLE(roofline_table);
  simd::set_target(active);
  return table;
}

/// As many floats as every triad can take: a multiple of four vectors of any target.
Index whole_vectors(double bytes) {
  return std::max<Index>(1, static_cast<Index>(bytes / 4) / 64) * 64;
}

Workload multiply_adds(simd::Target target, Index rounds, int threads) {
  const RooflineTable& table = table_of(target);
  const double flops = 2.0 * static_cast<double>(table.multiply_adds_per_round * rounds) * threads;
  return {.name = concat("fma/", simd::name(target)),
          .work = {.flops = flops},
          .prepare = [&table, rounds, threads]() -> Run {
            return [&table, rounds, threads] {
              parallel_for(threads, [&](Index) {
                // Stored, so that the loop is not left out.
                volatile float sum = table.multiply_add(rounds, 0.5F, 1.0F);
                static_cast<void>(sum);
              });
            };
          }};
}

/// `passes` times over `count` floats of each of three arrays, for each thread.
Workload triad(const char* level, Index count, Index passes, int threads) {
  const double bytes = 12.0 * static_cast<double>(count) * threads;
  return {.name = concat("triad/", level),
          .work = {.flops = bytes / 6 * static_cast<double>(passes),
                   .bytes = bytes * static_cast<double>(passes)},
          .memory_bytes = bytes,
          .prepare = [=]() -> Run {
            const RooflineTable& table = table_of(simd::active_target());
            Tensor<float> floats = Tensor<float>::uninitialized(Shape{threads, 3, count});
            float* const first = floats.mutable_data();
            const auto part = [=](Index thread) { return first + 3 * count * thread; };
            // By the thread that uses it, where the system puts memory near its first user.
            parallel_for(threads, [&](Index t) { std::fill_n(part(t), 3 * count, 1.0F); });
            return [floats, part, passes, count, threads, &table] {
              parallel_for(threads, [&](Index t) {
                float* a = part(t);
                for (Index i = 0; i < passes; ++i)
                  table.triad(count, a + count, a + 2 * count, 0.5F, a);
              });
            };
          }};
}

/// What `threads` threads have of L2 together.
double l2_bytes(const Machine& machine, int threads) {
  constexpr std::uint64_t least = 256 << 10;  // of boards that do not tell
  const int caches = std::max(1, threads / machine.l2_cores);
  return static_cast<double>(std::max(machine.l2_bytes, least)) * caches;
}

}  // namespace

Workloads roofline_workloads(const Scale& scale, const Machine& machine, int threads) {
  Workloads out;
  for (const simd::Target target : simd::reachable_targets())
    out.push_back(multiply_adds(target, scale.multiply_add_rounds, threads));
  const double thread_count = threads;
  // Half of it, since code and stacks want some as well.
  const Index in_l2 = whole_vectors(l2_bytes(machine, threads) / 2 / thread_count / 3);
  const auto passes = static_cast<Index>(scale.l2_bytes / (12.0 * static_cast<double>(in_l2))) + 1;
  out.push_back(triad("L2", in_l2, passes, threads));
  // Far beyond the last cache, as far as memory, patience and the addresses of 32-bit boards allow.
  const double most = std::min({768e6, static_cast<double>(available_bytes(machine)) / 4,
                                4.0 * static_cast<double>(Shape::max_elements)});
  const double total = std::min(
      most, std::max(scale.memory_bytes_least, 4 * static_cast<double>(machine.last_cache_bytes)));
  out.push_back(triad("memory", whole_vectors(total / 3 / thread_count), 1, threads));
  return out;
}

Roofline roofline_of(const Report& report, int threads) {
  // A limit is the best that was seen: whatever else the machine does takes from it.
  const auto best = [&](const std::string& name, double Row::*amount) {
    const Row* row = report.find(name, threads);
    if (row == nullptr) fail("roofline_of: no row ", name, " of ", threads, " threads");
    return row->*amount / row->seconds.least;
  };
  return {.flops_per_second = best("fma/" + report.target, &Row::flops),
          .l2_bytes_per_second = best("triad/L2", &Row::bytes),
          .memory_bytes_per_second = best("triad/memory", &Row::bytes),
          .l2_bytes = l2_bytes(report.machine, threads)};
}

void set_share(Row& row, const Roofline& roofline) {
  const bool fits = row.bytes <= roofline.l2_bytes;
  const double compute = row.flops / roofline.flops_per_second;
  const double moving =
      row.bytes / (fits ? roofline.l2_bytes_per_second : roofline.memory_bytes_per_second);
  row.share = std::max(compute, moving) / row.seconds.median;
  row.bound = compute >= moving ? "compute" : fits ? "L2" : "memory";
}

}  // namespace iotsl::bench
