#pragma once
// How fast a network is, as people write it: 50mbit,20ms.

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "iotsl/core/error.hpp"
#include "iotsl/net/clock.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// What a connection passes: a rate that holds for each direction on its own, and the time there
/// and back that `ping` shows, half of it each way. The rate is of the bytes of the connection;
/// the headers of TCP, IP and Ethernet below it (4 % of a full packet) are not counted.
struct LinkSpeed {
  std::uint64_t bits_per_second = 0;
  Microseconds round_trip = 0;

  /// Time that so many bytes keep one direction busy.
  double seconds(std::uint64_t bytes) const {
    return 8 * static_cast<double>(bytes) / static_cast<double>(bits_per_second);
  }
  friend bool operator==(const LinkSpeed&, const LinkSpeed&) = default;
};

namespace detail {

/// A number and how many of what is counted its unit has.
struct LinkUnit {
  std::string_view name;
  double size;
};
inline constexpr LinkUnit rate_units[] = {{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}};
inline constexpr LinkUnit delay_units[] = {{"us", 1}, {"ms", 1e3}};

/// A number with one of the units behind it; below 0 where it is none.
template <std::size_t N>
double parse_quantity(std::string_view text, const LinkUnit (&units)[N]) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc() || !(value >= 0)) return -1;
  const std::string_view unit = text.substr(static_cast<std::size_t>(stop - text.data()));
  for (const LinkUnit& each : units)
    if (unit == each.name) return value * each.size;
  return -1;
}

/// The largest unit of which it is a whole number, else the smallest with all digits of the rest.
template <std::size_t N>
std::string quantity_text(std::int64_t value, const LinkUnit (&units)[N]) {
  for (std::size_t i = N; i-- > 1;)
    if (const auto size = static_cast<std::int64_t>(units[i].size); value % size == 0)
      return concat(value / size, units[i].name);
  const auto size = static_cast<std::int64_t>(units[0].size);
  std::string text = std::to_string(value / size);
  if (std::int64_t rest = value % size; rest != 0) {
    text += '.';
    for (std::int64_t digit = size / 10; rest != 0; rest %= digit, digit /= 10)
      text += static_cast<char>('0' + rest / digit);
  }
  return concat(text, units[0].name);
}

}  // namespace detail

/// Slower transfers are taken for a peer that has gone (LinkOptions::slow_bytes_per_second), and
/// a handshake of five ways has four seconds.
inline constexpr double least_link_rate = 200e3, most_link_rate = 100e9;
inline constexpr double longest_round_trip_us = 1e6;

/// RATE or RATE,ROUND-TRIP: a number with kbit, mbit or gbit (a second; 10^3, 10^6, 10^9), and one
/// with us or ms.
inline Result<LinkSpeed> parse_link_speed(std::string_view text) {
  const std::size_t comma = text.find(',');
  const double rate = detail::parse_quantity(text.substr(0, comma), detail::rate_units);
  const double delay = comma == std::string_view::npos
                           ? 0
                           : detail::parse_quantity(text.substr(comma + 1), detail::delay_units);
  const auto wrong = [&](const auto&... why) {
    return failure(ErrorCode::usage, "link '", text, "': ", why...);
  };
  if (rate < 0 || delay < 0)
    return wrong(
        "expected a rate and perhaps a round trip, as 50mbit or 50mbit,20ms; units kbit, "
        "mbit, gbit and us, ms");
  if (!(rate >= least_link_rate && rate <= most_link_rate))
    return wrong("the rate must be from 200kbit to 100gbit");
  if (!(delay <= longest_round_trip_us)) return wrong("the round trip must be at most 1000ms");
  // To the nearest: 1234.567kbit times 1000 is a little less than a whole number.
  return LinkSpeed{static_cast<std::uint64_t>(rate + 0.5), static_cast<Microseconds>(delay + 0.5)};
}

/// As parse_link_speed reads it.
inline std::string to_string(const LinkSpeed& speed) {
  const std::string rate =
      detail::quantity_text(static_cast<std::int64_t>(speed.bits_per_second), detail::rate_units);
  return speed.round_trip == 0
             ? rate
             : concat(rate, ",", detail::quantity_text(speed.round_trip, detail::delay_units));
}

}  // namespace net
IOTSL_NAMESPACE_END
