#pragma once
// The layers that every program knows. Further ones of the library: nn/layers/.

#include "iotsl/nn/layers/standard.hpp"
