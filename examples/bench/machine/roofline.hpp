#pragma once
// The limits of a machine: how fast it multiplies and adds, and moves memory (Williams, Waterman,
// Patterson 2009). No program that reads and writes so many bytes is done before both bounds.

#include "bench/report/report.hpp"
#include "bench/work/workload.hpp"

namespace iotsl::bench {

/// `fma/<target>` for every target that can run here, `triad/L2` and `triad/memory`, for one number
/// of threads. Each thread works on memory of its own.
Workloads roofline_workloads(const Scale& scale, const Machine& machine, int threads);

/// Limits for one number of threads: the best samples of the rows of roofline_workloads().
struct Roofline {
  double flops_per_second = 0, l2_bytes_per_second = 0, memory_bytes_per_second = 0;
  double l2_bytes = 0;  ///< what fits into the caches of all these threads
};
Roofline roofline_of(const Report& report, int threads);

/// Sets share and bound of a row. Bytes that fit into L2 are held against its speed, others against
/// the memory's; the caches between are not counted, so a share may exceed 1, and so may one of an
/// algorithm with fewer operations than the plain definition.
void set_share(Row& row, const Roofline& roofline);

}  // namespace iotsl::bench
