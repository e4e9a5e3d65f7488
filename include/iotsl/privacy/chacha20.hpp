#pragma once
// ChaCha20 (RFC 8439): a key, a counter and a nonce become 64 bytes that nobody without the key can
// tell from chance.

#include <array>

#include "iotsl/core/bytes.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

using ChaChaKey = std::array<std::uint8_t, 32>;
using ChaChaNonce = std::array<std::uint8_t, 12>;
using ChaChaBlock = std::array<std::uint8_t, 64>;

namespace detail {
inline void quarter_round(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c, std::uint32_t& d) {
  a += b, d = std::rotl(d ^ a, 16);
  c += d, b = std::rotl(b ^ c, 12);
  a += b, d = std::rotl(d ^ a, 8);
  c += d, b = std::rotl(b ^ c, 7);
}

/// Zeroes memory that held a secret, in a way that the compiler does not leave out.
template <class Secret>
void wipe(Secret& secret) {
  static_assert(std::is_trivially_copyable_v<Secret>);
  std::memset(&secret, 0, sizeof secret);
#if defined(__GNUC__) || defined(__clang__)
  __asm__ __volatile__("" : : "r"(&secret) : "memory");
#endif
}
}  // namespace detail

/// The block function of RFC 8439, section 2.3.
inline ChaChaBlock chacha20_block(const ChaChaKey& key, std::uint32_t counter,
                                  const ChaChaNonce& nonce) {
  std::array<std::uint32_t, 16> start{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (std::size_t i = 0; i < 8; ++i) start[4 + i] = load_le<std::uint32_t>(key.data() + 4 * i);
  start[12] = counter;
  for (std::size_t i = 0; i < 3; ++i) start[13 + i] = load_le<std::uint32_t>(nonce.data() + 4 * i);
  std::array<std::uint32_t, 16> s = start;
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < 4; ++i) detail::quarter_round(s[i], s[4 + i], s[8 + i], s[12 + i]);
    for (std::size_t i = 0; i < 4; ++i)
      detail::quarter_round(s[i], s[4 + (i + 1) % 4], s[8 + (i + 2) % 4], s[12 + (i + 3) % 4]);
  }
  ChaChaBlock out;
  for (std::size_t i = 0; i < 16; ++i) store_le(out.data() + 4 * i, s[i] + start[i]);
  detail::wipe(start);
  detail::wipe(s);
  return out;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
