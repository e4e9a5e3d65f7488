#pragma once
// What a device is told of a run in HELLO_OK.

#include "iotsl/net/messages/frame.hpp"
#include "iotsl/options/method.hpp"
#include "iotsl/options/training.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

inline constexpr std::size_t max_name_bytes = 64;
inline constexpr std::size_t max_settings_bytes = 1024;

/// What a device must know to take its part in a run, but for the layers that it trains: those are
/// in FRONT_INIT.
struct RunDescription {
  Method method = Method::split_learning;  ///< one with devices
  std::string dataset;
  std::string model;                                    ///< for display
  std::uint16_t channels = 1, height = 28, width = 28;  ///< of one sample
  std::uint16_t classes = 10;
  /// What a device needs of them travels: epochs of a turn, batch and optimizer, whose rate comes
  /// with each TURN_GRANT. The rest is the server's affair and has its default here.
  TrainingOptions training;
  std::uint64_t seed = 0;
  /// Methods with generators: how the devices train them, as the JSON of
  /// generators::GeneratorSettings, which a generator file holds as well. Else empty.
  std::string generator;
  /// Nothing but its generator is asked of a device: there are no turns.
  bool generator_only = false;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    const bool known_method = c.name(self.method, max_name_bytes);
    c.string(self.dataset, max_name_bytes);
    c.string(self.model, max_name_bytes);
    c.number(self.channels);
    c.number(self.height);
    c.number(self.width);
    c.number(self.classes);
    auto& training = self.training;
    auto& optimizer = training.optimizer;
    c.template number_as<std::uint16_t>(training.local_epochs);
    c.template number_as<std::uint16_t>(training.batch);
    const bool known_optimizer = c.name(optimizer.kind, max_name_bytes);
    c.number(optimizer.momentum);
    c.number(optimizer.weight_decay);
    c.number(optimizer.beta1);
    c.number(optimizer.beta2);
    c.number(optimizer.eps);
    c.boolean(optimizer.nesterov);
    c.number(optimizer.ewc);
    c.boolean(training.frozen_front);
    c.number(self.seed);
    c.string(self.generator, max_settings_bytes);
    c.boolean(self.generator_only);
    c.require(known_method && !pools_data(self.method),
              "method is neither sl, iotsl, cache, fedavg nor local");
    c.require(has_generators(self.method) != self.generator.empty(),
              "generator settings belong to methods iotsl and cache");
    c.require(!self.generator_only || has_generators(self.method),
              "generator-only belongs to methods iotsl and cache");
    c.require(known_optimizer, "optimizer is neither adam nor sgd");
    c.require(self.channels > 0 && self.channels <= 16 && self.height > 0 && self.height <= 1024 &&
                  self.width > 0 && self.width <= 1024,
              "sample is larger than 16x1024x1024 or empty");
    c.require(self.classes > 1 && self.classes <= 4096, "classes are not in 2..4096");
    c.require(local_epochs_range.has(training.local_epochs), "epochs are not in 1..1024");
    c.require(batch_range.has(training.batch), "batch is not in 2..4096");
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
