#pragma once
// What holds of every record that is read as JSON.

#include "fuzz/fuzz.hpp"
#include "iotsl/core/json/fields.hpp"

namespace iotsl::fuzz {

/// A record that was accepted is one that can be written, and what is written is read as the same.
/// The writer raises an Error where a number does not fit.
template <class S>
void check_record(const S& record) {
  const Json written = to_json_fields(record);
  const Json read = expect(parse_json(to_text(written)), "what is written is no JSON");
  require(read == written, "a record changes in its text");
  const S again = expect(parse_json_fields<S>(read), "what is written is refused");
  require(to_json_fields(again) == written, "a record changes when it is written and read");
}
/// The record in a text; none where it is refused.
template <class S>
void check_record_text(ByteSpan text) {
  const Result<Json> json = parse_json(text_of(text));
  if (!json) return;
  const Result<S> record = parse_json_fields<S>(*json);
  if (record) check_record(*record);
}
template <class S>
Bytes record_seed(const S& record) {
  return bytes_from(to_text(to_json_fields(record)));
}

}  // namespace iotsl::fuzz
