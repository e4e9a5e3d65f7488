#pragma once
// What travels with the front: parameters, running statistics, counters and optimiser state.

#include "iotsl/core/finite.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/nn/sequential.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/split/halves/wire_sizes.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Whether a tensor holds means or sums of squares, by its name: a root is taken of them, or they
/// weigh a pull towards earlier weights, so that a value below zero would end in NaN or run away.
inline bool holds_squares(std::string_view name) {
  for (const char* slot : {".exp_avg_sq", ".ewc_fisher", ".ewc_seen", ".running_var"})
    if (name.ends_with(slot)) return true;
  return false;
}
/// The first of the float32 values on the wire that is below zero, or 0.
inline float first_negative(ByteSpan values) {
  float value = 0;
  for (std::size_t i = 0; i + sizeof value <= values.size(); i += sizeof value) {
    std::memcpy(&value, values.data() + i, sizeof value);
    if (value < 0) return value;
  }
  return 0;
}

inline ByteSpan bytes_of(const Tensor<float>& t) {
  return iotsl::bytes_of(t.data(), static_cast<std::size_t>(t.size()));
}
inline std::vector<std::uint32_t> wire_shape(const Shape& shape) {
  std::vector<std::uint32_t> out;
  for (int d = 0; d < shape.rank(); ++d) out.push_back(static_cast<std::uint32_t>(shape[d]));
  return out;
}

/// Views of the state of a front and of the optimiser that trains it; valid while both live and
/// nothing is written to them.
inline net::FrontState front_state(const Sequential<float>& front,
                                   const Optimizer<float>& optimizer) {
  net::FrontState out;
  out.optimizer_steps = static_cast<std::uint64_t>(optimizer.steps());
  const auto add = [&](const NamedTensor<float>& t, net::TensorRole role) {
    out.tensors.push_back({t.name, role, wire_shape(t.tensor.shape()), bytes_of(t.tensor)});
  };
  for (const auto& t : front.parameters()) add(t, net::TensorRole::parameter);
  for (const auto& t : front.buffers()) add(t, net::TensorRole::buffer);
  for (const auto& t : optimizer.state()) add(t, net::TensorRole::optimizer);
  for (const auto& c : front.counters()) out.counters.push_back({c.name, c.counter.value()});
  return out;
}

/// Whether every name, role and shape of a received state is the expected one and every value is
/// finite, and of squares not negative. `most_steps`: the run has not given its optimiser more.
inline Result<void> check_front_state(const net::FrontState& state, const net::FrontState& expected,
                                      std::uint64_t most_steps) {
  // Adam divides by 1 - beta^steps: after -1 steps the next would divide by zero.
  if (state.optimizer_steps > most_steps)
    return failure(ErrorCode::network, "front state: its optimiser has taken ",
                   state.optimizer_steps, " steps, expected 0 to ", most_steps);
  if (state.tensors.size() != expected.tensors.size() ||
      state.counters.size() != expected.counters.size())
    return failure(ErrorCode::network, "front state: ", state.tensors.size(), " tensors and ",
                   state.counters.size(), " counters, expected ", expected.tensors.size(), " and ",
                   expected.counters.size());
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const net::WireTensor &got = state.tensors[i], &want = expected.tensors[i];
    if (got.name != want.name || got.role != want.role || got.shape != want.shape)
      return failure(ErrorCode::network, "front state: tensor ", i, " is '", got.name,
                     "', expected '", want.name, "' of another shape or role");
    if (!all_finite(got.values))
      return failure(ErrorCode::network, "front state: '", got.name, "' has NaN or Inf");
    if (!holds_squares(got.name)) continue;
    if (const float below = first_negative(got.values); below < 0)
      return failure(ErrorCode::network, "front state: '", got.name, "' has ", below,
                     ", expected at least 0");
  }
  for (std::size_t i = 0; i < state.counters.size(); ++i)
    if (state.counters[i].name != expected.counters[i].name)
      return failure(ErrorCode::network, "front state: counter ", i, " is '",
                     state.counters[i].name, "', expected '", expected.counters[i].name, "'");
  return {};
}

/// Takes over a received state. Nothing changes where check_front_state() refuses it.
inline Result<void> load_front_state(const net::FrontState& state, const Sequential<float>& front,
                                     Optimizer<float>& optimizer, std::uint64_t most_steps) {
  const Result<void> good = check_front_state(state, front_state(front, optimizer), most_steps);
  if (!good) return good;
  std::size_t next = 0;
  const auto copy = [&](Tensor<float>& to) {
    const ByteSpan from = state.tensors[next++].values;
    std::memcpy(to.mutable_data(), from.data(), from.size());
  };
  for (auto& t : front.parameters()) copy(t.tensor);
  for (auto& t : front.buffers()) copy(t.tensor);
  std::vector<NamedTensor<float>> slots;
  for (const auto& t : optimizer.state()) {
    slots.push_back({t.name, Tensor<float>::uninitialized(t.tensor.shape())});
    copy(slots.back().tensor);
  }
  auto counters = front.counters();
  for (std::size_t i = 0; i < counters.size(); ++i)
    counters[i].counter.set(state.counters[i].value);
  return optimizer.set_state(slots, static_cast<std::int64_t>(state.optimizer_steps));
}

/// SHA-256 over the names and shapes of a front's state: both sides must have built the same thing.
inline Sha256Digest structure_sha256(const Sequential<float>& front) {
  Sha256 hash;
  const auto add = [&](const NamedTensor<float>& t) {
    hash.update(t.name).update(to_string(t.tensor.shape()));
  };
  for (const auto& t : front.parameters()) add(t);
  for (const auto& t : front.buffers()) add(t);
  for (const auto& c : front.counters()) hash.update(c.name);
  return hash.digest();
}

/// The sizes that follow from a front, its optimiser and a batch of `batch` samples [1,C,H,W].
inline WireSizes wire_sizes(const Sequential<float>& front, const Optimizer<float>& optimizer,
                            const Shape& sample, std::uint64_t batch,
                            const net::WireFormat& format = {}) {
  WireSizes out;
  out.format = format;
  const net::FrontState state = front_state(front, optimizer);
  for (const net::WireTensor& t : state.tensors) {
    std::uint64_t& values = t.role == net::TensorRole::parameter ? out.front_values
                            : t.role == net::TensorRole::buffer  ? out.buffer_values
                                                                 : out.optimizer_values;
    values += t.values.size() / net::state_bytes(1);
  }
  out.state_overhead = net::encode(state).size() - out.state_bytes();
  out.smashed_values = static_cast<std::uint64_t>(front.output_shape(sample)->elements());
  out.largest_batch = batch + 1;
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
