#pragma once
// The lowest coefficients of the orthonormal discrete cosine transform (DCT-II) of an image, and
// back: X[k] = s(k) sum_i x[i] cos(pi (i + 1/2) k / n), s(0) = sqrt(1/n), else sqrt(2/n); rows,
// then columns. Orthonormal, so that norms of coefficients are at most those of images.

#include <span>

#include "iotsl/moments/settings.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// Row k of `coefs`, column i of `size`: s(k) cos(pi (i + 1/2) k / size).
inline std::vector<double> cosine_rows(Index coefs, Index size) {
  using namespace scalar_math;
  std::vector<double> out;
  const auto n = static_cast<double>(size);
  for (Index k = 0; k < coefs; ++k)
    for (Index i = 0; i < size; ++i)
      out.push_back(
          sqrt((k == 0 ? 1 : 2) / n) *
          cos(3.141592653589793 * (static_cast<double>(i) + 0.5) * static_cast<double>(k) / n));
  return out;
}

class CosineTransform {
 public:
  CosineTransform(const CoefShape& shape, const ImageSpec& images)
      : shape_(shape),
        height_(images.height),
        width_(images.width),
        rows_(cosine_rows(shape.rows, height_)),
        cols_(cosine_rows(shape.cols, width_)) {}

  const CoefShape& shape() const { return shape_; }
  Index pixels() const { return shape_.channels * height_ * width_; }

  /// Coefficients [C, rows, cols] of bytes [C, H, W] taken as value / 255.
  void forward(std::span<const std::uint8_t> pixels, std::span<double> coefs) const {
    std::vector<double> half(static_cast<std::size_t>(height_ * shape_.cols));
    for (Index c = 0; c < shape_.channels; ++c) {
      const std::uint8_t* image = pixels.data() + c * height_ * width_;
      for (Index y = 0; y < height_; ++y)
        for (Index l = 0; l < shape_.cols; ++l) {
          const double* wave = cols_.data() + l * width_;
          double sum = 0;
          for (Index x = 0; x < width_; ++x)
            sum += wave[x] * static_cast<double>(image[y * width_ + x]);
          half[static_cast<std::size_t>(y * shape_.cols + l)] = sum;
        }
      double* out = coefs.data() + c * shape_.rows * shape_.cols;
      for (Index k = 0; k < shape_.rows; ++k)
        for (Index l = 0; l < shape_.cols; ++l) {
          double sum = 0;
          for (Index y = 0; y < height_; ++y)
            sum += rows_[static_cast<std::size_t>(k * height_ + y)] *
                   half[static_cast<std::size_t>(y * shape_.cols + l)];
          out[k * shape_.cols + l] = sum / 255;
        }
    }
  }

  /// The image of these coefficients, all others 0, clipped to [0,1], as bytes.
  void inverse(std::span<const double> coefs, std::span<std::uint8_t> pixels) const {
    std::vector<double> half(static_cast<std::size_t>(height_ * shape_.cols));
    std::vector<double> row(static_cast<std::size_t>(width_));
    for (Index c = 0; c < shape_.channels; ++c) {
      const double* in = coefs.data() + c * shape_.rows * shape_.cols;
      std::fill(half.begin(), half.end(), 0);
      for (Index k = 0; k < shape_.rows; ++k)
        for (Index y = 0; y < height_; ++y) {
          const double wave = rows_[static_cast<std::size_t>(k * height_ + y)];
          for (Index l = 0; l < shape_.cols; ++l)
            half[static_cast<std::size_t>(y * shape_.cols + l)] += wave * in[k * shape_.cols + l];
        }
      for (Index y = 0; y < height_; ++y) {
        std::fill(row.begin(), row.end(), 0);
        for (Index l = 0; l < shape_.cols; ++l) {
          const double factor = half[static_cast<std::size_t>(y * shape_.cols + l)];
          const double* wave = cols_.data() + l * width_;
          for (Index x = 0; x < width_; ++x) row[static_cast<std::size_t>(x)] += factor * wave[x];
        }
        std::uint8_t* out = pixels.data() + (c * height_ + y) * width_;
        for (Index x = 0; x < width_; ++x) {
          const double v = row[static_cast<std::size_t>(x)] * 255 + 0.5;
          out[x] = static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
        }
      }
    }
  }

 private:
  CoefShape shape_;
  Index height_, width_;
  std::vector<double> rows_, cols_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
