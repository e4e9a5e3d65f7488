#pragma once
// Whose turn it is: a pure function of a run's options and the turn's number, so that every
// transport, the books and a run that is taken up again agree on it.

#include <numeric>
#include <vector>

#include "iotsl/core/heap_sort.hpp"
#include "iotsl/core/named_enum.hpp"
#include "iotsl/core/random.hpp"

IOTSL_NAMESPACE_BEGIN

/// In which order the devices of a round take their turns: by their places, or in a new order for
/// every round, drawn from the seed.
enum class OrderPolicy { fixed, shuffled };

namespace detail {
inline constexpr NamedValue<OrderPolicy> order_policy_table[] = {
    {OrderPolicy::fixed, "fixed"}, {OrderPolicy::shuffled, "shuffled"}};
}
/// Their names, for the command line and files.
constexpr const auto& names_of(OrderPolicy) { return detail::order_policy_table; }

/// A run's turns are numbered from 0; a round is one turn of each device that takes part in it.
struct TurnOrder {
  std::uint32_t devices = 1;
  std::uint64_t seed = 1;
  OrderPolicy policy = OrderPolicy::fixed;
  double participation = 1;  ///< part of the devices that takes part in a round: in (0, 1]

  /// Turns of a round: participation * devices, rounded up (a product that is a whole number but
  /// for its last bits stands for that number).
  std::uint64_t round_turns() const {
    const double wanted = participation * devices - 1e-9;
    const auto whole = static_cast<std::uint64_t>(wanted > 0 ? wanted : 0);
    return whole + (static_cast<double>(whole) < wanted || whole == 0 ? 1 : 0);
  }
  std::uint64_t round_of(std::uint64_t turn) const { return turn / round_turns(); }
  bool ends_round(std::uint64_t turn) const { return (turn + 1) % round_turns() == 0; }

  /// The devices of a round, in the order of their turns. Both policies choose the same ones: the
  /// first of a drawn order.
  std::vector<std::uint32_t> of_round(std::uint64_t round) const {
    std::vector<std::uint32_t> out(devices);
    std::iota(out.begin(), out.end(), 0u);
    const auto turns = static_cast<std::size_t>(round_turns());
    if (policy == OrderPolicy::fixed && turns == devices) return out;
    const Random random(seed, Stream::turn_order, static_cast<std::uint32_t>(round));
    for (std::size_t i = 0; i < turns; ++i)
      std::swap(out[i], out[i + static_cast<std::size_t>(random.below(i, devices - i))]);
    out.resize(turns);
    if (policy == OrderPolicy::fixed) heap_sort(out);
    return out;
  }
  /// Whose turn it is.
  std::uint32_t device_of(std::uint64_t turn) const {
    const std::uint64_t turns = round_turns();
    if (policy == OrderPolicy::fixed && turns == devices)
      return static_cast<std::uint32_t>(turn % turns);
    return of_round(turn / turns)[static_cast<std::size_t>(turn % turns)];
  }
};

IOTSL_NAMESPACE_END
