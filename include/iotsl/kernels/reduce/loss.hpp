#pragma once
// Softmax losses on rows of [n,classes]. Meaning: reference/loss.hpp.

#include <algorithm>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/elementwise/math.hpp"
#include "iotsl/kernels/reference/loss.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

struct LossTable {
  void (*log_softmax)(Index n, Index classes, const float* x, float* y);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/reduce/loss-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(LossTable, loss_table)

/// y[n,classes] = log(softmax(x)) row by row.
template <class T>
void log_softmax(Index n, Index classes, const T* x, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const LossTable& table = loss_table();
    // An exponential costs several times what a load does, so a task needs fewer elements.
    const Index grain = std::max<Index>(1, grain_elems / 4 / std::max<Index>(1, classes));
    parallel_chunks(n, grain, [&](Index begin, Index end) {
      table.log_softmax(end - begin, classes, x + begin * classes, y + begin * classes);
    });
  } else {
    reference::log_softmax(n, classes, x, y);
  }
}

/// log_prob = log_softmax(logits) and loss[1] = the mean of -log_prob at the labels.
template <class T>
void softmax_cross_entropy(Index n, Index classes, const T* logits, const std::int32_t* labels,
                           T* log_prob, T* loss) {
  if constexpr (std::is_same_v<T, float>) {
    log_softmax(n, classes, logits, log_prob);
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum -= static_cast<double>(log_prob[i * classes + labels[i]]);
    *loss = static_cast<float>(sum / static_cast<double>(n));
  } else {
    reference::softmax_cross_entropy(n, classes, logits, labels, log_prob, loss);
  }
}

}  // namespace kernels

IOTSL_NAMESPACE_END
