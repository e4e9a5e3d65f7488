#pragma once
// The server's part of Algorithms 1 and 2 before the turns: it keeps the generators, plans the
// imputation, and pre-trains. The same for every transport. Each finished piece is written to the
// run's folder, and a server that starts again goes on behind it.

#include "iotsl/core/failpoint.hpp"
#include "iotsl/privacy/statement.hpp"
#include "iotsl/split/prepare/generator_store.hpp"
#include "iotsl/split/prepare/imputation.hpp"
#include "iotsl/split/prepare/server_pretraining.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class Preparation {
 public:
  Preparation(const RunConfig& config, const RunHooks& hooks)
      : out_(config.out),
        seed_(config.seed),
        resume_(config.resume),
        impute_(config.preparation.imputes()),
        pretrain_(config.preparation.pretrain),
        hooks_(hooks),
        generators_(config, hooks),
        imputation_(config, hooks, generators_),
        pretraining_(config, hooks, generators_) {}
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  /// Takes up what the run's folder holds, and what --generators gives beside it.
  Result<void> open() {
    const Result<bool> goes_on = resume_ ? look_for_file(record_path()) : Result<bool>(false);
    if (!goes_on) return goes_on.failure();
    Result<void> ready = *goes_on ? take_up() : create();
    if (!ready) return ready;
    const Result<std::vector<std::size_t>> given = generators_.find_given();
    if (!given) return given.failure();
    for (const std::size_t device : *given) {
      ready = generators_.take_given(device);
      if (ready) ready = write_record();
      if (!ready) return ready;
    }
    return {};
  }

  /// Whether nothing is left to be prepared: a generator that comes now has come too late.
  bool complete() const {
    return (!impute_ || imputation_.planned()) && (!pretrain_ || pretraining_.record().done);
  }
  PreparationRecord record() const {
    PreparationRecord out;
    out.generators = generators_.records();
    out.pretraining = pretraining_.record();
    out.planned = imputation_.planned();
    out.devices = imputation_.records();
    out.struck = struck_;
    out.used_though_failed = used_though_failed_;
    return out;
  }
  /// GeneratorStore::uploaded()
  std::pair<std::uint64_t, std::uint64_t> uploaded() const { return generators_.uploaded(); }
  const GeneratorRecord& generator(std::size_t device) const {
    return generators_.records()[device];
  }

  /// Checks a device's generator; what is known of it. `fingerprint` of the data that the device
  /// holds, `label_counts` of these.
  Result<GeneratorRecord> check(const Sha256Digest& fingerprint,
                                const std::vector<std::uint64_t>& label_counts,
                                const net::GenUpload& upload) const {
    return generators_.check(fingerprint, label_counts, upload);
  }
  /// Keeps a generator that check() has found good; the SHA-256 of its file.
  Result<Sha256Digest> store(std::size_t device, GeneratorRecord made, ByteSpan file) {
    Result<void> kept = generators_.keep(device, std::move(made), file);
    IOTSL_FAILPOINT("server.generator.kept");
    if (kept) kept = write_record();
    if (!kept) return kept.failure();
    IOTSL_FAILPOINT("server.generator.recorded");
    const GeneratorRecord& now = generator(device);
    hooks_.note(concat("device ", device, ": generator of ", now.values, " values, ",
                       now.checked ? concat("accuracy ", one_decimal(100 * now.accuracy), " %")
                                   : std::string("not checked"),
                       ", trained in ", one_decimal(now.seconds_training), " s",
                       now.failed.empty() ? ""
                                          : concat("; ", now.failed.size(), " of ",
                                                   now.failed.size() + now.passed.size(),
                                                   " classes have FAILED the check")));
    if (now.privacy.mode != privacy::PrivacyMode::off)
      hooks_.note(concat("device ", device, ": ", describe(now.privacy)));
    return generators_.digest(device);
  }
  /// Whether a generator of --generators fits its device, which has these samples per class.
  Result<void> check_given(std::size_t device,
                           const std::vector<std::uint64_t>& label_counts) const {
    return generators_.check_given(device, label_counts);
  }

  /// Plans, generates D and pre-trains `joined`, as far as it is not done yet. `histograms` of the
  /// devices; one without a generator takes no part. False where the user has stopped it: what is
  /// finished stays.
  Result<bool> prepare(Sequential<float>& joined, const EvaluationSets& sets,
                       std::vector<std::vector<std::uint64_t>> histograms) {
    for (std::size_t d = 0; d < histograms.size(); ++d)
      if (!generators_.has(d)) std::fill(histograms[d].begin(), histograms[d].end(), 0);
    for (std::size_t d = 0; d < histograms.size(); ++d) {
      const Result<void> fits = check_given(d, histograms[d]);
      if (!fits) return fits.failure();
    }
    const Result<impute::GenerationLog> log = keep_log(histograms);
    if (!log) return log.failure();
    IOTSL_FAILPOINT("server.prepare.log");
    if (impute_) {
      const Result<bool> made = imputation_.plan(histograms, *log);
      if (!made) return made;
      const Result<void> written = *made ? write_record() : Result<void>{};
      if (!written) return written.failure();
    }
    IOTSL_FAILPOINT("server.prepare.plan");
    if (!pretrain_ || pretraining_.record().done) return true;
    const Result<bool> done = pretraining_.run(joined, sets, *log);
    if (!done || !*done) return done;
    IOTSL_FAILPOINT("server.prepare.pretrained");
    const Result<void> written = write_record();
    if (!written) return written.failure();
    return true;
  }

  /// Puts the pre-trained weights into `joined`, where there are any.
  Result<void> load_pretrained(const Sequential<float>& joined) const {
    return pretraining_.load(joined);
  }

  /// After prepare(): of each device.
  std::vector<ImputationOrder> orders() const { return imputation_.orders(); }
  /// IMPUTE_PLAN and a GEN_DOWNLOAD for each of its generators.
  Result<std::vector<net::Message>> imputation_messages(std::size_t device) const {
    return imputation_.messages(device);
  }
  /// The device's samples (numbers in `set`) with what the plan adds; nothing where they are
  /// complete.
  Result<std::optional<data::Dataset>> completed(std::size_t device, const data::Dataset& set,
                                                 std::span<const Index> samples) const {
    return imputation_.completed(device, set, samples);
  }

 private:
  std::string record_path() const { return join_path(out_, preparation_name); }
  Result<void> write_record() const {
    if (out_.empty()) return {};
    return write_file_atomic(record_path(), to_text(to_json(record()), 2) + "\n");
  }

  Result<void> create() {
    const Result<void> made = generators_.create();
    return made ? write_record() : made;
  }
  Result<void> take_up() {
    Result<PreparationRecord> found = read_preparation(out_);
    if (!found) return found.failure();
    struck_ = std::move(found->struck);
    used_though_failed_ = std::move(found->used_though_failed);
    imputation_.take_up(found->planned, std::move(found->devices));
    pretraining_.take_up(std::move(found->pretraining));
    return generators_.take_up(std::move(found->generators));
  }

  /// Makes the generation log and writes it: pre-training and imputation go by it.
  Result<impute::GenerationLog> keep_log(
      const std::vector<std::vector<std::uint64_t>>& histograms) {
    Result<impute::GenerationLog> log =
        make_generation_log(histograms, generators_.records(), seed_);
    if (!log) return log;
    const std::string failed = impute::format_failed_classes(log->struck, log->used_though_failed);
    if (!failed.empty()) hooks_.note(concat("classes that failed the check: ", failed));
    struck_ = log->struck;
    used_though_failed_ = log->used_though_failed;
    if (out_.empty()) return log;
    const Result<void> written = write_file_atomic(join_path(out_, generation_log_name),
                                                   to_text(to_json_fields(*log), 1) + "\n");
    return written ? log : written.failure();
  }

  std::string out_;
  std::uint64_t seed_;
  bool resume_, impute_, pretrain_;
  RunHooks hooks_;
  GeneratorStore generators_;
  Imputation imputation_;
  ServerPretraining pretraining_;
  // As in the generation log.
  std::vector<impute::ClassOfGenerator> struck_, used_though_failed_;
};

}  // namespace split
IOTSL_NAMESPACE_END
