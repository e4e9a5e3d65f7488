#pragma once
// The compression function of SHA-256 (FIPS 180-4, 6.2.2): for all processors, and with the
// instructions of those that have them. Every barrier is hashed whole, with the server's weights
// and the state of its optimiser, and every net that crosses the network.

#include <array>
#include <bit>
#include <cstring>

#include "iotsl/core/bytes.hpp"

#if defined(__x86_64__) && !defined(IOTSL_BASELINE_ONLY) && __has_builtin(__builtin_shufflevector)
#define IOTSL_SHA256_X86 1
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__) && \
    __has_builtin(__builtin_aarch64_crypto_sha256hv4si_uuuu)
// GCC's own names: its header takes a third of a second in every translation unit.
#define IOTSL_SHA256_ARM 1
#include <sys/auxv.h>
#endif

IOTSL_NAMESPACE_BEGIN

namespace detail {

using Sha256State = std::array<std::uint32_t, 8>;  ///< a to h

inline constexpr std::array<std::uint32_t, 64> sha256_constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// One round: changes d and h only, so that the next one sees the state moved on by one place.
inline void sha256_round(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t& d,
                         std::uint32_t e, std::uint32_t f, std::uint32_t g, std::uint32_t& h,
                         std::uint32_t input) {
  h += (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + (g ^ (e & (f ^ g))) + input;
  d += h;
  h += (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) | (c & (a | b)));
}

/// The state after `count` blocks of 64 bytes.
inline void sha256_blocks_portable(Sha256State& state, const std::uint8_t* bytes,
                                   std::size_t count) {
  const auto& k = sha256_constants;
  for (; count > 0; --count, bytes += 64) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i)  // big endian
      w[i] = __builtin_bswap32(load_le<std::uint32_t>(bytes + 4 * i));
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t a = w[i - 15];
      const std::uint32_t b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3)) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10));
    }
    auto [a, b, c, d, e, f, g, h] = state;
    // Eight rounds in a row with the names moved on instead of the values.
    for (std::size_t i = 0; i < 64; i += 8) {
      sha256_round(a, b, c, d, e, f, g, h, k[i] + w[i]);
      sha256_round(h, a, b, c, d, e, f, g, k[i + 1] + w[i + 1]);
      sha256_round(g, h, a, b, c, d, e, f, k[i + 2] + w[i + 2]);
      sha256_round(f, g, h, a, b, c, d, e, k[i + 3] + w[i + 3]);
      sha256_round(e, f, g, h, a, b, c, d, k[i + 4] + w[i + 4]);
      sha256_round(d, e, f, g, h, a, b, c, k[i + 5] + w[i + 5]);
      sha256_round(c, d, e, f, g, h, a, b, k[i + 6] + w[i + 6]);
      sha256_round(b, c, d, e, f, g, h, a, k[i + 7] + w[i + 7]);
    }
    const Sha256State delta{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state[i] += delta[i];
  }
}

#if defined(IOTSL_SHA256_X86)
/// Whether this processor has SHA-NI, and SSE4.1 beside it. Intel's manual, volume 2A, CPUID leaves
/// 1 and 7.
inline bool has_sha256_instructions() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 19 & 1) == 0) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
  }();
  return has;
}

/// The same for processors that has_sha256_instructions(). The instructions take the state as (f,
/// e, b, a) and (h, g, d, c), lowest lane first, do two rounds, and make four further words of the
/// message of the last sixteen.
__attribute__((target("sha,sse4.1"))) inline void sha256_blocks_instructions(
    Sha256State& state, const std::uint8_t* bytes, std::size_t count) {
  using Words [[gnu::vector_size(16)]] = std::uint32_t;
  using Signed [[gnu::vector_size(16)]] = std::int32_t;  // what the instructions are declared with
  using Bytes [[gnu::vector_size(16)]] = std::int8_t;
  const std::array<std::uint32_t, 8> order{state[5], state[4], state[1], state[0],
                                           state[7], state[6], state[3], state[2]};
  Words abef, cdgh;
  std::memcpy(&abef, order.data(), 16);
  std::memcpy(&cdgh, order.data() + 4, 16);
  for (; count > 0; --count, bytes += 64) {
    const Words abef_before = abef, cdgh_before = cdgh;
    std::array<Words, 4> w;
    for (std::size_t i = 0; i < 4; ++i) {  // big endian
      Bytes part;
      std::memcpy(&part, bytes + 16 * i, 16);
      w[i] = reinterpret_cast<Words>(__builtin_shufflevector(part, part, 3, 2, 1, 0, 7, 6, 5, 4, 11,
                                                             10, 9, 8, 15, 14, 13, 12));
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) {
      Words& oldest = w[i % 4];
      const Words newest = w[(i + 3) % 4];
      Words input;
      std::memcpy(&input, sha256_constants.data() + 4 * i, 16);
      input += oldest;
      cdgh = Words(__builtin_ia32_sha256rnds2(Signed(cdgh), Signed(abef), Signed(input)));
      input = __builtin_shufflevector(input, input, 2, 3, 0, 0);
      abef = Words(__builtin_ia32_sha256rnds2(Signed(abef), Signed(cdgh), Signed(input)));
      if (i < 12) {
        const Words next = Words(__builtin_ia32_sha256msg1(Signed(oldest), Signed(w[(i + 1) % 4])));
        const Words seven_back = __builtin_shufflevector(w[(i + 2) % 4], newest, 1, 2, 3, 4);
        oldest = Words(__builtin_ia32_sha256msg2(Signed(next + seven_back), Signed(newest)));
      }
    }
    abef += abef_before;
    cdgh += cdgh_before;
  }
  std::array<std::uint32_t, 8> out;
  std::memcpy(out.data(), &abef, 16);
  std::memcpy(out.data() + 4, &cdgh, 16);
  state = {out[3], out[2], out[7], out[6], out[1], out[0], out[5], out[4]};
}
#elif defined(IOTSL_SHA256_ARM)
/// A Raspberry Pi 5 has them, a 4 has not. Linux, Documentation/arch/arm64/elf_hwcaps.rst.
inline bool has_sha256_instructions() {
  constexpr unsigned long hwcap_sha2 = 1ul << 6;
  static const bool has = (::getauxval(AT_HWCAP) & hwcap_sha2) != 0;
  return has;
}

/// The same for processors that has_sha256_instructions(). The instructions take the state as (a,
/// b, c, d) and (e, f, g, h), do four rounds, and make four further words of the message.
__attribute__((target("+crypto"))) inline void sha256_blocks_instructions(Sha256State& state,
                                                                          const std::uint8_t* bytes,
                                                                          std::size_t count) {
  using Words [[gnu::vector_size(16)]] = std::uint32_t;
  using Bytes [[gnu::vector_size(16)]] = std::uint8_t;
  Words abcd, efgh;
  std::memcpy(&abcd, state.data(), 16);
  std::memcpy(&efgh, state.data() + 4, 16);
  for (; count > 0; --count, bytes += 64) {
    const Words abcd_before = abcd, efgh_before = efgh;
    std::array<Words, 4> w;
    for (std::size_t i = 0; i < 4; ++i) {  // big endian
      Bytes part;
      std::memcpy(&part, bytes + 16 * i, 16);
      w[i] = Words(__builtin_shufflevector(part, part, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14,
                                           13, 12));
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) {
      Words& oldest = w[i % 4];
      Words input;
      std::memcpy(&input, sha256_constants.data() + 4 * i, 16);
      input += oldest;
      if (i < 12) {
        const Words next = __builtin_aarch64_crypto_sha256su0v4si_uuu(oldest, w[(i + 1) % 4]);
        oldest = __builtin_aarch64_crypto_sha256su1v4si_uuuu(next, w[(i + 2) % 4], w[(i + 3) % 4]);
      }
      const Words before = abcd;
      abcd = __builtin_aarch64_crypto_sha256hv4si_uuuu(abcd, efgh, input);
      efgh = __builtin_aarch64_crypto_sha256h2v4si_uuuu(efgh, before, input);
    }
    abcd += abcd_before;
    efgh += efgh_before;
  }
  std::memcpy(state.data(), &abcd, 16);
  std::memcpy(state.data() + 4, &efgh, 16);
}
#endif

/// The state after `count` blocks of 64 bytes, the fastest way that this processor has.
inline void sha256_blocks(Sha256State& state, const std::uint8_t* bytes, std::size_t count) {
#if defined(IOTSL_SHA256_X86) || defined(IOTSL_SHA256_ARM)
  if (has_sha256_instructions()) return sha256_blocks_instructions(state, bytes, count);
#endif
  sha256_blocks_portable(state, bytes, count);
}

}  // namespace detail

IOTSL_NAMESPACE_END
