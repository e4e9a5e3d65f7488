#pragma once
// JSON files of a run folder or an experiment.

#include "host/commands/command.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/json.hpp"

namespace iotsl::tool {

/// The object in a file; ends the command where there is none, and names the file.
inline Json read_json_object(const std::string& path) {
  Result<Json> json = parse_json(expect(read_text_file(path)));
  if (!json) fail_command(ErrorCode::data, path, ": ", json.failure().message);
  if (!json->is_object()) fail_command(ErrorCode::data, path, ": is not an object");
  return std::move(json).value();
}

/// Writes a JSON file; it appears when it is whole.
inline Result<void> write_json(const std::string& path, const Json& json) {
  return write_file_atomic(path, to_text(json, 2) + "\n");
}

}  // namespace iotsl::tool
