#pragma once
// In which numbers the server half is trained.

#include "iotsl/core/named_enum.hpp"

IOTSL_NAMESPACE_BEGIN

/// What the server half rounds the operands of its convolutions and linear layers to, forward and
/// backward, while it is trained; weights and sums are float either way.
enum class ServerPrecision { float32, bf16 };

namespace detail {
inline constexpr NamedValue<ServerPrecision> server_precision_table[] = {
    {ServerPrecision::float32, "float"}, {ServerPrecision::bf16, "bf16"}};
}
/// Their names, for the command line and files.
constexpr const auto& names_of(ServerPrecision) { return detail::server_precision_table; }

IOTSL_NAMESPACE_END
