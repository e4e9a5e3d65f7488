#pragma once
// What a device is told of a run in HELLO_OK.

#include "iotsl/net/frame.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

inline constexpr std::size_t max_name_bytes = 64;
inline constexpr std::size_t max_settings_bytes = 1024;

enum class LayerType : std::uint8_t {
  conv2d = 1,
  batch_norm2d = 2,
  relu = 3,
  max_pool2d = 4,
  global_avg_pool2d = 5,
  flatten = 6,
  dropout = 7,
  linear = 8,
};

/// One layer of the front: the device builds its half from these and needs no table of models.
struct LayerDescription {
  std::string name;  ///< as in torchvision: `features.0`
  LayerType type{};
  std::vector<std::uint16_t> extents;  ///< see split/halves/front_description.hpp
  double probability = 0;              ///< of dropout
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.string(self.name, max_name_bytes);
    c.number(self.type);
    c.array(self.extents, 12);
    c.number(self.probability);
  }
};

/// All that a device must know to take its part in a run.
struct RunDescription {
  std::string method = "sl";  ///< "sl", "iotsl" or "local"
  std::string dataset;
  std::string model;                                    ///< for display
  std::uint16_t channels = 1, height = 28, width = 28;  ///< of one sample
  std::uint16_t classes = 10;
  std::vector<LayerDescription> front;
  std::uint16_t local_epochs = 1;
  std::uint16_t batch = 64;
  std::string optimizer = "adam";  ///< "adam" or "sgd"
  double momentum = 0, weight_decay = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  bool nesterov = false;
  double ewc = 0;  ///< strength of elastic weight consolidation; 0: none
  std::uint64_t seed = 0;
  /// Method iotsl: how the devices train their generators, as the JSON of gan::GanSettings, which a
  /// generator file holds as well. Else empty.
  std::string generator;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.string(self.method, max_name_bytes);
    c.string(self.dataset, max_name_bytes);
    c.string(self.model, max_name_bytes);
    c.number(self.channels);
    c.number(self.height);
    c.number(self.width);
    c.number(self.classes);
    c.list(self.front, 128);
    c.number(self.local_epochs);
    c.number(self.batch);
    c.string(self.optimizer, max_name_bytes);
    c.number(self.momentum);
    c.number(self.weight_decay);
    c.number(self.beta1);
    c.number(self.beta2);
    c.number(self.eps);
    c.boolean(self.nesterov);
    c.number(self.ewc);
    c.number(self.seed);
    c.string(self.generator, max_settings_bytes);
    c.require(self.method == "sl" || self.method == "iotsl" || self.method == "local",
              "method is neither sl, iotsl nor local");
    c.require((self.method == "iotsl") != self.generator.empty(),
              "generator settings belong to method iotsl and to no other");
    c.require(self.optimizer == "adam" || self.optimizer == "sgd",
              "optimizer is neither adam nor sgd");
    c.require(self.channels > 0 && self.channels <= 16 && self.height > 0 && self.height <= 1024 &&
                  self.width > 0 && self.width <= 1024,
              "sample is larger than 16x1024x1024 or empty");
    c.require(self.classes > 1 && self.classes <= 4096, "classes are not in 2..4096");
    c.require(self.local_epochs > 0 && self.local_epochs <= 1024, "epochs are not in 1..1024");
    c.require(self.batch > 1 && self.batch <= 4096, "batch is not in 2..4096");
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
