#include "iotsl/core/hash.hpp"

#include <doctest/doctest.h>

#include <string>

using iotsl::bytes_of;

namespace {
/// The bytes 0, 1, ... that the published checks of CRC-32C use.
std::vector<std::uint8_t> ramp(std::size_t count) {
  std::vector<std::uint8_t> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::uint8_t>(i);
  return out;
}

/// The input of xxHash's own sanity test: bytes of a multiplicative generator.
std::vector<std::uint8_t> xxhash_sanity_bytes(std::size_t count) {
  std::vector<std::uint8_t> out(count);
  std::uint64_t generator = 2654435761u;
  for (std::uint8_t& byte : out) {
    byte = static_cast<std::uint8_t>(generator >> 56);
    generator *= 11400714785074694797ull;
  }
  return out;
}
}  // namespace

TEST_CASE("hash: SHA-256 gives the published digests") {
  CHECK(iotsl::sha256_hex("") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(iotsl::sha256_hex("abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(iotsl::sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(iotsl::sha256_hex(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

#if defined(IOTSL_SHA256_X86) || defined(IOTSL_SHA256_ARM)
TEST_CASE("hash: the instructions for SHA-256 change the state as the formulas do") {
  if (!iotsl::detail::has_sha256_instructions()) {
    MESSAGE("no instructions for SHA-256: the formulas only");
    return;
  }
  const auto bytes = xxhash_sanity_bytes(1 + 64 * 37);
  for (std::size_t count : {0u, 1u, 2u, 3u, 37u}) {
    CAPTURE(count);
    iotsl::detail::Sha256State a{1, 0xffffffff, 3, 0x80000000, 5, 6, 7, 8}, b = a;
    iotsl::detail::sha256_blocks_portable(a, bytes.data() + 1, count);  // at any address
    iotsl::detail::sha256_blocks_instructions(b, bytes.data() + 1, count);
    CHECK(a == b);
  }
}
#endif

TEST_CASE("hash: SHA-256 and XXH64 do not depend on how the bytes arrive") {
  const auto bytes = ramp(777);
  const std::string whole = iotsl::sha256_hex(iotsl::ByteSpan(bytes));
  const std::uint64_t fast = iotsl::xxh64(bytes, 5);
  for (std::size_t piece : {1u, 3u, 31u, 32u, 33u, 55u, 56u, 63u, 64u, 65u, 300u}) {
    iotsl::Sha256 sha;
    iotsl::XxHash64 xx(5);
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto part = iotsl::ByteSpan(bytes).subspan(at, std::min(piece, bytes.size() - at));
      sha.update(part);
      xx.update(part);
    }
    CHECK(iotsl::to_hex(sha.digest()) == whole);
    CHECK(xx.digest() == fast);
  }
}

TEST_CASE("hash: HMAC gives the values of RFC 4231, 4.2, 4.3 and 4.7") {
  const auto hmac = [](std::span<const std::uint8_t> key, std::string_view message) {
    return iotsl::to_hex(iotsl::hmac_sha256(key, bytes_of(message)));
  };
  CHECK(hmac(std::vector<std::uint8_t>(20, 0x0b), "Hi There") ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hmac(bytes_of("Jefe"), "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac(std::vector<std::uint8_t>(131, 0xaa),
             "Test Using Larger Than Block-Size Key - Hash Key First") ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("hash: digests are read back from their digits") {
  const iotsl::Sha256Digest digest = iotsl::sha256(bytes_of("abc"));
  iotsl::Sha256Digest read{};
  REQUIRE(iotsl::parse_hex(iotsl::to_hex(digest), read));
  CHECK(read == digest);
  CHECK(iotsl::equal_secrets(read, digest));
  read[31] ^= 1;
  CHECK_FALSE(iotsl::equal_secrets(read, digest));
  CHECK_FALSE(iotsl::parse_hex(std::string(63, '0'), read));
  CHECK_FALSE(iotsl::parse_hex(std::string(65, '0'), read));
  CHECK_FALSE(iotsl::parse_hex(std::string(63, '0') + "G", read));
  CHECK_FALSE(iotsl::parse_hex(std::string(63, '0') + "A", read));
}

TEST_CASE("hash: CRC-32C gives the values of RFC 3720, B.4") {
  CHECK(iotsl::crc32c(bytes_of("123456789")) == 0xE3069283u);
  CHECK(iotsl::crc32c(std::vector<std::uint8_t>(32, 0)) == 0x8A9136AAu);
  CHECK(iotsl::crc32c(std::vector<std::uint8_t>(32, 255)) == 0x62A8AB43u);
  CHECK(iotsl::crc32c(ramp(32)) == 0x46DD794Eu);
  const auto bytes = ramp(100);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const auto span = iotsl::ByteSpan(bytes);
    CHECK(iotsl::crc32c(span.subspan(cut), iotsl::crc32c(span.first(cut))) == iotsl::crc32c(bytes));
  }
}

#if defined(IOTSL_CRC32C_X86) || defined(IOTSL_CRC32C_ARM)
TEST_CASE("hash: the instruction for CRC-32C gives what the tables do") {
  if (!iotsl::detail::has_crc32c_instruction()) {
    MESSAGE("no instruction for CRC-32C: the tables only");
    return;
  }
  const auto bytes = ramp(300);
  for (std::size_t at = 0; at < 9; ++at)
    for (std::size_t length = 0; length <= 280; length += length < 20 ? 1 : 13) {
      CAPTURE(at);
      CAPTURE(length);
      const auto part = iotsl::ByteSpan(bytes).subspan(at, length);
      const auto crc = static_cast<std::uint32_t>(0x9e3779b9u * (at + 1) + length);
      CHECK(iotsl::detail::crc32c_instructions(part, crc) ==
            iotsl::detail::crc32c_portable(part, crc));
    }
}
#endif

TEST_CASE("hash: XXH64 gives the published values") {
  CHECK(iotsl::xxh64({}) == 0xEF46DB3751D8E999u);
  CHECK(iotsl::xxh64(bytes_of("abc")) == 0x44BC2CF5AD770999u);
  // xxHash's sanity test: length, seed, hash.
  constexpr std::uint64_t prime = 2654435761u;
  CHECK(iotsl::xxh64(xxhash_sanity_bytes(0), prime) == 0xAC75FDA2929B17EFu);
  CHECK(iotsl::xxh64(xxhash_sanity_bytes(1), 0) == 0xE934A84ADB052768u);
  CHECK(iotsl::xxh64(xxhash_sanity_bytes(1), prime) == 0x5014607643A9B4C3u);
  CHECK(iotsl::xxh64(xxhash_sanity_bytes(14), 0) == 0x8282DCC4994E35C8u);
  CHECK(iotsl::xxh64(xxhash_sanity_bytes(14), prime) == 0xC3BD6BF63DEB6DF0u);
  CHECK(iotsl::xxh64(xxhash_sanity_bytes(222), 0) == 0xB641AE8CB691C174u);
  CHECK(iotsl::xxh64(xxhash_sanity_bytes(222), prime) == 0x20CB8AB7AE10C14Au);
}

TEST_CASE("bytes: numbers are stored least significant byte first") {
  std::vector<std::uint8_t> out;
  iotsl::append_le(out, std::uint32_t{0x01020304});
  iotsl::append_le(out, std::uint64_t{0x8877665544332211});
  CHECK(iotsl::to_hex(out) == "040302011122334455667788");
  CHECK(iotsl::load_le<std::uint32_t>(out.data()) == 0x01020304);
  CHECK(iotsl::load_le<std::uint64_t>(out.data() + 4) == 0x8877665544332211);
}
