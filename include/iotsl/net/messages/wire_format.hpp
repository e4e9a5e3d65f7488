#pragma once
// How values travel, and how many bytes they take: no other file knows. Smashed batches and their
// gradients have a form of their own, the WireFormat that both sides of a run have agreed on.

#include <optional>
#include <vector>

#include "iotsl/core/tensor.hpp"
#include "iotsl/kernels/wire_code.hpp"
#include "iotsl/net/messages/frame.hpp"
#include "iotsl/options/training.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Bytes of class numbers: int32.
constexpr std::uint64_t label_bytes(std::uint64_t labels) { return 4 * labels; }
/// Bytes of weights, running statistics and optimiser slots: float32, so that a run goes on from
/// the very same state wherever it lies.
constexpr std::uint64_t state_bytes(std::uint64_t values) { return 4 * values; }

/// What BEGIN calls the form of the values of a transfer.
constexpr std::uint8_t type_number(WireCoding coding) { return static_cast<std::uint8_t>(coding); }

/// What BEGIN says of the values of a batch.
struct BatchForm {
  std::vector<std::uint32_t> shape;  ///< [N, ...]; of any other transfer empty
  std::uint8_t dtype = type_number(WireCoding::fp32);
  friend bool operator==(const BatchForm&, const BatchForm&) = default;
};

/// What a batch is rounded by chance with: a repeated step has the same bytes.
struct StepChance {
  std::uint64_t seed = 0;  ///< of the run
  std::uint64_t step = 0;
};

/// A batch as it travels. In float32 the bytes are a view of the tensor, which lives as long as
/// this.
class EncodedBatch {
 public:
  EncodedBatch() = default;  ///< no bytes
  EncodedBatch(const Tensor<float>& batch, WireCoding coding, const StepChance& chance,
               Stream stream);
  ByteSpan bytes() const {
    return batch_.defined() ? bytes_of(batch_.data(), static_cast<std::size_t>(batch_.size()))
                            : ByteSpan(coded_);
  }

 private:
  Tensor<float> batch_;
  std::vector<std::uint8_t> coded_;
};

namespace detail {

/// A coding that is not fp32.
constexpr kernels::CodeBits bits_of(WireCoding coding) {
  return coding == WireCoding::fp16   ? kernels::CodeBits::half
         : coding == WireCoding::int8 ? kernels::CodeBits::int8
                                      : kernels::CodeBits::int4;
}

constexpr std::uint64_t sample_bytes(WireCoding coding, std::uint64_t values) {
  return coding == WireCoding::fp32 ? sizeof(float) * values
                                    : kernels::coded_bytes(bits_of(coding), values);
}

inline Tensor<float> decode_batch(WireCoding coding, ByteSpan bytes, const Shape& shape) {
  Tensor<float> out = Tensor<float>::uninitialized(shape);
  const Index samples = shape.rank() == 0 ? 1 : shape[0];
  const Index values = samples == 0 ? 0 : out.size() / samples;
  const std::uint64_t expected = static_cast<std::uint64_t>(samples) *
                                 sample_bytes(coding, static_cast<std::uint64_t>(values));
  if (bytes.size() != expected)
    fail("wire: ", bytes.size(), " bytes of values for ", shape, " in ", coding, ", expected ",
         expected);
  if (coding == WireCoding::fp32)
    std::memcpy(out.mutable_data(), bytes.data(), bytes.size());
  else
    kernels::decode_wire(bits_of(coding), samples, values, bytes.data(), out.mutable_data());
  return out;
}

}  // namespace detail

inline EncodedBatch::EncodedBatch(const Tensor<float>& batch, WireCoding coding,
                                  const StepChance& chance, Stream stream) {
  if (coding == WireCoding::fp32) {
    batch_ = batch;
    return;
  }
  if (batch.rank() == 0) fail("EncodedBatch: a scalar, expected a batch [N, ...]");
  const Index samples = batch.shape()[0];
  if (samples == 0) return;
  const Index values = batch.size() / samples;
  coded_.resize(
      static_cast<std::size_t>(static_cast<std::uint64_t>(samples) *
                               detail::sample_bytes(coding, static_cast<std::uint64_t>(values))));
  const kernels::RoundingStream rounding{.key = {static_cast<std::uint32_t>(chance.seed),
                                                 static_cast<std::uint32_t>(chance.seed >> 32)},
                                         .step = static_cast<std::uint32_t>(chance.step),
                                         .stream = static_cast<std::uint32_t>(stream)};
  kernels::encode_wire(detail::bits_of(coding), samples, values, batch.data(), rounding,
                       coded_.data());
}

/// The form of smashed batches [N, ...] and of their gradients, sample by sample. A sample takes
/// the same bytes in any batch.
struct WireFormat {
  WireCoding smashed = WireCoding::fp32;
  /// Nothing: the front is frozen, and no gradient comes back.
  std::optional<WireCoding> gradients = WireCoding::fp32;

  /// What the run's options mean.
  static constexpr WireFormat of(const TrainingOptions& training) {
    WireFormat out{.smashed = training.wire};
    if (training.frozen_front)
      out.gradients.reset();
    else
      out.gradients = training.wire_gradients.value_or(default_gradient_coding(training.wire));
    return out;
  }
  /// Whether a batch arrives with the very values that it was sent with.
  constexpr bool is_exact() const {
    return smashed == WireCoding::fp32 && gradients.value_or(WireCoding::fp32) == WireCoding::fp32;
  }
  /// "int4, gradients in int8"
  std::string text() const {
    std::string out = to_string(smashed);
    if (gradients && *gradients != smashed) out += concat(", gradients in ", *gradients);
    return out;
  }
  friend constexpr bool operator==(const WireFormat&, const WireFormat&) = default;

  /// Bytes of `samples` smashed samples of `values` each.
  constexpr std::uint64_t smashed_bytes(std::uint64_t samples, std::uint64_t values) const {
    return samples * detail::sample_bytes(smashed, values);
  }
  EncodedBatch encode_smashed(const Tensor<float>& batch, const StepChance& chance) const {
    return EncodedBatch(batch, smashed, chance, Stream::smashed_rounding);
  }
  /// A batch [N, ...] from its smashed_bytes.
  Tensor<float> decode_smashed(ByteSpan bytes, const Shape& shape) const {
    return detail::decode_batch(smashed, bytes, shape);
  }
  /// The batch as the other side gets it.
  Tensor<float> arrived_smashed(const Tensor<float>& batch, const StepChance& chance) const {
    return smashed == WireCoding::fp32
               ? batch
               : decode_smashed(encode_smashed(batch, chance).bytes(), batch.shape());
  }

  /// The same for their gradients.
  constexpr std::uint64_t gradient_bytes(std::uint64_t samples, std::uint64_t values) const {
    return gradients ? samples * detail::sample_bytes(*gradients, values) : 0;
  }
  EncodedBatch encode_gradient(const Tensor<float>& batch, const StepChance& chance) const {
    return gradients ? EncodedBatch(batch, *gradients, chance, Stream::gradient_rounding)
                     : EncodedBatch();
  }
  Tensor<float> decode_gradient(ByteSpan bytes, const Shape& shape) const {
    return detail::decode_batch(gradients.value(), bytes, shape);
  }
  Tensor<float> arrived_gradient(const Tensor<float>& batch, const StepChance& chance) const {
    return !gradients || *gradients == WireCoding::fp32
               ? batch
               : decode_gradient(encode_gradient(batch, chance).bytes(), batch.shape());
  }

  /// What BEGIN gives for a transfer: only smashed batches and gradients have a coding.
  constexpr std::uint8_t type_of(MessageType kind) const {
    if (kind == MessageType::step) return type_number(smashed);
    if (kind == MessageType::grad && gradients) return type_number(*gradients);
    return type_number(WireCoding::fp32);
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
