#pragma once
// The engine in one include: tensors, gradients, layers, models, data and nets in memory and in
// files, optimisers, training. The wire (net, split), generators and what a run keeps stand apart,
// so that this costs little to compile.

#include "iotsl/autograd/grad.hpp"
#include "iotsl/config.hpp"
#include "iotsl/core/error.hpp"
#include "iotsl/core/memory.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/core/shape.hpp"
#include "iotsl/core/tensor.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/data/glyphs.hpp"
#include "iotsl/data/idx.hpp"
#include "iotsl/data/loader.hpp"
#include "iotsl/fwd.hpp"
#include "iotsl/models/model.hpp"
#include "iotsl/models/net_file.hpp"
#include "iotsl/models/summary.hpp"
#include "iotsl/nn/layers.hpp"
#include "iotsl/nn/layers/activation.hpp"
#include "iotsl/nn/layers/small_net.hpp"
#include "iotsl/nn/sequential.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/group_norm.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/pool.hpp"
#include "iotsl/ops/reduce.hpp"
#include "iotsl/ops/spectral.hpp"
#include "iotsl/ops/vector_norm.hpp"
#include "iotsl/ops/view.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/options/schedule.hpp"
#include "iotsl/train/evaluate.hpp"
#include "iotsl/train/trainer.hpp"

#if IOTSL_EMIT_ENGINE
#include "iotsl/kernels/kernels.hpp"  // those that only the wire uses are in this unit as well
#endif
