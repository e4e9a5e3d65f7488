#include "iotsl/net/channel.hpp"

bool valid(std::string_view address);

bool valid(std::string_view address) { return iotsl::net::parse_address(address).ok(); }
