#include "host/report/device_command.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>

namespace iotsl::tool {
namespace {

bool is_any(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

/// The address of a network interface as text; empty where no other machine can use it.
std::string usable_text(const ifaddrs& interface, bool with_v6) {
  const bool up = (interface.ifa_flags & IFF_UP) != 0 && (interface.ifa_flags & IFF_LOOPBACK) == 0;
  if (!up || interface.ifa_addr == nullptr) return {};
  char text[INET6_ADDRSTRLEN] = "";
  if (interface.ifa_addr->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(interface.ifa_addr);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  } else if (interface.ifa_addr->sa_family == AF_INET6 && with_v6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(interface.ifa_addr);
    // A link-local address needs the name of the other machine's interface.
    if (!IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  }
  return text;
}

bool is_loopback(const std::string& host) {
  return host.starts_with("127.") || host == "::1" || host == "localhost";
}

}  // namespace

std::vector<net::Address> reachable_addresses(const net::Address& listening) {
  if (!is_any(listening.host)) return {listening};
  std::vector<net::Address> out;
  ifaddrs* interfaces = nullptr;
  if (getifaddrs(&interfaces) == 0) {
    for (const ifaddrs* each = interfaces; each != nullptr; each = each->ifa_next)
      if (const std::string text = usable_text(*each, listening.host == "::"); !text.empty())
        out.push_back({text, listening.port});
    freeifaddrs(interfaces);
  }
  if (out.empty()) out.push_back({listening.host == "::" ? "::1" : "127.0.0.1", listening.port});
  return out;
}

std::string device_instructions(const RunOptions& run, const split::RunConfig& config,
                                const std::vector<net::Address>& addresses,
                                const std::string& manifest, const std::string& identity) {
  const net::Address& first = addresses.front();
  const bool is_remote = !is_loopback(first.host);
  const bool packs = needs_packing(run.data);
  const std::string set = packs ? "packed" : run.data.dataset;
  const bool sealed = !identity.empty();
  std::string out =
      concat("iotsl-device run --server ", to_string(first),
             sealed ? " --identity identity" : " --name pi-01", " \\\n    --dataset ", set);
  if (packs)
    out += " --data packed";
  else if (set != "glyphs" && (is_remote || !run.data.folder.empty()))
    out += concat(" --data ",
                  is_remote ? set == "packed" ? "packed" : "data" : shell_word(run.data.folder));
  if (!manifest.empty())
    out += concat(" --manifest ", is_remote ? "manifest.json" : shell_word(manifest), " --index 0");
  if (config.preparation.generator.privacy.is_private()) out += " --private --state FOLDER";
  if (config.preparation.generator_only) out += " --generator-only";
  if (is_remote && !sealed) out += " --insecure";
  out = concat("start a device with\n  ", out);
  if (sealed)
    out += concat("\nafter it was enrolled with a token of iotsl device add --identity ",
                  shell_word(identity), " --server ", to_string(first), " NAME");
  if (!manifest.empty())
    out += concat("\nwith its own ", sealed ? "" : "--name and ", "--index, 0 to ",
                  config.devices - 1, is_remote ? concat("; copy ", manifest, " to it first") : "");
  for (std::size_t i = 1; i < addresses.size(); ++i)
    out += concat(i == 1 ? "\nother addresses of this machine: " : ", ", to_string(addresses[i]));
  return out;
}

std::string shell_word(const std::string& text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace iotsl::tool
