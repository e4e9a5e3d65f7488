#pragma once
// How alike two images look: structural similarity (Wang, Bovik, Sheikh and Simoncelli, Image
// Quality Assessment: From Error Visibility to Structural Similarity, 2004).

#include <algorithm>
#include <cmath>
#include <vector>

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

namespace detail {

/// Weights of the window along one axis: a Gaussian of 1.5 pixels over 11, or over the largest odd
/// number of pixels that the image has; their sum is 1.
inline std::vector<double> ssim_window(Index pixels) {
  const Index size = std::min<Index>(11, pixels - (pixels % 2 == 0 ? 1 : 0));
  std::vector<double> out(static_cast<std::size_t>(size));
  double sum = 0;
  for (Index i = 0; i < size; ++i) {
    const double d = static_cast<double>(i - size / 2) / 1.5;
    sum += out[static_cast<std::size_t>(i)] = std::exp(-0.5 * d * d);
  }
  for (double& w : out) w /= sum;
  return out;
}

/// Weighted means of `values` [height,width] over all windows that lie in the image.
inline std::vector<double> window_means(const std::vector<double>& values, Index height,
                                        Index width, const std::vector<double>& down,
                                        const std::vector<double>& along) {
  const Index rows = height - static_cast<Index>(down.size()) + 1,
              columns = width - static_cast<Index>(along.size()) + 1;
  std::vector<double> lines(static_cast<std::size_t>(height * columns));
  for (Index y = 0; y < height; ++y)
    for (Index x = 0; x < columns; ++x) {
      const double* from = values.data() + y * width + x;
      double sum = 0;
      for (const double w : along) sum += w * *from++;
      lines[static_cast<std::size_t>(y * columns + x)] = sum;
    }
  std::vector<double> out(static_cast<std::size_t>(rows * columns));
  for (Index y = 0; y < rows; ++y)
    for (Index x = 0; x < columns; ++x) {
      const double* from = lines.data() + y * columns + x;
      double sum = 0;
      for (std::size_t i = 0; i < down.size(); ++i)
        sum += down[i] * from[static_cast<Index>(i) * columns];
      out[static_cast<std::size_t>(y * columns + x)] = sum;
    }
  return out;
}

}  // namespace detail

/// Mean structural similarity of two images [channels,height,width] with values in [0,1] (eq. 13
/// there, with its constants 0.01 and 0.03): 1 for equal images, about 0 for images that have
/// nothing to do with each other. The windows lie whole in the image; the mean is over windows and
/// channels.
inline double ssim(const float* a, const float* b, Index channels, Index height, Index width) {
  if (channels < 1 || height < 1 || width < 1)
    fail("ssim: images of ", channels, "x", height, "x", width);
  constexpr double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
  const std::vector<double> down = detail::ssim_window(height), along = detail::ssim_window(width);
  const auto area = static_cast<std::size_t>(height * width);
  double sum = 0;
  std::size_t windows = 0;
  for (Index c = 0; c < channels; ++c) {
    // a, b, a a, b b, a b
    std::vector<double> planes[5];
    for (std::vector<double>& plane : planes) plane.resize(area);
    for (std::size_t i = 0; i < area; ++i) {
      const double u = static_cast<double>(*a++), v = static_cast<double>(*b++);
      const double values[] = {u, v, u * u, v * v, u * v};
      for (std::size_t k = 0; k < 5; ++k) planes[k][i] = values[k];
    }
    for (std::vector<double>& plane : planes)
      plane = detail::window_means(plane, height, width, down, along);
    for (std::size_t i = 0; i < planes[0].size(); ++i) {
      const double mean_a = planes[0][i], mean_b = planes[1][i];
      const double var_a = planes[2][i] - mean_a * mean_a, var_b = planes[3][i] - mean_b * mean_b;
      const double covariance = planes[4][i] - mean_a * mean_b;
      sum += (2 * mean_a * mean_b + c1) * (2 * covariance + c2) /
             ((mean_a * mean_a + mean_b * mean_b + c1) * (var_a + var_b + c2));
    }
    windows += planes[0].size();
  }
  return sum / static_cast<double>(windows);
}

}  // namespace measure
IOTSL_NAMESPACE_END
