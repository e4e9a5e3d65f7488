#pragma once
// A run's options, and how a run tells its progress.

#include <cmath>
#include <optional>
#include <span>
#include <string_view>

#include "iotsl/measure/bytes.hpp"
#include "iotsl/measure/chosen_point.hpp"
#include "iotsl/measure/energy/energy.hpp"
#include "iotsl/models/model.hpp"
#include "iotsl/nn/layer_list.hpp"
#include "iotsl/options/method.hpp"
#include "iotsl/options/server_precision.hpp"
#include "iotsl/options/training.hpp"
#include "iotsl/options/turn_order.hpp"
#include "iotsl/simd/target.hpp"
#include "iotsl/split/protocol/quarantine.hpp"
#include "iotsl/split/records/preparation_options.hpp"
#include "iotsl/split/records/preparation_record.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// When a barrier lies inside a turn: after so many steps and so much time, whichever is later.
struct BarrierOptions {
  Index steps = 50;
  double seconds = 60;
};

/// Device epochs that were added to a run behind its end, at a constant rate: its schedule has come
/// to an end there.
struct AddedEpochs {
  Index epochs = 0;
  double rate = 0;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("epochs", self.epochs);
    f("rate", self.rate);
  }
};

/// Of RunConfig::unfreeze_on_plateau.
inline constexpr IndexRange plateau_range{0, 1000};

/// Everything that decides the numbers of a run.
struct RunConfig {
  Method method = Method::split_learning;
  std::string dataset = "mnist";
  std::vector<std::string> class_names;  ///< empty: those that the set's name says
  ModelSpec model;
  /// A net of the program's own for images of model.images, whose name is then for display; null:
  /// the one that model.name says.
  Sequential<float> (*make_net)(const ImageSpec& images) = nullptr;
  /// The types of layer that devices of this process can build.
  LayerTypes<float> layers = StandardLayers<float>::types<float>();
  std::string cut;  ///< the front's last layer, by name or index; empty: after the first pool
  Index devices = 5;
  OrderPolicy order = OrderPolicy::fixed;  ///< of the devices in a round
  double participation = 1;                ///< part of the devices that takes part in a round
  TrainingOptions training;                ///< its epochs are all, with the added ones
  ServerPrecision server_precision = ServerPrecision::float32;
  std::vector<AddedEpochs> added;
  PreparationOptions preparation;  ///< of a method with generators
  std::uint64_t seed = 1;
  std::string init;     ///< file of the weights to begin with; empty: those of the seed
  std::string out;      ///< folder for metrics.jsonl, barriers and model; empty: nothing is written
  bool resume = false;  ///< go on with the run in `out`
  BarrierOptions barriers;
  /// A device whose turn it is may stay away for so long, then its turn is skipped; 0: for ever.
  double offline_seconds = 300;
  Index min_devices = 1;        ///< with fewer that have not failed the run stops
  Index start_with = 0;         ///< begin with so many devices, the others may come later; 0: all
  double cache_limit_gib = 16;  ///< of method cache: most that the smashed samples may take
  /// Of method cache: after so many evaluations in a row that brought no better validation accuracy
  /// the front is trained again, in turns of split learning; 0: never.
  Index unfreeze_on_plateau = 0;
  bool unfrozen = false;            ///< that lies behind the barrier which the run goes on from
  std::string resume_command = {};  ///< goes on with the run when it was stopped; empty: not known

  /// Whose turn it is.
  TurnOrder turn_order() const {
    return {static_cast<std::uint32_t>(devices), seed, order, participation};
  }
  /// How pre-training steps.
  OptimizerOptions pretraining_optimizer() const {
    return preparation.pretrain_optimizer.beside(training.optimizer);
  }
  /// The options of the turns from here on.
  TrainingOptions training_now() const {
    TrainingOptions options = training;
    options.frozen_front = training.frozen_front && !unfrozen;
    return options;
  }
  /// Whether smashed samples are kept and trained on without their devices.
  bool keeps_cache() const { return caches(method) && !unfrozen; }
  /// None where nothing but generators is asked of the devices.
  std::uint64_t turns() const {
    if (preparation.generator_only) return 0;
    return static_cast<std::uint64_t>(training.epochs / training.local_epochs);
  }
  /// The options of the training without the added epochs: those that the schedule is for.
  TrainingOptions scheduled() const {
    TrainingOptions options = training;
    for (const AddedEpochs& part : added) options.epochs -= part.epochs;
    return options;
  }
  /// Turns over which the learning rate falls.
  std::uint64_t schedule_turns() const {
    return static_cast<std::uint64_t>(schedule_length(scheduled()) / training.local_epochs);
  }
  /// Of each turn; where the devices of a round share one, since it ends in a mean, of each round.
  TurnRates rates() const {
    const auto turns_of = [&](Index epochs) {
      return static_cast<std::uint64_t>(epochs / training.local_epochs) / sharing_a_rate();
    };
    TurnRates each{.schedule = training.schedule,
                   .rate = training.optimizer.lr,
                   .schedule_turns = schedule_turns() / sharing_a_rate(),
                   .scheduled = turns_of(scheduled().epochs),
                   .added = {}};
    for (const AddedEpochs& part : added) each.added.push_back({turns_of(part.epochs), part.rate});
    return each;
  }
  double turn_rate(std::uint64_t turn) const { return rates().of(turn / sharing_a_rate()); }
  /// Whether the run, or what it was before epochs were added, ends with this one, from 1.
  bool is_an_end(std::uint64_t epoch) const {
    Index end = scheduled().epochs;
    for (const AddedEpochs& part : added) {
      if (epoch == static_cast<std::uint64_t>(end)) return true;
      end += part.epochs;
    }
    return epoch == static_cast<std::uint64_t>(end);
  }
  /// Device epochs from one evaluation to the next: of method fedavg whole rounds, since between
  /// two means there is nothing to test.
  std::uint64_t eval_interval() const {
    const std::uint64_t unit =
        sharing_a_rate() * static_cast<std::uint64_t>(averages(method) ? training.local_epochs : 1);
    return (static_cast<std::uint64_t>(training.eval_every) + unit - 1) / unit * unit;
  }
  /// Turns that have one rate.
  std::uint64_t sharing_a_rate() const { return averages(method) ? turn_order().round_turns() : 1; }
};

namespace detail {

inline Result<void> check_barriers(const BarrierOptions& b) {
  if (b.steps < 1)
    return failure(ErrorCode::usage, "--barrier-steps ", b.steps, ": expected at least 1");
  if (!(b.seconds >= 0 && std::isfinite(b.seconds)))
    return failure(ErrorCode::usage, "--barrier-seconds ", b.seconds,
                   ": expected a number of at least 0");
  return {};
}

inline Result<void> check_plateau(const RunConfig& c) {
  const auto wrong = [&](const auto&... parts) {
    return failure(ErrorCode::usage, "--unfreeze-on-plateau ", c.unfreeze_on_plateau, ": ",
                   parts...);
  };
  if (!plateau_range.has(c.unfreeze_on_plateau))
    return wrong("expected ", plateau_range.least, " to ", plateau_range.most, " evaluations");
  if (c.unfreeze_on_plateau == 0) return {};
  if (!caches(c.method)) return wrong("only for --method cache, not for --method ", c.method);
  return {};
}

/// Who takes part in a round.
inline Result<void> check_turn_order(const RunConfig& c) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  if (!(c.participation > 0 && c.participation <= 1))
    return wrong("--participation ", c.participation, ": expected more than 0, at most 1");
  if (pools_data(c.method) && (c.participation < 1 || c.order != OrderPolicy::fixed))
    return wrong(c.participation < 1 ? concat("--participation ", c.participation)
                                     : concat("--order ", c.order),
                 ": --method ", c.method, " has no devices that take turns");
  if (const auto turns = static_cast<Index>(c.turn_order().round_turns()); turns < c.min_devices)
    return wrong("--participation ", c.participation, ": ", turns, " of ", c.devices,
                 turns == 1 ? " devices takes" : " devices take",
                 " part in a round, expected at least ", c.min_devices, " (--min-devices)");
  return {};
}

/// What a method asks of the training options.
inline Result<void> check_method(const RunConfig& c, const TrainingOptions& t) {
  const Method method = c.method;
  const Index devices = c.devices;
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  const Index round = static_cast<Index>(c.turn_order().round_turns()) * t.local_epochs;
  if (averages(method) && t.epochs % round != 0)
    return wrong("--epochs ", t.epochs, ": expected a multiple of ", round,
                 ", a round of --method ", method, ", which ends in a mean");
  if (averages(method) && t.schedule_epochs % round != 0)
    return wrong("--schedule-epochs ", t.schedule_epochs, ": expected a multiple of ", round,
                 ", a round of --method ", method);
  if (t.optimizer.ewc > 0 && !splits(method))
    return wrong("--ewc ", t.optimizer.ewc, ": for split learning only, not for --method ", method);
  if (t.frozen_front && !splits(method))
    return wrong("--frozen-front on: for split learning only, not for --method ", method);
  if ((t.wire != WireCoding::fp32 || t.wire_gradients) && !splits(method))
    return wrong(t.wire_gradients ? "--wire-gradients " : "--wire ",
                 t.wire_gradients.value_or(t.wire), ": for split learning only, --method ", method,
                 " sends no smashed batches");
  if (t.wire_gradients && t.frozen_front && c.unfreeze_on_plateau == 0)
    return wrong("--wire-gradients ", *t.wire_gradients, ": with --frozen-front on none are sent");
  if (const Result<void> good = check_plateau(c); !good) return good;
  if (caches(method)) {
    if (!t.frozen_front)
      return wrong("--method cache: the front is frozen; --frozen-front off is not for it");
    if (t.local_epochs != 1)
      return wrong("--local-epochs ", t.local_epochs, ": --method cache has turns of one epoch");
    if (t.replay > 0)
      return wrong("--replay ", t.replay, ": --method cache keeps every sample already");
  }
  if (t.replay > 0 && !splits(method))
    return wrong("--replay ", t.replay, ": for split learning only, not for --method ", method);
  if (t.replay > 0 && devices < 2)
    return wrong("--replay ", t.replay, ": replays other devices' samples, there is only one");
  return {};
}

inline Result<void> check_server_precision(const RunConfig& c) {
  if (c.server_precision == ServerPrecision::float32) return {};
  if (!splits(c.method))
    return failure(ErrorCode::usage, "--server-precision ", c.server_precision,
                   ": for split learning only, not for --method ", c.method);
  if (!simd::multiplies_bfloat16())
    return failure(ErrorCode::usage, "--server-precision ", c.server_precision,
                   ": needs a CPU with AVX-512 BF16, this one runs the target ",
                   simd::name(simd::active_target()), " without it; expected float");
  return {};
}

inline Result<void> check_added(const RunConfig& c) {
  const Index unit = c.training.local_epochs * static_cast<Index>(c.sharing_a_rate());
  for (const AddedEpochs& part : c.added) {
    if (part.epochs < 1 || part.epochs % unit != 0)
      return failure(ErrorCode::usage, "--added-epochs ", part.epochs, ": expected a multiple of ",
                     unit);
    if (part.epochs > epochs_range.most)
      return failure(ErrorCode::usage, "--added-epochs ", part.epochs, ": expected at most ",
                     epochs_range.most);
    if (!(part.rate > 0 && part.rate < 1e6))
      return failure(ErrorCode::usage, "--added-epochs: rate ", part.rate,
                     ": expected more than 0, less than 1000000");
  }
  if (!epochs_range.has(c.training.epochs))
    return failure(ErrorCode::usage, "--epochs ", c.training.epochs,
                   " with the added ones: at most ", epochs_range.most);
  return {};
}

}  // namespace detail

/// Checks what a user can get wrong; the failure names the option.
inline Result<void> check_config(const RunConfig& c) {
  if (c.devices < 1 || c.devices > 1024)
    return failure(ErrorCode::usage, "--devices ", c.devices, ": expected 1 to 1024");
  if (!(c.offline_seconds >= 0 && std::isfinite(c.offline_seconds)))
    return failure(ErrorCode::usage, "--offline-limit ", c.offline_seconds,
                   ": expected a number of at least 0; 0 is no limit");
  if (c.min_devices < 1 || c.min_devices > c.devices)
    return failure(ErrorCode::usage, "--min-devices ", c.min_devices, ": expected 1 to ", c.devices,
                   ", the devices of the run");
  if (c.start_with != 0 && (c.start_with < c.min_devices || c.start_with > c.devices))
    return failure(ErrorCode::usage, "--start-with ", c.start_with, ": expected ", c.min_devices,
                   " (--min-devices) to ", c.devices, ", the devices of the run");
  if (c.start_with != 0 && c.start_with < c.devices && has_generators(c.method))
    return failure(ErrorCode::usage, "--start-with ", c.start_with, ": --method ", c.method,
                   " prepares the run with the generators of all ", c.devices, " devices");
  if (!(c.cache_limit_gib > 0 && std::isfinite(c.cache_limit_gib)))
    return failure(ErrorCode::usage, "--cache-limit ", c.cache_limit_gib,
                   ": expected a number above 0");
  const TrainingOptions scheduled = c.scheduled();
  Result<void> good = check_training(scheduled);
  if (good) good = detail::check_added(c);
  if (good) good = detail::check_barriers(c.barriers);
  if (good) good = detail::check_turn_order(c);
  if (good) good = detail::check_method(c, scheduled);
  if (good) good = detail::check_server_precision(c);
  if (good && c.make_net == nullptr) good = check_model(c.model);
  if (caches(c.method) && c.preparation.generator_only)
    return failure(ErrorCode::usage,
                   "--generator-only on: --method cache trains on the devices' smashed samples");
  if (good && has_generators(c.method))
    good = check_preparation(c.preparation, c.training.optimizer, c.model.images);
  return good;
}

/// Where a device of a run on one machine keeps its generator's training. A private one has a
/// folder of its own, as a device has, since its ledger lies there.
inline std::string device_training_folder(const RunConfig& config, std::size_t device) {
  const std::string all = training_folder(config.out);
  return config.preparation.generator.privacy.is_private()
             ? join_path(all, concat("device-", device))
             : all;
}

struct StepProgress {
  std::uint64_t epoch = 0, epochs = 0;  ///< of the run, from 1
  std::uint32_t device = 0;
  std::string_view device_name;
  std::uint64_t step = 0, steps = 0;  ///< of the epoch
  std::uint64_t run_step = 0;         ///< of the run, from 1
  std::uint64_t samples = 0;          ///< of the step
  double loss = 0;
  double seconds = 0;  ///< since the run began

  /// Part of the run's steps that is done.
  double fraction() const {
    const double within = static_cast<double>(step) / static_cast<double>(steps);
    return (static_cast<double>(epoch - 1) + within) / static_cast<double>(epochs);
  }
};

/// A device has taken its place.
struct DeviceArrival {
  std::string_view name;
  std::span<const std::uint64_t> label_counts;  ///< samples of each class
  std::uint32_t ready = 0, wanted = 0;          ///< devices that are here, and of the run
};

/// Called by the run's compute thread; null pointers are left out.
struct RunHooks {
  void* context = nullptr;
  void (*on_listening)(void* context, std::uint16_t port) = nullptr;
  void (*on_device)(void* context, const DeviceArrival& arrival) = nullptr;
  void (*on_step)(void* context, const StepProgress& progress) = nullptr;
  void (*on_epoch)(void* context, const measure::EpochRecord& record) = nullptr;
  /// A line for the user, such as the warning of an unencrypted server.
  void (*on_note)(void* context, const std::string& text) = nullptr;
  bool (*should_stop)(void* context) = nullptr;
  /// A barrier of the turns is on the disk: from here the run can go on, whatever happens. A
  /// failure ends the run.
  Result<void> (*on_barrier)(void* context) = nullptr;

  void note(const std::string& text) const {
    if (on_note != nullptr) on_note(context, text);
  }
  bool stop_requested() const { return should_stop != nullptr && should_stop(context); }
};

struct RunSummary {
  measure::ChosenPoint chosen;  ///< what is reported
  double best_test_accuracy =
      0;  ///< chosen on the test set: fit to lie beside others' such numbers
  double final_test_accuracy = 0;
  std::vector<measure::EpochRecord> epochs;
  std::uint64_t bytes_up = 0, bytes_down = 0;  ///< over the whole run, handshakes included
  /// What TLS has added to the frames, both ways, since this server began: 0 in plain text. The
  /// bill is of the frames, so that it is the same with TLS and without.
  std::uint64_t tls_bytes = 0;
  std::uint64_t values_formula = 0;
  std::uint64_t smashed_values = 0, front_values = 0;  ///< F and w of Table I; 0: nothing is sent
  measure::ByteBill bill;
  std::optional<PreparationRecord> preparation;  ///< of method iotsl
  std::vector<QuarantinedDevice> quarantined;    ///< who failed in the run, released or not
  /// Of method cache: device epochs behind which the front was trained again; 0: it was not.
  std::uint64_t unfrozen_after = 0;
  std::string weights_sha256;
  double seconds = 0;
  /// What a meter of this machine has measured meanwhile; nothing: `no_meter` says why.
  std::optional<measure::Energy> machine_energy = {};
  std::string no_meter = {};

  /// Adds what came before the turns. Without turns that is what the run is reported by.
  void add(const PreparationRecord& record) {
    preparation = record;
    if (!is_of_preparation()) return;
    final_test_accuracy = best_test_accuracy = record.pretraining.test_accuracy;
    chosen = {};
    chosen.test_accuracy = record.pretraining.test_accuracy;
  }
  /// Whether the run is reported by its pre-trained net, since it had no turns.
  bool is_of_preparation() const {
    return epochs.empty() && preparation && preparation->pretraining.done;
  }
};

}  // namespace split
IOTSL_NAMESPACE_END
