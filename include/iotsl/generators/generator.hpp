#pragma once
// What a device shares: a thing that makes images of a class from a seed. Nothing else in the
// system asks which kind it is.

#include <optional>
#include <variant>

#include "iotsl/gan/sample.hpp"
#include "iotsl/gan/small_images.hpp"
#include "iotsl/generators/settings.hpp"
#include "iotsl/moments/generator.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

/// The conditional net with what its noise is drawn from.
struct NetGenerator {
  GeneratorNet<float> net;
  bool gaussian = false;  ///< else bits
  /// What images are enlarged to: those of a coarse net; nothing: they are as the net makes them.
  std::optional<ImageSpec> enlarged = {};

  const ImageSpec& images() const { return enlarged ? *enlarged : net.spec().images; }
};

/// A net that was trained with these settings for such images.
inline NetGenerator net_generator(GeneratorNet<float> net, const gan::GanSettings& settings,
                                  const ImageSpec& images) {
  const bool as_it_is = net.spec().images == images;
  return {std::move(net), settings.noise == "gaussian",
          as_it_is ? std::nullopt : std::optional(images)};
}

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
    return net != nullptr ? net->images() : std::get<moments::Generator>(made_).images();
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
      return append_of_net(*net, set, label, count,
                           {.gaussian = net->gaussian, .seed = seed, .number = number}, stop);
    return std::get<moments::Generator>(made_).append(set, label, count, seed, number, stop);
  }

 private:
  static bool append_of_net(const NetGenerator& made, data::Dataset& set, Index label, Index count,
                            const gan::SampleSource& source, const StopCheck& stop) {
    if (!made.enlarged) return gan::append_generated(set, made.net, label, count, source, stop);
    data::Dataset small = gan::empty_set(set.name, made.net.spec().images);
    const bool whole = gan::append_generated(small, made.net, label, count, source, stop);
    gan::append_enlarged(set, small);
    return whole;
  }

  std::variant<NetGenerator, moments::Generator> made_;
};

}  // namespace generators
IOTSL_NAMESPACE_END
