#pragma once
// Whether a generator file is one for a device, and how large it may be.

#include "iotsl/data/count_table.hpp"
#include "iotsl/data/source.hpp"
#include "iotsl/generators/generator_file.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

/// Most bytes that a generator file of these settings has: its numbers, card and container.
inline std::size_t generator_file_limit(const GeneratorSettings& settings,
                                        const ImageSpec& images) {
  const std::size_t beside = (64 << 10) + 512 * static_cast<std::size_t>(images.classes);
  if (settings.kind == GeneratorKind::moments) {
    const Index held = images.classes, inputs = moments::head_inputs(images);
    const Index sums = moments::moment_count(moments::coef_shape(settings.moments, images), held);
    return static_cast<std::size_t>(9 * sums + 2 * (inputs + held * inputs)) + beside;
  }
  const Index parameters = lay_out(gan::generator_spec(settings.net, images)).cost().parameters;
  return 4 * static_cast<std::size_t>(parameters) + beside;
}

/// Whether a generator is one for these images, and for these samples per class: it must not have
/// seen a class that its device does not hold.
inline Result<void> check_generator_fits(const GeneratorFile& file, const ImageSpec& images,
                                         const std::vector<std::uint64_t>& label_counts) {
  const ImageSpec& made = file.generator.images();
  if (!(made == images))
    return failure(ErrorCode::usage, "the generator makes images of ", made.channels, "x",
                   made.height, "x", made.width, " in ", made.classes, " classes, the run's are ",
                   images.channels, "x", images.height, "x", images.width, " in ", images.classes);
  const std::vector<std::uint64_t>& trained = file.card.label_counts;
  if (trained.size() != label_counts.size())
    return failure(ErrorCode::usage, "the generator's card counts ", trained.size(),
                   " classes, the run has ", label_counts.size());
  bool any = false;
  for (std::size_t c = 0; c < trained.size(); ++c) {
    if (trained[c] > static_cast<std::uint64_t>(data::max_class_count))
      return failure(ErrorCode::usage, "the generator's card counts ", trained[c],
                     " samples of class ", c, ", expected 0 to ", data::max_class_count);
    any = any || trained[c] != 0;
    if (trained[c] != 0 && label_counts[c] == 0)
      return failure(ErrorCode::usage, "the generator was trained on ", trained[c],
                     " samples of class ", c, ", of which its device holds none");
  }
  if (!any) return failure(ErrorCode::usage, "the generator's card counts no samples");
  return {};
}

/// Whether a generator was trained on the run's set and on its classes, by their names: with others
/// it would teach that a cat is a rose. `class_names` empty: those that the set's name says.
inline Result<void> check_generator_origin(const GeneratorCard& card, const std::string& dataset,
                                           const std::vector<std::string>& class_names) {
  const char* const anyway = "; --foreign-generators takes it all the same";
  const auto name = [](const std::string& set, const std::vector<std::string>& names, Index c) {
    const auto i = static_cast<std::size_t>(c);  // a file may have more classes than the run
    return i < names.size() ? names[i] : data::class_name(set, c);
  };
  for (Index c = 0; c < card.images.classes; ++c) {
    const std::string its = name(card.dataset, card.class_names, c),
                      ours = name(dataset, class_names, c);
    if (its != ours)
      return failure(ErrorCode::usage, "the generator was trained on '", card.dataset,
                     "', whose class ", c, " is '", its, "'; in this run it is '", ours, "'",
                     anyway);
  }
  if (card.dataset != dataset)
    return failure(ErrorCode::usage, "the generator was trained on '", card.dataset,
                   "', the run's data set is '", dataset, "'", anyway);
  return {};
}

/// What is worth knowing of a generator that was not trained in this run: its data set or its
/// samples per class are others than those of the device. Empty where there is nothing.
inline std::string generator_differences(const GeneratorCard& card, const std::string& dataset,
                                         const std::vector<std::uint64_t>& label_counts) {
  std::string out;
  if (card.dataset != dataset)
    out = concat("was trained on ", card.dataset, ", its device holds ", dataset);
  if (card.label_counts == label_counts) return out;
  const auto list = [](const std::vector<std::uint64_t>& counts) {
    std::string text;
    for (const std::uint64_t count : counts) text += concat(text.empty() ? "" : " ", count);
    return text;
  };
  return concat(out.empty() ? "" : out + "; ", "was trained on other samples: per class ",
                list(card.label_counts), ", its device holds ", list(label_counts));
}

}  // namespace generators
IOTSL_NAMESPACE_END
