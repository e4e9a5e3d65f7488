#pragma once
// In what form smashed batches and their gradients cross the network.

#include "iotsl/core/named_enum.hpp"

IOTSL_NAMESPACE_BEGIN

/// The coarser ones have a scale for each tile of values (kernels/wire_code.hpp).
enum class WireCoding : std::uint8_t {
  fp32 = 1,  ///< as they are
  fp16,      ///< half precision, rounded to nearest
  int8,      ///< 8 bits, rounded up or down by chance
  int4,      ///< 4 bits, the same
};

namespace detail {
inline constexpr NamedValue<WireCoding> wire_codings[] = {{WireCoding::fp32, "fp32"},
                                                          {WireCoding::fp16, "fp16"},
                                                          {WireCoding::int8, "int8"},
                                                          {WireCoding::int4, "int4"}};
}  // namespace detail

constexpr const auto& names_of(WireCoding) { return detail::wire_codings; }

/// For gradients, where a user has said nothing of them: as for smashed batches, but not below 8
/// bits, since an error in a gradient moves the weights of the front.
constexpr WireCoding default_gradient_coding(WireCoding smashed) {
  return smashed == WireCoding::int4 ? WireCoding::int8 : smashed;
}

IOTSL_NAMESPACE_END
