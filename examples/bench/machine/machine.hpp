#pragma once
// Which machine it is: processor, board, cores, caches, memory, system.

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "bench/machine/board.hpp"

namespace iotsl::bench {

struct Machine {
  std::string cpu;           ///< "AMD EPYC", "Cortex-A72"
  std::string board;         ///< "Raspberry Pi 4 Model B Rev 1.4"; empty: no board that tells
  std::string architecture;  ///< "x86_64", "aarch64", "armv7l"
  std::string os;            ///< with the kernel's version
  int cores = 1;             ///< that this process may use
  std::uint64_t memory_bytes = 0;
  std::uint64_t l2_bytes = 0;          ///< 0: not told
  int l2_cores = 1;                    ///< that share it
  std::uint64_t last_cache_bytes = 0;  ///< the largest cache; 0: not told

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("cpu", self.cpu);
    f("board", self.board);
    f("architecture", self.architecture);
    f("os", self.os);
    f("cores", self.cores);
    f("memory_bytes", self.memory_bytes);
    f("l2_bytes", self.l2_bytes);
    f("l2_cores", self.l2_cores);
    f("last_cache_bytes", self.last_cache_bytes);
  }
  friend bool operator==(const Machine&, const Machine&) = default;
};

namespace detail {

/// What stands behind `key`, blanks and the separator in the first such line of a text.
inline std::string value_of(const std::string& text, std::string_view key, char separator) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t split = line.find(separator);
    if (!line.starts_with(key) || split == std::string::npos) continue;
    if (line.find_first_not_of(" \t", key.size()) != split) continue;
    const std::size_t begin = line.find_first_not_of(" \t\"", split + 1);
    if (begin == std::string::npos) continue;
    return line.substr(begin, line.find_last_not_of(" \t\"\r") + 1 - begin);
  }
  return {};
}

/// Arm's cores say a number only (implementer 0x41; Arm's technical reference manuals, MIDR).
inline std::string arm_core(const std::string& part) {
  constexpr struct {
    const char *part, *name;
  } cores[] = {{"0xc07", "Cortex-A7"},  {"0xc08", "Cortex-A8"},  {"0xc09", "Cortex-A9"},
               {"0xc0f", "Cortex-A15"}, {"0xd03", "Cortex-A53"}, {"0xd04", "Cortex-A35"},
               {"0xd05", "Cortex-A55"}, {"0xd07", "Cortex-A57"}, {"0xd08", "Cortex-A72"},
               {"0xd09", "Cortex-A73"}, {"0xd0a", "Cortex-A75"}, {"0xd0b", "Cortex-A76"},
               {"0xd0c", "Neoverse-N1"}};
  for (const auto& core : cores)
    if (part == core.part) return core.name;
  return concat("Arm core ", part);
}

}  // namespace detail

/// The processor's name from the text of /proc/cpuinfo.
inline std::string cpu_name(const std::string& cpuinfo) {
  if (const std::string part = detail::value_of(cpuinfo, "CPU part", ':'); !part.empty())
    return detail::value_of(cpuinfo, "CPU implementer", ':') == "0x41"
               ? detail::arm_core(part)
               : concat("implementer ", detail::value_of(cpuinfo, "CPU implementer", ':'),
                        ", core ", part);
  const std::string name = detail::value_of(cpuinfo, "model name", ':');
  return name.empty() ? "unknown" : make_printable(name);
}
inline std::string cpu_name() {
  const Result<std::string> cpuinfo = read_text_file("/proc/cpuinfo");
  return cpuinfo ? cpu_name(*cpuinfo) : "unknown";
}

namespace detail {

struct Cache {
  std::uint64_t bytes = 0;  ///< 0: not told
  int cores = 1;
};

/// Number of cores in a list of the kernel's: 3 of "0,4-5".
inline int count_cores(const std::string& list) {
  int count = 0;
  for (const char* at = list.c_str(); *at != '\0';) {
    char* end = nullptr;
    const long first = std::strtol(at, &end, 10);
    long last = first;
    if (end == at) break;
    if (*end == '-') last = std::strtol(end + 1, &end, 10);
    if (last >= first && last - first < 4096) count += static_cast<int>(last - first) + 1;
    at = *end == ',' ? end + 1 : end;
  }
  return std::max(1, count);
}

/// The cache of that level as sysfs has it ("1024K"), else as the C library asks the processor.
inline Cache read_cache(const std::string& sysfs, std::uint64_t level, int library_name) {
  for (const std::string& index :
       entries(join_path(sysfs, "devices/system/cpu/cpu0/cache"), "index")) {
    std::uint64_t found = 0;
    if (!read_number(index + "/level", 10, found) || found != level) continue;
    if (read_line(index + "/type") == "Instruction") continue;
    const std::string size = read_line(index + "/size");
    char* end = nullptr;
    const std::uint64_t number = std::strtoull(size.c_str(), &end, 10);
    return {number << (*end == 'M'   ? 20
                       : *end == 'K' ? 10
                                     : 0),
            count_cores(read_line(index + "/shared_cpu_list"))};
  }
  const long asked = ::sysconf(library_name);
  return {asked > 0 ? static_cast<std::uint64_t>(asked) : 0, 1};
}

inline std::string system_name(const utsname& system) {
  std::string release;
  if (const Result<std::string> text = read_text_file("/etc/os-release"))
    release = value_of(*text, "PRETTY_NAME", '=');
  return make_printable(
      concat(release, release.empty() ? "" : ", ", system.sysname, " ", system.release));
}

}  // namespace detail

inline Machine read_machine(const std::string& sysfs) {
  Machine out;
  utsname system{};
  ::uname(&system);
  out.cpu = cpu_name();
  out.board = make_printable(detail::read_line(join_path(sysfs, "firmware/devicetree/base/model")));
  out.architecture = system.machine;
  out.os = detail::system_name(system);
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) == 0) out.cores = CPU_COUNT(&usable);
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0)
    out.memory_bytes = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page);
  const detail::Cache l2 = detail::read_cache(sysfs, 2, _SC_LEVEL2_CACHE_SIZE);
  out.l2_bytes = l2.bytes;
  out.l2_cores = l2.cores;
  out.last_cache_bytes =
      std::max(l2.bytes, detail::read_cache(sysfs, 3, _SC_LEVEL3_CACHE_SIZE).bytes);
  return out;
}

/// Memory that can be taken now; all of it where the system does not tell.
inline std::uint64_t available_bytes(const Machine& machine) {
  if (const Result<std::string> info = read_text_file("/proc/meminfo")) {
    const std::string value = detail::value_of(*info, "MemAvailable", ':');
    if (const std::uint64_t kib = std::strtoull(value.c_str(), nullptr, 10); kib > 0)
      return 1024 * kib;
  }
  return machine.memory_bytes;
}

}  // namespace iotsl::bench
