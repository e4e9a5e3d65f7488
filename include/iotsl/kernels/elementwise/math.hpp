#pragma once
// The transcendental functions on vectors, for the kernels of other families.

#include "iotsl/config.hpp"
#include "iotsl/simd/vec.hpp"

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/elementwise/math-inl.hpp"
#include "iotsl/simd/foreach_target.hpp"
