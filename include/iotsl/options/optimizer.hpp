#pragma once
// How weights are updated. The optimisers themselves: optim/optimizer.hpp.

#include "iotsl/core/error.hpp"
#include "iotsl/core/named_enum.hpp"

IOTSL_NAMESPACE_BEGIN

/// Stochastic gradient descent, or Adam (Kingma and Ba 2014).
enum class OptimizerKind { sgd, adam };

namespace detail {
inline constexpr NamedValue<OptimizerKind> optimizer_table[] = {{OptimizerKind::adam, "adam"},
                                                                {OptimizerKind::sgd, "sgd"}};
}
/// Their names, for the command line and files.
constexpr const auto& names_of(OptimizerKind) { return detail::optimizer_table; }
/// The kind of that name; a failure names what can be had.
inline Result<OptimizerKind> parse_optimizer(std::string_view text) {
  if (const auto found = find_named<OptimizerKind>(text)) return *found;
  return failure(ErrorCode::usage, "optimizer '", text, "'; expected sgd or adam");
}

/// How an optimiser steps; the defaults are those of torch.optim but for the rate.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::sgd;
  double lr = 1e-2;
  double weight_decay = 0;  ///< added to the gradient, as torch.optim does
  double momentum = 0;      ///< SGD
  bool nesterov = false;    ///< SGD
  double beta1 = 0.9;       ///< Adam (Kingma, Ba 2015)
  double beta2 = 0.999;     ///< Adam
  double eps = 1e-8;        ///< Adam
  double ewc = 0;           ///< strength of elastic weight consolidation; 0: none

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("kind", self.kind);
    f("lr", self.lr);
    f("weight_decay", self.weight_decay);
    f("momentum", self.momentum);
    f("nesterov", self.nesterov);
    f("beta1", self.beta1);
    f("beta2", self.beta2);
    f("eps", self.eps);
    f("ewc", self.ewc);
  }
};

/// Numbers that training keeps beside each parameter: the optimiser's means, and of --ewc the
/// weights that it pulls towards with their importance.
inline std::uint64_t kept_per_parameter(const OptimizerOptions& o) {
  const std::uint64_t means = o.kind == OptimizerKind::adam ? 2 : o.momentum != 0 ? 1 : 0;
  return means + (o.ewc > 0 ? 3 : 0);
}

/// Checks what a user or a peer can get wrong; the failure names the option.
inline Result<void> check_optimizer(const OptimizerOptions& o) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  if (!(o.lr >= 0 && o.lr < 1e6)) return wrong("--lr ", o.lr, ": expected 0 or more and below 1e6");
  if (!(o.momentum >= 0 && o.momentum < 1))
    return wrong("--momentum ", o.momentum, ": expected 0 <= m < 1");
  if (!(o.weight_decay >= 0 && o.weight_decay < 1e6))
    return wrong("--weight-decay ", o.weight_decay, ": expected 0 or more and below 1e6");
  if (!(o.ewc >= 0 && o.ewc <= 1e12)) return wrong("--ewc ", o.ewc, ": expected 0 to 1e12");
  // No option sets these, but a server may send them.
  if (o.nesterov && o.momentum == 0) return wrong("Nesterov needs a momentum above 0");
  if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1))
    return wrong("betas ", o.beta1, " and ", o.beta2, ": expected 0 <= beta < 1");
  if (!(o.eps >= 0 && o.eps < 1e6))
    return wrong("eps ", o.eps, ": expected 0 or more and below 1e6");
  return {};
}

IOTSL_NAMESPACE_END
