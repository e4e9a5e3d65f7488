#include "iotsl/data/shift.hpp"

#include <doctest/doctest.h>

#include <set>

namespace shift_test {

using namespace iotsl;

TEST_CASE("shift: every image moves as a whole, in all directions, and zeros come in") {
  const Index n = 200, channels = 2, height = 5, width = 4;
  Tensor<float> x = Tensor<float>::uninitialized({n, channels, height, width});
  for (Index i = 0; i < x.size(); ++i) x.mutable_data()[i] = static_cast<float>(i + 1);
  const Tensor<float> moved = data::shift_images(x, 1, Random(3, Stream::user));
  const auto at = [&](const Tensor<float>& t, Index i, Index c, Index row, Index col) {
    if (row < 0 || row >= height || col < 0 || col >= width) return 0.0F;
    return t.data()[((i * channels + c) * height + row) * width + col];
  };
  std::set<std::pair<Index, Index>> seen;
  for (Index i = 0; i < n; ++i) {
    std::set<std::pair<Index, Index>> fits;
    for (Index down = -1; down <= 1; ++down)
      for (Index right = -1; right <= 1; ++right) {
        bool same = true;
        for (Index c = 0; c < channels; ++c)
          for (Index row = 0; row < height; ++row)
            for (Index col = 0; col < width; ++col)
              same = same && at(moved, i, c, row, col) == at(x, i, c, row - down, col - right);
        if (same) fits.insert({down, right});
      }
    REQUIRE(fits.size() == 1);
    seen.insert(*fits.begin());
  }
  CHECK(seen.size() == 9);
}

TEST_CASE("shift: by more than the image nothing of it is left, by none it stays") {
  Tensor<float> x = Tensor<float>::full({40, 1, 2, 2}, 1);
  const Tensor<float> same = data::shift_images(x, 0, Random(1, Stream::user));
  CHECK(std::equal(x.data(), x.data() + x.size(), same.data()));
  const Tensor<float> far = data::shift_images(x, 9, Random(1, Stream::user));
  float sum = 0;
  for (Index i = 0; i < far.size(); ++i) sum += far.data()[i];
  CHECK(sum < 40);
  CHECK_THROWS_WITH_AS(data::shift_images(Tensor<float>::zeros({4, 5, 3}), 1, {1, Stream::user}),
                       "shift_images: [4,5,3] by 1 pixels, expected [N,C,H,W] and 0 or more",
                       Error);
}

}  // namespace shift_test
