#pragma once
// Random numbers that nobody can guess, for noise that protects somebody: ChaCha20 keyed by the
// operating system. core/random.hpp is for everything else; its numbers follow from a seed.

#include "iotsl/core/system_random.hpp"
#include "iotsl/privacy/chacha20.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// A stream of random numbers with fast key erasure (Bernstein 2017): each kilobyte of keystream
/// begins with the key of the next one, and the old key and all that was handed out are wiped. So
/// no key is used twice, and who reads the memory later cannot find the noise of earlier. Cannot be
/// copied; a process that forks must use it on one side only.
class SecureRandom {
 public:
  /// With a key of 256 bits from the operating system. Waits where a board has just been switched
  /// on and has none yet.
  static Result<SecureRandom> from_system() {
    ChaChaKey key;
    const Result<void> filled = fill_random(key);
    if (!filled) return filled.failure();
    SecureRandom out(key);
    detail::wipe(key);
    return out;
  }

  /// The same key gives the same numbers. They protect nobody who does not keep the key secret.
  explicit SecureRandom(const ChaChaKey& key) : key_(key) {}

  SecureRandom(SecureRandom&& other) noexcept { take(other); }
  SecureRandom& operator=(SecureRandom&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  SecureRandom(const SecureRandom&) = delete;
  SecureRandom& operator=(const SecureRandom&) = delete;
  ~SecureRandom() { wipe_all(); }

  std::uint64_t word() {
    if (used_ == buffer_.size()) refill();
    const auto value = load_le<std::uint64_t>(buffer_.data() + used_);
    std::memset(buffer_.data() + used_, 0, sizeof value);
    used_ += sizeof value;
    return value;
  }

  bool bit() {
    if (bits_left_ == 0) {
      bits_ = word();
      bits_left_ = 64;
    }
    const bool value = (bits_ & 1) != 0;
    bits_ >>= 1;
    --bits_left_;
    return value;
  }

  /// Uniform in [0, bound), each value with exactly the same chance; bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t mask = ~std::uint64_t{0} >> std::countl_zero(bound | 1);
    for (;;)
      if (const std::uint64_t value = word() & mask; value < bound) return value;
  }

  /// Uniform in [0, 1), with 53 random bits.
  double uniform() { return static_cast<double>(word() >> 11) * 0x1p-53; }

 private:
  static constexpr std::size_t blocks = 16;

  void refill() {
    static constexpr ChaChaNonce no_nonce{};
    const ChaChaKey key = key_;
    for (std::size_t i = 0; i < blocks; ++i) {
      ChaChaBlock block = chacha20_block(key, static_cast<std::uint32_t>(i), no_nonce);
      std::memcpy(buffer_.data() + i * block.size(), block.data(), block.size());
      detail::wipe(block);
    }
    std::memcpy(key_.data(), buffer_.data(), key_.size());
    std::memset(buffer_.data(), 0, key_.size());
    used_ = key_.size();
    detail::wipe(const_cast<ChaChaKey&>(key));
  }

  void take(SecureRandom& other) {
    key_ = other.key_;
    buffer_ = other.buffer_;
    used_ = other.used_;
    bits_ = other.bits_;
    bits_left_ = other.bits_left_;
    other.wipe_all();
  }
  void wipe_all() {
    detail::wipe(key_);
    detail::wipe(buffer_);
    detail::wipe(bits_);
    used_ = buffer_.size();
    bits_left_ = 0;
  }

  ChaChaKey key_{};
  std::array<std::uint8_t, 64 * blocks> buffer_{};
  std::size_t used_ = 64 * blocks;
  std::uint64_t bits_ = 0;
  int bits_left_ = 0;
};

}  // namespace privacy
IOTSL_NAMESPACE_END
