#pragma once
// What smashed data give away: a server that follows the protocol, knows the front (it hands it
// from device to device) and has images of the same kind, trains a decoder on them and then looks
// at what devices send.

#include "iotsl/autograd/grad.hpp"
#include "iotsl/core/threads/stop_check.hpp"
#include "iotsl/data/loader.hpp"
#include "iotsl/measure/ssim.hpp"
#include "iotsl/net/messages/wire_format.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/split/audit/decoder.hpp"
#include "iotsl/train/step.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct ReconstructionOptions {
  Index width = 32;  ///< channels of the decoder
  Index epochs = 5;  ///< over the images that the server has
  Index batch = 64;
  double lr = 1e-3;  ///< of Adam
  std::uint64_t seed = 1;
};

/// How near images come to those of a device.
struct ImageLikeness {
  double mse = 0;   ///< mean squared error of values in [0,1]
  double ssim = 0;  ///< mean structural similarity; 1: the same
};

/// Of `made` and `real` [N,C,H,W], N > 0.
inline ImageLikeness compare_images(const Tensor<float>& made, const Tensor<float>& real) {
  if (!(made.shape() == real.shape()) || real.rank() != 4 || real.size() == 0)
    fail("compare_images: ", made.shape(), " and ", real.shape(),
         ", expected two equal shapes [N,C,H,W]");
  ImageLikeness out;
  const Index values = real.size() / real.extent(0);
  for (Index n = 0; n < real.extent(0); ++n) {
    const float *a = made.data() + n * values, *b = real.data() + n * values;
    for (Index i = 0; i < values; ++i) {
      const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      out.mse += d * d;
    }
    out.ssim += measure::ssim(a, b, real.extent(1), real.extent(2), real.extent(3));
  }
  out.mse /= static_cast<double>(real.size());
  out.ssim /= static_cast<double>(real.extent(0));
  return out;
}

/// The mean of some samples of a set, [1,C,H,W]: the best guess of a server that looks at nothing.
inline Tensor<float> mean_image(const data::Dataset& set) {
  Tensor<float> out = Tensor<float>::zeros({1, set.channels, set.height, set.width});
  std::vector<double> sums(static_cast<std::size_t>(out.size()));
  for (std::size_t i = 0; i < set.pixels.size(); ++i) sums[i % sums.size()] += set.pixels[i];
  for (std::size_t i = 0; i < sums.size(); ++i)
    out.mutable_data()[i] = static_cast<float>(sums[i] / (255.0 * static_cast<double>(set.size())));
  return out;
}

/// A decoder of what one front sends in one form.
class ReconstructionAttack {
 public:
  /// Fails where `front` does not take the images or a decoder cannot be built for its output.
  static Result<ReconstructionAttack> begin(Sequential<float> front, const ImageSpec& images,
                                            WireCoding coding,
                                            const ReconstructionOptions& options) {
    const Result<Shape> smashed =
        front.output_shape({1, images.channels, images.height, images.width});
    if (!smashed) return smashed.failure();
    Result<Sequential<float>> decoder = build_decoder(*smashed, images, options.width);
    if (!decoder) return decoder.failure();
    decoder->initialize(options.seed);
    return ReconstructionAttack(std::move(front), *std::move(decoder), coding, options);
  }

  /// What reaches the server of images x [N,C,H,W] in a step: the front works as in training, with
  /// the statistics of its batch.
  Tensor<float> arrived(const Tensor<float>& x, std::uint64_t step) {
    const NoRecord values_only;
    const Tensor<float> smashed = front_.forward(x, train::training_mode(options_.seed, step));
    return wire_.arrived_smashed(smashed, {options_.seed, step});
  }

  /// Trains on the server's own images. Asks `stop` between batches; false: it said yes, and the
  /// decoder is of no use. Fails where the loss is NaN or Inf.
  Result<bool> train(const data::Dataset& known, const StopCheck& stop = {}) {
    data::Loader loader(known, options_.batch);
    std::uint64_t step = 0;
    for (Index epoch = 0; epoch < options_.epochs; ++epoch) {
      loader.start_epoch(options_.seed, 0, epoch);
      for (Index b = 0; b < loader.batches(); ++b, ++step) {
        if (stop()) return false;
        const Tensor<float> x = loader.fetch(b).x;
        const Tensor<float> made =
            decoder_.forward(arrived(x, step), train::training_mode(options_.seed, step));
        const Tensor<float> loss = mse_loss(made, x);
        if (!all_finite(loss))
          return failure(ErrorCode::other, "reconstruction: the loss of step ", step,
                         " is NaN or Inf");
        optimizer_.step(grad<float>({loss}, parameters_));
      }
    }
    return true;
  }

  /// What the server sees of images x [N,C,H,W] of a device, which arrive as one batch.
  Tensor<float> reconstruct(const Tensor<float>& x, std::uint64_t step) {
    return decoder_.predict(arrived(x, step));
  }

  /// Over a whole set, in batches as devices send them.
  ImageLikeness likeness(const data::Dataset& targets) {
    data::Loader loader(targets, options_.batch);
    ImageLikeness out;
    for (Index b = 0; b < loader.batches(); ++b) {
      const Tensor<float> x = loader.fetch(b).x;
      const ImageLikeness one = compare_images(reconstruct(x, static_cast<std::uint64_t>(b)), x);
      const double share = static_cast<double>(x.extent(0)) / static_cast<double>(targets.size());
      out.mse += share * one.mse;
      out.ssim += share * one.ssim;
    }
    return out;
  }

 private:
  ReconstructionAttack(Sequential<float> front, Sequential<float> decoder, WireCoding coding,
                       const ReconstructionOptions& options)
      : front_(std::move(front)),
        decoder_(std::move(decoder)),
        wire_{.smashed = coding},
        options_(options),
        optimizer_(decoder_.parameters(), {.kind = OptimizerKind::adam, .lr = options.lr}),
        parameters_(train::tensors_of(optimizer_.parameters())) {}

  Sequential<float> front_, decoder_;
  net::WireFormat wire_;
  ReconstructionOptions options_;
  Optimizer<float> optimizer_;
  std::vector<Tensor<float>> parameters_;
};

}  // namespace split
IOTSL_NAMESPACE_END
