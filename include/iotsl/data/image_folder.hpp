#pragma once
// Lists of image files with their classes, and the set that a folder tree makes. Nothing is decoded
// here: that needs an image library, which only the host tool has.
//
//   DIR/train/<class>/*.png|jpg and DIR/test/<class>/...     or     DIR/<class>/...
//
// train/ and test/ may be called as other programs and collections call them, and lie in a folder
// of their own.

#include <dirent.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/files/file_kind.hpp"
#include "iotsl/core/text.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

struct ImageFile {
  std::string path;
  Label label = 0;
};

/// A file that cannot be used, and why not.
struct BadFile {
  std::string path, why;
};

/// The files of both parts of a set.
struct ImageList {
  std::string name;
  std::vector<std::string> class_names;
  std::vector<ImageFile> train, test;
  std::vector<BadFile> bad;  ///< what stands among the images and is none; not in train and test
  std::vector<std::string> notes;  ///< what was left aside, for the user to know

  const std::vector<ImageFile>& part(Split split) const {
    return split == Split::train ? train : test;
  }
};

/// How images without a test part of their own are divided.
struct HeldOut {
  double test_fraction = 0.2;  ///< of each class, rounded down, at least one image
  std::uint64_t seed = 1;
};

/// Writes a text in the one form of all that look the same: an accented letter is one character or
/// a letter and a mark, and file systems keep either. The tables for it (Unicode's form NFC) are in
/// libraries that only the host tool has.
using NameForm = std::string (*)(const std::string& name);

namespace detail {

/// Rounds of training stay below 2^31, so these draws are their own.
inline constexpr std::uint32_t held_out_step = 0xF0000000u;  // and one more per class
inline constexpr std::uint32_t celeba_step = 0xF8000000u;    // and one more per class

struct FolderEntries {
  std::vector<std::string> folders, files;  ///< sorted by their bytes
};

inline std::string lower_case(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// What desktops and archives put beside everybody's files.
inline bool is_system_file(std::string_view name) {
  if (name.empty() || name[0] == '.' || name == "Icon\r" || name[0] == '@') return true;
  const std::string lower = lower_case(name);
  for (const char* known : {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin",
                            "system volume information"})
    if (lower == known) return true;
  return false;
}

/// What a folder holds without what is_system_file knows.
inline Result<FolderEntries> list_folder(const std::string& path) {
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr)
    return iotsl::detail::file_failure(ErrorCode::data, path, "cannot open folder", errno);
  FolderEntries out;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (is_system_file(name)) continue;
    (folder_exists(join_path(path, name)) ? out.folders : out.files).push_back(name);
  }
  ::closedir(folder);
  std::sort(out.folders.begin(), out.folders.end());
  std::sort(out.files.begin(), out.files.end());
  return out;
}

inline bool has_image_name(std::string_view name) {
  const std::string lower = lower_case(name);
  for (const char* ending : {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".pgm", ".ppm"})
    if (lower.ends_with(ending)) return true;
  return false;
}
inline constexpr const char* image_names = ".png, .jpg, .jpeg, .jfif, .bmp, .pgm or .ppm";
inline constexpr const char* image_formats = "PNG, JPEG, BMP, PGM or PPM";

/// Whether something is there that is neither file nor folder: who reads a pipe may wait for ever.
inline bool is_special_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

/// Why a file is no image, where its name or its kind tells; else empty. Of one that has no image's
/// name, what is in it.
inline std::string why_no_image(const std::string& path) {
  if (is_special_file(path)) return "is a pipe, a socket or a device; expected a file";
  if (has_image_name(path)) return {};
  const std::string begin = read_beginning(path);
  const std::string_view kind = foreign_kind(bytes_of(std::string_view(begin)));
  if (kind.empty()) return concat("not an image by its name; expected ", image_names);
  for (const std::string_view read_here : {"a PNG image", "a JPEG image", "a BMP image"})
    if (kind == read_here) return concat("is ", kind, ", not by its name; expected ", image_names);
  return concat("is ", kind, "; expected ", image_formats);
}

/// A class name goes into files, which are UTF-8, and onto terminals.
inline Result<void> check_class_name(const std::string& parent, const std::string& name) {
  if (!is_utf8(name))
    return failure(ErrorCode::data, parent, ": class folder '", escaped(name),
                   "' has a name that is not UTF-8; rename it");
  if (!is_printable(name))
    return failure(ErrorCode::data, parent, ": class folder '", escaped(name),
                   "' has a control character in its name");
  return {};
}

/// `text` with `\xNN` for every byte that is not ASCII: what a shell takes in $'...'.
inline std::string in_ascii(std::string_view text) {
  std::string out;
  for (const char& byte : text)
    if (static_cast<unsigned char>(byte) < 0x80)
      out.push_back(byte);
    else
      out += escaped(std::string_view(&byte, 1));
  return out;
}

struct ClassFolder {
  std::string name, folder;  ///< the class, and how its folder is called
};

/// Class folders in the order of the classes' names.
inline Result<std::vector<ClassFolder>> name_classes(const std::string& path,
                                                     const std::vector<std::string>& folders,
                                                     NameForm form) {
  std::vector<ClassFolder> out;
  for (const std::string& folder : folders) {
    if (const auto good = check_class_name(path, folder); !good) return good.failure();
    out.push_back({form == nullptr ? folder : form(folder), folder});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const ClassFolder& a, const ClassFolder& b) { return a.name < b.name; });
  for (std::size_t i = 1; i < out.size(); ++i)
    if (out[i - 1].name == out[i].name)
      return failure(ErrorCode::data, path, ": class folders '", in_ascii(out[i - 1].folder),
                     "' and '", in_ascii(out[i].folder), "' have the same name '", out[i].name,
                     "', written in two forms of Unicode; expected one folder for each class: "
                     "move the images of one into the other");
  return out;
}

/// Images of every class of one tree, in the order of their names.
struct ClassTree {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> files;  ///< per class; none where all of them are bad
  std::vector<BadFile> bad;
};

inline Result<ClassTree> list_classes(const std::string& path, NameForm form) {
  auto top = list_folder(path);
  if (!top) return top.failure();
  if (top->folders.empty()) {
    const auto images = std::count_if(top->files.begin(), top->files.end(), has_image_name);
    return failure(ErrorCode::data, path, ": no class folders",
                   images == 0 ? "" : concat(" but ", images, " images"), "; expected ", path,
                   "/<class>/ with images: ", image_names);
  }
  if (static_cast<Index>(top->folders.size()) > max_classes)
    return failure(ErrorCode::data, path, ": ", top->folders.size(), " class folders, limit is ",
                   max_classes);
  ClassTree out;
  auto classes = name_classes(path, top->folders, form);
  if (!classes) return classes.failure();
  for (ClassFolder& each : *classes) {
    const std::string folder = join_path(path, each.folder);
    const auto inside = list_folder(folder);
    if (!inside) return inside.failure();
    if (!inside->folders.empty())
      return failure(ErrorCode::data, join_path(folder, inside->folders[0]),
                     ": is a folder; expected only images in a class folder");
    std::vector<std::string> files;
    for (const std::string& file : inside->files)
      if (std::string why = why_no_image(join_path(folder, file)); why.empty())
        files.push_back(join_path(folder, file));
      else
        out.bad.push_back({join_path(folder, file), std::move(why)});
    if (inside->files.empty())
      return failure(ErrorCode::data, folder, ": no images; expected ", image_names,
                     " files in every class folder");
    out.files.push_back(std::move(files));
    out.names.push_back(std::move(each.name));
  }
  return out;
}

/// The parts that a folder may have, by the names that are in use for them.
enum class FolderPart { none, train, test, validation };

inline FolderPart part_of_name(std::string_view name) {
  std::string word;
  for (const char c : lower_case(name))
    if (c != '_' && c != '-' && c != ' ') word.push_back(c);
  if (word.starts_with("seg")) word.erase(0, 3);  // Kaggle's seg_train
  if (word.ends_with("set")) word.resize(word.size() - 3);
  if (word == "train" || word == "training") return FolderPart::train;
  if (word == "test" || word == "testing") return FolderPart::test;
  if (word == "val" || word == "valid" || word == "validation") return FolderPart::validation;
  return FolderPart::none;
}

/// Goes down while a folder holds one folder alone, and that one folders again: archives are
/// unpacked into a folder of their own, and some of Kaggle's hold train/train/.
inline Result<std::string> skip_wrappers(std::string path, bool into_parts) {
  for (int depth = 0; depth < 4; ++depth) {
    const auto outer = list_folder(path);
    if (!outer) return outer.failure();
    const bool part =
        !outer->folders.empty() && part_of_name(outer->folders[0]) != FolderPart::none;
    if (outer->folders.size() != 1 || (part && !into_parts) ||
        std::any_of(outer->files.begin(), outer->files.end(), has_image_name))
      break;
    const std::string inner = join_path(path, outer->folders[0]);
    const auto entries = list_folder(inner);
    if (!entries) return entries.failure();
    if (entries->folders.empty() ||
        std::any_of(entries->files.begin(), entries->files.end(), has_image_name))
      break;
    path = inner;
  }
  return path;
}

/// The folders of the parts; empty where there is none.
struct PartFolders {
  std::string train, test, validation;
};

inline Result<PartFolders> find_parts(const std::string& path) {
  const auto top = list_folder(path);
  if (!top) return top.failure();
  PartFolders out;
  for (const std::string& name : top->folders) {
    const FolderPart part = part_of_name(name);
    if (part == FolderPart::none) continue;
    std::string& place = part == FolderPart::train  ? out.train
                         : part == FolderPart::test ? out.test
                                                    : out.validation;
    if (!place.empty())
      return failure(ErrorCode::data, path, ": '", last_component(place), "' and '", name,
                     "' may both be meant; expected one of them");
    place = join_path(path, name);
  }
  return out;
}

inline void append_class(std::vector<ImageFile>& out, std::span<const std::string> files,
                         std::size_t label) {
  for (const std::string& path : files) out.push_back({path, static_cast<Label>(label)});
}

/// Both parts as they are.
inline Result<ImageList> list_parts(const std::string& path, const PartFolders& parts,
                                    NameForm form) {
  ImageList out;
  out.name = "images";
  std::string test = parts.test.empty() ? parts.validation : parts.test;
  if (parts.train.empty() || test.empty())
    return failure(ErrorCode::data, path, ": has ",
                   last_component(parts.train.empty() ? test : parts.train), "/ but no ",
                   parts.train.empty() ? "train" : "test",
                   "/; expected both, or class folders alone, of which a part is held out");
  const auto train_folder = skip_wrappers(parts.train, true);
  if (!train_folder) return train_folder.failure();
  auto first = list_classes(*train_folder, form);
  if (!first) return first.failure();
  auto test_folder = skip_wrappers(test, true);
  if (!test_folder) return test_folder.failure();
  if (!parts.test.empty() && !parts.validation.empty()) {
    // Competitions keep the classes of their test images to themselves.
    const auto inside = list_folder(*test_folder);
    if (!inside) return inside.failure();
    const bool labelled = !inside->folders.empty();
    out.notes.push_back(concat(labelled ? parts.validation : parts.test, ": not used, ",
                               labelled ? parts.test : parts.validation, " tests",
                               labelled ? "" : ", which has class folders"));
    if (!labelled) test_folder = skip_wrappers(test = parts.validation, true);
    if (!test_folder) return test_folder.failure();
  }
  auto second = list_classes(*test_folder, form);
  if (!second) return second.failure();
  for (const bool forward : {true, false}) {
    const std::vector<std::string>& names = forward ? first->names : second->names;
    const std::vector<std::string>& others = forward ? second->names : first->names;
    for (const std::string& name : names)
      if (!std::binary_search(others.begin(), others.end(), name)) {
        const std::string_view in = last_component(forward ? parts.train : test);
        const std::string_view out_of = last_component(forward ? test : parts.train);
        return failure(ErrorCode::data, path, ": class '", name, "' is in ", in, "/ but not in ",
                       out_of, "/");
      }
  }
  for (std::size_t c = 0; c < first->files.size(); ++c) {
    append_class(out.train, first->files[c], c);
    append_class(out.test, second->files[c], c);
  }
  out.class_names = std::move(first->names);
  out.bad = std::move(first->bad);
  out.bad.insert(out.bad.end(), second->bad.begin(), second->bad.end());
  return out;
}

}  // namespace detail

/// Lists an image folder. Class numbers follow the sorted names. Without train/ and test/ (or
/// validation/) a part of each class is held out: the files, sorted, are put in an order that the
/// seed draws, and the first ones are for testing. Who wants no file left out refuses a list with
/// `bad` ones; who leaves them out looks whether every class keeps images of both parts. Classes
/// are named as their folders, in the form that `form` gives; two folders of one name are refused.
inline Result<ImageList> list_image_folder(const std::string& folder, const HeldOut& held_out = {},
                                           NameForm form = nullptr) {
  const auto inside = detail::skip_wrappers(folder, false);
  if (!inside) return inside.failure();
  const std::string& path = *inside;
  const auto parts = detail::find_parts(path);
  if (!parts) return parts.failure();
  if (!parts->train.empty() || !parts->test.empty()) return detail::list_parts(path, *parts, form);
  ImageList out;
  out.name = "images";
  if (!(held_out.test_fraction > 0 && held_out.test_fraction < 1))
    return failure(ErrorCode::usage, "--test-fraction ", held_out.test_fraction,
                   ": expected more than 0 and less than 1");
  auto tree = detail::list_classes(path, form);
  if (!tree) return tree.failure();
  for (std::size_t c = 0; c < tree->files.size(); ++c) {
    std::vector<std::string>& files = tree->files[c];
    const std::size_t count = files.size();
    if (count < 2 && tree->bad.empty())
      return failure(ErrorCode::data, join_path(path, tree->names[c]),
                     ": 1 image; expected at least 2, one to train and one to test");
    const auto wanted =
        static_cast<std::size_t>(std::floor(held_out.test_fraction * static_cast<double>(count)));
    // With bad files a class may have fewer: they are all to be named at once.
    const std::size_t tested = count < 2 ? 0 : std::clamp<std::size_t>(wanted, 1, count - 1);
    shuffle_values(std::span(files), Random(held_out.seed, Stream::shuffle,
                                            detail::held_out_step + static_cast<std::uint32_t>(c)));
    const auto border = files.begin() + static_cast<std::ptrdiff_t>(tested);
    std::sort(files.begin(), border);
    std::sort(border, files.end());
    detail::append_class(out.test, std::span(files).first(tested), c);
    detail::append_class(out.train, std::span(files).subspan(tested), c);
  }
  out.class_names = std::move(tree->names);
  out.bad = std::move(tree->bad);
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
