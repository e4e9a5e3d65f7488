#pragma once
// The server's part of Algorithms 1 and 2 before the turns: it keeps the generators, generates the
// data set D, pre-trains, and plans the imputation. The same for every transport. Each finished
// piece is written to the run's folder, and a server that starts again goes on behind it.

#include "iotsl/impute/plan.hpp"
#include "iotsl/split/prepare/generated_data.hpp"
#include "iotsl/split/prepare/pretrain.hpp"
#include "iotsl/split/protocol/server_actions.hpp"
#include "iotsl/split/records/wire_forecast.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class Preparation {
 public:
  Preparation(const RunConfig& config, const RunHooks& hooks)
      : config_(config),
        hooks_(hooks),
        images_(image_spec(config.model)),
        files_(static_cast<std::size_t>(config.devices)),
        digests_(files_.size()) {
    record_.generators.resize(files_.size());
  }

  /// Takes up what the run's folder holds, or else what --generators gives. A generator file that
  /// is damaged counts as missing: its device is asked for it once more.
  Result<void> open() {
    if (config_.resume && file_exists(path_of(preparation_name))) return take_up();
    if (!config_.out.empty()) {
      const Result<void> made = create_folders(join_path(config_.out, generator_folder));
      if (!made) return made;
    }
    const Result<void> written = write_record();
    return written ? take_given() : written;
  }

  const PreparationRecord& record() const { return record_; }
  const GeneratorRecord& generator(std::size_t device) const { return record_.generators[device]; }

  /// Checks a device's generator; what is known of it. `fingerprint` of the data that the device
  /// holds, `label_counts` of these.
  Result<GeneratorRecord> check(const Sha256Digest& fingerprint,
                                const std::vector<std::uint64_t>& label_counts,
                                const net::GenUpload& upload) const {
    const Result<gan::GeneratorFile> file = gan::parse_generator(upload.file);
    if (!file) return file.failure();
    const Result<void> fits = check_generator_fits(*file, images_, label_counts);
    if (!fits) return fits.failure();
    if (upload.brought) note_differences("a generator that was brought", *file, label_counts);
    Result<GeneratorRecord> made = record_of(*file, upload.file);
    if (!made) return made.failure();
    made->data_fingerprint = to_hex(fingerprint);
    made->origin = upload.brought ? "brought" : "trained";
    made->seconds_training = static_cast<double>(upload.cost.compute_us) * 1e-6;
    made->peak_memory_bytes = upload.cost.peak_memory_bytes;
    made->bytes_up = transfer_bytes(net::MessageType::gen_upload,
                                    net::GenUpload::overhead_bytes + upload.file.size(), 0);
    return made;
  }
  /// Keeps a generator that check() has found good; the SHA-256 of its file.
  Result<Sha256Digest> store(std::size_t device, GeneratorRecord made, ByteSpan file) {
    const Result<void> kept = keep(device, std::move(made), file);
    if (!kept) return kept.failure();
    const GeneratorRecord& now = record_.generators[device];
    note(concat("device ", device, ": generator of ", now.values, " values, ",
                now.checked ? concat("accuracy ", one_decimal(100 * now.accuracy), " %")
                            : std::string("not checked"),
                ", trained in ", one_decimal(now.seconds_training), " s",
                now.flagged ? "; FLAGGED: below the threshold" : ""));
    return digests_[device];
  }

  /// Whether a generator that was there before fits a device with these samples per class.
  Result<void> check_given(std::size_t device,
                           const std::vector<std::uint64_t>& label_counts) const {
    const Result<gan::GeneratorFile> file = load_generator(device);
    if (!file) return file.failure();
    const Result<void> fits = check_generator_fits(*file, images_, label_counts);
    if (!fits) return failure(fits.failure().code, "device ", device, ": ", fits.failure().message);
    note_differences(concat("device ", device, ": the generator that was given"), *file,
                     label_counts);
    return {};
  }

  /// Plans, generates D and pre-trains `joined`, as far as it is not done yet. `histograms` of the
  /// devices; every generator must be there. False where the user has stopped it: what is finished
  /// stays.
  Result<bool> prepare(Sequential<float>& joined, const data::Dataset& test,
                       const std::vector<std::vector<std::uint64_t>>& histograms) {
    if (config_.preparation.impute) {
      Result<void> planned = record_.planned ? load_plan() : make_plan(histograms);
      if (!planned && record_.planned) {
        note(concat(planned.failure().message, "; the plan is made again"));
        planned = make_plan(histograms);
      }
      if (!planned) return planned.failure();
    }
    if (!config_.preparation.pretrain || record_.pretraining.done) return true;
    return pretrain_on_generated(joined, test, histograms);
  }

  /// Puts the pre-trained weights into `joined`, where there are any.
  Result<void> load_pretrained(const Sequential<float>& joined) const {
    if (!record_.pretraining.done || config_.out.empty()) return {};
    const std::string path = join_path(config_.out, pretrained_name);
    const Result<std::vector<std::uint8_t>> bytes = read_file(path);
    if (!bytes) return bytes.failure();
    if (sha256_hex(*bytes) != record_.pretraining.sha256)
      return failure(ErrorCode::data, path, ": is not the file that ", preparation_name, " names");
    const Result<SafeTensors> file = load_safetensors(path);
    return file ? load_state(joined, *file) : Result<void>(file.failure());
  }

  /// After prepare(): of each device.
  std::vector<ImputationOrder> orders() const {
    std::vector<ImputationOrder> out(record_.generators.size());
    for (std::size_t d = 0; d < plan_.devices.size(); ++d)
      if (const net::ImputePlan plan = plan_of(d); !plan.entries.empty())
        out[d] = {sha256(net::encode(plan)), record_.devices[d].added};
    return out;
  }
  /// IMPUTE_PLAN and a GEN_DOWNLOAD for each of its generators.
  Result<std::vector<net::Message>> imputation_messages(std::size_t device) const {
    const net::ImputePlan plan = plan_of(device);
    std::vector<net::Message> out{net::make_message(plan)};
    for (const net::ImputePlan::Generator& wanted : plan.generators) {
      const Result<std::vector<std::uint8_t>> file = generator_bytes(wanted.device);
      if (!file) return file.failure();
      net::GenDownload download;
      download.device = wanted.device;
      download.file = *file;
      out.push_back(net::make_message(download));
    }
    return out;
  }
  /// The device's samples (numbers in `set`) with what the plan adds; nothing where they are
  /// complete.
  Result<std::optional<data::Dataset>> completed(std::size_t device, const data::Dataset& set,
                                                 std::span<const Index> samples) const {
    std::optional<data::Dataset> out;
    const net::ImputePlan plan = plan_of(device);
    if (plan.entries.empty()) return out;
    std::vector<gan::GeneratorFile> generators;
    for (const net::ImputePlan::Generator& wanted : plan.generators) {
      Result<gan::GeneratorFile> file = load_generator(wanted.device);
      if (!file) return file.failure();
      generators.push_back(std::move(file).value());
    }
    out = complete_dataset(set, samples, plan, generators);
    return out;
  }

 private:
  void note(const std::string& text) const {
    if (hooks_.on_note != nullptr) hooks_.on_note(hooks_.context, text);
  }
  void note_differences(const std::string& which, const gan::GeneratorFile& file,
                        const std::vector<std::uint64_t>& label_counts) const {
    const std::string text = generator_differences(file.card, config_.dataset, label_counts);
    if (!text.empty()) note(concat(which, " ", text));
  }
  std::string path_of(const char* name) const { return join_path(config_.out, name); }
  std::string generator_path(std::size_t device) const {
    return join_path(path_of(generator_folder), generator_name(device));
  }
  Result<void> write_record() const {
    if (config_.out.empty()) return {};
    return write_file_atomic(path_of(preparation_name), to_text(to_json(record_), 2) + "\n");
  }

  // Generators.

  /// What the file says of itself.
  Result<GeneratorRecord> record_of(const gan::GeneratorFile& file, ByteSpan bytes) const {
    if (bytes.size() > generator_file_limit(config_.preparation.gan, images_))
      return failure(ErrorCode::usage, "the generator file has ", bytes.size(),
                     " bytes; one of the run's settings has at most ",
                     generator_file_limit(config_.preparation.gan, images_));
    GeneratorRecord out;
    out.present = true;
    out.sha256 = sha256_hex(bytes);
    out.label_counts = file.card.label_counts;
    out.checked = file.card.quality.checked;
    out.loss = file.card.quality.loss;
    out.accuracy = file.card.quality.accuracy;
    out.flagged = file.card.quality.flagged;
    out.values = static_cast<std::uint64_t>(lay_out(file.net.spec()).cost().parameters);
    return out;
  }

  Result<void> keep(std::size_t device, GeneratorRecord made, ByteSpan bytes) {
    if (config_.out.empty()) {
      files_[device].assign(bytes.begin(), bytes.end());
    } else {
      const Result<void> written = write_file_atomic(generator_path(device), bytes);
      if (!written) return written;
    }
    record_.generators[device] = std::move(made);
    digests_[device] = sha256(bytes);
    return write_record();
  }

  Result<std::vector<std::uint8_t>> generator_bytes(std::size_t device) const {
    if (config_.out.empty()) return files_[device];
    Result<std::vector<std::uint8_t>> bytes = read_file(generator_path(device));
    if (bytes && sha256_hex(*bytes) != record_.generators[device].sha256)
      return failure(ErrorCode::data, generator_path(device), ": is not the file that ",
                     preparation_name, " names");
    return bytes;
  }
  Result<gan::GeneratorFile> load_generator(std::size_t device) const {
    const Result<std::vector<std::uint8_t>> bytes = generator_bytes(device);
    if (!bytes) return bytes.failure();
    return gan::parse_generator(*bytes);
  }

  Result<void> take_up() {
    Result<PreparationRecord> found = read_preparation(config_.out);
    if (!found) return found.failure();
    if (found->generators.size() != record_.generators.size())
      return failure(ErrorCode::data, path_of(preparation_name), ": has ", found->generators.size(),
                     " generators, the run has ", record_.generators.size(), " devices");
    record_ = std::move(found).value();
    for (std::size_t d = 0; d < record_.generators.size(); ++d) {
      if (!record_.generators[d].present) continue;
      const Result<std::vector<std::uint8_t>> bytes = generator_bytes(d);
      record_.generators[d].present = bytes.ok();
      if (bytes) digests_[d] = sha256(*bytes);
      if (!bytes) note(concat(bytes.failure().message, "; it is taken or asked for again"));
    }
    return take_given();
  }

  /// Those of --generators that the run does not have yet.
  Result<void> take_given() {
    if (config_.preparation.generators.empty()) return {};
    const auto is_here = [](const GeneratorRecord& each) { return each.present; };
    const bool any_here =
        std::any_of(record_.generators.begin(), record_.generators.end(), is_here);
    const auto given = find_generators(config_.preparation.generators, record_.generators.size());
    if (!given) return any_here ? Result<void>{} : given.failure();
    for (const std::size_t d : *given) {
      if (record_.generators[d].present) continue;
      const std::string path = join_path(config_.preparation.generators, generator_name(d));
      const Result<std::vector<std::uint8_t>> bytes = read_file(path);
      if (!bytes) return bytes.failure();
      const auto wrong = [&](const Failure& why) {
        return failure(why.code, path, ": ", why.message);
      };
      const Result<gan::GeneratorFile> file = gan::parse_generator(*bytes);
      if (!file) return wrong(file.failure());
      Result<GeneratorRecord> made = record_of(*file, *bytes);
      if (!made) return wrong(made.failure());
      made->origin = "given";
      const Result<void> kept = keep(d, std::move(made).value(), *bytes);
      if (!kept) return kept;
    }
    return {};
  }

  // Imputation.

  Result<void> make_plan(const std::vector<std::vector<std::uint64_t>>& histograms) {
    const Result<data::CountTable> counts = impute::make_histograms(histograms);
    if (!counts) return counts.failure();
    std::vector<impute::GeneratorCheck> checks;
    for (const GeneratorRecord& each : record_.generators) {
      impute::GeneratorCheck& check = checks.emplace_back();
      // Where nothing is known of its quality, it stands behind the others.
      check.loss = each.checked ? each.loss : std::numeric_limits<double>::infinity();
      check.flagged = each.flagged;
      for (const std::uint64_t count : each.label_counts)
        check.trained.push_back(static_cast<Index>(count));
    }
    Result<impute::Plan> plan = impute::make_plan(
        *counts, checks, {.scarce = config_.preparation.scarce, .seed = config_.seed});
    if (!plan) return plan.failure();
    plan_ = std::move(plan).value();
    note(concat("imputation: samples held and added, per device and class\n",
                impute::format_plan(plan_)));
    record_.devices.clear();
    for (std::size_t d = 0; d < plan_.devices.size(); ++d) record_.devices.push_back(cost_of(d));
    if (!config_.out.empty()) {
      const Result<void> written = impute::save_plan(path_of(impute_plan_name), plan_);
      if (!written) return written;
    }
    record_.planned = true;
    return write_record();
  }
  Result<void> load_plan() {
    if (config_.out.empty()) return {};
    Result<impute::Plan> plan = impute::load_plan(path_of(impute_plan_name));
    if (!plan) return plan.failure();
    if (plan->devices.size() != record_.devices.size())
      return failure(ErrorCode::data, path_of(impute_plan_name), ": is of ", plan->devices.size(),
                     " devices, the run has ", record_.devices.size());
    plan_ = std::move(plan).value();
    return {};
  }

  ImputationRecord cost_of(std::size_t device) const {
    ImputationRecord out;
    const net::ImputePlan plan = plan_of(device);
    if (plan.entries.empty()) return out;
    out.added = static_cast<std::uint64_t>(plan_.devices[device].added());
    out.bytes_down = net::header_bytes + net::encode(plan).size();
    for (const net::ImputePlan::Generator& each : plan.generators) {
      const GeneratorRecord& made = record_.generators[each.device];
      out.generators.push_back(each.device);
      out.values += made.values;
      const Result<std::vector<std::uint8_t>> bytes = generator_bytes(each.device);
      if (bytes)
        out.bytes_down += transfer_bytes(net::MessageType::gen_download,
                                         net::GenDownload::overhead_bytes + bytes->size(), 0);
    }
    return out;
  }

  /// The plan as the device is sent it; without entries where its data is complete.
  net::ImputePlan plan_of(std::size_t device) const {
    net::ImputePlan out;
    if (device >= plan_.devices.size()) return out;
    const std::vector<Index> ids = plan_.devices[device].generators();
    for (const Index id : ids) {
      net::ImputePlan::Generator& generator = out.generators.emplace_back();
      generator.device = static_cast<std::uint32_t>(id);
      generator.sha256 = digests_[static_cast<std::size_t>(id)];
    }
    for (const impute::PlanEntry& entry : plan_.devices[device].entries) {
      const auto place = std::lower_bound(ids.begin(), ids.end(), entry.generator) - ids.begin();
      out.entries.push_back({static_cast<std::uint32_t>(place),
                             static_cast<std::uint32_t>(entry.label),
                             static_cast<std::uint64_t>(entry.count), entry.seed});
    }
    return out;
  }

  // Pre-training.

  Result<bool> pretrain_on_generated(Sequential<float>& joined, const data::Dataset& test,
                                     const std::vector<std::vector<std::uint64_t>>& histograms) {
    const net::Microseconds start = net::steady_now();
    std::vector<std::vector<std::uint64_t>> trained;
    for (const GeneratorRecord& each : record_.generators) trained.push_back(each.label_counts);
    const GenerationLog log = plan_generation(histograms, trained, config_.seed);
    if (!config_.out.empty()) {
      const Result<void> written =
          write_file_atomic(path_of(generation_log_name), to_text(to_json_fields(log), 1) + "\n");
      if (!written) return written.failure();
    }
    const Result<data::Dataset> generated = generate_dataset(
        log, images_, [this](std::size_t device) { return load_generator(device); });
    if (!generated) return generated.failure();
    PretrainingRecord done;
    done.seconds_generation = static_cast<double>(net::steady_now() - start) * 1e-6;
    note(concat("pre-training on ", generated->size(), " generated samples"));
    const Result<PretrainReport> report =
        pretrain(joined, *generated,
                 {.optimizer = config_.training.optimizer,
                  .iterations = config_.preparation.pretrain_iterations,
                  .batch = config_.preparation.pretrain_batch,
                  .seed = config_.seed},
                 hooks_);
    if (!report) return report.failure();
    if (report->stopped) return false;
    done.done = true;
    done.training = *report;
    const Evaluation real = evaluate(joined, test);
    done.test_loss = real.loss;
    done.test_accuracy = real.accuracy();
    done.test_class_accuracy = real.class_accuracy();
    if (!config_.out.empty()) {
      const std::string path = path_of(pretrained_name);
      const Result<void> written = save_safetensors(path, state_views(joined));
      if (!written) return written.failure();
      const Result<std::vector<std::uint8_t>> bytes = read_file(path);
      if (!bytes) return bytes.failure();
      done.sha256 = sha256_hex(*bytes);
    }
    record_.pretraining = std::move(done);
    note(concat("pre-training: ", report->iterations, " iterations, ", one_decimal(report->seconds),
                " s; accuracy on the real test data ", one_decimal(100 * real.accuracy()), " %"));
    const Result<void> written = write_record();
    if (!written) return written.failure();
    return true;
  }

  RunConfig config_;
  RunHooks hooks_;
  ImageSpec images_;
  PreparationRecord record_;
  impute::Plan plan_;
  std::vector<std::vector<std::uint8_t>> files_;  // of the generators, where there is no folder
  std::vector<Sha256Digest> digests_;             // of the same
};

}  // namespace split
IOTSL_NAMESPACE_END
