#pragma once
// What a device shares: a thing that makes images of a class from a seed. Nothing else in the
// system asks which kind it is.

#include <variant>

#include "iotsl/gan/sample.hpp"
#include "iotsl/generators/settings.hpp"
#include "iotsl/moments/generator.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

/// The conditional net with what its noise is drawn from.
struct NetGenerator {
  GeneratorNet<float> net;
  bool gaussian = false;  ///< else bits
};

class Generator {
 public:
  Generator(NetGenerator made) : made_(std::move(made)) {}
  Generator(moments::Generator made) : made_(std::move(made)) {}
  Generator(const Generator&) = default;
  Generator& operator=(const Generator&) = default;
  // Where g++ 12 inlines a variant's move it warns of alternatives that are not there.
  [[gnu::noinline]] Generator(Generator&& other) noexcept : made_(std::move(other.made_)) {}
  [[gnu::noinline]] Generator& operator=(Generator&& other) noexcept {
    made_ = std::move(other.made_);
    return *this;
  }
  ~Generator() = default;

  GeneratorKind kind() const {
    return std::holds_alternative<NetGenerator>(made_) ? GeneratorKind::net
                                                       : GeneratorKind::moments;
  }
  const ImageSpec& images() const {
    const NetGenerator* net = std::get_if<NetGenerator>(&made_);
    return net != nullptr ? net->net.spec().images : std::get<moments::Generator>(made_).images();
  }
  /// Numbers that it is made of, by the paper's way of counting what is sent.
  std::uint64_t values() const {
    const NetGenerator* net = std::get_if<NetGenerator>(&made_);
    return net != nullptr
               ? static_cast<std::uint64_t>(lay_out(net->net.spec()).cost().parameters)
               : static_cast<std::uint64_t>(std::get<moments::Generator>(made_).values());
  }
  /// Operations for one image, multiply-adds of all layers; 0 where it is no net.
  std::uint64_t operations() const {
    const NetGenerator* net = std::get_if<NetGenerator>(&made_);
    return net != nullptr ? static_cast<std::uint64_t>(lay_out(net->net.spec()).cost().operations)
                          : 0;
  }
  /// The net, or null.
  const NetGenerator* net() const { return std::get_if<NetGenerator>(&made_); }
  /// The moments, or null.
  const moments::Generator* moments() const { return std::get_if<moments::Generator>(&made_); }

  /// Appends `count` images of class `label` to `set`. Image i is a function of the generator,
  /// seed, number, label and i alone, so that asking for more images changes none. `number` tells
  /// generators that share a seed apart. False where it was stopped, with fewer images.
  bool append(data::Dataset& set, Index label, Index count, std::uint64_t seed,
              std::uint32_t number, const StopCheck& stop = {}) const {
    if (const NetGenerator* net = std::get_if<NetGenerator>(&made_))
      return gan::append_generated(set, net->net, label, count,
                                   {.gaussian = net->gaussian, .seed = seed, .number = number},
                                   stop);
    return std::get<moments::Generator>(made_).append(set, label, count, seed, number, stop);
  }

 private:
  std::variant<NetGenerator, moments::Generator> made_;
};

}  // namespace generators
IOTSL_NAMESPACE_END
