#include "host/experiment/report/samples.hpp"

#include "host/images/image_grid.hpp"
#include "host/report/generator_report.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/gan/sample.hpp"
#include "iotsl/split/records/preparation_record.hpp"

namespace iotsl::tool {
namespace {

/// Which classes have failed the check; of many how many.
std::string failed_text(const split::PreparationRecord& p) {
  constexpr std::size_t most_named = 8;
  const std::size_t count = p.struck.size() + p.used_though_failed.size();
  if (count == 0) return "";
  if (count <= most_named)
    return concat(" Classes that failed the check: ",
                  impute::format_failed_classes(p.struck, p.used_though_failed), ".");
  return concat(" Classes that failed the check: ", p.struck.size(),
                " are not used, since another device's is better, and ",
                p.used_though_failed.size(),
                " are used although they failed, since nobody's is better.");
}

/// " (0, 1, ...)" in the order of the columns.
std::string column_names(const generators::GeneratorCard& card) {
  std::string out;
  for (Index label = 0; label < card.images.classes; ++label)
    out += concat(label == 0 ? "" : ", ", class_name(card, label));
  return out;
}

}  // namespace

std::optional<SamplePicture> picture_of_samples(const FinishedRun& run) {
  if (!run.preparation) return std::nullopt;
  const std::vector<split::GeneratorRecord>& records = run.preparation->generators;
  constexpr Index rows_each = 2;
  Index zoom = 2;
  std::optional<ImageGrid> grid;
  std::string columns;
  SamplePicture out;
  double accuracy = 0, checked = 0;
  for (std::size_t device = 0; device < records.size(); ++device) {
    const std::string path =
        join_path(join_path(run.folder, split::generator_folder), split::generator_name(device));
    const generators::GeneratorFile file = expect(generators::load_generator(path));
    const ImageSpec& images = file.card.images;
    if (!grid) {
      if (images.width > 48) zoom = 1;
      columns = column_names(file.card);
      grid.emplace(images.channels, ImageSize{images.height, images.width},
                   rows_each * static_cast<Index>(records.size()), images.classes, zoom);
      for (std::size_t d = 1; d < records.size(); ++d)
        grid->begin_group(rows_each * static_cast<Index>(d));
      out.width = static_cast<int>(images.classes * (images.width * zoom + 2) + 2);
    }
    for (const Index label : trained_classes(file.card)) {
      data::Dataset made = gan::empty_set("generated", images);
      file.append(made, label, rows_each, run.seed);
      for (Index i = 0; i < rows_each; ++i)
        grid->put(rows_each * static_cast<Index>(device) + i, label, made.sample(i));
    }
    if (!records[device].checked) continue;
    accuracy += records[device].accuracy;
    ++checked;
  }
  if (!grid) return std::nullopt;
  out.png = grid->png();
  char known[160];
  if (checked > 0)
    std::snprintf(known, sizeof known,
                  "A classifier trained on a device's generated images knows %.1f %% of its "
                  "held-out real ones, on average.",
                  100 * accuracy / checked);
  else
    std::snprintf(known, sizeof known, "Their quality was not checked.");
  out.caption =
      concat(run.curve->label, ", seed ", run.seed, ": a pair of rows for each of ", records.size(),
             " devices, a column for each class (", columns, "). ", known);
  out.caption += failed_text(*run.preparation);
  return out;
}

}  // namespace iotsl::tool
