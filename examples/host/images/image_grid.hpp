#pragma once
// Many small images as one picture.

#include <span>

#include "host/images/image.hpp"
#include "iotsl/data/dataset.hpp"

namespace iotsl::tool {

/// White ground with rows and columns of images of one size; a place that is not filled stays
/// white.
class ImageGrid {
 public:
  /// `zoom`: pixels of the picture for one of an image, each way. Images of 1 or 3 channels.
  ImageGrid(Index channels, ImageSize image, Index rows, Index columns, Index zoom = 1);

  /// Puts planes of bytes [channels,height,width] at a place.
  void put(Index row, Index column, std::span<const std::uint8_t> planes);
  /// Leaves more space above this row, to set groups of rows apart.
  void begin_group(Index row);

  Index rows() const { return static_cast<Index>(tops_.size()) - 1; }
  Index columns() const { return columns_; }
  std::vector<std::uint8_t> png() const;
  Result<void> write(const std::string& path) const;

 private:
  static constexpr Index gap = 2, group_gap = 8;

  struct Placed {
    Index row, column;
    std::vector<std::uint8_t> planes;
  };

  Index channels_;
  ImageSize image_;
  Index columns_, zoom_;
  std::vector<Index> tops_;  // of each row, and the picture's height
  std::vector<Placed> images_;
};

}  // namespace iotsl::tool
