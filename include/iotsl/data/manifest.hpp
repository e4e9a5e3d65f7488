#pragma once
// The manifest: which samples each device of a run holds. A JSON file of a run folder, written once
// and read strictly.

#include <string>
#include <utility>
#include <vector>

#include "iotsl/core/json/json.hpp"
#include "iotsl/data/partition/validation.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// {format, dataset, file_sha256, partition, seed, redraws, devices: [{id, indices, counts}],
/// unused, classes_of_nobody}, and `validation` where there is such a part
struct Manifest {
  std::string dataset;
  std::string file_sha256;  ///< Dataset::sha256 of the training set
  std::string partition;    ///< as given to --partition
  std::int64_t seed = 0;
  Index redraws = 0;                        ///< Partition::redraws
  std::vector<std::vector<Index>> devices;  ///< samples of each device, ascending
  CountTable counts;                        ///< [device][class]
  std::vector<Index> validation;            ///< samples that the server chooses by, ascending
  Index unused = 0;                         ///< samples that no device has, nor the server

  /// Samples in the whole training set.
  Index total() const {
    Index sum = unused + static_cast<Index>(validation.size());
    for (const auto& device : devices) sum += static_cast<Index>(device.size());
    return sum;
  }
};

inline constexpr std::string_view manifest_format = "iotsl-manifest-2";

/// The manifest of a partition of `set`, the whole training set.
inline Manifest make_manifest(const Dataset& set, const PartitionSpec& spec, Partition partition,
                              std::int64_t seed, std::vector<Index> validation = {}) {
  Manifest out;
  out.dataset = set.name;
  out.file_sha256 = set.sha256;
  out.partition = spec.text;
  out.seed = seed;
  out.redraws = partition.redraws;
  out.devices = std::move(partition.devices);
  out.counts = std::move(partition.counts);
  out.unused = partition.unused;
  out.validation = std::move(validation);
  return out;
}

inline Json to_json(const Manifest& manifest) {
  Json out = Json::object();
  out["format"] = manifest_format;
  out["dataset"] = manifest.dataset;
  out["file_sha256"] = manifest.file_sha256;
  out["partition"] = manifest.partition;
  out["seed"] = manifest.seed;
  out["redraws"] = manifest.redraws;
  Json devices = Json::array();
  for (std::size_t d = 0; d < manifest.devices.size(); ++d) {
    Json device = Json::object();
    device["id"] = d;
    device["indices"] = Json::array_of(manifest.devices[d]);
    device["counts"] = Json::array_of(manifest.counts[d]);
    devices.push_back(std::move(device));
  }
  out["devices"] = std::move(devices);
  if (!manifest.validation.empty()) out["validation"] = Json::array_of(manifest.validation);
  out["unused"] = manifest.unused;
  out["classes_of_nobody"] = Json::array_of(classes_of_nobody(manifest.counts));
  return out;
}

namespace detail {

inline Result<std::vector<Index>> parse_numbers(const Json& object, std::string_view key,
                                                Index below) {
  const auto array = get_array(object, key);
  if (!array) return array.failure();
  std::vector<Index> out;
  out.reserve((*array)->size());
  for (const Json& value : **array) {
    if (!value.is_int() || value.as_int() < 0 || value.as_int() >= below)
      return failure(ErrorCode::data, key, "[", out.size(), "] must be an integer from 0 to ",
                     below - 1);
    out.push_back(value.as_int());
  }
  return out;
}

/// Sample numbers, each more than the one before.
inline Result<std::vector<Index>> parse_samples(const Json& object, std::string_view key) {
  constexpr Index max_samples = Index{1} << 32;
  auto samples = parse_numbers(object, key, max_samples);
  if (!samples) return samples;
  for (std::size_t i = 1; i < samples->size(); ++i)
    if ((*samples)[i - 1] >= (*samples)[i])
      return failure(ErrorCode::data, key, "[", i, "] is ", (*samples)[i],
                     ", expected more than the one before, ", (*samples)[i - 1]);
  return samples;
}

inline Result<void> parse_manifest_device(const Json& json, Manifest& out) {
  constexpr Index max_samples = Index{1} << 32;
  const auto id = static_cast<Index>(out.devices.size());
  if (auto given = get_int(json, "id", id, id); !given) return given.failure();
  if (json.size() != 3) return failure(ErrorCode::data, "has keys beside id, indices and counts");
  auto indices = parse_samples(json, "indices");
  if (!indices) return indices.failure();
  auto counts = parse_numbers(json, "counts", max_samples);
  if (!counts) return counts.failure();
  if (!out.counts.empty() && out.counts.front().size() != counts->size())
    return failure(ErrorCode::data, "counts has ", counts->size(), " classes, device 0 has ",
                   out.counts.front().size());
  if (row_sum(*counts) != static_cast<Index>(indices->size()))
    return failure(ErrorCode::data, "counts add up to ", row_sum(*counts), ", indices has ",
                   indices->size());
  out.devices.push_back(std::move(*indices));
  out.counts.push_back(std::move(*counts));
  return {};
}

/// Every sample in range, and on one device or in the validation part only.
inline Result<void> check_manifest_samples(const Manifest& manifest) {
  const Index total = manifest.total();
  const std::size_t devices = manifest.devices.size();
  const auto place = [&](std::size_t owner) {
    return owner < devices ? concat("on device ", owner) : std::string("in validation");
  };
  std::vector<std::pair<Index, std::size_t>> owners;
  for (std::size_t owner = 0; owner <= devices; ++owner)
    for (const Index i : owner < devices ? manifest.devices[owner] : manifest.validation) {
      if (i >= total)
        return failure(ErrorCode::data, place(owner).substr(3), ": sample ", i,
                       ", but used and unused make ", total);
      owners.emplace_back(i, owner);
    }
  std::sort(owners.begin(), owners.end());
  for (std::size_t i = 1; i < owners.size(); ++i)
    if (owners[i - 1].first == owners[i].first)
      return failure(ErrorCode::data, "sample ", owners[i].first, " is ",
                     place(owners[i - 1].second), " and ", place(owners[i].second));
  return {};
}

}  // namespace detail

/// Reads the text of a manifest. Refused: other keys or formats, indices out of range or not
/// ascending, a sample in two places, counts that do not add up or belong to other classes.
inline Result<Manifest> parse_manifest(std::string_view text) {
  const auto bad = [](const auto&... parts) {
    return failure(ErrorCode::data, "manifest: ", parts...);
  };
  const auto json = parse_json(text);
  if (!json) return bad(json.failure().message);
  const auto format = get_string(*json, "format");
  if (!format) return bad(format.failure().message);
  if (*format != manifest_format)
    return bad("format is '", *format, "', expected '", manifest_format, "'");
  Manifest out;
  for (const auto& [key, field] :
       {std::pair{"dataset", &out.dataset}, std::pair{"file_sha256", &out.file_sha256},
        std::pair{"partition", &out.partition}}) {
    auto value = get_string(*json, key);
    if (!value) return bad(value.failure().message);
    *field = std::move(*value);
  }
  const auto seed = get_int(*json, "seed");
  if (!seed) return bad(seed.failure().message);
  out.seed = *seed;
  const auto redraws = get_int(*json, "redraws", 0, Index{1} << 32);
  if (!redraws) return bad(redraws.failure().message);
  out.redraws = *redraws;
  const auto unused = get_int(*json, "unused", 0, Index{1} << 32);
  if (!unused) return bad(unused.failure().message);
  out.unused = *unused;
  const auto devices = get_array(*json, "devices");
  if (!devices) return bad(devices.failure().message);
  for (const Json& device : **devices) {
    const std::size_t id = out.devices.size();
    if (auto read = detail::parse_manifest_device(device, out); !read)
      return bad("device ", id, ": ", read.failure().message);
  }
  if (out.devices.empty()) return bad("names no device");
  const auto nobody = detail::parse_numbers(*json, "classes_of_nobody", max_classes);
  if (!nobody) return bad(nobody.failure().message);
  if (*nobody != classes_of_nobody(out.counts))
    return bad("classes_of_nobody does not follow from the counts");
  std::size_t keys = 9;
  if (json->find("validation") != nullptr) {
    auto validation = detail::parse_samples(*json, "validation");
    if (!validation) return bad(validation.failure().message);
    if (validation->empty()) return bad("validation is empty; without such a part it is left out");
    out.validation = std::move(*validation);
    ++keys;
  }
  if (json->size() != keys) return bad("has ", json->size(), " keys, expected ", keys);
  if (auto checked = detail::check_manifest_samples(out); !checked)
    return bad(checked.failure().message);
  return out;
}

inline Result<Manifest> load_manifest(const std::string& path) {
  const auto text = read_text_file(path);
  if (!text) return text.failure();
  auto parsed = parse_manifest(*text);
  if (!parsed) return failure(parsed.failure().code, path, ": ", parsed.failure().message);
  return parsed;
}

inline Result<void> save_manifest(const std::string& path, const Manifest& manifest) {
  return write_file_atomic(path, to_text(to_json(manifest), 1) + "\n");
}

/// Whether every device can train: a step, and a batch norm in it, needs two samples. The failure
/// names the first one that has fewer.
inline Result<void> check_device_samples(const Manifest& manifest) {
  for (std::size_t d = 0; d < manifest.devices.size(); ++d)
    if (const std::size_t count = manifest.devices[d].size(); count < 2)
      return failure(ErrorCode::usage, "--partition ", manifest.partition, ": device ", d, " gets ",
                     count, count == 1 ? " sample" : " samples", ", at least 2 are needed");
  return {};
}

/// Whether the manifest belongs to this training set and device `index` to the samples in it. `set`
/// holds either every sample or, numbered anew, exactly those of the device.
inline Result<void> check_manifest(const Manifest& manifest, const Dataset& set, Index index) {
  const auto bad = [](const auto&... parts) {
    return failure(ErrorCode::data, "manifest: ", parts...);
  };
  if (index < 0 || index >= static_cast<Index>(manifest.devices.size()))
    return bad("has no device ", index, ", only 0 to ", manifest.devices.size() - 1);
  if (manifest.dataset != set.name)
    return bad("is for dataset ", manifest.dataset, ", given ", set.name);
  if (manifest.file_sha256 != set.sha256)
    return bad("file_sha256 is ", manifest.file_sha256, ", the files of ", set.name, " have ",
               set.sha256);
  if (manifest.total() != set.full_size)
    return bad("used and unused make ", manifest.total(), " samples, the set has ", set.full_size);
  const std::vector<Index>& indices = manifest.devices[static_cast<std::size_t>(index)];
  const bool whole = set.size() == set.full_size;
  if (!whole && set.size() != static_cast<Index>(indices.size()))
    return bad("device ", index, " has ", indices.size(), " samples, given ", set.size());
  std::vector<Label> labels;
  for (std::size_t i = 0; i < indices.size(); ++i)
    labels.push_back(set.labels[whole ? static_cast<std::size_t>(indices[i]) : i]);
  if (class_counts(labels, set.classes) != manifest.counts[static_cast<std::size_t>(index)])
    return bad("device ", index, ": counts do not match the labels of its samples");
  return {};
}

}  // namespace data
IOTSL_NAMESPACE_END
