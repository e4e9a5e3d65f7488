#pragma once
// --link: the network that the connections of a run are made to be like.

#include <optional>

#include "host/options/option_list.hpp"
#include "iotsl/net/link/link_speed.hpp"

namespace iotsl::tool {

/// What --link says for a network as it is.
inline constexpr const char* no_link = "none";

inline CLI::Validator is_link() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        const auto speed = net::parse_link_speed(text);
        return speed || text == no_link ? "" : speed.failure().message;
      },
      "RATE[,ROUND-TRIP]");
}

template <class Text, class List>
void list_link_option(Text& link, List& list) {
  list.given("link", link,
             "Every device's connection as over a network of this rate (kbit, mbit, gbit a second, "
             "each way) and round trip (us, ms), as 50mbit,20ms; none: as it is",
             is_link());
}

/// What the option was given; nothing where that is no other network.
inline std::optional<net::LinkSpeed> parse_link_option(const std::string& link) {
  if (link.empty() || link == no_link) return std::nullopt;
  return expect(net::parse_link_speed(link));
}

}  // namespace iotsl::tool
