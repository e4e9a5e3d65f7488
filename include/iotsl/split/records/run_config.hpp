#pragma once
// A run's options, and how a run tells its progress.

#include <optional>

#include "iotsl/gan/settings.hpp"
#include "iotsl/measure/bytes.hpp"
#include "iotsl/measure/metrics.hpp"
#include "iotsl/models/model.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/optim/schedule.hpp"
#include "iotsl/split/records/preparation_record.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Everything that decides the numbers of a run.
struct RunConfig {
  /// sl; iotsl: with generators, pre-training and imputation; local: random gradients; central: one
  /// net, all data together; fedavg: the whole net on each device, the server averages
  std::string method = "sl";
  std::string dataset = "mnist";
  ModelSpec model;
  std::string cut;  ///< the front's last layer, by name or index; empty: after the first pool
  Index devices = 5;
  Index epochs = 5;        ///< device epochs in all; a round is `devices` turns
  Index local_epochs = 1;  ///< of a turn
  Index batch = 64;
  Index replay = 0;  ///< smashed samples that the server keeps and trains on again
  OptimizerOptions optimizer{.kind = OptimizerKind::adam, .lr = 1e-3};
  Schedule schedule = Schedule::constant;
  Index eval_every = 1;  ///< device epochs; the last one is always evaluated
  std::uint64_t seed = 1;
  std::string out;      ///< folder for metrics.jsonl, barriers and model; empty: nothing is written
  bool resume = false;  ///< go on with the run in `out`
  // When a barrier lies inside a turn: after so many steps and so much time, whichever is later.
  Index barrier_steps = 50;
  double barrier_seconds = 60;
  /// A device whose turn it is may stay away for so long, then its turn is skipped; 0: for ever.
  double offline_seconds = 300;

  // Method iotsl.
  gan::GanSettings gan;
  bool pretrain = true, impute = true;
  Index pretrain_iterations = 5000;  ///< at most
  Index pretrain_batch = 128;
  double scarce = 0.5;     ///< a class below this part of the device's mean class size is filled up
  std::string generators;  ///< folder with trained ones; empty: every device trains its own

  /// Whether smashed batches and gradients travel.
  bool splits() const { return method == "sl" || method == "iotsl"; }
  std::uint64_t turns() const { return static_cast<std::uint64_t>(epochs / local_epochs); }
  /// Learning rate of turn `turn`. The devices of a round of federated averaging share one.
  double turn_rate(std::uint64_t turn) const {
    const std::uint64_t shared = method == "fedavg" ? static_cast<std::uint64_t>(devices) : 1;
    return learning_rate(schedule, optimizer.lr, static_cast<std::int64_t>(turn / shared),
                         static_cast<std::int64_t>(turns() / shared));
  }
};

/// Checks what a user can get wrong; the failure names the option.
inline Result<void> check_config(const RunConfig& c) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  if (!c.splits() && c.method != "local" && c.method != "central" && c.method != "fedavg")
    return wrong("--method ", c.method, ": expected sl, iotsl, fedavg, central or local");
  if (c.devices < 1 || c.devices > 1024)
    return wrong("--devices ", c.devices, ": expected 1 to 1024");
  if (c.local_epochs < 1 || c.local_epochs > 1024)
    return wrong("--local-epochs ", c.local_epochs, ": expected 1 to 1024");
  if (c.epochs < 1 || c.epochs > 1000000 || c.epochs % c.local_epochs != 0)
    return wrong("--epochs ", c.epochs, ": expected 1 to 1000000 and a multiple of --local-epochs ",
                 c.local_epochs);
  if (c.method == "fedavg" && c.epochs % (c.devices * c.local_epochs) != 0)
    return wrong("--epochs ", c.epochs, ": expected a multiple of ", c.devices * c.local_epochs,
                 ", a round of --method fedavg, which all devices take part in");
  if (c.batch < 2 || c.batch > 4096) return wrong("--batch ", c.batch, ": expected 2 to 4096");
  if (c.barrier_steps < 1)
    return wrong("--barrier-steps ", c.barrier_steps, ": expected at least 1");
  if (!(c.barrier_seconds >= 0))
    return wrong("--barrier-seconds ", c.barrier_seconds, ": expected at least 0");
  if (!(c.offline_seconds >= 0))
    return wrong("--offline-limit ", c.offline_seconds, ": expected at least 0");
  if (c.eval_every < 1) return wrong("--eval-every ", c.eval_every, ": expected at least 1");
  if (!(c.optimizer.lr >= 0 && c.optimizer.lr < 1e6))
    return wrong("--lr ", c.optimizer.lr, ": expected 0 to 1000000");
  if (!(c.optimizer.momentum >= 0 && c.optimizer.momentum < 1))
    return wrong("--momentum ", c.optimizer.momentum, ": expected 0 <= m < 1");
  if (!(c.optimizer.weight_decay >= 0))
    return wrong("--weight-decay ", c.optimizer.weight_decay, ": expected at least 0");
  if (!(c.optimizer.ewc >= 0 && c.optimizer.ewc <= 1e12))
    return wrong("--ewc ", c.optimizer.ewc, ": expected 0 to 1e12");
  if (c.optimizer.ewc > 0 && !c.splits())
    return wrong("--ewc ", c.optimizer.ewc, ": for split learning only, not for --method ",
                 c.method);
  if (c.replay < 0) return wrong("--replay ", c.replay, ": expected at least 0");
  if (c.replay > 0 && !c.splits())
    return wrong("--replay ", c.replay, ": for split learning only, not for --method ", c.method);
  if (c.replay > 0 && c.devices < 2)
    return wrong("--replay ", c.replay, ": replays other devices' samples, there is only one");
  if (const Result<void> good = check_model(c.model); !good || c.method != "iotsl") return good;
  if (!c.pretrain && !c.impute)
    return wrong("--pretrain off --impute off: nothing is left of method iotsl; use --method sl");
  if (c.pretrain_iterations < 1 || c.pretrain_iterations > 10000000)
    return wrong("--pretrain-iterations ", c.pretrain_iterations, ": expected 1 to 10000000");
  if (c.pretrain_batch < 2 || c.pretrain_batch > 4096)
    return wrong("--pretrain-batch ", c.pretrain_batch, ": expected 2 to 4096");
  if (!(c.scarce >= 0 && c.scarce <= 1)) return wrong("--scarce ", c.scarce, ": expected 0 to 1");
  if (const Result<void> good = gan::check_settings(c.gan); !good) return good;
  const ImageSpec images{c.model.in_channels, c.model.height, c.model.width_px, c.model.classes};
  return check_generator(gan::generator_spec(c.gan, images));
}

struct StepProgress {
  std::uint64_t epoch = 0, epochs = 0;  ///< of the run, from 1
  std::uint32_t device = 0;
  std::uint64_t step = 0, steps = 0;  ///< of the epoch
  std::uint64_t run_step = 0;         ///< of the run, from 1
  std::uint64_t samples = 0;          ///< of the step
  double loss = 0;
  double seconds = 0;  ///< since the run began
};

/// Called by the run's compute thread; null pointers are left out.
struct RunHooks {
  void* context = nullptr;
  void (*on_listening)(void* context, std::uint16_t port) = nullptr;
  void (*on_device)(void* context, std::uint32_t ready, std::uint32_t wanted) = nullptr;
  void (*on_step)(void* context, const StepProgress& progress) = nullptr;
  void (*on_epoch)(void* context, const measure::EpochRecord& record) = nullptr;
  /// A line for the user, such as the warning of an unencrypted server.
  void (*on_note)(void* context, const std::string& text) = nullptr;
  bool (*should_stop)(void* context) = nullptr;

  void note(const std::string& text) const {
    if (on_note != nullptr) on_note(context, text);
  }
};

struct RunSummary {
  double best_test_accuracy = 0;  ///< fractions
  double final_test_accuracy = 0;
  std::vector<measure::EpochRecord> epochs;
  std::uint64_t bytes_up = 0, bytes_down = 0;  ///< over the whole run, handshakes included
  std::uint64_t values_formula = 0;
  measure::ByteBill bill;
  std::optional<PreparationRecord> preparation;  ///< of method iotsl
  std::string weights_sha256;
  double seconds = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
