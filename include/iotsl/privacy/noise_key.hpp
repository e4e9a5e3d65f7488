#pragma once
// The secret key of a training's noise, and what follows from it: a step that is repeated after a
// kill adds the same noise to the same numbers and gives nothing away a second time. Whoever has
// the key can take the noise off.

#include <algorithm>

#include "iotsl/privacy/secure_random.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// A key for a training's noise, from the operating system.
inline Result<ChaChaKey> new_noise_key() {
  Result<SecureRandom> random = SecureRandom::from_system();
  if (!random) return random.failure();
  ChaChaKey out;
  for (std::size_t i = 0; i < out.size(); i += 8) store_le(out.data() + i, random->word());
  return out;
}
/// The same seed gives the same noise, which protects nobody: for tests.
inline ChaChaKey seeded_noise_key(std::uint64_t seed) {
  ChaChaKey out{};
  store_le(out.data(), seed);
  return out;
}

/// The random numbers of one step of the training with this key.
inline SecureRandom step_random(const ChaChaKey& key, std::uint32_t step) {
  ChaChaBlock block = chacha20_block(key, step, {});
  ChaChaKey own;
  std::copy_n(block.begin(), own.size(), own.begin());
  SecureRandom out(own);
  detail::wipe(block);
  detail::wipe(own);
  return out;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
