#pragma once
// What a run reports of each device epoch: one line of metrics.jsonl.

#include <string>
#include <vector>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/fields.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// One device's pass over its local data.
struct EpochRecord {
  std::uint64_t epoch = 0;  ///< of the run, from 1
  std::uint32_t round = 0;  ///< from 0
  std::uint32_t device = 0;
  std::string device_name;
  std::uint64_t samples = 0;
  std::uint64_t steps = 0;
  double learning_rate = 0;
  bool has_training = true;   ///< false for method `local`, where the server sees no batch
  double loss = 0;            ///< mean over the epoch's samples, each before its update
  double train_accuracy = 0;  ///< likewise
  bool evaluated = false;     ///< the four below hold
  double test_loss = 0;
  double test_accuracy = 0;  ///< fraction
  std::vector<double> test_class_accuracy;
  double seconds_evaluate = 0;  ///< of both sets
  bool has_validation = false;  ///< the two below hold
  double validation_loss = 0;
  double validation_accuracy = 0;  ///< fraction, of the part that the run chooses by
  // The first three: processor time of the thread that computes, so that other processes add
  // nothing to them. The fourth: by the clock, what device and server leave of the epoch's time.
  double seconds_device = 0;   ///< compute on the device
  double seconds_server = 0;   ///< compute on the server that the device waits for
  double seconds_update = 0;   ///< the server's beside it, while device and network work
  double seconds_network = 0;  ///< and what the two were kept waiting for
  double seconds_barrier = 0;  ///< writing the turn's barriers, in its last epoch
  std::uint64_t bytes_up = 0;  ///< device to server, all of it
  std::uint64_t bytes_down = 0;
  std::uint64_t values_formula = 0;     ///< Table I
  std::uint64_t peak_memory_bytes = 0;  ///< of the device's process
  bool skipped = false;                 ///< the turn ended early
  std::string skip_reason;              ///< why
};

/// What was not measured is null.
inline Json to_json(const EpochRecord& r) {
  Json out = Json::object();
  const auto known = [&out](bool measured, const char* key, double value) {
    Json& member = out[key];
    if (measured) member = Json(value);
  };
  out["epoch"] = r.epoch;
  out["round"] = r.round;
  out["device"] = r.device;
  out["device_name"] = r.device_name;
  out["samples"] = r.samples;
  out["steps"] = r.steps;
  out["learning_rate"] = r.learning_rate;
  known(r.has_training, "loss", r.loss);
  known(r.has_training, "train_accuracy", r.train_accuracy);
  known(r.evaluated, "test_loss", r.test_loss);
  known(r.evaluated, "test_accuracy", r.test_accuracy);
  known(r.has_validation, "validation_loss", r.validation_loss);
  known(r.has_validation, "validation_accuracy", r.validation_accuracy);
  Json& by_class = out["test_class_accuracy"];
  if (r.evaluated) by_class = Json::array_of(r.test_class_accuracy);
  out["seconds_compute"] = r.seconds_device + r.seconds_server + r.seconds_update;
  out["seconds_device"] = r.seconds_device;
  out["seconds_server"] = r.seconds_server;
  out["seconds_update"] = r.seconds_update;
  out["seconds_network"] = r.seconds_network;
  out["seconds_barrier"] = r.seconds_barrier;
  out["seconds_evaluate"] = r.seconds_evaluate;
  out["bytes_up"] = r.bytes_up;
  out["bytes_down"] = r.bytes_down;
  out["values_formula"] = r.values_formula;
  out["peak_memory_bytes"] = r.peak_memory_bytes;
  if (r.skipped) out["skipped"] = true;
  if (!r.skip_reason.empty()) out["skip_reason"] = r.skip_reason;
  return out;
}

/// The record of one line of metrics.jsonl.
inline Result<EpochRecord> parse_record(const Json& json) {
  EpochRecord r;
  const auto known = [&json](const char* key) {
    const Json* member = json.find(key);
    return member != nullptr && !member->is_null();
  };
  JsonReader read(json);
  read("epoch", r.epoch);
  if (!read.status()) return read.status().failure();
  read("round", r.round);
  read("device", r.device);
  read("device_name", r.device_name);
  read("samples", r.samples);
  read("steps", r.steps);
  read("learning_rate", r.learning_rate);
  r.has_training = known("loss");
  if (r.has_training) {
    read("loss", r.loss);
    read("train_accuracy", r.train_accuracy);
  }
  r.evaluated = known("test_accuracy");
  if (r.evaluated) {
    read("test_loss", r.test_loss);
    read("test_accuracy", r.test_accuracy);
    read("test_class_accuracy", r.test_class_accuracy);
  }
  r.has_validation = known("validation_accuracy");
  if (r.has_validation) {
    read("validation_loss", r.validation_loss);
    read("validation_accuracy", r.validation_accuracy);
  }
  read("seconds_device", r.seconds_device);
  read("seconds_server", r.seconds_server);
  if (known("seconds_update")) read("seconds_update", r.seconds_update);
  read("seconds_network", r.seconds_network);
  read("seconds_barrier", r.seconds_barrier);
  read("seconds_evaluate", r.seconds_evaluate);
  read("bytes_up", r.bytes_up);
  read("bytes_down", r.bytes_down);
  read("values_formula", r.values_formula);
  read("peak_memory_bytes", r.peak_memory_bytes);
  r.skipped = known("skipped");
  if (known("skip_reason")) read("skip_reason", r.skip_reason);
  if (!read.status()) return read.status().failure();
  return r;
}

/// Appends the record as one line. The file is only ever appended to.
inline Result<void> append_record(const std::string& path, const EpochRecord& record) {
  return append_file(path, to_text(to_json(record)) + "\n");
}

}  // namespace measure
IOTSL_NAMESPACE_END
