#pragma once
// All kernels: raw pointers and sizes, one entry point per operation in iotsl::kernels. float runs
// on the active SIMD target, every other type on the reference loops.

#include "iotsl/kernels/conv2d/conv2d.hpp"
#include "iotsl/kernels/conv2d/grouped.hpp"
#include "iotsl/kernels/elementwise/activation.hpp"
#include "iotsl/kernels/elementwise/elementwise.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"
#include "iotsl/kernels/norm/norm.hpp"
#include "iotsl/kernels/norm/pixel_norm.hpp"
#include "iotsl/kernels/optim.hpp"
#include "iotsl/kernels/pool.hpp"
#include "iotsl/kernels/reduce/loss.hpp"
#include "iotsl/kernels/reduce/reduce.hpp"
#include "iotsl/kernels/spectral.hpp"
#include "iotsl/kernels/types.hpp"
#include "iotsl/kernels/wire_code.hpp"
