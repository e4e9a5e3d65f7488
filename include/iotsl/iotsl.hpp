#pragma once
// The engine in one include: tensors, gradients, layers, models, data, optimisers. What reads and
// writes files (nn/safetensors.hpp, data/manifest.hpp) and the wire (net, split) stand apart, so
// that this costs little to compile.

#include "iotsl/autograd/grad.hpp"
#include "iotsl/config.hpp"
#include "iotsl/core/error.hpp"
#include "iotsl/core/memory.hpp"
#include "iotsl/core/parallel.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/core/shape.hpp"
#include "iotsl/core/tensor.hpp"
#include "iotsl/fwd.hpp"
#include "iotsl/nn/layers.hpp"
#include "iotsl/nn/sequential.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/pool.hpp"
#include "iotsl/ops/reduce.hpp"
#include "iotsl/ops/view.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/optim/schedule.hpp"
