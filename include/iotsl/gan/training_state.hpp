#pragma once
// The file of a training that is stopped: a record as JSON, the tensors, and what else there is.

#include "iotsl/core/container.hpp"
#include "iotsl/core/json_fields.hpp"
#include "iotsl/core/json_parse.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Writes the whole state atomically. `extra` comes after the tensors.
template <class Record>
Result<void> save_training(const std::string& path, const char* kind, const Record& record,
                           const std::vector<NamedTensor<float>>& tensors,
                           const std::vector<Section>& extra = {}, mode_t mode = 0666) {
  const std::string text = to_text(to_json_fields(record));
  std::vector<Section> sections{{"record", iotsl::bytes_of(std::string_view(text))}};
  for (const NamedTensor<float>& t : tensors)
    sections.push_back(
        {t.name, iotsl::bytes_of(t.tensor.data(), static_cast<std::size_t>(t.tensor.size()))});
  sections.insert(sections.end(), extra.begin(), extra.end());
  return save_container(path, kind, sections, mode);
}

/// A state that was read and found to fit, and is not taken over yet.
template <class Record>
class SavedTraining {
 public:
  Record record;

  /// `training` is what record.training has to be; `tensors` and the sizes of `extra` what the file
  /// has to hold.
  static Result<SavedTraining> read(const std::string& path, const char* kind,
                                    const std::string& training,
                                    const std::vector<NamedTensor<float>>& tensors,
                                    const std::vector<Section>& extra = {}) {
    Result<Container> file = load_container(path, kind);
    if (!file) return file.failure();
    SavedTraining out;
    out.file_ = std::move(file).value();
    if (const Result<void> good = out.check(training, tensors, extra); !good)
      return failure(good.failure().code, path, ": ", good.failure().message);
    return out;
  }

  void copy_to(const std::vector<NamedTensor<float>>& tensors) const {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      Tensor<float> values = tensors[i].tensor;
      const ByteSpan bytes = file_.sections[i + 1].bytes;
      std::memcpy(values.mutable_data(), bytes.data(), bytes.size());
    }
  }
  /// A section of `extra`.
  ByteSpan extra(const char* name) const { return file_.section(name).value(); }

 private:
  Result<void> check(const std::string& training, const std::vector<NamedTensor<float>>& tensors,
                     const std::vector<Section>& extra) {
    const auto wrong = [](const auto&... parts) { return failure(ErrorCode::data, parts...); };
    const Result<ByteSpan> text = file_.section("record");
    if (!text) return text.failure();
    const Result<Json> json = parse_json(text_of(*text));
    if (!json) return wrong(json.failure().message);
    const Result<Record> found = parse_json_fields<Record>(*json);
    if (!found) return wrong(found.failure().message);
    if (found->training != training)
      return wrong("is the state of another training (settings, seed, device or samples differ)");
    record = *found;
    const std::size_t expected = tensors.size() + extra.size();
    if (file_.sections.size() != expected + 1)
      return wrong(file_.sections.size() - 1, " tensors, expected ", expected);
    const auto fits = [&](std::size_t i, const std::string& name, std::size_t bytes) {
      const Section& section = file_.sections[i + 1];
      return section.name == name && section.bytes.size() == bytes
                 ? Result<void>()
                 : wrong("tensor '", section.name, "' of ", section.bytes.size(),
                         " bytes, expected '", name, "' of ", bytes);
    };
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (const Result<void> good =
              fits(i, tensors[i].name,
                   sizeof(float) * static_cast<std::size_t>(tensors[i].tensor.size()));
          !good)
        return good;
    for (std::size_t i = 0; i < extra.size(); ++i)
      if (const Result<void> good = fits(tensors.size() + i, extra[i].name, extra[i].bytes.size());
          !good)
        return good;
    return {};
  }

  Container file_;
};

}  // namespace gan
IOTSL_NAMESPACE_END
