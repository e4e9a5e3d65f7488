#pragma once
// CRC-32C, for all processors and with the instruction of those that have it: every frame is
// checked at both of its ends.

#include <array>
#include <cstdint>

#include "iotsl/core/bytes.hpp"

#if defined(__x86_64__) && !defined(IOTSL_BASELINE_ONLY)
#define IOTSL_CRC32C_X86 1
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define IOTSL_CRC32C_ARM 1
#include <sys/auxv.h>
#endif

IOTSL_NAMESPACE_BEGIN

namespace detail {

/// Tables for eight bytes at a time (Kounavis and Berry 2005): row r advances a byte by r more.
/// Made at the first use: the compiler would take a tenth of a second in every translation unit.
inline std::array<std::array<std::uint32_t, 256>, 8> make_crc32c_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    tables[0][byte] = crc;
  }
  for (std::size_t row = 1; row < 8; ++row)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = tables[row - 1][byte];
      tables[row][byte] = (crc >> 8) ^ tables[0][crc & 255];
    }
  return tables;
}
inline const std::array<std::array<std::uint32_t, 256>, 8>& crc32c_tables() {
  static const std::array<std::array<std::uint32_t, 256>, 8> tables = make_crc32c_tables();
  return tables;
}

/// The register behind `bytes`, neither inverted.
inline std::uint32_t crc32c_portable(ByteSpan bytes, std::uint32_t crc) {
  const auto& t = crc32c_tables();
  while (bytes.size() >= 8) {
    const std::uint32_t low = load_le<std::uint32_t>(bytes.data()) ^ crc;
    const std::uint32_t high = load_le<std::uint32_t>(bytes.data() + 4);
    crc = t[7][low & 255] ^ t[6][(low >> 8) & 255] ^ t[5][(low >> 16) & 255] ^ t[4][low >> 24] ^
          t[3][high & 255] ^ t[2][(high >> 8) & 255] ^ t[1][(high >> 16) & 255] ^ t[0][high >> 24];
    bytes = bytes.subspan(8);
  }
  for (std::uint8_t b : bytes) crc = (crc >> 8) ^ t[0][(crc ^ b) & 255];
  return crc;
}

#if defined(IOTSL_CRC32C_X86)
/// SSE4.2. Intel's manual, volume 2A, CPUID leaf 1.
inline bool has_crc32c_instruction() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 20 & 1) != 0;
  }();
  return has;
}
/// As crc32c_portable, for processors that has_crc32c_instruction().
__attribute__((target("sse4.2"))) inline std::uint32_t crc32c_instructions(ByteSpan bytes,
                                                                           std::uint32_t crc) {
  std::uint64_t wide = crc;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8))
    wide = __builtin_ia32_crc32di(wide, load_le<std::uint64_t>(bytes.data()));
  crc = static_cast<std::uint32_t>(wide);
  for (const std::uint8_t b : bytes) crc = __builtin_ia32_crc32qi(crc, b);
  return crc;
}
#elif defined(IOTSL_CRC32C_ARM)
/// Every Raspberry Pi of 64 bits has it. Linux, Documentation/arch/arm64/elf_hwcaps.rst.
inline bool has_crc32c_instruction() {
  constexpr unsigned long hwcap_crc32 = 1ul << 7;
  static const bool has = (::getauxval(AT_HWCAP) & hwcap_crc32) != 0;
  return has;
}
/// As crc32c_portable, for processors that has_crc32c_instruction().
__attribute__((target("+crc"))) inline std::uint32_t crc32c_instructions(ByteSpan bytes,
                                                                         std::uint32_t crc) {
  for (; bytes.size() >= 8; bytes = bytes.subspan(8))
    crc = __builtin_aarch64_crc32cx(crc, load_le<std::uint64_t>(bytes.data()));
  for (const std::uint8_t b : bytes) crc = __builtin_aarch64_crc32cb(crc, b);
  return crc;
}
#endif

}  // namespace detail

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4). `crc` is the value of the bytes before these, so
/// that crc32c(b, crc32c(a)) is the value of a and b together.
inline std::uint32_t crc32c(ByteSpan bytes, std::uint32_t crc = 0) {
#if defined(IOTSL_CRC32C_X86) || defined(IOTSL_CRC32C_ARM)
  if (detail::has_crc32c_instruction()) return ~detail::crc32c_instructions(bytes, ~crc);
#endif
  return ~detail::crc32c_portable(bytes, ~crc);
}

IOTSL_NAMESPACE_END
