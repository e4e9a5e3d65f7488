#pragma once
// Numbers of parameters at which optimisers are compared with their reference and timed.

#include "iotsl/core/shape.hpp"

namespace cases {

struct OptimSize {
  iotsl::Index parameters;
  bool compared, timed;
};

/// Tails of every vector; then the device's half and the whole of vgg16bn-compact.
inline constexpr OptimSize optim_sizes[] = {
    {0, true, false},    {1, true, false},     {2, true, false},       {3, true, false},
    {4, true, false},    {5, true, false},     {7, true, false},       {8, true, false},
    {9, true, false},    {15, true, false},    {16, true, false},      {17, true, false},
    {31, true, false},   {33, true, false},    {63, true, false},      {64, true, false},
    {65, true, false},   {100, true, false},   {257, true, false},     {1000, true, false},
    {37824, true, true}, {40000, true, false}, {14727114, false, true}};

}  // namespace cases
