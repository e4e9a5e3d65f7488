#pragma once
// The file of a training that is stopped: a record as JSON, the tensors, and what else there is.

#include "iotsl/core/files/container.hpp"
#include "iotsl/core/json/fields.hpp"
#include "iotsl/core/json/parse.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {
namespace detail {

/// Everything of a state but its record, in order: `extra` comes after the tensors.
IOTSL_SMALL inline std::vector<Section> state_sections(
    const std::vector<NamedTensor<float>>& tensors, const std::vector<Section>& extra) {
  std::vector<Section> out;
  for (const NamedTensor<float>& t : tensors)
    out.push_back(
        {t.name, iotsl::bytes_of(t.tensor.data(), static_cast<std::size_t>(t.tensor.size()))});
  for (const Section& each : extra) out.push_back(each);
  return out;
}

}  // namespace detail

/// Writes the whole state atomically; `record` is JSON with the fingerprint `training`.
IOTSL_SMALL inline Result<void> save_training(const std::string& path, const char* kind,
                                              const std::string& record,
                                              const std::vector<NamedTensor<float>>& tensors,
                                              const std::vector<Section>& extra = {},
                                              mode_t mode = 0666) {
  std::vector<Section> sections{{"record", iotsl::bytes_of(std::string_view(record))}};
  for (const Section& each : detail::state_sections(tensors, extra)) sections.push_back(each);
  return save_container(path, kind, sections, mode);
}

/// A state that was read and found to fit, and is not taken over yet.
class SavedTraining {
 public:
  /// The file has to hold `tensors`, then sections with names and sizes of `extra`.
  IOTSL_SMALL static Result<SavedTraining> read(const std::string& path, const char* kind,
                                                const std::vector<NamedTensor<float>>& tensors,
                                                const std::vector<Section>& extra = {}) {
    Result<Container> file = load_container(path, kind);
    if (!file) return file.failure();
    SavedTraining out;
    out.file_ = std::move(file).value();
    out.expected_ = detail::state_sections(tensors, extra);
    out.path_ = path;
    return out;
  }

  /// The record as a struct, where it is that of the training with this fingerprint and all the
  /// rest fits.
  template <class Record>
  IOTSL_SMALL Result<Record> checked(const std::string& training) const {
    const Result<ByteSpan> text = file_.section("record");
    const Result<Json> json = text ? parse_json(text_of(*text)) : Result<Json>(text.failure());
    Result<Record> found = json ? parse_json_fields<Record>(*json) : Result<Record>(json.failure());
    if (!found) return failure(ErrorCode::data, path_, ": ", found.failure().message);
    const Result<void> good = check(found->training == training);
    if (!good) return good.failure();
    return found;
  }

  IOTSL_SMALL void copy_to(const std::vector<NamedTensor<float>>& tensors) const {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      Tensor<float> values = tensors[i].tensor;
      const ByteSpan bytes = file_.sections[i + 1].bytes;
      std::memcpy(values.mutable_data(), bytes.data(), bytes.size());
    }
  }
  /// A section of `extra`.
  ByteSpan extra(const char* name) const { return file_.section(name).value(); }

 private:
  IOTSL_SMALL Result<void> check(bool same_training) const {
    const auto wrong = [this](const auto&... parts) {
      return failure(ErrorCode::data, path_, ": ", parts...);
    };
    if (!same_training)
      return wrong("is the state of another training (settings, seed, device or samples differ)");
    if (file_.sections.size() != expected_.size() + 1)
      return wrong(file_.sections.size() - 1, " tensors, expected ", expected_.size());
    for (std::size_t i = 0; i < expected_.size(); ++i) {
      const Section& found = file_.sections[i + 1];
      if (found.name != expected_[i].name || found.bytes.size() != expected_[i].bytes.size())
        return wrong("tensor '", found.name, "' of ", found.bytes.size(), " bytes, expected '",
                     expected_[i].name, "' of ", expected_[i].bytes.size());
    }
    return {};
  }

  Container file_;
  std::vector<Section> expected_;
  std::string path_;
};

}  // namespace gan
IOTSL_NAMESPACE_END
