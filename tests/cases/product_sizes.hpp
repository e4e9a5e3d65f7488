#pragma once
// Sizes of matrix products a [m,k] times b [k,n]: where the kernels are compared with their
// reference in float and bfloat16, transposed or not, which of them the operations on them have
// gradients checked at, and which are timed.

#include <vector>

#include "iotsl/core/shape.hpp"

namespace cases {

using iotsl::Index;

struct ProductSize {
  Index m, n, k;
  bool gradients = false;  ///< matmul and linear too, with gradients of both orders
  bool timed = false;      ///< gemm_bench: plainly, and with either operand transposed
  bool compared = true;    ///< with the reference, which takes long for large ones
  Index op_batch = 0;      ///< op_bench: the operations timed with this m; 0: not
};

/// Every tail of the tile, both sides of each block size, vectors, nothing, and the linear layers'
/// shapes.
inline std::vector<ProductSize> product_sizes() {
  std::vector<ProductSize> rows = {
      {0, 5, 3},
      {0, 3, 4, true},
      {5, 0, 3},
      {4, 6, 0},
      {3, 2, 0, true},
      {1, 1, 1},
      {1, 1, 7, true},
      {1, 1, 1000},
      {1, 300, 7},
      {300, 1, 7},
      {6, 13, 1, true},
      {2, 1000, 4, true},
      {3, 5, 4, true},
      {17, 9, 33, true},
      {17, 300, 5},
      {65, 47, 130, true},
      {5, 33, 513},
      {480, 16, 30},
      {250, 140, 9},
      {240, 129, 257, true},
      {241, 129, 257},
      // The classifier's last layer and its two gradients, for a batch and for one image.
      {8, 10, 512, true, false, true, 64},
      {64, 10, 512, false, true},
      {1, 10, 512, true, true},
      {10, 512, 64, false, true},
      {64, 512, 10, false, true},
      {10, 512, 1, false, true},
      {1, 512, 10, false, true},
      // The large linear layers of VGG-16, and squares.
      {64, 4096, 4096, false, true, false},
      {4096, 4096, 64, false, true, false},
      {1, 4096, 4096, false, true, false},
      {4096, 4096, 1, false, true, false},
      {64, 64, 64, false, true, false},
      {256, 256, 256, false, true, false},
      {512, 512, 512, false, true, false}};
  for (Index m = 1; m <= 13; ++m) rows.push_back({m, 2 * m + 3, m + 1});
  for (Index n = 1; n <= 33; n += 4) rows.push_back({7, n, 11});
  return rows;
}

}  // namespace cases
