// The kernels with the target avx2x2, compiled once for its tests. See simd/vec_avx2x2.hpp.
#include "iotsl/kernels/bf16/products.hpp"
#include "iotsl/kernels/kernels.hpp"
