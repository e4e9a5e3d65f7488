#pragma once
// Everything that decides how a moments generator is made, and what follows from it: one setting
// for all data sets. The sizes of all that is released depend on these and on the images' form
// alone.

#include <algorithm>
#include <vector>

#include "iotsl/core/image_spec.hpp"
#include "iotsl/core/scalar_math.hpp"
#include "iotsl/privacy/gaussian.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

struct Settings {
  bool noise = true;  ///< false: exact sums, and no privacy
  /// Of the whole release as a Gaussian mechanism, one image counted as nothing (zero-out):
  /// sensitivity over the noise's standard deviation. The card states stated_mu(mu).
  double mu = 2;
  /// Shares of mu^2: of the head, and of the mean of its features. The moments have the rest.
  double head_share = 0.2, centre_share = 0.01;

  Index side = 10;        ///< lowest cosine coefficients a side
  Index max_coefs = 192;  ///< in all channels: fewer a side where there would be more
  double norm = 1.0 / 3;  ///< images are clipped to norm * sqrt(height * width * channels)

  Index head_steps = 60;
  double head_clip = 0.7;  ///< norm of a record's error vector, whose features have norm 1
  double head_rate = 60;
  double head_momentum = 0.9;
  double head_constant = 0.3;  ///< the feature that is the same for all images, before scaling

  Index max_redraws = 8;  ///< of an image that the head takes for another class
  // Draws have soft edges and one brightness. Varied, so that a net trained on them does not take
  // that for granted; public, whatever the data.
  double contrast = 8;          ///< the largest factor by which edges are sharpened
  double contrast_share = 0.8;  ///< of images that are
  double brightness = 2;        ///< the largest factor
  double pixel_noise = 0.2;     ///< the largest standard deviation, of values in [0,1]

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("noise", self.noise);
    f("mu", self.mu);
    f("head_share", self.head_share);
    f("centre_share", self.centre_share);
    f("side", self.side);
    f("max_coefs", self.max_coefs);
    f("norm", self.norm);
    f("head_steps", self.head_steps);
    f("head_clip", self.head_clip);
    f("head_rate", self.head_rate);
    f("head_momentum", self.head_momentum);
    f("head_constant", self.head_constant);
    f("max_redraws", self.max_redraws);
    f("contrast", self.contrast);
    f("contrast_share", self.contrast_share);
    f("brightness", self.brightness);
    f("pixel_noise", self.pixel_noise);
  }
  friend bool operator==(const Settings&, const Settings&) = default;
};

inline constexpr privacy::Range mu_range{0.01, 50};

/// The mu that may be promised for a setting's mu: within 12 sigma, and sigma at least 2^20, the
/// exact discrete Gaussian's log-probability differs from that of a rounded Gaussian, which is
/// post-processing, by at most 6/sigma^2.
inline double stated_mu(double mu) { return mu * (1 + 1e-5); }

/// The setting's mu for a stated epsilon at delta. Usage failure outside of what the accountant or
/// the noise can do.
inline Result<double> mu_for(double epsilon, double delta) {
  if (const Result<void> good = privacy::check_delta(delta); !good) return good.failure();
  if (!privacy::epsilon_range.contains(epsilon))
    return failure(ErrorCode::usage, "epsilon ", epsilon, ": expected ", privacy::epsilon_range);
  const double mu = privacy::gaussian_mu(epsilon, delta) / (1 + 1e-5);
  if (!mu_range.contains(mu))
    return failure(ErrorCode::usage, "moments: epsilon ", epsilon, " at delta ", delta, " is mu ",
                   mu, "; expected ", mu_range);
  return mu;
}

/// Epsilon at delta that these settings promise for one record (zero-out).
inline double stated_epsilon(const Settings& s, double delta) {
  return privacy::gaussian_epsilon(stated_mu(s.mu), delta);
}

/// mu of the three mechanisms; their squares add up to mu^2. A step of the head has
/// head / sqrt(head_steps).
struct Budget {
  double moments, centre, head;
};
inline Budget budget(const Settings& s) {
  using scalar_math::sqrt;
  return {s.mu * sqrt(1 - s.head_share - s.centre_share), s.mu * sqrt(s.centre_share),
          s.mu * sqrt(s.head_share)};
}
inline double step_mu(const Settings& s) {
  return budget(s).head / scalar_math::sqrt(static_cast<double>(s.head_steps));
}

/// Checks what a user or a peer can get wrong.
inline Result<void> check_settings(const Settings& s) {
  const auto wrong = [](const auto&... parts) {
    return failure(ErrorCode::usage, "moments: ", parts...);
  };
  const auto within = [](double v, double low, double high) { return v >= low && v <= high; };
  if (!mu_range.contains(s.mu)) return wrong("mu ", s.mu, "; expected ", mu_range);
  if (!within(s.head_share, 0.001, 0.9) || !within(s.centre_share, 0.0001, 0.09))
    return wrong("shares of head and centre ", s.head_share, " and ", s.centre_share,
                 "; expected 0.001 to 0.9 and 0.0001 to 0.09");
  if (s.side < 1 || s.side > 32 || s.max_coefs < 16 || s.max_coefs > 400)
    return wrong(s.side, " coefficients a side and at most ", s.max_coefs,
                 "; expected 1 to 32, and 16 to 400");
  if (!within(s.norm, 0.01, 1)) return wrong("norm ", s.norm, "; expected 0.01 to 1");
  if (s.head_steps < 1 || s.head_steps > 1000)
    return wrong(s.head_steps, " head steps; expected 1 to 1000");
  if (!within(s.head_clip, 0.01, 2))
    return wrong("head clip ", s.head_clip, "; expected 0.01 to 2");
  if (!within(s.head_rate, 1e-3, 1000) || !within(s.head_momentum, 0, 0.999))
    return wrong("head rate ", s.head_rate, " and momentum ", s.head_momentum,
                 "; expected 0.001 to 1000 and 0 to 0.999");
  if (!within(s.head_constant, 0, 10))
    return wrong("head constant ", s.head_constant, "; expected 0 to 10");
  if (s.max_redraws < 0 || s.max_redraws > 1000)
    return wrong(s.max_redraws, " redraws; expected 0 to 1000");
  if (!within(s.contrast, 1, 100) || !within(s.contrast_share, 0, 1) ||
      !within(s.brightness, 1, 10) || !within(s.pixel_noise, 0, 1))
    return wrong("contrast ", s.contrast, " of a share ", s.contrast_share, ", brightness ",
                 s.brightness, " and pixel noise ", s.pixel_noise,
                 "; expected 1 to 100, 0 to 1, 1 to 10 and 0 to 1");
  if (s.noise && step_mu(s) < 1e-4)
    return wrong("mu ", s.mu, " leaves a step of the head ", step_mu(s),
                 "; expected at least 0.0001: fewer steps, or a larger share");
  return {};
}

/// Cosine coefficients that are kept of an image, C channels of rows x cols.
struct CoefShape {
  Index channels, rows, cols;
  Index size() const { return channels * rows * cols; }
  /// Numbers of a symmetric matrix over them.
  Index pairs() const { return size() * (size() + 1) / 2; }
  friend bool operator==(const CoefShape&, const CoefShape&) = default;
};
inline CoefShape coef_shape(const Settings& s, const ImageSpec& images) {
  Index side = s.side;
  while (side > 1 && images.channels * side * side > s.max_coefs) --side;
  return {images.channels, std::min(side, images.height), std::min(side, images.width)};
}

/// The largest norm of an image's coefficients; images have values in [0,1].
inline double clip_norm(const Settings& s, const ImageSpec& images) {
  return s.norm *
         scalar_math::sqrt(static_cast<double>(images.channels * images.height * images.width));
}

/// More numbers than a release has: 2^23 moments are 64 MB of sums.
inline constexpr Index max_released = Index{1} << 23;

/// More records than a device has, so that sums of them fit 64 bits.
inline constexpr std::uint64_t max_records = std::uint64_t{1} << 31;

/// Numbers of the noised sums when `held` classes have images: a mean and second moments for each,
/// and second moments of all.
inline Index moment_count(const CoefShape& shape, Index held) {
  return held * (shape.size() + shape.pairs()) + shape.pairs();
}

/// The failure names what cannot be made.
inline Result<void> check_release_size(const Settings& s, const ImageSpec& images, Index held) {
  if (const Result<void> good = check_images(images); !good) return good;
  const Index numbers = moment_count(coef_shape(s, images), held);
  if (numbers > max_released)
    return failure(ErrorCode::usage, "moments: ", held, " classes of ", images.channels, "x",
                   images.height, "x", images.width, " are ", numbers,
                   " numbers; expected at most ", max_released, ": fewer coefficients");
  return {};
}

}  // namespace moments
IOTSL_NAMESPACE_END
