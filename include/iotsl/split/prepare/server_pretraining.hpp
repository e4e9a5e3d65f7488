#pragma once
// Algorithm 1 at the server: the data set D from the devices' generators, the pre-training on it,
// and the weights that come of it.

#include "iotsl/split/prepare/generated_data.hpp"
#include "iotsl/split/prepare/generator_store.hpp"
#include "iotsl/split/prepare/kept_pretraining.hpp"
#include "iotsl/split/records/evaluation_sets.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerPretraining {
 public:
  /// `generators` must outlive this.
  ServerPretraining(const RunConfig& config, const RunHooks& hooks,
                    const GeneratorStore& generators)
      : out_(config.out),
        given_(config.preparation.generators),
        images_(config.model.images),
        options_{.optimizer = config.pretraining_optimizer(),
                 .iterations = config.preparation.pretrain_iterations,
                 .batch = config.preparation.pretrain_batch,
                 .shift = config.preparation.shift(),
                 .seed = config.seed},
        hooks_(hooks),
        generators_(generators) {}

  const PretrainingRecord& record() const { return record_; }
  /// Takes up what an earlier start has come to.
  void take_up(PretrainingRecord record) { record_ = std::move(record); }

  /// Generates D as the log says, of which every generator must be there, and trains `joined` on
  /// it, unless the run that the generators are from has done the same: then it has its weights and
  /// what they have cost. False where the user has stopped it: nothing is kept.
  Result<bool> run(Sequential<float>& joined, const EvaluationSets& sets,
                   const impute::GenerationLog& log) {
    const std::string inputs = pretraining_inputs(joined, log, generators_.records(), options_);
    PretrainingRecord done;
    done.inputs_sha256 = inputs;
    if (!given_.empty()) {
      const auto before = take_pretraining(join_path(given_, ".."), inputs, joined);
      if (before) {
        hooks_.note("pre-training: the run that the generators are from has done the same one");
        done.taken_over = true;
        done.seconds_generation = before->seconds_generation;
        done.training = before->training;
        return keep(joined, sets, std::move(done));
      }
    }
    const net::Microseconds start = net::steady_now();
    const Result<data::Dataset> generated = generate_dataset(
        log, images_, [this](std::size_t device) { return generators_.load(device); });
    if (!generated) return generated.failure();
    done.seconds_generation = static_cast<double>(net::steady_now() - start) * 1e-6;
    hooks_.note(concat("pre-training on ", generated->size(), " generated samples"));
    const Result<PretrainReport> report = pretrain(joined, *generated, options_, hooks_);
    if (!report) return report.failure();
    if (report->stopped) return false;
    done.training = *report;
    return keep(joined, sets, std::move(done));
  }

  /// Puts the weights into `joined`, where there are any.
  Result<void> load(const Sequential<float>& joined) const {
    if (!record_.done || out_.empty()) return {};
    const Result<std::vector<std::uint8_t>> bytes = read_file(path());
    if (!bytes) return bytes.failure();
    if (sha256_hex(*bytes) != record_.sha256)
      return failure(ErrorCode::data, path(), ": is not the file that ", preparation_name,
                     " names");
    const Result<SafeTensors> file = load_safetensors(path());
    return file ? load_state(joined, *file) : Result<void>(file.failure());
  }

 private:
  std::string path() const { return join_path(out_, pretrained_name); }

  /// Tests the pre-trained weights, and writes them into the run's folder.
  Result<bool> keep(Sequential<float>& joined, const EvaluationSets& sets, PretrainingRecord done) {
    done.done = true;
    const train::Evaluation real = train::evaluate(joined, sets.test());
    done.test_loss = real.loss;
    done.test_accuracy = real.accuracy();
    done.test_class_accuracy = real.class_accuracy();
    if (sets.validation() != nullptr)
      done.validation_accuracy = train::evaluate(joined, *sets.validation()).accuracy();
    if (!out_.empty()) {
      const Result<std::string> saved = save(joined);
      if (!saved) return saved.failure();
      done.sha256 = *saved;
    }
    record_ = std::move(done);
    const PretrainReport& t = record_.training;
    hooks_.note(concat("pre-training: ", t.iterations, " iterations, ", one_decimal(t.seconds),
                       " s; fit to the generators ", one_decimal(100 * t.held_out_accuracy),
                       " %, accuracy on the real test data ", one_decimal(100 * real.accuracy()),
                       " %"));
    return true;
  }

  /// SHA-256 of the file.
  Result<std::string> save(const Sequential<float>& joined) const {
    const Result<void> written = save_safetensors(path(), state_views(joined));
    if (!written) return written.failure();
    const Result<std::vector<std::uint8_t>> bytes = read_file(path());
    if (!bytes) return bytes.failure();
    return sha256_hex(*bytes);
  }

  std::string out_, given_;  // given_: the generators' folder; empty: none were given
  ImageSpec images_;
  PretrainOptions options_;
  RunHooks hooks_;
  const GeneratorStore& generators_;
  PretrainingRecord record_;
};

}  // namespace split
IOTSL_NAMESPACE_END
