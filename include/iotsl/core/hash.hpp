#pragma once
// Hashes: SHA-256 names files and states, CRC-32C guards frames and sections, XXH64 guards bulk
// transfers, where SHA-256 would cost a tenth of a training step.

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "iotsl/core/bytes.hpp"
#include "iotsl/core/crc32c.hpp"
#include "iotsl/core/sha256_blocks.hpp"

IOTSL_NAMESPACE_BEGIN

/// A hash of 256 bits.
using Sha256Digest = std::array<std::uint8_t, 32>;

/// SHA-256 (FIPS 180-4) of bytes that arrive in pieces.
class Sha256 {
 public:
  Sha256& update(ByteSpan bytes) {
    length_ += bytes.size();
    while (!bytes.empty()) {
      if (filled_ == 0 && bytes.size() >= 64) {
        const std::size_t blocks = bytes.size() / 64;
        detail::sha256_blocks(state_, bytes.data(), blocks);
        bytes = bytes.subspan(64 * blocks);
        continue;
      }
      const std::size_t take = std::min(bytes.size(), 64 - filled_);
      std::memcpy(block_.data() + filled_, bytes.data(), take);
      filled_ += take;
      bytes = bytes.subspan(take);
      if (filled_ == 64) {
        detail::sha256_blocks(state_, block_.data(), 1);
        filled_ = 0;
      }
    }
    return *this;
  }
  Sha256& update(std::string_view text) { return update(bytes_of(text)); }

  /// The digest of everything so far. The object is used up.
  Sha256Digest digest() {
    const std::uint64_t bits = length_ * 8;
    std::array<std::uint8_t, 72> tail{0x80};
    const std::size_t padding = (filled_ < 56 ? 56 : 120) - filled_;
    for (std::size_t i = 0; i < 8; ++i)
      tail[padding + i] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
    update(ByteSpan(tail.data(), padding + 8));
    Sha256Digest out{};
    for (std::size_t i = 0; i < 32; ++i)
      out[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
    return out;
  }

 private:
  detail::Sha256State state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};
  std::size_t filled_ = 0;
  std::uint64_t length_ = 0;
};

/// Lower-case hexadecimal text of bytes.
inline std::string to_hex(ByteSpan bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (std::uint8_t b : bytes) {
    out.push_back(digits[b >> 4]);
    out.push_back(digits[b & 15]);
  }
  return out;
}

/// 32 bytes written as 64 hexadecimal digits, as to_hex writes them; false where they are not.
inline bool parse_hex(std::string_view text, Sha256Digest& out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    out[i / 2] = static_cast<std::uint8_t>(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
  }
  return true;
}

/// SHA-256 (FIPS 180-4).
inline Sha256Digest sha256(ByteSpan bytes) { return Sha256().update(bytes).digest(); }
/// The 64 hexadecimal digits of SHA-256.
inline std::string sha256_hex(ByteSpan bytes) { return to_hex(sha256(bytes)); }
/// SHA-256 as 64 hexadecimal digits.
inline std::string sha256_hex(std::string_view text) { return sha256_hex(bytes_of(text)); }

/// HMAC (RFC 2104) with SHA-256: a proof that its maker knows the key.
inline Sha256Digest hmac_sha256(ByteSpan key, ByteSpan message) {
  constexpr std::size_t block = 64;
  const Sha256Digest hashed = key.size() > block ? sha256(key) : Sha256Digest{};
  if (key.size() > block) key = hashed;
  std::array<std::uint8_t, block> inner{}, outer{};
  std::copy(key.begin(), key.end(), inner.begin());
  std::copy(key.begin(), key.end(), outer.begin());
  for (std::uint8_t& byte : inner) byte ^= 0x36;
  for (std::uint8_t& byte : outer) byte ^= 0x5c;
  return Sha256().update(outer).update(Sha256().update(inner).update(message).digest()).digest();
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
inline bool equal_secrets(const Sha256Digest& a, const Sha256Digest& b) {
  unsigned differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) differences |= a[i] ^ unsigned { b[i] };
  return differences == 0;
}

/// XXH64 (xxHash specification 0.1.1) of bytes that arrive in pieces. Not for adversaries.
class XxHash64 {
 public:
  explicit XxHash64(std::uint64_t seed = 0)
      : seed_(seed), lanes_{seed + p1 + p2, seed + p2, seed, seed - p1} {}

  XxHash64& update(ByteSpan bytes) {
    length_ += bytes.size();
    while (!bytes.empty()) {
      if (filled_ == 0 && bytes.size() >= 32) {
        stripe(bytes.data());
        bytes = bytes.subspan(32);
        continue;
      }
      const std::size_t take = std::min(bytes.size(), 32 - filled_);
      std::memcpy(rest_.data() + filled_, bytes.data(), take);
      filled_ += take;
      bytes = bytes.subspan(take);
      if (filled_ == 32) {
        stripe(rest_.data());
        filled_ = 0;
      }
    }
    return *this;
  }

  std::uint64_t digest() const {
    std::uint64_t hash = seed_ + p5;
    if (length_ >= 32) {
      hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
             std::rotl(lanes_[3], 18);
      for (std::uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * p1 + p4;
    }
    hash += length_;
    const std::uint8_t* at = rest_.data();
    std::size_t left = filled_;
    for (; left >= 8; left -= 8, at += 8)
      hash = std::rotl(hash ^ round(0, load_le<std::uint64_t>(at)), 27) * p1 + p4;
    if (left >= 4) {
      hash = std::rotl(hash ^ (load_le<std::uint32_t>(at) * p1), 23) * p2 + p3;
      left -= 4;
      at += 4;
    }
    for (; left > 0; --left, ++at) hash = std::rotl(hash ^ (*at * p5), 11) * p1;
    hash = (hash ^ (hash >> 33)) * p2;
    hash = (hash ^ (hash >> 29)) * p3;
    return hash ^ (hash >> 32);
  }

 private:
  static constexpr std::uint64_t p1 = 0x9E3779B185EBCA87;
  static constexpr std::uint64_t p2 = 0xC2B2AE3D27D4EB4F;
  static constexpr std::uint64_t p3 = 0x165667B19E3779F9;
  static constexpr std::uint64_t p4 = 0x85EBCA77C2B2AE63;
  static constexpr std::uint64_t p5 = 0x27D4EB2F165667C5;

  static std::uint64_t round(std::uint64_t lane, std::uint64_t input) {
    return std::rotl(lane + input * p2, 31) * p1;
  }
  void stripe(const std::uint8_t* bytes) {
    for (std::size_t i = 0; i < 4; ++i)
      lanes_[i] = round(lanes_[i], load_le<std::uint64_t>(bytes + 8 * i));
  }

  std::uint64_t seed_;
  std::array<std::uint64_t, 4> lanes_;
  std::array<std::uint8_t, 32> rest_{};
  std::size_t filled_ = 0;
  std::uint64_t length_ = 0;
};

/// xxHash of 64 bits: fast, against accidents only.
inline std::uint64_t xxh64(ByteSpan bytes, std::uint64_t seed = 0) {
  return XxHash64(seed).update(bytes).digest();
}

IOTSL_NAMESPACE_END
