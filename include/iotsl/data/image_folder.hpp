#pragma once
// Lists of image files with their classes, and the set that a folder tree makes. Nothing is decoded
// here: that needs an image library, which only the host tool has.
//
//   DIR/train/<class>/*.png|jpg|jpeg and DIR/test/<class>/...     or     DIR/<class>/...

#include <dirent.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "iotsl/core/file.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

struct ImageFile {
  std::string path;
  Label label = 0;
};

/// The files of both parts of a set.
struct ImageList {
  std::string name;
  std::vector<std::string> class_names;
  std::vector<ImageFile> train, test;

  const std::vector<ImageFile>& part(Split split) const {
    return split == Split::train ? train : test;
  }
};

/// How images without a test part of their own are divided.
struct HeldOut {
  double test_fraction = 0.2;  ///< of each class, rounded down, at least one image
  std::uint64_t seed = 1;
};

namespace detail {

/// Rounds of training stay below 2^31, so these draws are their own.
inline constexpr std::uint32_t held_out_step = 0xF0000000u;  // and one more per class
inline constexpr std::uint32_t celeba_step = 0xF8000000u;    // and one more per class

struct FolderEntries {
  std::vector<std::string> folders, files;  ///< sorted by their bytes
};

/// What a folder holds; names that begin with a dot are left out.
inline Result<FolderEntries> list_folder(const std::string& path) {
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr)
    return iotsl::detail::file_failure(ErrorCode::data, path, "cannot open folder", errno);
  FolderEntries out;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name.empty() || name[0] == '.') continue;
    (folder_exists(join_path(path, name)) ? out.folders : out.files).push_back(name);
  }
  ::closedir(folder);
  std::sort(out.folders.begin(), out.folders.end());
  std::sort(out.files.begin(), out.files.end());
  return out;
}

inline bool has_image_name(std::string_view name) {
  std::string lower(name);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower.ends_with(".png") || lower.ends_with(".jpg") || lower.ends_with(".jpeg");
}

/// Images of every class of one tree, in the order of their names.
struct ClassTree {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> files;  ///< per class
};

inline Result<ClassTree> list_classes(const std::string& path) {
  auto top = list_folder(path);
  if (!top) return top.failure();
  if (top->folders.empty())
    return failure(ErrorCode::data, path, ": no class folders; expected ", path,
                   "/<class>/*.png or .jpg");
  if (static_cast<Index>(top->folders.size()) > max_classes)
    return failure(ErrorCode::data, path, ": ", top->folders.size(), " class folders, limit is ",
                   max_classes);
  ClassTree out;
  for (const std::string& name : top->folders) {
    const std::string folder = join_path(path, name);
    // The name goes into files and onto terminals.
    for (const char letter : name)
      if (static_cast<unsigned char>(letter) < 32 || letter == 127)
        return failure(ErrorCode::data, path, ": class folder '", name,
                       "' has a control character in its name");
    const auto inside = list_folder(folder);
    if (!inside) return inside.failure();
    if (!inside->folders.empty())
      return failure(ErrorCode::data, join_path(folder, inside->folders[0]),
                     ": is a folder; expected only images in a class folder");
    std::vector<std::string> files;
    for (const std::string& file : inside->files) {
      if (!has_image_name(file))
        return failure(ErrorCode::data, join_path(folder, file),
                       ": not an image by its name; expected .png, .jpg or .jpeg");
      files.push_back(join_path(folder, file));
    }
    if (files.empty())
      return failure(ErrorCode::data, folder,
                     ": no images; expected .png, .jpg or .jpeg files in every class folder");
    out.files.push_back(std::move(files));
  }
  out.names = std::move(top->folders);
  return out;
}

inline void append_class(std::vector<ImageFile>& out, std::span<const std::string> files,
                         std::size_t label) {
  for (const std::string& path : files) out.push_back({path, static_cast<Label>(label)});
}

}  // namespace detail

/// Lists an image folder. Class numbers follow the sorted names. Without train/ and test/ a part of
/// each class is held out: the files, sorted, are put in an order that the seed draws, and the
/// first ones are for testing.
inline Result<ImageList> list_image_folder(const std::string& path, const HeldOut& held_out = {}) {
  const bool train = folder_exists(join_path(path, "train"));
  const bool test = folder_exists(join_path(path, "test"));
  ImageList out;
  out.name = "images";
  if (train != test)
    return failure(ErrorCode::data, path, ": has ", train ? "train" : "test", "/ but no ",
                   train ? "test" : "train",
                   "/; expected both, or class folders alone, of which a part is held out");
  if (train) {
    auto first = detail::list_classes(join_path(path, "train"));
    if (!first) return first.failure();
    const auto second = detail::list_classes(join_path(path, "test"));
    if (!second) return second.failure();
    for (const bool forward : {true, false}) {
      const std::vector<std::string>& names = forward ? first->names : second->names;
      const std::vector<std::string>& others = forward ? second->names : first->names;
      for (const std::string& name : names)
        if (!std::binary_search(others.begin(), others.end(), name))
          return failure(ErrorCode::data, path, ": class '", name, "' is in ",
                         forward ? "train/ but not in test/" : "test/ but not in train/");
    }
    for (std::size_t c = 0; c < first->files.size(); ++c) {
      detail::append_class(out.train, first->files[c], c);
      detail::append_class(out.test, second->files[c], c);
    }
    out.class_names = std::move(first->names);
    return out;
  }
  if (!(held_out.test_fraction > 0 && held_out.test_fraction < 1))
    return failure(ErrorCode::usage, "--test-fraction ", held_out.test_fraction,
                   ": expected more than 0 and less than 1");
  auto tree = detail::list_classes(path);
  if (!tree) return tree.failure();
  for (std::size_t c = 0; c < tree->files.size(); ++c) {
    std::vector<std::string>& files = tree->files[c];
    const std::size_t count = files.size();
    if (count < 2)
      return failure(ErrorCode::data, join_path(path, tree->names[c]),
                     ": 1 image; expected at least 2, one to train and one to test");
    const auto wanted =
        static_cast<std::size_t>(std::floor(held_out.test_fraction * static_cast<double>(count)));
    const std::size_t tested = std::clamp<std::size_t>(wanted, 1, count - 1);
    shuffle_values(std::span(files), Random(held_out.seed, Stream::shuffle,
                                            detail::held_out_step + static_cast<std::uint32_t>(c)));
    const auto border = files.begin() + static_cast<std::ptrdiff_t>(tested);
    std::sort(files.begin(), border);
    std::sort(border, files.end());
    detail::append_class(out.test, std::span(files).first(tested), c);
    detail::append_class(out.train, std::span(files).subspan(tested), c);
  }
  out.class_names = std::move(tree->names);
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
