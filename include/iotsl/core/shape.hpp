#pragma once
// Shapes of at most four dimensions, stored inline.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN

/// Sizes, places and counts.
using Index = std::int64_t;

/// Most dimensions of a tensor.
inline constexpr int max_dims = 4;

/// The extents of a tensor, outermost first (N, C, H, W). A shape without dimensions is a scalar.
class Shape {
 public:
  constexpr Shape() = default;
  Shape(std::initializer_list<Index> dims) {
    for (Index d : dims) push_back(d);
  }

  int rank() const { return rank_; }
  Index operator[](int dim) const { return dims_[static_cast<std::size_t>(dim)]; }

  void push_back(Index extent) {
    if (rank_ == max_dims) too_long(extent);
    if (extent < 0) fail("shape: extent ", extent, " is negative");
    dims_[static_cast<std::size_t>(rank_++)] = extent;
  }
  void set(int dim, Index extent) { dims_[static_cast<std::size_t>(dim)] = extent; }

  // Bytes of a tensor must fit std::size_t, for scalars of up to 16 bytes.
  static constexpr Index max_elements = Index{1} << (sizeof(void*) >= 8 ? 46 : 27);

  /// Whether the product of all extents but zeros is at most `most`; products of some of them are
  /// then within it, too.
  bool has_at_most(Index most) const {
    Index n = 1;
    for (int d = 0; d < rank_; ++d) {
      const Index extent = (*this)[d];
      if (extent == 0) continue;
      if (n > most / extent) return false;
      n *= extent;
    }
    return true;
  }
  /// Number of elements; raises an Error where the shape has not at most max_elements.
  Index elements() const {
    if (!has_at_most(max_elements)) too_large();
    Index n = 1;
    for (int d = 0; d < rank_; ++d) n *= (*this)[d];
    return n;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int d = 0; d < a.rank_; ++d)
      if (a[d] != b[d]) return false;
    return true;
  }

  /// The four extents with leading ones: [3, 5] gives 1, 1, 3, 5.
  std::array<Index, 4> padded() const {
    std::array<Index, 4> out{1, 1, 1, 1};
    for (int d = 0; d < rank_; ++d)
      out[static_cast<std::size_t>(max_dims - rank_ + d)] = (*this)[d];
    return out;
  }

 private:
  [[noreturn]] IOTSL_COLD void too_large() const;
  [[noreturn]] IOTSL_COLD void too_long(Index extent) const;

  std::array<Index, 4> dims_{};
  int rank_ = 0;
};

/// "[8,1,28,28]"
inline std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (int d = 0; d < shape.rank(); ++d) {
    if (d != 0) out += ',';
    out += std::to_string(shape[d]);
  }
  return out + "]";
}

inline void Shape::too_large() const { fail("shape ", *this, ": too many elements"); }
inline void Shape::too_long(Index extent) const {
  fail("shape ", *this, " and ", extent, ": more than ", max_dims, " dimensions");
}

IOTSL_NAMESPACE_END
