#pragma once
// Softmax losses on [n,classes]; meaning as in reference/loss.hpp.

#include "iotsl/kernels/reference/loss.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void log_softmax(Index n, Index classes, const T* x, T* y) {
  reference::log_softmax(n, classes, x, y);
}

template <class T>
void softmax_cross_entropy(Index n, Index classes, const T* logits, const std::int32_t* labels,
                           T* log_prob, T* loss) {
  reference::softmax_cross_entropy(n, classes, logits, labels, log_prob, loss);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
