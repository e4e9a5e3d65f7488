#include "host/files/run_inputs.hpp"

#include <cstdio>

#include "host/files/json_file.hpp"
#include "host/report/run_report.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/hash.hpp"
#include "iotsl/split/records/preparation_record.hpp"

namespace iotsl::tool {
namespace {

/// SHA-256 of each generator of --generators, by its file's name; where there is none, empty.
Json generator_hashes(const RunOptions& o) {
  Json out = Json::object();
  if (!has_generators(o.method) || o.preparation.generators.empty()) return out;
  for (Index d = 0; d < o.data.devices; ++d) {
    const std::string name = split::generator_name(static_cast<std::size_t>(d));
    const auto bytes = read_file(join_path(o.preparation.generators, name));
    if (bytes) out[name] = sha256_hex(*bytes);
  }
  return out;
}

std::string manifest_hash(const data::Manifest& manifest) {
  if (manifest.devices.empty()) return {};
  return sha256_hex(bytes_of(std::string_view(to_text(to_json(manifest)))));
}

Json inputs_of(const RunOptions& options, const RunData& data, const data::Manifest& manifest) {
  Json out = Json::object();
  out["train_sha256"] = data.train.sha256;
  out["test_sha256"] = data.test.sha256;
  out["manifest_sha256"] = manifest_hash(manifest);
  out["generators"] = generator_hashes(options);
  out["options"] = to_json(options);
  return out;
}

[[noreturn]] void refuse_changed(const RunOptions& o, const std::string& what) {
  fail_command(ErrorCode::data, "--resume ", o.resume, ": ", what,
               " since the run began; it would be another run");
}

void check_hash(const RunOptions& o, const Json& before, const Json& now, const char* key,
                const std::string& what) {
  const Json *was = before.find(key), *is = now.find(key);
  if (was != nullptr && is != nullptr && !(*was == *is)) refuse_changed(o, what + " changed");
}

void check_options(const RunOptions& o, const Json& before, const Json& now) {
  const auto text = [](const Json* value) {
    return value == nullptr ? std::string("not given") : to_text(*value);
  };
  for (const Json* list : {&before, &now})
    for (const JsonMember& member : list->as_object()) {
      if (may_change_on_resume(member.key)) continue;
      if (o.adds_epochs && member.key == "added-epochs") continue;
      const Json *was = before.find(member.key), *is = now.find(member.key);
      if (was != nullptr && is != nullptr && *was == *is) continue;
      refuse_changed(o, concat("config.json: ", member.key, " has changed from ", text(was), " to ",
                               text(is)));
    }
}

}  // namespace

void write_run_description(const std::string& folder, const RunOptions& options,
                           const RunData& data, const data::Manifest& manifest) {
  const auto write = [&](std::string_view name, const Json& json) {
    expect(write_json(join_path(folder, name), json));
  };
  write("config.json", to_json(options));
  write(model_card_name, to_json(card_of(options)));
  if (!manifest.devices.empty())
    expect(data::save_manifest(join_path(folder, "manifest.json"), manifest));
  write(run_inputs_name, inputs_of(options, data, manifest));
}

void check_run_inputs(const RunOptions& options, const RunData& data,
                      const data::Manifest& manifest) {
  if (options.resume.empty()) return;
  const std::string path = join_path(options.resume, run_inputs_name);
  if (!file_exists(path)) {
    if (!manifest.devices.empty() && manifest.file_sha256 != data.train.sha256)
      refuse_changed(options, "the training images have changed");
    std::fprintf(stderr,
                 "note: %s is not there: whether test images and options have changed, "
                 "nobody knows\n",
                 path.c_str());
    return;
  }
  const Json before = read_json_object(path);
  // As a file has it: there 1.0 may stand as 1.
  const Json now = expect(parse_json(to_text(inputs_of(options, data, manifest))));
  const std::string set = data.train.path.empty() ? data.train.name : data.train.path;
  check_hash(options, before, now, "train_sha256", concat("the training images (", set, ") have"));
  const std::string test = data.test.path.empty() ? data.test.name : data.test.path;
  check_hash(options, before, now, "test_sha256", concat("the test images (", test, ") have"));
  check_hash(options, before, now, "manifest_sha256", "manifest.json has");
  if (const Json* was = before.find("generators"), *is = now.find("generators"); was != nullptr)
    for (const JsonMember& member : was->as_object())
      check_hash(options, *was, *is, member.key.c_str(),
                 concat(join_path(options.preparation.generators, member.key), " has"));
  if (const Json* was = before.find("options"); was != nullptr)
    check_options(options, *was, *now.find("options"));
}

void rewrite_run_options(const RunOptions& options) {
  const std::string path = join_path(options.resume, run_inputs_name);
  if (file_exists(path)) {
    Json inputs = read_json_object(path);
    inputs["options"] = to_json(options);
    expect(write_json(path, inputs));
  }
  expect(write_json(join_path(options.resume, "config.json"), to_json(options)));
}

}  // namespace iotsl::tool
