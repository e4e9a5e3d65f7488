#pragma once
// The methods of training, and in what they differ.

#include "iotsl/core/error.hpp"
#include "iotsl/core/named_enum.hpp"

IOTSL_NAMESPACE_BEGIN

enum class Method {
  split_learning,       ///< fronts on the devices, the back on the server
  iotsl,                ///< the same with generators: pre-training and imputation come first
  federated_averaging,  ///< the whole net on each device; the server averages
  central,              ///< one net, all data in one place
  cached,               ///< as iotsl with a frozen front; each sample is smashed once and kept
  random_gradient,      ///< devices alone: random numbers in place of the server's gradients
};

/// What the program does otherwise for one method than for another.
struct MethodTraits {
  Method value;
  const char* name;
  bool has_fronts = false;      ///< devices hold the front of a net that is cut
  bool splits = false;          ///< smashed batches and gradients travel
  bool has_generators = false;  ///< devices train generators before their first turn
  bool caches = false;      ///< the server trains on from what it keeps of a device's first turn
  bool averages = false;    ///< devices train the whole net, a round ends in the mean
  bool pools_data = false;  ///< no devices: their samples together are one set
};

namespace detail {
inline constexpr MethodTraits method_table[] = {
    {.value = Method::split_learning, .name = "sl", .has_fronts = true, .splits = true},
    {.value = Method::iotsl,
     .name = "iotsl",
     .has_fronts = true,
     .splits = true,
     .has_generators = true},
    {.value = Method::federated_averaging, .name = "fedavg", .averages = true},
    {.value = Method::central, .name = "central", .pools_data = true},
    {.value = Method::cached,
     .name = "cache",
     .has_fronts = true,
     .splits = true,
     .has_generators = true,
     .caches = true},
    {.value = Method::random_gradient, .name = "local", .has_fronts = true},
};
}  // namespace detail

constexpr const auto& names_of(Method) { return detail::method_table; }

constexpr const MethodTraits& traits_of(Method method) {
  return detail::method_table[static_cast<std::size_t>(method)];
}
constexpr bool has_fronts(Method method) { return traits_of(method).has_fronts; }
constexpr bool splits(Method method) { return traits_of(method).splits; }
constexpr bool has_generators(Method method) { return traits_of(method).has_generators; }
constexpr bool caches(Method method) { return traits_of(method).caches; }
constexpr bool averages(Method method) { return traits_of(method).averages; }
constexpr bool pools_data(Method method) { return traits_of(method).pools_data; }

inline Result<Method> parse_method(std::string_view text) {
  if (const auto found = find_named<Method>(text)) return *found;
  return failure(ErrorCode::usage, "--method ", text,
                 ": expected sl, iotsl, cache, fedavg, central or local");
}

IOTSL_NAMESPACE_END
