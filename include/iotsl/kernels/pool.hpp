#pragma once
// Max pooling; meaning as in reference/pool.hpp.

#include "iotsl/kernels/reference/pool.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void max_pool2d(const PoolShape& s, const T* x, T* y, std::uint8_t* index) {
  reference::max_pool2d(s, x, y, index);
}

template <class T>
void max_pool2d_grad(const PoolShape& s, const T* gy, const std::uint8_t* index, T* gx) {
  reference::max_pool2d_grad(s, gy, index, gx);
}

template <class T>
void max_pool2d_gather(const PoolShape& s, const T* x, const std::uint8_t* index, T* y) {
  reference::max_pool2d_gather(s, x, index, y);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
