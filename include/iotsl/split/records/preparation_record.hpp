#pragma once
// What the preparation of an IoTSL run has cost and what it has come to: preparation.json. Written
// anew after each finished piece, so that a server that starts again knows what is done.

#include <cstdio>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/hash.hpp"
#include "iotsl/core/json/fields.hpp"
#include "iotsl/core/json/parse.hpp"
#include "iotsl/impute/generation_log.hpp"
#include "iotsl/privacy/card.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

inline constexpr const char* preparation_name = "preparation.json";
inline constexpr const char* generator_folder = "generators";
inline constexpr const char* generation_log_name = "generation.json";
inline constexpr const char* pretrained_name = "pretrained.safetensors";
inline constexpr const char* impute_plan_name = "impute_plan.json";

/// A number with one digit after the point, as notes to the user show seconds and per cent.
inline std::string one_decimal(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

/// Where the devices of a run on one machine keep the state of their generators' training.
inline std::string training_folder(const std::string& out) {
  return join_path(join_path(out, generator_folder), "training");
}

/// `device-007` and an ending.
inline std::string device_file_name(std::size_t device, std::string_view ending) {
  const std::string number = std::to_string(device);
  return concat("device-", std::string(number.size() < 3 ? 3 - number.size() : 0, '0'), number,
                ending);
}
/// `device-007.iotsl`.
inline std::string generator_name(std::size_t device) { return device_file_name(device, ".iotsl"); }

/// The devices, of `devices`, whose generators a folder (--generators) holds. Fails where it has
/// none.
inline Result<std::vector<std::size_t>> find_generators(const std::string& folder,
                                                        std::size_t devices) {
  std::vector<std::size_t> out;
  for (std::size_t d = 0; d < devices; ++d)
    if (file_exists(join_path(folder, generator_name(d)))) out.push_back(d);
  if (out.empty())
    return failure(ErrorCode::usage, "--generators ", folder, ": has none of ", generator_name(0),
                   " to ", generator_name(devices - 1));
  return out;
}

/// The generator of one device.
struct GeneratorRecord {
  bool present = false;
  std::string sha256;            ///< of its file
  std::string data_fingerprint;  ///< of its device's data, in hex; empty: from --generators
  std::vector<std::uint64_t> label_counts;  ///< what it was trained on
  std::string origin;       ///< trained, brought (iotsl-device --generator) or given
  bool checked = false;     ///< its quality; with one class it cannot be
  double loss = 0;          ///< of its quality check
  double accuracy = 0;      ///< likewise; a fraction
  double informedness = 0;  ///< likewise; of guessing 0, of no mistake 1
  std::vector<std::uint64_t> passed, failed;  ///< classes that were checked, by what came of it
  double seconds_training = 0;  ///< on the device; of a given one in the run that it is from
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t values = 0;      ///< parameters
  privacy::PrivacyCard privacy;  ///< what its file promises
  std::uint64_t bytes_up = 0;    ///< what its upload takes on the wire, with frames; given ones too

  /// Zeros where it is not known.
  Sha256Digest fingerprint() const {
    Sha256Digest out{};
    return parse_hex(data_fingerprint, out) ? out : Sha256Digest{};
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("present", self.present);
    f("sha256", self.sha256);
    f("data_fingerprint", self.data_fingerprint);
    f("label_counts", self.label_counts);
    f("origin", self.origin);
    f("checked", self.checked);
    f("loss", self.loss);
    f("accuracy", self.accuracy);
    f("informedness", self.informedness);
    f("passed", self.passed);
    f("failed", self.failed);
    f("seconds_training", self.seconds_training);
    f("peak_memory_bytes", self.peak_memory_bytes);
    f("values", self.values);
    f("bytes_up", self.bytes_up);
    f.later("privacy", self.privacy);
  }
};

/// How pre-training went. What it says of the held-out part measures the fit to the generators: how
/// well other images that they make are known. Of real images only the test data tells.
struct PretrainReport {
  std::uint64_t samples = 0, held_out = 0;  ///< of the generated set
  std::uint64_t distinct = 0;               ///< different images in it
  std::uint64_t iterations = 0;
  std::uint64_t best_iteration = 0;  ///< whose weights are kept
  double held_out_loss = 0, held_out_accuracy = 0;
  double seconds = 0;
  bool stopped = false;  ///< by the user, before its end: the weights are those of the moment

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("samples", self.samples);
    f("held_out", self.held_out);
    f("distinct", self.distinct);
    f("iterations", self.iterations);
    f("best_iteration", self.best_iteration);
    f("held_out_loss", self.held_out_loss);
    f("held_out_accuracy", self.held_out_accuracy);
    f("seconds", self.seconds);
  }
};

struct PretrainingRecord {
  bool done = false;
  double seconds_generation = 0;  ///< of the data set
  PretrainReport training;
  double test_loss = 0;
  double test_accuracy = 0;  ///< on the real test data, a fraction: the paper's Fig. 13a
  std::vector<double> test_class_accuracy;
  double validation_accuracy = 0;  ///< likewise on the validation part; 0 without one
  std::string sha256;              ///< of pretrained.safetensors
  std::string inputs_sha256;       ///< of what it follows from (kept_pretraining.hpp)
  /// The weights are those of the run that the generators are from, and the seconds what they took
  /// there.
  bool taken_over = false;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("done", self.done);
    f("seconds_generation", self.seconds_generation);
    f("training", self.training);
    f("test_loss", self.test_loss);
    f("test_accuracy", self.test_accuracy);
    f("test_class_accuracy", self.test_class_accuracy);
    f.later("validation_accuracy", self.validation_accuracy);
    f("sha256", self.sha256);
    f.later("inputs_sha256", self.inputs_sha256);
    f.later("taken_over", self.taken_over);
  }
};

/// What one device is sent to complete its data.
struct ImputationRecord {
  std::uint64_t added = 0;  ///< samples
  std::vector<std::uint64_t> generators;
  std::uint64_t values = 0;      ///< parameters of these
  std::uint64_t bytes_down = 0;  ///< what plan and generators take on the wire, with frames

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("added", self.added);
    f("generators", self.generators);
    f("values", self.values);
    f("bytes_down", self.bytes_down);
  }
};

/// The paper's sum of costs leaves all of this out; the full one adds it. Generators that were
/// given count with what they have cost where they were made: a run is not cheaper for having been
/// helped.
struct PreparationRecord {
  std::string format = "iotsl-preparation-1";
  std::vector<GeneratorRecord> generators;  ///< of each device
  /// Classes that have failed the check of their generator: not used, since another generator has
  /// passed; used although, since none has. As in the generation log.
  std::vector<impute::ClassOfGenerator> struck, used_though_failed;
  PretrainingRecord pretraining;
  bool planned = false;                   ///< impute_plan.json is written
  std::vector<ImputationRecord> devices;  ///< likewise; empty without imputation

  /// Values sent, by the paper's way of counting: parameters of generators up and down.
  std::uint64_t values() const {
    std::uint64_t sum = 0;
    for (const GeneratorRecord& each : generators) sum += each.values;
    for (const ImputationRecord& each : devices) sum += each.values;
    return sum;
  }
  std::uint64_t bytes_up() const {
    std::uint64_t sum = 0;
    for (const GeneratorRecord& each : generators) sum += each.bytes_up;
    return sum;
  }
  std::uint64_t bytes_down() const {
    std::uint64_t sum = 0;
    for (const ImputationRecord& each : devices) sum += each.bytes_down;
    return sum;
  }
  /// The weakest promise among the generators' (all releases of their device, zero-out); infinite
  /// where one promises nothing.
  double epsilon() const {
    double most = 0;
    for (const GeneratorRecord& each : generators)
      most = std::max(most, privacy::promised_epsilon(each.privacy));
    return most;
  }
  double seconds_training() const {
    double sum = 0;
    for (const GeneratorRecord& each : generators) sum += each.seconds_training;
    return sum;
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("generators", self.generators);
    f("struck", self.struck);
    f("used_though_failed", self.used_though_failed);
    f("pretraining", self.pretraining);
    f("planned", self.planned);
    f("imputation", self.devices);
  }
};

/// With the sums, for those who read the file.
inline Json to_json(const PreparationRecord& record) {
  Json out = to_json_fields(record);
  out["values_formula"] = record.values();
  out["bytes_up"] = record.bytes_up();
  out["bytes_down"] = record.bytes_down();
  out["seconds_training"] = record.seconds_training();
  return out;
}

namespace detail {

/// Whether a record can be one: the sums of its numbers must be some, too.
inline Result<void> check_preparation_record(const PreparationRecord& record) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::data, parts...); };
  if (const std::string expected = PreparationRecord().format; record.format != expected)
    return wrong("format '", record.format, "', expected '", expected, "'");
  constexpr std::size_t most_devices = 1024;
  constexpr std::uint64_t most = std::uint64_t{1} << 50;
  if (record.generators.size() > most_devices)
    return wrong("generators of ", record.generators.size(), " devices, expected at most ",
                 most_devices);
  if (record.planned && record.devices.size() != record.generators.size())
    return wrong("imputation of ", record.devices.size(), " devices, generators of ",
                 record.generators.size());
  if (record.devices.size() > most_devices)
    return wrong("imputation of ", record.devices.size(), " devices, expected at most ",
                 most_devices);
  for (std::size_t d = 0; d < record.generators.size(); ++d) {
    const GeneratorRecord& each = record.generators[d];
    if (each.values > most || each.bytes_up > most || !(each.seconds_training <= 1e15))
      return wrong("generator ", d, " of ", each.values, " values, ", each.bytes_up, " bytes and ",
                   each.seconds_training, " seconds, expected at most ", most, " and 1e15");
    Sha256Digest digest;
    if (!each.data_fingerprint.empty() && !parse_hex(each.data_fingerprint, digest))
      return wrong("data_fingerprint of generator ", d, " has not 64 hexadecimal digits");
  }
  for (std::size_t d = 0; d < record.devices.size(); ++d)
    if (record.devices[d].values > most || record.devices[d].bytes_down > most)
      return wrong("imputation of device ", d, " has ", record.devices[d].values, " values and ",
                   record.devices[d].bytes_down, " bytes, expected at most ", most);
  return {};
}

}  // namespace detail

/// The record in the text of a preparation.json.
inline Result<PreparationRecord> parse_preparation(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json) return json.failure();
  Result<PreparationRecord> record = parse_json_fields<PreparationRecord>(*json);
  if (!record) return record;
  if (const Result<void> good = detail::check_preparation_record(*record); !good)
    return good.failure();
  return record;
}

inline Result<PreparationRecord> read_preparation(const std::string& folder) {
  const std::string path = join_path(folder, preparation_name);
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.failure();
  Result<PreparationRecord> record = parse_preparation(*text);
  if (!record) return failure(ErrorCode::data, path, ": ", record.failure().message);
  return record;
}

}  // namespace split
IOTSL_NAMESPACE_END
