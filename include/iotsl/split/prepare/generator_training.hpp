#pragma once
// A device trains its generator: one iteration at a time, with its state in a file from time to
// time, so that neither a lost connection nor a kill costs more than the last minute.

#include <unistd.h>

#include <optional>

#include "iotsl/core/failpoint.hpp"
#include "iotsl/generators/generator_check.hpp"
#include "iotsl/generators/training.hpp"
#include "iotsl/measure/memory_peak.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/split/protocol/device/device_actions.hpp"
#include "iotsl/split/records/preparation_record.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Where a device keeps what it must not lose, and what it has from elsewhere.
struct DeviceFiles {
  std::string state;      ///< folder for a training that is stopped; empty: nothing is kept
  std::string generator;  ///< a generator file to send instead of training one; or empty
  Sha256Digest data_fingerprint{};  ///< tells the state of other samples apart
  net::Microseconds save_every = 60 * net::second_us;
  /// Where private releases are entered before their first step; empty: in memory only.
  std::string ledger;
  double max_epsilon = privacy::epsilon_range.high;  ///< of all releases together, zero-out
  /// The owner: only a private generator may leave. HELLO's fingerprint then says nothing of the
  /// data.
  bool private_only = false;
  bool new_data = false;  ///< the owner: no sample is one of an earlier release

  /// The ledger of a device that has a folder of its own.
  void keep_ledger_in_state() {
    if (!state.empty()) ledger = join_path(state, privacy::ledger_name);
  }
};

using generators::GeneratorTask;

class GeneratorWork {
 public:
  /// `samples` are numbers in `set`, which must outlive this. `stop` breaks off a check of the
  /// quality, which may take longer than an iteration; the next step() begins with it.
  GeneratorWork(const data::Dataset& set, std::span<const Index> samples, GeneratorTask task,
                DeviceFiles files, StopCheck stop = {})
      : set_(&set),
        samples_(samples.begin(), samples.end()),
        task_(std::move(task)),
        files_(std::move(files)),
        stop_(stop) {}

  /// One iteration, after the last one the check of the quality, too; true where there is nothing
  /// left to do but finish(). What is found in the files is taken up first.
  Result<bool> step() {
    const net::Microseconds start = net::thread_time(), clock = net::steady_now();
    if (!file_.empty()) return true;
    if (!trainer_) {
      const Result<bool> complete = begin();
      if (!complete || *complete) return complete;
    }
    if (!trainer_->done()) {
      IOTSL_FAILPOINT("device.generator.step");
      const Result<generators::TrainingProgress> now = trainer_->step(stop_);
      if (!now) {
        trainer_.reset();  // so that save() leaves the last good state
        return failure(now.failure().code, "device ", task_.device, ": ", now.failure().message);
      }
      progress_ = *now;
    }
    const net::Microseconds now = net::steady_now();
    worked_ += now - clock;
    cost_.compute_us += static_cast<std::uint64_t>(net::thread_time() - start);
    cost_.peak_memory_bytes = measure::peak_resident_bytes();
    const bool last = trainer_->done();
    if (last || now - saved_ >= files_.save_every) {
      const Result<void> saved = save();
      if (!saved) return saved.failure();
    }
    return last ? check_and_keep() : Result<bool>(false);
  }

  /// The finished generator. After step() was true; as often as is wanted. What it cost may depend
  /// on the samples: of a private one it is not told.
  TrainedGenerator finish() const {
    return {brought_, is_private() ? net::EpochCost{} : cost_, file_};
  }

  /// Keeps the training for the next start of this program.
  Result<void> save() {
    saved_ = net::steady_now();
    if (files_.state.empty() || !trainer_) return {};
    const Result<void> written = trainer_->save(training_path());
    IOTSL_FAILPOINT("device.generator.saved");
    return written ? write_cost() : written;
  }
  /// Whether the next step() ends with a look at the quality, which takes longer than the rest.
  bool checks_next() const {
    if (!trainer_) return true;
    const Index every = trainer_->check_every(), next = trainer_->iteration() + 1;
    return next >= trainer_->iterations() || (every > 0 && next % every == 0);
  }

  /// What to tell the user about the last iterations; empty where it is too early for another line.
  std::string take_note() {
    if (!promise_.empty()) return std::exchange(promise_, {});
    const net::Microseconds now = net::steady_now();
    if (!trainer_ || progress_.iteration <= begun_at_ || now - told_ < 5 * net::second_us)
      return {};
    told_ = now;
    const double each =
        net::to_seconds(worked_) / static_cast<double>(progress_.iteration - begun_at_);
    const auto left = static_cast<double>(progress_.iterations - progress_.iteration);
    std::string out = concat("generator of device ", task_.device, ": iteration ",
                             progress_.iteration, "/", progress_.iterations, ", ");
    if (task_.settings.kind == generators::GeneratorKind::net)
      out += concat("Wasserstein estimate ", progress_.net.wasserstein, ", penalty ",
                    progress_.net.penalty, ", ");
    return out + concat(one_decimal(1 / each), " iterations/s, ", static_cast<Index>(left * each),
                        " s left");
  }

 private:
  /// The last thing: the quality check of the trained generator. False where it was stopped.
  Result<bool> check_and_keep() {
    const net::Microseconds start = net::thread_time();
    const std::optional<generators::GeneratorFile> made = trainer_->finish(stop_);
    if (!made) return false;
    auto bytes = generators::serialize_generator(*made);
    if (!bytes) return bytes.failure();
    cost_.compute_us += static_cast<std::uint64_t>(net::thread_time() - start);
    cost_.peak_memory_bytes = measure::peak_resident_bytes();
    trainer_.reset();
    file_ = std::move(*bytes);
    const Result<void> kept = keep_file();
    return kept ? Result<bool>(true) : kept.failure();
  }
  Result<void> write_cost() const {
    return write_file_atomic(cost_path(), to_text(to_json_fields(cost_)) + "\n");
  }
  /// The finished generator takes the place of the training's state.
  Result<void> keep_file() const {
    if (files_.state.empty()) return {};
    Result<void> done = write_cost();
    if (done) done = write_file_atomic(file_path(), ByteSpan(file_));
    IOTSL_FAILPOINT("device.generator.kept");
    if (done) ::unlink(training_path().c_str());
    if (done) ::unlink(critics_path().c_str());
    return done;
  }

  /// True where the whole generator is there already.
  Result<bool> begin() {
    saved_ = told_ = net::steady_now();
    if (!files_.generator.empty()) return take_brought();
    if (!files_.state.empty()) {
      const Result<void> made = create_folders(files_.state);
      if (!made) return made.failure();
      remove_leftovers(files_.state, last_component(path("")));
      if (file_exists(cost_path())) {
        const Result<std::string> text = read_text_file(cost_path());
        const Result<Json> json = text ? parse_json(*text) : Result<Json>(text.failure());
        const auto cost = json ? parse_json_fields<net::EpochCost>(*json)
                               : Result<net::EpochCost>(json.failure());
        if (cost) cost_ = *cost;
      }
      const Result<bool> finished = look_for_file(file_path());
      if (!finished) return finished.failure();
      if (*finished) {
        Result<std::vector<std::uint8_t>> bytes = read_file(file_path());
        const auto file = bytes ? generators::parse_generator(*bytes)
                                : Result<generators::GeneratorFile>(bytes.failure());
        if (file) return share(std::move(*bytes), file->card.privacy);
        if (!is_damage(file.failure())) return file.failure();
      }
    }
    const Result<bool> stopped =
        files_.state.empty() ? Result<bool>(false) : look_for_file(training_path());
    Result<void> ready = stopped ? make_trainer() : stopped.failure();
    if (ready && *stopped) {
      // A state that is damaged costs time only: the training begins again.
      if (const Result<void> loaded = trainer_->load(training_path()); !loaded) {
        ready = is_damage(loaded.failure()) ? make_trainer() : loaded;
        cost_ = {};
      }
    } else {
      cost_ = {};
    }
    if (ready && is_private()) ready = enter_ledger();
    if (!ready) {
      trainer_.reset();
      return ready.failure();
    }
    begun_at_ = trainer_->iteration();
    worked_ = 0;
    return false;
  }

  /// Not only that it cannot be read just now.
  static bool is_damage(const Failure& why) { return why.code != ErrorCode::other; }
  bool is_private() const { return task_.settings.privacy.is_private(); }

  Result<void> make_trainer() {
    privacy::ChaChaKey key{};
    if (is_private()) {
      const Result<privacy::ChaChaKey> fresh = privacy::new_noise_key();
      if (!fresh) return fresh.failure();
      key = *fresh;
      const Result<privacy::Release> possible =
          generators::planned_release(task_.settings, samples_.size());
      if (!possible) return possible.failure();
    }
    trainer_.emplace(*set_, samples_, task_, key,
                     files_.state.empty() ? std::string() : critics_path());
    return {};
  }

  Result<void> enter_ledger() {
    Result<void> done = save();
    IOTSL_FAILPOINT("device.ledger.enter");
    if (done) done = trainer_->enter_ledger(files_.ledger, files_.max_epsilon, files_.new_data);
    if (done) tell_promise(trainer_->promise());
    return done;
  }
  void tell_promise(const privacy::PrivacyCard& card) {
    promise_ = concat("this device will share a generator with this promise:\n", describe(card));
  }

  /// A whole generator leaves as it is, if the owner's limits let it. True then.
  Result<bool> share(std::vector<std::uint8_t> bytes, const privacy::PrivacyCard& card) {
    const bool has_promise = card.mode != privacy::PrivacyMode::off;
    if (files_.private_only && !has_promise)
      return failure(ErrorCode::usage,
                     "the generator promises nothing; this device shares private ones only "
                     "(--private)");
    if (has_promise && !(privacy::promised_epsilon(card) <= files_.max_epsilon))
      return failure(ErrorCode::usage,
                     "the generator and what was released before it promise epsilon ",
                     privacy::promised_epsilon(card), ", more than the limit ", files_.max_epsilon,
                     "; it is not shared");
    if (has_promise) tell_promise(card);
    file_ = std::move(bytes);
    return true;
  }

  Result<bool> take_brought() {
    Result<std::vector<std::uint8_t>> bytes = read_file(files_.generator);
    if (!bytes) return bytes.failure();
    const auto wrong = [this](const Failure& why) {
      return failure(why.code, files_.generator, ": ", why.message);
    };
    const Result<generators::GeneratorFile> file = generators::parse_generator(*bytes);
    if (!file) return wrong(file.failure());
    const ImageSpec images = gan::image_spec(*set_);
    const Result<void> fits =
        generators::check_generator_fits(*file, images, data::count_labels(*set_, samples_));
    if (!fits) return wrong(fits.failure());
    if (bytes->size() > generators::generator_file_limit(task_.settings, images))
      return failure(ErrorCode::usage, files_.generator, ": has ", bytes->size(),
                     " bytes; a generator of the run's settings has at most ",
                     generators::generator_file_limit(task_.settings, images));
    const Result<bool> shared = share(std::move(*bytes), file->card.privacy);
    if (!shared) return wrong(shared.failure());
    brought_ = true;
    return true;
  }

  /// Another training has files of another name.
  std::string path(const char* ending) const {
    Sha256 hash;
    hash.update(to_text(to_json_fields(task_.settings)));
    hash.update(concat("/", task_.seed, "/", task_.device, "/"));
    hash.update(ByteSpan(files_.data_fingerprint));
    return join_path(files_.state,
                     concat("generator-", to_hex(hash.digest()).substr(0, 16), ending));
  }
  std::string training_path() const { return path(".training"); }
  std::string critics_path() const { return path(".critics"); }
  std::string file_path() const { return path(".iotsl"); }
  std::string cost_path() const { return path(".json"); }

  const data::Dataset* set_;
  std::vector<Index> samples_;
  GeneratorTask task_;
  DeviceFiles files_;
  StopCheck stop_;
  std::optional<generators::GeneratorTraining> trainer_;
  generators::TrainingProgress progress_;
  std::string promise_;  // to be told once
  net::EpochCost cost_;
  net::Microseconds saved_ = 0, told_ = 0;
  net::Microseconds worked_ = 0;  // by the clock, since iteration begun_at_
  Index begun_at_ = 0;
  std::vector<std::uint8_t> file_;  ///< the finished generator
  bool brought_ = false;
};

}  // namespace split
IOTSL_NAMESPACE_END
