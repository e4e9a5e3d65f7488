#pragma once
// Running statistics and counters as they were: a forward pass in training changes them before
// anybody knows whether the step is good.

#include <algorithm>
#include <vector>

#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN
namespace train {

/// The buffers and counters of a net, which it goes on sharing. Nothing is allocated after the
/// construction.
template <class T>
class KeptBuffers {
 public:
  explicit KeptBuffers(const Sequential<T>& net) {
    for (StateEntry<T>& entry : state_entries<T>(net)) {
      if (entry.kind == StateKind::counter)
        counters_.push_back({*entry.counter, 0});
      else if (entry.kind == StateKind::buffer)
        buffers_.push_back({entry.tensor, entry.tensor.clone()});
    }
  }

  /// As they are now.
  void keep() {
    for (auto& [live, kept] : buffers_) copy(live, kept);
    for (auto& [live, kept] : counters_) kept = live.value();
  }
  /// Puts them back.
  void restore() {
    for (auto& [live, kept] : buffers_) copy(kept, live);
    for (auto& [live, kept] : counters_) live.set(kept);
  }

 private:
  static void copy(const Tensor<T>& from, Tensor<T>& to) {
    std::copy_n(from.data(), from.size(), to.mutable_data());
  }
  std::vector<std::pair<Tensor<T>, Tensor<T>>> buffers_;
  std::vector<std::pair<Counter, std::int64_t>> counters_;
};

}  // namespace train
IOTSL_NAMESPACE_END
