#pragma once
// What every kind of generator is told about the images that it makes.

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN

/// Labelled images as a generator makes them: values in [0,1].
struct ImageSpec {
  Index channels = 1, height = 28, width = 28;  ///< of one image, in pixels
  Index classes = 10;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("channels", self.channels);
    f("height", self.height);
    f("width", self.width);
    f("classes", self.classes);
  }
  friend bool operator==(const ImageSpec&, const ImageSpec&) = default;
};

/// The failure names what cannot be generated.
inline Result<void> check_images(const ImageSpec& s) {
  if (s.channels < 1 || s.channels > 16 || s.height < 8 || s.height > 1024 || s.width < 8 ||
      s.width > 1024)
    return failure(ErrorCode::usage, "generator: images of ", s.channels, "x", s.height, "x",
                   s.width, "; expected 1 to 16 channels and 8 to 1024 pixels a side");
  if (s.classes < 1 || s.classes > 4096)
    return failure(ErrorCode::usage, "generator: ", s.classes, " classes; expected 1 to 4096");
  return {};
}

IOTSL_NAMESPACE_END
