#pragma once
// The only header that knows OpenMP. Work is cut into tasks by the problem, never by the number of
// threads, so that results do not depend on it.

#include <algorithm>

#include "iotsl/core/shape.hpp"

#if IOTSL_OPENMP
#include <omp.h>
#endif

IOTSL_NAMESPACE_BEGIN

namespace detail {
inline int& thread_count() {
#if IOTSL_OPENMP
  static int count = omp_get_max_threads();
#else
  static int count = 1;
#endif
  return count;
}
/// Zero outside parallel_for, also within a parallel region that is not ours.
inline int& worker() {
  thread_local int index = 0;
  return index;
}
}  // namespace detail

/// Threads that parallel_for uses; all cores unless set.
inline int threads() { return detail::thread_count(); }

/// Sets the number of threads (at least 1). Without OpenMP it stays 1.
inline void set_threads(int count) {
  if (count < 1) fail("set_threads: ", count, " threads; expected at least 1");
#if IOTSL_OPENMP
  detail::thread_count() = count;
#endif
}

/// Calls `body(task)` for every task in [0, tasks), in any order and on any thread. The tasks must
/// write to different places; `body` must not throw. Nested calls run on the calling thread.
template <class Body>
void parallel_for(Index tasks, const Body& body) {
#if IOTSL_OPENMP
  const int team = static_cast<int>(std::min<Index>(threads(), tasks));
  if (team > 1 && !omp_in_parallel()) {
#pragma omp parallel num_threads(team)
    {
      detail::worker() = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
      for (Index task = 0; task < tasks; ++task) body(task);
      detail::worker() = 0;
    }
    return;
  }
#endif
  for (Index task = 0; task < tasks; ++task) body(task);
}

/// Index of the calling thread within the running parallel_for, in [0, threads()): for scratch
/// only.
inline int worker_index() { return detail::worker(); }

/// Calls `body(begin, end)` on pieces of [0, count) of `grain` elements each.
template <class Body>
void parallel_chunks(Index count, Index grain, const Body& body) {
  const Index tasks = (count + grain - 1) / grain;
  parallel_for(tasks, [&](Index task) { body(task * grain, std::min(count, (task + 1) * grain)); });
}

IOTSL_NAMESPACE_END
