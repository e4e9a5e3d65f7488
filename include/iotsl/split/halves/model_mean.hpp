#pragma once
// The whole net of federated averaging (McMahan et al. 2017) as it travels, and the mean of the
// nets that devices have trained.

#include "iotsl/split/halves/front_state.hpp"
#include "iotsl/split/halves/state_part.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// The whole net as the messages carry it; views, valid while it lives unchanged.
inline net::FrontState model_state(const Sequential<float>& net) {
  return front_state(net, Optimizer<float>());
}

/// The sizes that follow from a whole net, which travels alone: no batch does, nor an optimiser.
inline WireSizes whole_net_sizes(const Sequential<float>& net, const Shape& sample) {
  WireSizes out = wire_sizes(net, Optimizer<float>(), sample, 1);
  out.smashed_values = 0;
  out.whole_net = true;
  return out;
}

/// The mean of nets, weighted by sample counts: weights and running statistics alike. Sums are
/// double: the product of a float and a count below 2^29 is exact, so that the mean does not
/// depend on how a compiler contracts it.
class ModelMean {
 public:
  explicit ModelMean(const Sequential<float>& net) {
    const net::FrontState state = model_state(net);
    std::size_t values = 0;
    for (const net::WireTensor& t : state.tensors) values += t.values.size() / sizeof(float);
    sums_.resize(values);
    counters_.resize(state.counters.size());
  }

  /// Nothing is summed up.
  bool empty() const { return samples_[0] == 0; }

  /// A net that check_front_state() has found to be like the one of the constructor.
  void add(const net::FrontState& state, std::uint64_t samples) {
    const auto weight = static_cast<double>(samples);
    double* sum = sums_.data();
    for (const net::WireTensor& t : state.tensors)
      for (std::size_t at = 0; at < t.values.size(); at += sizeof(float)) {
        float value;
        std::memcpy(&value, t.values.data() + at, sizeof value);
        *sum++ += weight * static_cast<double>(value);
      }
    // The number of batches seen has no mean: the largest.
    for (std::size_t i = 0; i < counters_.size(); ++i)
      counters_[i] = std::max(counters_[i], state.counters[i].value);
    samples_[0] += samples;
  }

  /// Writes the mean into a net like the one of the constructor and begins again.
  void store(const Sequential<float>& net) {
    if (empty()) fail("fedavg: a mean of no nets");
    const auto weight = static_cast<double>(samples_[0]);
    const double* sum = sums_.data();
    const auto put = [&](const NamedTensor<float>& named) {
      Tensor<float> tensor = named.tensor;  // the same values
      float* to = tensor.mutable_data();
      for (Index i = 0; i < tensor.size(); ++i) to[i] = static_cast<float>(*sum++ / weight);
    };
    for (const auto& t : net.parameters()) put(t);
    for (const auto& t : net.buffers()) put(t);
    auto counters = net.counters();
    for (std::size_t i = 0; i < counters.size(); ++i) counters[i].counter.set(counters_[i]);
    std::fill(sums_.begin(), sums_.end(), 0.0);
    std::fill(counters_.begin(), counters_.end(), 0);
    samples_[0] = 0;
  }

  /// What is summed up so far, for barriers.
  std::vector<StatePart> parts() {
    const auto part = [](const char* name, auto& values) {
      return StatePart{name, reinterpret_cast<std::uint8_t*>(values.data()),
                       values.size() * sizeof(values[0])};
    };
    return {part("fedavg/sums", sums_), part("fedavg/counters", counters_),
            part("fedavg/samples", samples_)};
  }

 private:
  std::vector<double> sums_;
  std::vector<std::int64_t> counters_;
  std::vector<std::uint64_t> samples_ = {0};  // one number, with a place that stays
};

}  // namespace split
IOTSL_NAMESPACE_END
