#pragma once
// Samples of a set as a net takes them.

#include "iotsl/core/tensor.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

struct Batch {
  Tensor<float> x;                   ///< [N,C,H,W], in [0,1]
  std::vector<std::int32_t> labels;  ///< [N]
};

/// The samples with these numbers, in this order. Raises an Error where a number is out of range.
inline Batch fetch_batch(const Dataset& set, std::span<const Index> samples) {
  const auto n = static_cast<Index>(samples.size());
  Batch out{Tensor<float>::uninitialized({n, set.channels, set.height, set.width}),
            std::vector<std::int32_t>(samples.size())};
  copy_batch(set, samples, out.x.mutable_data(), out.labels.data());
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
