#pragma once
// A device makes its release in small steps: the moments, the mean of the features, then the steps
// of the head. What a step adds to the sums follows from the training's key and its number, so that
// a training that was stopped goes on with the same numbers and nothing is given away twice.

#include "iotsl/core/files/container.hpp"
#include "iotsl/core/json/fields.hpp"
#include "iotsl/moments/release.hpp"
#include "iotsl/privacy/noise_key.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// What one step released: the noised sums and what was promised of them. For an audit.
struct Disclosure {
  std::vector<std::int64_t> sums;
  std::int64_t bound = 0;      ///< norm of a record's part
  std::uint64_t variance = 0;  ///< of the noise on each sum
};

class Trainer {
 public:
  /// `samples` are numbers in `set`, which must outlive the trainer. `key` of the noise: from
  /// privacy::new_noise_key(), not used for any other training, and secret. Raises an Error for
  /// wrong settings, no samples, or one that is listed twice: its part would be twice the bound.
  Trainer(const data::Dataset& set, std::vector<Index> samples, Settings settings,
          const privacy::ChaChaKey& key)
      : set_(&set), samples_(std::move(samples)), key_(key) {
    release_.images = {set.channels, set.height, set.width, set.classes};
    release_.settings = settings;
    Result<void> good = check_settings(settings);
    if (samples_.empty() || samples_.size() > max_records)
      good = failure(ErrorCode::usage, "moments: ", samples_.size(), " samples; expected 1 to ",
                     max_records);
    if (good) good = check_distinct(samples_);
    if (good) {
      release_.counts = data::count_labels(set, samples_);
      good = check_release_size(settings, release_.images, release_.held());
    }
    if (!good) fail(good.failure().message);
  }
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;
  ~Trainer() { privacy::detail::wipe(key_); }

  /// Steps in all: without a second class there is no head.
  Index steps() const { return release_.held() > 1 ? 2 + release_.settings.head_steps : 1; }
  Index steps_done() const { return done_; }
  bool done() const { return done_ >= steps(); }
  const Settings& settings() const { return release_.settings; }
  /// Images per class that it is trained on.
  const std::vector<std::uint64_t>& counts() const { return release_.counts; }
  /// Tells this training from every other one and says nothing of the key.
  std::string id() const { return to_hex(sha256(ByteSpan(key_))); }

  /// Makes one step, unless done; what it disclosed.
  Disclosure step() {
    if (done()) fail("moments: the training is done");
    Disclosure out = done_ == 0 ? moments_step() : done_ == 1 ? centre_step() : head_step();
    ++done_;
    if (done() && !descent_.weights.empty()) release_.weights = descent_.mean(settings());
    return out;
  }

  /// Release::values() of what will leave.
  Index released_values() const {
    return moments::released_values(settings(), release_.images, release_.held());
  }
  /// Bytes that the sums will have in the file: from the first step on.
  std::size_t sums_bytes() const { return serialize_sums(release_).size(); }
  /// What leaves the device: only where done().
  const Release& release() const {
    if (!done()) fail("moments: step ", done_, " of ", steps(), ", there is no release yet");
    return release_;
  }

  /// Writes the whole state atomically, readable for its owner alone: whoever has the key can take
  /// the noise off what was released. `seconds`: of training since load().
  Result<void> save(const std::string& path, double seconds = 0) const {
    const std::string record = to_text(to_json_fields(this->record(seconds)));
    return save_container(path, training_kind,
                          {{"record", iotsl::bytes_of(std::string_view(record))},
                           {"key", ByteSpan(key_)},
                           {"sums", span_of(release_.sums)},
                           {"centre", span_of(release_.centre)},
                           {"weights", span_of(descent_.weights)},
                           {"momentum", span_of(descent_.momentum)},
                           {"total", span_of(descent_.total)}},
                          0600);
  }
  /// Takes over a state of the same training, its key too; a refused file changes nothing.
  Result<void> load(const std::string& path) {
    const Result<Container> file = load_container(path, training_kind);
    if (!file) return file.failure();
    const Result<void> taken = take(*file);
    if (!taken) return failure(taken.failure().code, path, ": ", taken.failure().message);
    return {};
  }
  /// Seconds of training before load(), as save() was told.
  double seconds_before() const { return seconds_; }

 private:
  static constexpr const char* training_kind = "moments-training";

  static Result<void> check_distinct(std::vector<Index> samples) {
    std::sort(samples.begin(), samples.end());
    const auto twice = std::adjacent_find(samples.begin(), samples.end());
    if (twice == samples.end()) return {};
    return failure(ErrorCode::usage, "moments: sample ", *twice, " is listed twice");
  }

  struct Record {
    std::string training;  ///< fingerprint of everything that decides the sums
    Index done = 0;
    double seconds = 0;

    template <class Self, class Fields>
    static void json_fields(Self& self, Fields& f) {
      f("training", self.training);
      f("done", self.done);
      f("seconds", self.seconds);
    }
  };

  /// Stays on the device: it says which samples are trained on.
  Record record(double seconds) const {
    Sha256 hash;
    hash.update(to_text(to_json_fields(release_.settings))).update(set_->sha256);
    hash.update(iotsl::bytes_of(samples_.data(), samples_.size()));
    return {to_hex(hash.digest()), done_, seconds_ + seconds};
  }

  Disclosure disclose(std::vector<std::int64_t> sums, std::int64_t bound, std::uint64_t variance) {
    privacy::SecureRandom random = privacy::step_random(key_, static_cast<std::uint32_t>(done_));
    add_noise(sums, variance, random);
    return {std::move(sums), bound, variance};
  }

  Disclosure moments_step() {
    const QueryScale scale = moments_scale(settings());
    Disclosure out = disclose(class_sums(*set_, samples_, settings()), scale.bound, scale.variance);
    const int shift = sum_shift(settings());
    for (const std::int64_t v : out.sums)
      release_.sums.push_back((v + (std::int64_t{1} << (shift - 1))) >> shift);
    return out;
  }

  Disclosure centre_step() {
    const QueryScale scale = centre_scale(settings());
    Disclosure out =
        disclose(feature_sums(*set_, samples_, settings()), scale.bound, scale.variance);
    const double unit =
        1 / (static_cast<double>(scale.bound) * static_cast<double>(samples_.size()));
    // As it will be read from the release, so that the head is trained on what it is used on.
    constexpr double ticks = 1 << centre_bits;
    for (const std::int64_t v : out.sums) {
      const double value = std::clamp(static_cast<double>(v) * unit * ticks, -32767.0, 32767.0);
      release_.centre.push_back(static_cast<float>(scalar_math::floor(value + 0.5) / ticks));
    }
    descent_ =
        HeadDescent(static_cast<std::size_t>(release_.held() * (Index{1} + feature_count())));
    return out;
  }
  Index feature_count() const { return static_cast<Index>(release_.centre.size()); }

  Disclosure head_step() {
    if (inputs_.labels.empty()) {
      std::vector<Index> row_of;
      Index rows = 0;
      for (const std::uint64_t n : release_.counts) row_of.push_back(n > 0 ? rows++ : 0);
      inputs_ = head_data(*set_, samples_,
                          HeadInput(release_.images, release_.centre, settings().head_constant),
                          row_of, rows);
    }
    const HeadScale scale = head_scale(settings());
    Disclosure out = disclose(gradient_sums(inputs_, descent_.weights, settings().head_clip, scale),
                              scale.bound(), scale.variance);
    descent_.update(out.sums, done_ - 2, static_cast<Index>(samples_.size()), settings(), scale);
    return out;
  }

  template <class V>
  static ByteSpan span_of(const std::vector<V>& values) {
    return iotsl::bytes_of(values.data(), values.size());
  }
  template <class V>
  static Result<void> read(const Container& file, const char* name, std::size_t count,
                           std::vector<V>& out) {
    const Result<ByteSpan> bytes = file.section(name);
    if (!bytes) return bytes.failure();
    if (bytes->size() != count * sizeof(V))
      return failure(ErrorCode::data, "section '", name, "' of ", bytes->size(),
                     " bytes, expected ", count * sizeof(V));
    out.resize(count);
    if (count > 0) std::memcpy(out.data(), bytes->data(), bytes->size());
    return {};
  }

  Result<void> take(const Container& file) {
    const Result<ByteSpan> text = file.section("record");
    if (!text) return text.failure();
    const Result<Json> json = parse_json(text_of(*text));
    if (!json) return json.failure();
    const Result<Record> found = parse_json_fields<Record>(*json);
    if (!found) return found.failure();
    if (found->training != record(0).training)
      return failure(ErrorCode::data,
                     "is the state of another training (settings or samples differ)");
    if (found->done < 0 || found->done > steps())
      return failure(ErrorCode::data, found->done, " steps of ", steps());
    const auto features = static_cast<std::size_t>(head_inputs(release_.images) - 1);
    const auto held = static_cast<std::size_t>(release_.held());
    const std::size_t sums = found->done < 1
                                 ? 0
                                 : static_cast<std::size_t>(moment_count(
                                       coef_shape(settings(), release_.images), release_.held()));
    const std::size_t centre = found->done < 2 ? 0 : features;
    HeadDescent descent(found->done < 2 ? 0 : held * (features + 1));
    Release release = release_;
    std::vector<std::uint8_t> key;
    Result<void> good = read(file, "key", key_.size(), key);
    if (good) good = read(file, "sums", sums, release.sums);
    if (good) good = read(file, "centre", centre, release.centre);
    if (good) good = read(file, "weights", descent.weights.size(), descent.weights);
    if (good) good = read(file, "momentum", descent.momentum.size(), descent.momentum);
    if (good) good = read(file, "total", descent.total.size(), descent.total);
    if (!good) return good;
    std::copy(key.begin(), key.end(), key_.begin());
    std::fill(key.begin(), key.end(), std::uint8_t{0});
    release_ = std::move(release);
    descent_ = std::move(descent);
    inputs_ = {};
    done_ = found->done;
    seconds_ = found->seconds;
    if (done() && !descent_.weights.empty()) release_.weights = descent_.mean(settings());
    return {};
  }

  const data::Dataset* set_;
  std::vector<Index> samples_;
  privacy::ChaChaKey key_;
  Release release_;  // complete where done()
  HeadDescent descent_;
  HeadData inputs_;
  Index done_ = 0;
  double seconds_ = 0;
};

}  // namespace moments
IOTSL_NAMESPACE_END
