#include "host/report/run_report.hpp"

#include "host/files/json_file.hpp"
#include "host/options/added_epochs.hpp"
#include "host/report/energy_report.hpp"
#include "host/report/privacy_report.hpp"

#include "host/run/stop_request.hpp"

#include <algorithm>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/local_time.hpp"
#include "iotsl/split/records/checkpoint.hpp"

namespace iotsl::tool {
namespace {

std::string percent(double fraction) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * fraction);
  return text;
}

/// What came before the turns, and both sums: the paper's, which leaves it out, and the full one.
void print_preparation(const split::PreparationRecord& p, const split::RunSummary& s) {
  std::size_t trained = 0, checked = 0;
  double accuracy = 0;
  for (const split::GeneratorRecord& each : p.generators) {
    trained += each.origin == "trained";
    if (each.checked) accuracy += each.accuracy, ++checked;
  }
  std::printf("generators       %zu, %zu trained in this run; %s of training on all devices; %s\n",
              p.generators.size(), trained, format_seconds(p.seconds_training()).c_str(),
              checked > 0
                  ? concat("mean accuracy ", percent(accuracy / static_cast<double>(checked)),
                           " of the ", checked, " that could be checked")
                        .c_str()
                  : "none could be checked");
  if (const std::string failed = impute::format_failed_classes(p.struck, p.used_though_failed);
      !failed.empty())
    std::printf("failed classes   %s\n", failed.c_str());
  if (p.pretraining.done)
    std::printf(
        "pre-training     %llu iterations in %s, test accuracy %s (fit to the generators %s)\n",
        static_cast<unsigned long long>(p.pretraining.training.iterations),
        format_seconds(p.pretraining.training.seconds).c_str(),
        percent(p.pretraining.test_accuracy).c_str(),
        percent(p.pretraining.training.held_out_accuracy).c_str());
  std::uint64_t added = 0;
  for (const split::ImputationRecord& each : p.devices) added += each.added;
  if (p.planned)
    std::printf("imputation       %llu samples added\n", static_cast<unsigned long long>(added));
  std::printf(
      "values sent      %llu in the turns (Table I, F = %llu a sample), %llu with generators\n",
      static_cast<unsigned long long>(s.values_formula),
      static_cast<unsigned long long>(s.smashed_values),
      static_cast<unsigned long long>(s.values_formula + p.values()));
}

/// At the point that the run is reported by, and beside it what is chosen on the test set.
void print_accuracy(const split::RunSummary& s) {
  const measure::ChosenPoint& chosen = s.chosen;
  if (s.is_of_preparation()) {
    std::printf("test accuracy    %s after pre-training alone\n",
                percent(chosen.test_accuracy).c_str());
    return;
  }
  if (chosen.epoch == 0) {
    std::printf("test accuracy    not evaluated\n");
    return;
  }
  std::printf(
      "test accuracy    %s after epoch %llu, %s\n", percent(chosen.test_accuracy).c_str(),
      static_cast<unsigned long long>(chosen.epoch),
      chosen.validation_accuracy
          ? concat("the highest validation accuracy: ", percent(*chosen.validation_accuracy))
                .c_str()
          : "the last evaluation: without --validation nothing is chosen");
  std::printf("                 best on the test set %s, final %s\n",
              percent(s.best_test_accuracy).c_str(), percent(s.final_test_accuracy).c_str());
}

}  // namespace

RunReport::RunReport(Index sample_bytes, bool quiet, LineTimes times)
    : progress_(quiet, times), sample_bytes_(sample_bytes) {}

split::RunHooks RunReport::hooks() {
  split::RunHooks out;
  out.context = this;
  out.on_step = [](void* self, const split::StepProgress& step) {
    static_cast<RunReport*>(self)->on_step(step);
  };
  out.on_epoch = [](void* self, const measure::EpochRecord& record) {
    static_cast<RunReport*>(self)->on_epoch(record);
  };
  out.on_note = [](void* self, const std::string& text) {
    static_cast<RunReport*>(self)->note(text);
  };
  out.on_device = [](void* self, const split::DeviceArrival& arrival) {
    static_cast<RunReport*>(self)->on_device(arrival);
  };
  out.on_listening = [](void* self, std::uint16_t port) {
    const auto& listening = static_cast<RunReport*>(self)->on_listening;
    if (listening) listening(port);
  };
  out.on_barrier = [](void* self) {
    const auto& kept = static_cast<RunReport*>(self)->on_barrier;
    return kept ? kept() : Result<void>();
  };
  out.should_stop = [](void* self) {
    const auto& stop = static_cast<RunReport*>(self)->should_stop;
    return (stop && stop()) || stop_requested();
  };
  return out;
}

void RunReport::on_device(const split::DeviceArrival& arrival) {
  all_devices_came_ = all_devices_came_ || arrival.ready == arrival.wanted;
  std::uint64_t samples = 0;
  std::string counts;
  for (std::size_t c = 0; c < arrival.label_counts.size(); ++c) {
    samples += arrival.label_counts[c];
    // Many classes would fill the screen.
    if (arrival.label_counts[c] == 0 || arrival.label_counts.size() > 20) continue;
    counts += concat(counts.empty() ? "" : ", ", c, ": ", arrival.label_counts[c]);
  }
  const auto held = std::count_if(arrival.label_counts.begin(), arrival.label_counts.end(),
                                  [](std::uint64_t count) { return count > 0; });
  note(concat(arrival.ready, " of ", arrival.wanted, " devices have joined: ", arrival.name, ", ",
              samples, " samples of ", held, held == 1 ? " class" : " classes",
              counts.empty() ? "" : concat(" (", counts, ")")));
}

void RunReport::on_step(const split::StepProgress& step) {
  const std::string phase = concat("epoch ", step.epoch, "/", step.epochs, " ", step.device_name);
  progress_.phase(phase);
  if (on_status) on_status(phase);
  epoch_samples_ += static_cast<Index>(step.samples);
  progress_.step(step.fraction(), static_cast<Index>(step.samples), step.loss,
                 counted_bytes_ + static_cast<double>(epoch_samples_ * sample_bytes_));
}

void RunReport::on_epoch(const measure::EpochRecord& r) {
  counted_bytes_ += static_cast<double>(r.bytes_up + r.bytes_down);
  epoch_samples_ = 0;
  if (r.evaluated) progress_.accuracy(r.test_accuracy);
  std::string text = concat("epoch ", r.epoch, "  round ", r.round + 1, "  ", r.device_name, "  ");
  if (r.skipped)
    return progress_.line(
        concat(text, "skipped", r.skip_reason.empty() ? "" : ": ", r.skip_reason));
  char numbers[64];
  if (r.has_training) {
    std::snprintf(numbers, sizeof numbers, "loss %.4f  ", r.loss);
    text += numbers;
  }
  if (r.evaluated) text += concat("test accuracy ", percent(r.test_accuracy), "  ");
  if (r.has_validation) text += concat("validation ", percent(r.validation_accuracy), "  ");
  std::snprintf(numbers, sizeof numbers, "compute %.1f s  network and waiting %.1f s  ",
                r.seconds_device + r.seconds_server, r.seconds_network);
  text += concat(numbers, "up ", format_bytes(static_cast<double>(r.bytes_up)), "  down ",
                 format_bytes(static_cast<double>(r.bytes_down)));
  progress_.line(text);
}

RunPromise promise_of(const RunOptions& options, const split::RunSummary& s) {
  return {s.preparation ? &*s.preparation : nullptr, options.preparation.generator_only,
          caches(options.method) && s.unfrozen_after == 0};
}

Json to_json(const RunOptions& options, const split::RunSummary& s) {
  Json out = Json::object();
  // Null: no epoch was evaluated; the validation accuracy also where there is no such part.
  const measure::ChosenPoint& chosen = s.chosen;
  const bool known = chosen.epoch != 0 || s.is_of_preparation();
  out["chosen_epoch"] = known ? Json(chosen.epoch) : Json();
  out["chosen_validation_accuracy"] =
      chosen.validation_accuracy ? Json(*chosen.validation_accuracy) : Json();
  out["chosen_test_accuracy"] = known ? Json(chosen.test_accuracy) : Json();
  out["best_test_accuracy"] = s.best_test_accuracy;  // chosen on the test set
  out["final_test_accuracy"] = s.final_test_accuracy;
  Json epochs = Json::array();
  for (const measure::EpochRecord& r : s.epochs) epochs.push_back(to_json(r));
  out["epochs"] = epochs;
  if (!options.added_epochs.empty()) out["added_epochs"] = options.added_epochs;
  out["server_precision"] = to_string(options.server_precision);
  out["bytes_up"] = s.bytes_up;
  out["bytes_down"] = s.bytes_down;
  if (s.tls_bytes > 0) out["tls_bytes"] = s.tls_bytes;
  out["bytes"] = to_json(s.bill);
  out["values_formula"] = s.values_formula;
  out["smashed_values"] = s.smashed_values;
  out["front_values"] = s.front_values;
  if (s.preparation) out["preparation"] = to_json(*s.preparation);
  if (s.unfrozen_after > 0) out["unfrozen_after"] = s.unfrozen_after;
  if (!s.quarantined.empty()) {
    Json quarantined = Json::array();
    for (const split::QuarantinedDevice& each : s.quarantined)
      quarantined.push_back(to_json_fields(each));
    out["quarantined"] = quarantined;
  }
  out["privacy"] = privacy_json(promise_of(options, s));
  out["energy"] = energy_json(options, s);
  out["weights_sha256"] = s.weights_sha256;
  out["seconds"] = s.seconds;
  out["run"] = options.out;
  return out;
}

bool is_complete(const RunOptions& options) {
  const std::string path = join_path(options.resume, summary_name);
  if (options.resume.empty() || options.adds_epochs || !has_all_epochs(options)) return false;
  if (!file_exists(join_path(options.resume, split::model_name)))
    expect(Result<void>(failure(ErrorCode::data, options.resume, ": the run is complete, but ",
                                split::model_name, " is not there; without ", summary_name,
                                " --resume writes both again from the last barrier")));
  if (options.json)
    std::printf("%s\n", to_text(read_json_object(path)).c_str());
  else
    std::printf("%s: the run is complete, nothing is left to do; %s has its results\n",
                options.resume.c_str(), path.c_str());
  return true;
}

Result<void> write_summary(const RunOptions& options, const split::RunSummary& summary) {
  return write_json(join_path(options.out, summary_name), to_json(options, summary));
}

void print_summary(const RunOptions& options, const split::RunSummary& s) {
  if (options.json) {
    std::printf("%s\n", to_text(to_json(options, s)).c_str());
    return;
  }
  print_accuracy(s);
  if (s.bytes_up + s.bytes_down > 0)
    std::printf("sent             %s up, %s down\n",
                format_bytes(static_cast<double>(s.bytes_up)).c_str(),
                format_bytes(static_cast<double>(s.bytes_down)).c_str());
  const bool is_coded = s.bill.formula() != 4 * s.values_formula;
  if (s.bytes_up + s.bytes_down > 0 && s.values_formula > 0)
    std::printf(
        "                 %s by the formula of Table I (%s%llu values%s, F = %llu a "
        "sample), %s extras\n",
        format_bytes(static_cast<double>(s.bill.formula())).c_str(), is_coded ? "" : "4 x ",
        static_cast<unsigned long long>(s.values_formula), is_coded ? " as they were coded" : "",
        static_cast<unsigned long long>(s.smashed_values),
        format_bytes(static_cast<double>(s.bill.extras())).c_str());
  if (s.preparation) print_preparation(*s.preparation, s);
  if (s.unfrozen_after > 0)
    std::printf(
        "front            frozen until the plateau after device epoch %llu, trained from there\n",
        static_cast<unsigned long long>(s.unfrozen_after));
  for (const split::QuarantinedDevice& each : s.quarantined)
    std::printf("%s %s in turn %llu, after step %llu: %s%s\n",
                &each == s.quarantined.data() ? "put aside       " : "                ",
                each.name.c_str(), static_cast<unsigned long long>(each.turn + 1),
                static_cast<unsigned long long>(each.step), each.reason.c_str(),
                each.released ? "; released" : "");
  std::fputs(format_privacy(promise_of(options, s)).c_str(), stdout);
  std::fputs(format_energy(options, s).c_str(), stdout);
  if (options.server_precision != ServerPrecision::float32)
    std::printf("server half      trained with operands in %s\n",
                to_string(options.server_precision));
  std::printf("weights          sha256 %s\n", s.weights_sha256.c_str());
  std::printf("time             %s\n", format_seconds(s.seconds).c_str());
  std::printf("run folder       %s\n", options.out.c_str());
}

}  // namespace iotsl::tool
