#include "host/images/image_grid.hpp"

#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {

ImageGrid::ImageGrid(Index channels, ImageSize image, Index rows, Index columns, Index zoom)
    : channels_(channels), image_(image), columns_(columns), zoom_(zoom) {
  if ((channels != 1 && channels != 3) || image.height < 1 || image.width < 1 || rows < 1 ||
      columns < 1 || zoom < 1)
    fail("image grid: ", rows, " x ", columns, " images of ", channels, "x", image.height, "x",
         image.width, " with zoom ", zoom, "; expected at least 1 each, and 1 or 3 channels");
  for (Index row = 0; row <= rows; ++row) tops_.push_back(gap + row * (image.height * zoom + gap));
}

void ImageGrid::put(Index row, Index column, std::span<const std::uint8_t> planes) {
  if (row < 0 || row >= rows() || column < 0 || column >= columns_)
    fail("image grid: place ", row, ", ", column, " of ", rows(), " x ", columns_);
  if (static_cast<Index>(planes.size()) != channels_ * image_.height * image_.width)
    fail("image grid: ", planes.size(), " bytes, an image has ",
         channels_ * image_.height * image_.width);
  images_.push_back({row, column, {planes.begin(), planes.end()}});
}

void ImageGrid::begin_group(Index row) {
  for (Index below = row; below <= rows(); ++below)
    tops_[static_cast<std::size_t>(below)] += group_gap;
}

std::vector<std::uint8_t> ImageGrid::png() const {
  const Index height = tops_.back(), width = gap + columns_ * (image_.width * zoom_ + gap);
  std::vector<std::uint8_t> picture(static_cast<std::size_t>(channels_ * height * width), 255);
  for (const Placed& placed : images_) {
    const Index top = tops_[static_cast<std::size_t>(placed.row)];
    const Index left = gap + placed.column * (image_.width * zoom_ + gap);
    for (Index c = 0; c < channels_; ++c)
      for (Index y = 0; y < image_.height * zoom_; ++y)
        for (Index x = 0; x < image_.width * zoom_; ++x) {
          const Index from = (c * image_.height + y / zoom_) * image_.width + x / zoom_;
          picture[static_cast<std::size_t>((c * height + top + y) * width + left + x)] =
              placed.planes[static_cast<std::size_t>(from)];
        }
  }
  return encode_png(picture.data(), channels_, height, width);
}

Result<void> ImageGrid::write(const std::string& path) const {
  return write_file_atomic(path, ByteSpan(png()));
}

}  // namespace iotsl::tool
