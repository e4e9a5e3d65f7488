#pragma once
// Batches as the accountant counts them: each record is drawn on its own, so that sizes differ and
// a batch may be empty.

#include <span>
#include <vector>

#include "iotsl/core/shape.hpp"
#include "iotsl/privacy/secure_random.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// The records that are drawn, each with chance `rate`, or 2^-53 less.
inline std::vector<Index> poisson_sample(std::span<const Index> records, double rate,
                                         privacy::SecureRandom& random) {
  if (rate >= 1) return {records.begin(), records.end()};
  const auto limit = static_cast<std::uint64_t>(rate * 0x1p53);
  std::vector<Index> out;
  for (const Index record : records)
    if (random.word() >> 11 < limit) out.push_back(record);
  return out;
}

}  // namespace gan
IOTSL_NAMESPACE_END
