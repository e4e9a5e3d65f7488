#pragma once
// The contents of the transfers of federated averaging: whole nets, both ways.

#include <cmath>

#include "iotsl/net/messages/bulk_messages.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// What a device saw in one local epoch of its own training.
struct EpochResult {
  double loss_sum = 0;  ///< over samples, each before its update
  std::uint64_t samples = 0;
  std::uint64_t correct = 0;  ///< likewise
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.loss_sum);
    c.require(std::isfinite(self.loss_sum), "loss is NaN or Inf");
    c.count(self.samples);
    c.count(self.correct);
  }
};

/// The weights that a device begins a round with.
struct GlobalModel {
  static constexpr MessageType type = MessageType::global_model;
  static constexpr const char* name = "GLOBAL_MODEL";
  TurnKey key;
  std::uint32_t round = 0;
  std::uint64_t first_step = 0;  ///< steps of the run before this device's
  std::uint64_t order_seed = 0;  ///< of the sample order
  double learning_rate = 0;
  FrontState model;  ///< the whole net, without optimiser state
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.number(self.round);
    c.count(self.first_step);
    c.number(self.order_seed);
    c.number(self.learning_rate);
    FrontState::fields(self.model, c);
  }
};

/// The weights that the device ends it with.
struct LocalModel {
  static constexpr MessageType type = MessageType::local_model;
  static constexpr const char* name = "LOCAL_MODEL";
  TurnKey key;
  std::uint64_t samples = 0;  ///< of the device: its weight in the mean
  std::uint64_t steps = 0;
  std::vector<EpochResult> results;  ///< of each local epoch
  std::vector<EpochCost> costs;
  FrontState model;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.samples);
    c.count(self.steps);
    c.list(self.results, 1024);
    c.list(self.costs, 1024);
    FrontState::fields(self.model, c);
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
