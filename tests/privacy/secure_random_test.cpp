#include "iotsl/privacy/secure_random.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <new>
#include <set>
#include <string>
#include <vector>

namespace secure_random_test {

using namespace iotsl::privacy;
using iotsl::load_le;
using iotsl::Result;

namespace {

std::string hex(const ChaChaBlock& block) {
  std::string out;
  for (const std::uint8_t byte : block) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", byte);
    out += text;
  }
  return out;
}

ChaChaKey counting_key() {
  ChaChaKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  return key;
}

SecureRandom seeded(std::uint8_t seed) {
  ChaChaKey key{};
  key[0] = seed;
  return SecureRandom(key);
}

}  // namespace

TEST_CASE("ChaCha20: the block of RFC 8439, section 2.3.2, and the vectors of appendix A.1") {
  CHECK(hex(chacha20_block(counting_key(), 1, {0, 0, 0, 9, 0, 0, 0, 0x4a})) ==
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e");
  ChaChaKey key{};
  CHECK(hex(chacha20_block(key, 0, {})) ==
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
  CHECK(hex(chacha20_block(key, 1, {})) ==
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
  CHECK(hex(chacha20_block(key, 0, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2})) ==
        "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
        "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d");
  key[31] = 1;
  CHECK(hex(chacha20_block(key, 1, {})) ==
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
        "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0");
  key[31] = 0;
  key[1] = 0xff;
  CHECK(hex(chacha20_block(key, 2, {})) ==
        "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
        "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096");
}

TEST_CASE("the stream is keystream less the next key, and each kilobyte has a key of its own") {
  ChaChaKey key = counting_key();
  SecureRandom random(key);
  for (int refill = 0; refill < 3; ++refill) {
    std::vector<std::uint8_t> stream;
    for (std::uint32_t counter = 0; counter < 16; ++counter) {
      const ChaChaBlock block = chacha20_block(key, counter, {});
      stream.insert(stream.end(), block.begin(), block.end());
    }
    std::memcpy(key.data(), stream.data(), key.size());
    for (std::size_t at = key.size(); at < stream.size(); at += 8)
      CHECK(random.word() == load_le<std::uint64_t>(stream.data() + at));
  }
}

TEST_CASE("the system's keys differ; the same key gives the same numbers") {
  std::set<std::uint64_t> first;
  for (int i = 0; i < 20; ++i) {
    Result<SecureRandom> random = SecureRandom::from_system();
    REQUIRE(random.ok());
    first.insert(random->word());
  }
  CHECK(first.size() == 20);
  SecureRandom a = seeded(3), b = seeded(3), c = seeded(4);
  const std::uint64_t word = a.word();
  CHECK(word == b.word());
  CHECK(word != c.word());
}

TEST_CASE("nothing secret stays behind: not after a move, not after the end") {
  SecureRandom from = seeded(9);
  const std::uint64_t first = from.word();
  (void)from.bit();
  SecureRandom again = seeded(9), to = std::move(from);
  CHECK(again.word() == first);
  (void)again.bit();
  for (int i = 0; i < 300; ++i) CHECK(again.bit() == to.bit());

  // Every byte of the dead object but its two counters is 0.
  alignas(SecureRandom) unsigned char place[sizeof(SecureRandom)];
  auto* random = new (place) SecureRandom(counting_key());
  (void)random->word();
  (void)random->bit();
  random->~SecureRandom();
  std::size_t kept = 0;
  for (const unsigned char byte : place) kept += byte != 0;
  CHECK(kept <= 2 * sizeof(std::size_t));
}

TEST_CASE("bits, bounded integers and uniform numbers: equally often") {
  SecureRandom random = seeded(1);
  const int n = 140000;
  int ones = 0;
  std::vector<int> counts(7);
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    ones += random.bit();
    ++counts.at(random.below(7));
    const double u = random.uniform();
    CHECK((u >= 0 && u < 1));
    sum += u;
    squares += u * u;
  }
  // Five standard errors.
  CHECK(std::abs(ones - n / 2) < 5 * std::sqrt(n / 4.0));
  for (const int count : counts) CHECK(std::abs(count - n / 7) < 5 * std::sqrt(n * 6.0 / 49));
  CHECK(std::abs(sum / n - 0.5) < 5 * 0.2887 / std::sqrt(n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * 0.2981 / std::sqrt(n));
  CHECK(random.below(1) == 0);
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t bound = (std::uint64_t{1} << 63) + 1;
    CHECK(random.below(bound) < bound);
  }
}

}  // namespace secure_random_test
