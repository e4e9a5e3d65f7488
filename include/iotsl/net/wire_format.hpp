#pragma once
// How values travel, and how many bytes they take: no other file knows. Smashed batches and their
// gradients have a form of their own, the WireFormat that both sides of a run have agreed on.

#include "iotsl/core/tensor.hpp"
#include "iotsl/net/frame.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Bytes of class numbers: int32.
constexpr std::uint64_t label_bytes(std::uint64_t labels) { return 4 * labels; }
/// Bytes of weights, running statistics and optimiser slots: float32, so that a run goes on from
/// the very same state wherever it lies.
constexpr std::uint64_t state_bytes(std::uint64_t values) { return 4 * values; }

/// What BEGIN calls a form of values.
struct ValueType {
  std::uint8_t number;
  const char* mismatch;  ///< what is wrong with any other number
};
inline constexpr ValueType float32{1, "dtype is not 1 (float32)"};

/// A batch as it travels. The bytes are a view of the tensor, which lives as long as this.
class EncodedBatch {
 public:
  EncodedBatch() = default;  ///< no bytes
  explicit EncodedBatch(const Tensor<float>& batch) : batch_(batch) {}
  ByteSpan bytes() const {
    return batch_.defined() ? bytes_of(batch_.data(), static_cast<std::size_t>(batch_.size()))
                            : ByteSpan{};
  }

 private:
  Tensor<float> batch_;
};

/// The form of smashed batches and of their gradients: float32, [N, ...] row by row. A sample takes
/// the same bytes in any batch.
struct WireFormat {
  bool gradients = true;  ///< false: the front is frozen, nothing comes back

  /// Bytes of `samples` smashed samples of `values` each.
  constexpr std::uint64_t smashed_bytes(std::uint64_t samples, std::uint64_t values) const {
    return sizeof(float) * samples * values;
  }
  EncodedBatch encode_smashed(const Tensor<float>& batch) const { return EncodedBatch(batch); }
  /// A batch [N, ...] from its smashed_bytes.
  Tensor<float> decode_smashed(ByteSpan bytes, const Shape& shape) const {
    return read_floats(bytes, shape);
  }

  /// The same for their gradients.
  constexpr std::uint64_t gradient_bytes(std::uint64_t samples, std::uint64_t values) const {
    return gradients ? sizeof(float) * samples * values : 0;
  }
  EncodedBatch encode_gradient(const Tensor<float>& batch) const {
    return gradients ? EncodedBatch(batch) : EncodedBatch();
  }
  Tensor<float> decode_gradient(ByteSpan bytes, const Shape& shape) const {
    return read_floats(bytes, shape);
  }

  /// The type that BEGIN gives for a transfer.
  static constexpr ValueType type_of(MessageType) { return float32; }

 private:
  static Tensor<float> read_floats(ByteSpan bytes, const Shape& shape) {
    Tensor<float> out = Tensor<float>::uninitialized(shape);
    const std::size_t expected = sizeof(float) * static_cast<std::size_t>(out.size());
    if (bytes.size() != expected)
      fail("wire: ", bytes.size(), " bytes of values for ", shape, ", expected ", expected);
    std::memcpy(out.mutable_data(), bytes.data(), expected);
    return out;
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
