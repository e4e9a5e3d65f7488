#pragma once
// What every kernel means: plain loops over any scalar type. They run where no vectorised version
// exists (T other than float) and judge those that do.

#include "iotsl/kernels/reference/activation.hpp"
#include "iotsl/kernels/reference/conv2d.hpp"
#include "iotsl/kernels/reference/elementwise.hpp"
#include "iotsl/kernels/reference/gemm.hpp"
#include "iotsl/kernels/reference/loss.hpp"
#include "iotsl/kernels/reference/norm.hpp"
#include "iotsl/kernels/reference/optim.hpp"
#include "iotsl/kernels/reference/pixel_norm.hpp"
#include "iotsl/kernels/reference/pool.hpp"
#include "iotsl/kernels/reference/reduce.hpp"
#include "iotsl/kernels/reference/spectral.hpp"
