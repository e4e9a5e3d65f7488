#pragma once
// The type in which the reference sums: never narrower than double.

#include <type_traits>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, float>, double, T>;

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
