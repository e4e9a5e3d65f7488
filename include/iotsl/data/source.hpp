#pragma once
// Finds a set by its name: in the folder of --data, else of $IOTSL_DATA, else in ./data; the
// built-in digits need no file. Image folders and CelebA are packed by the host tool first.

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "iotsl/data/glyphs.hpp"
#include "iotsl/data/packed.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// Names that load_dataset takes.
inline constexpr std::array<std::string_view, 4> dataset_names = {"mnist", "fashion-mnist",
                                                                  "glyphs", "packed"};

namespace detail {

/// The folder of --data, else of $IOTSL_DATA, else ./data.
inline std::string data_root(const std::string& data) {
  if (!data.empty()) return data;
  const char* variable = std::getenv("IOTSL_DATA");
  return variable != nullptr && *variable != '\0' ? variable : "data";
}

/// Folders in which a set may lie. A folder that bears another set's name is left out: the files of
/// MNIST and Fashion-MNIST have the same names.
inline std::vector<std::string> dataset_folders(std::string_view name, const std::string& data) {
  const std::string root = data_root(data);
  std::vector<std::string> out{join_path(root, name)};
  const std::string_view last = last_component(root);
  bool foreign = false;
  for (const std::string_view other : dataset_names) foreign |= last == other && other != name;
  if (!foreign) out.push_back(root);
  // As torchvision lays them down.
  const char* inner = name == "mnist"           ? "MNIST/raw"
                      : name == "fashion-mnist" ? "FashionMNIST/raw"
                                                : "";
  for (const char* place : {inner, "raw"})
    if (std::string raw = join_path(root, place); *place != '\0' && folder_exists(raw))
      out.push_back(std::move(raw));
  return out;
}

/// The file of that name in the folder, raw or packed; empty where there is neither. 7-Zip and
/// Kaggle write ".idx" for "-idx", or put the file into a folder of its name.
inline std::string find_idx(const std::string& folder, std::string_view name) {
  for (int form = 0; form < 8; ++form) {
    std::string path(name);
    if (const std::size_t at = path.find("-idx"); (form & 2) != 0 && at != path.npos)
      path[at] = '.';
    if ((form & 4) != 0) path = join_path(path, path);
    path = join_path(folder, path);
    if ((form & 1) != 0) path += ".gz";
    if (file_exists(path)) return path;
  }
  return {};
}

/// The two files of a part, and how they are named.
struct IdxPair {
  std::string images, labels;
};

inline Result<IdxPair> find_idx_pair(std::string_view name, const std::vector<std::string>& folders,
                                     const std::string& images, const std::string& labels) {
  std::string tried;
  for (const std::string& folder : folders) {
    IdxPair out{find_idx(folder, images), find_idx(folder, labels)};
    if (!out.images.empty() && !out.labels.empty()) return out;
    tried += concat(tried.empty() ? "" : ", ", folder);
    if (out.images.empty() != out.labels.empty())
      tried += concat(" (has ", out.images.empty() ? out.labels : out.images, " only)");
  }
  return failure(ErrorCode::data, name, ": no ", images, "[.gz] with ", labels, "[.gz] in ", tried,
                 "; give --data DIR or set IOTSL_DATA");
}

inline Result<Dataset> find_packed(const std::string& data, Split split,
                                   const std::vector<Index>* keep, bool pixels) {
  std::string tried;
  for (const std::string& folder : dataset_folders("packed", data)) {
    if (file_exists(join_path(folder, pack_card_name)))
      return load_packed(folder, split, keep, pixels);
    tried += concat(tried.empty() ? "" : ", ", folder);
  }
  return failure(ErrorCode::data, "packed: no ", pack_card_name, " in ", tried,
                 "; give --data DIR, a folder that iotsl data pack has written");
}

}  // namespace detail

/// Loads one part of a set. `data` is the folder of --data, empty where the option was not given:
/// the folder with the files, or its parent. `keep`, if not null, lists the samples to keep,
/// ascending; without `pixels` only the labels are kept. Where nothing is found the failure lists
/// the places that were looked at.
inline Result<Dataset> load_dataset(std::string_view name, const std::string& data, Split split,
                                    const std::vector<Index>* keep = nullptr, bool pixels = true) {
  if (name == "packed") return detail::find_packed(data, split, keep, pixels);
  if (name == "glyphs") {
    const Index count = split == Split::train ? glyph_train_count : glyph_test_count;
    if (keep != nullptr)
      for (const Index i : *keep)
        if (i < 0 || i >= count)
          return failure(ErrorCode::data, "glyphs: sample ", i, " of ", count);
    Dataset out = make_glyphs(split, count, 1, keep, pixels);
    out.sha256 = glyph_sha256(split);
    return out;
  }
  if (std::find(dataset_names.begin(), dataset_names.end(), name) == dataset_names.end())
    return failure(
        ErrorCode::usage, "--dataset ", name,
        ": expected mnist, fashion-mnist, glyphs or packed (image files are decoded on the "
        "host: iotsl data pack)");

  const std::string prefix = split == Split::train ? "train" : "t10k";
  const auto files =
      detail::find_idx_pair(name, detail::dataset_folders(name, data),
                            prefix + "-images-idx3-ubyte", prefix + "-labels-idx1-ubyte");
  if (!files)
    return failure(ErrorCode::data, files.failure().message,
                   ", or get the files with data/fetch.sh");
  auto loaded = load_idx(files->images, files->labels, 10, IdxRead{.keep = keep, .pixels = pixels});
  if (loaded) loaded->name = name;
  return loaded;
}

}  // namespace data
IOTSL_NAMESPACE_END
