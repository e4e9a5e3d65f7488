#pragma once
// Sorting in place, in few lines: the templates behind std::sort are compiled once more for each
// comparison, in every translation unit that includes the engine.

#include <cstddef>
#include <utility>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

/// Sorts the `count` values at `values` by `less` (heap sort: n log n comparisons in every case).
/// Which of two values comes first that are not less than each other is not defined.
template <class V, class Less>
void heap_sort(V* values, std::size_t count, const Less& less) {
  // The heap's root is its greatest value. First every value from the middle down is moved to its
  // place in it, then the root goes behind the heap, which the value found there enters.
  std::size_t root = count / 2;
  for (std::size_t end = count; end > 1;) {
    if (root > 0) {
      --root;
    } else {
      std::swap(values[0], values[--end]);
    }
    for (std::size_t parent = root, child; (child = 2 * parent + 1) < end; parent = child) {
      if (child + 1 < end && less(values[child], values[child + 1])) ++child;
      if (!less(values[parent], values[child])) break;
      std::swap(values[parent], values[child]);
    }
  }
}

/// The same by operator<, for the elements of a vector.
template <class Values>
void heap_sort(Values& values) {
  using V = typename Values::value_type;
  heap_sort(values.data(), values.size(), [](const V& a, const V& b) { return a < b; });
}

IOTSL_NAMESPACE_END
