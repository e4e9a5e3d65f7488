// All kernels of one target whose words are pairs.
#include "iotsl/kernels/gemm/gemm_tile-inl.hpp"
//
#include "iotsl/kernels/bf16/round-inl.hpp"
#include "iotsl/kernels/conv2d/conv2d-inl.hpp"
#include "iotsl/kernels/gemm/gemm-inl.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
inline constexpr Bf16Table bf16_table{&gemm_table, &conv_table, &round_table};
}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
