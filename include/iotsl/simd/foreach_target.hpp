// Includes the file named by IOTSL_TARGET_INCLUDE once per target, each time inside the target's
// region and with IOTSL_TARGET set to the target's namespace. No include guard: every family of
// kernels includes it once.
//
// How a family is written (say, pooling):
//
//   pool-inl.hpp   no include guard, no #include, only code for vectors:
//       IOTSL_NAMESPACE_BEGIN
//       namespace kernels::IOTSL_TARGET {
//       using namespace simd::IOTSL_TARGET;     // Vec, lanes, load, fma ... (simd/vec.hpp)
//       inline void max_rows(Index n, const float* x, float* y) { ... }
//       inline constexpr PoolTable pool_table{.max_rows = max_rows};
//       }
//       IOTSL_NAMESPACE_END
//   pool.hpp       #pragma once, all includes, the table's type, and the drivers:
//       namespace kernels { struct PoolTable { void (*max_rows)(Index, const float*, float*); }; }
//       #define IOTSL_TARGET_INCLUDE "iotsl/kernels/pool-inl.hpp"
//       #include "iotsl/kernels/foreach_target.hpp"
//       IOTSL_TABLE(PoolTable, pool_table)    (*) the function that gives the active table
//
//   (*) inside namespace kernels, outside every region. The driver takes the table once per call,
//       cuts the work by shape and calls parallel_for; the kernel sees pointers and sizes only.
//
// Rules inside an -inl.hpp: no system header, no lambda, no std algorithm (they would be compiled
// for the wrong target), no OpenMP, no allocation, no exception; `inline` on functions,
// IOTSL_INLINE on those that pass vectors; fused multiply-adds are written fma(). IOTSL_UNROLL
// before a loop over registers. Another family's functions for the same target can be called
// directly if its header is included before.

#if defined(IOTSL_TARGET_INCLUDE)
#include "iotsl/simd/vec.hpp"

#define IOTSL_TARGET IOTSL_TARGET_0
IOTSL_REGION_BEGIN(IOTSL_TARGET_0)
#include IOTSL_TARGET_INCLUDE
IOTSL_REGION_END
#undef IOTSL_TARGET

#if defined(IOTSL_TARGET_1)
#define IOTSL_TARGET IOTSL_TARGET_1
IOTSL_REGION_BEGIN(IOTSL_TARGET_1)
#include IOTSL_TARGET_INCLUDE
IOTSL_REGION_END
#undef IOTSL_TARGET
#endif

#if defined(IOTSL_TARGET_2)
#define IOTSL_TARGET IOTSL_TARGET_2
IOTSL_REGION_BEGIN(IOTSL_TARGET_2)
#include IOTSL_TARGET_INCLUDE
IOTSL_REGION_END
#undef IOTSL_TARGET
#endif

#if defined(IOTSL_TARGET_3)
#define IOTSL_TARGET IOTSL_TARGET_3
IOTSL_REGION_BEGIN(IOTSL_TARGET_3)
#include IOTSL_TARGET_INCLUDE
IOTSL_REGION_END
#undef IOTSL_TARGET
#endif

#undef IOTSL_TARGET_INCLUDE
#endif
