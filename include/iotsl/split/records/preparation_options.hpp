#pragma once
// What comes before the turns of method iotsl, as the user chooses it.

#include <optional>
#include <string>

#include "iotsl/generators/settings.hpp"
#include "iotsl/options/training.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// How pre-training steps where it does not step as the turns do.
struct PretrainOptimizer {
  std::optional<OptimizerKind> kind;
  std::optional<double> lr, momentum;  ///< momentum: SGD

  /// Everything that is not chosen is that of the turns; their momentum is none of Adam's.
  OptimizerOptions beside(const OptimizerOptions& turns) const {
    OptimizerOptions out = turns;
    out.kind = kind.value_or(turns.kind);
    out.lr = lr.value_or(turns.lr);
    out.momentum = out.kind == OptimizerKind::adam ? 0 : momentum.value_or(turns.momentum);
    out.nesterov = turns.nesterov && out.momentum != 0;
    return out;
  }
};

struct PreparationOptions {
  generators::GeneratorSettings generator;
  bool pretrain = true, impute = true;
  Index pretrain_iterations = 5000;  ///< at most
  Index pretrain_batch = 128;
  PretrainOptimizer pretrain_optimizer;
  /// Pixels that images are moved by in pre-training; -1: what suits the kind of generator.
  Index pretrain_shift = -1;
  double scarce = 0.5;  ///< a class below this part of the device's mean class size is filled up
  /// Nothing but generators leaves a device: no turns, the server trains alone on what they make.
  bool generator_only = false;
  double max_epsilon = 0;  ///< a generator that promises less is refused; 0: any is taken
  /// Moments are rough: 1 for them. Nets draw things wherever they lie: 0.
  Index shift() const {
    if (pretrain_shift >= 0) return pretrain_shift;
    return generator.kind == generators::GeneratorKind::moments ? 1 : 0;
  }
  /// Without turns there is nothing to complete a device's data for.
  bool imputes() const { return impute && !generator_only; }
  std::string generators;  ///< folder with trained ones; empty: every device trains its own
  bool foreign_generators = false;  ///< take generators of another set or of other classes, too
};

/// Checks what a user can get wrong beside the optimiser of the turns; the failure names the
/// option.
inline Result<void> check_pretrain_optimizer(const PretrainOptimizer& own,
                                             const OptimizerOptions& turns) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  if (own.lr && !(*own.lr > 0 && *own.lr < 1e6))
    return wrong("--pretrain-lr ", *own.lr, ": expected more than 0 and below 1e6");
  const double momentum = own.momentum.value_or(0);
  if (!(momentum >= 0 && momentum < 1))
    return wrong("--pretrain-momentum ", momentum, ": expected 0 <= m < 1");
  if (momentum != 0 && own.beside(turns).kind == OptimizerKind::adam)
    return wrong("--pretrain-momentum ", momentum, ": only for --pretrain-optimizer sgd",
                 own.kind ? "" : ", which is --optimizer adam where it is not given");
  return {};
}

/// Checks what a user can get wrong for generators of `images` and the optimiser of the turns; the
/// failure names the option.
inline Result<void> check_preparation(const PreparationOptions& p, const OptimizerOptions& turns,
                                      const ImageSpec& images) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  if (!p.pretrain && !p.impute)
    return wrong("--pretrain off --impute off: nothing is left of method iotsl; use --method sl");
  if (p.pretrain_iterations < 1 || p.pretrain_iterations > 10000000)
    return wrong("--pretrain-iterations ", p.pretrain_iterations, ": expected 1 to 10000000");
  if (!batch_range.has(p.pretrain_batch))
    return wrong("--pretrain-batch ", p.pretrain_batch, ": expected ", batch_range.least, " to ",
                 batch_range.most);
  if (const Result<void> good = check_pretrain_optimizer(p.pretrain_optimizer, turns); !good)
    return good;
  if (p.pretrain_shift < -1 || p.pretrain_shift > 16)
    return wrong("--pretrain-shift ", p.pretrain_shift, ": expected 0 to 16, or -1");
  if (p.generator_only && !p.pretrain)
    return wrong("--generator-only on --pretrain off: the server would have nothing to train on");
  if (p.max_epsilon != 0 && !privacy::epsilon_range.contains(p.max_epsilon))
    return wrong("--max-epsilon ", p.max_epsilon, ": expected ", privacy::epsilon_range);
  const privacy::PrivacySettings& promised = p.generator.privacy;
  if (p.max_epsilon != 0 && p.generators.empty() && promised.epsilon > p.max_epsilon)
    return wrong("--max-epsilon ", p.max_epsilon, ": the run's own --epsilon is ",
                 promised.epsilon);
  if (!(p.scarce >= 0 && p.scarce <= 1)) return wrong("--scarce ", p.scarce, ": expected 0 to 1");
  return generators::check_settings(p.generator, images);
}

}  // namespace split
IOTSL_NAMESPACE_END
