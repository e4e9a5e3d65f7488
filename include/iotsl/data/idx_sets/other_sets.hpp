#pragma once
// Sets that come as idx files but are not quite MNIST: EMNIST (arXiv:1702.05373), whose images are
// transposed and whose letters are numbered from 1; QMNIST (arXiv:1905.10498), whose labels are
// rows of eight numbers; and any set with MNIST's file names and classes of its own. The host loads
// them; devices read what it packs.

#include "iotsl/data/source.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// One of the six divisions of EMNIST.
struct EmnistDivision {
  std::string_view name;
  Index first_label;
  std::string_view classes;  ///< a character for each
};

namespace detail {
inline constexpr std::string_view digits_and_letters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Small letters that look like their capitals are one class with them.
inline constexpr std::string_view merged_letters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt";
}  // namespace detail

inline constexpr std::array<EmnistDivision, 6> emnist_divisions = {{
    {"emnist-letters", 1, "abcdefghijklmnopqrstuvwxyz"},
    {"emnist-digits", 0, "0123456789"},
    {"emnist-mnist", 0, "0123456789"},
    {"emnist-balanced", 0, detail::merged_letters},
    {"emnist-bymerge", 0, detail::merged_letters},
    {"emnist-byclass", 0, detail::digits_and_letters},
}};

inline bool is_other_idx_set(std::string_view name) {
  if (name == "qmnist" || name == "idx") return true;
  return std::any_of(emnist_divisions.begin(), emnist_divisions.end(),
                     [&](const EmnistDivision& division) { return division.name == name; });
}

namespace detail {

/// Rows and columns of every image exchanged.
inline void transpose_images(Dataset& set) {
  const Index height = set.height, width = set.width;
  std::vector<std::uint8_t> turned(static_cast<std::size_t>(height * width));
  for (Index plane = 0; plane < set.size() * set.channels; ++plane) {
    std::uint8_t* pixels = set.pixels.data() + plane * height * width;
    for (Index y = 0; y < height; ++y)
      for (Index x = 0; x < width; ++x)
        turned[static_cast<std::size_t>(x * height + y)] = pixels[y * width + x];
    std::copy(turned.begin(), turned.end(), pixels);
  }
  std::swap(set.height, set.width);
}

/// QMNIST's labels: N x 8 big-endian numbers of four bytes, of which the first is the class.
inline Result<void> read_idx_int_labels(IdxStream& file, const std::string& images_path,
                                        Dataset& out) {
  if (auto opened = file.open(); !opened) return opened;
  const auto header = read_idx_header(file, 0x00000C02, "numbers of 4 bytes, 2 dimensions");
  if (!header) return header.failure();
  const Index count = (*header)[0], columns = (*header)[1];
  if (count != out.full_size)
    return failure(ErrorCode::data, file.path(), ": offset 4: ", count, " labels, but ",
                   images_path, " has ", out.full_size, " images");
  if (columns < 1 || columns > 64)
    return failure(ErrorCode::data, file.path(), ": offset 8: ", columns,
                   " numbers per label, expected 1 to 64");
  std::vector<std::uint8_t> row(static_cast<std::size_t>(columns * 4));
  for (Index i = 0; i < count; ++i) {
    const Index start = file.offset();
    if (auto got = file.read(row.data(), row.size(), "the next label"); !got) return got;
    const std::uint32_t label = load_be32(row.data());
    if (label >= out.classes)
      return failure(ErrorCode::data, file.path(), ": offset ", start, ": label ", label,
                     ", expected 0 to ", out.classes - 1);
    out.labels.push_back(static_cast<Label>(label));
  }
  return file.expect_end();
}

/// The folder of --data and these folders in it.
inline std::vector<std::string> folders_below(const std::string& data,
                                              std::initializer_list<std::string> inner) {
  const std::string root = data_root(data);
  std::vector<std::string> out;
  for (const std::string& name : inner) out.push_back(join_path(root, name));
  out.push_back(root);
  return out;
}

inline Result<Dataset> load_emnist(const EmnistDivision& division, const std::string& data,
                                   Split split) {
  const std::vector<std::string> folders =
      folders_below(data, {concat(division.name), "emnist", "EMNIST/raw", "gzip"});
  const std::string head = concat(division.name, "-", split_name(split));
  const auto files = find_idx_pair(division.name, folders, head + "-images-idx3-ubyte",
                                   head + "-labels-idx1-ubyte");
  if (!files) return files.failure();
  const auto classes = static_cast<Index>(division.classes.size());
  auto out = load_idx(files->images, files->labels, division.first_label + classes, IdxRead{});
  if (!out) return out;
  for (std::size_t i = 0; i < out->labels.size(); ++i) {
    if (out->labels[i] < division.first_label)
      return failure(ErrorCode::data, files->labels, ": label ", out->labels[i], " of sample ", i,
                     ", expected ", division.first_label, " to ", classes);
    out->labels[i] = static_cast<Label>(out->labels[i] - division.first_label);
  }
  out->classes = classes;
  for (const char letter : division.classes) out->class_names.emplace_back(1, letter);
  transpose_images(*out);
  return out;
}

inline Result<Dataset> load_qmnist(const std::string& data, Split split) {
  const std::string head = concat("qmnist-", split_name(split));
  const std::vector<std::string> folders = folders_below(data, {"qmnist", "QMNIST/raw"});
  const auto files =
      find_idx_pair("qmnist", folders, head + "-images-idx3-ubyte", head + "-labels-idx2-int");
  if (!files) return files.failure();
  Dataset out;
  out.classes = 10;
  Sha256 unused;
  IdxStream images(files->images, unused), labels(files->labels, unused);
  if (auto read = read_idx_images(images, IdxRead{}, out); !read) return read.failure();
  if (auto read = read_idx_int_labels(labels, files->images, out); !read) return read.failure();
  return out;
}

inline Result<Dataset> load_any_idx(const std::string& data, Split split, Index classes) {
  if (classes < 2)
    return failure(ErrorCode::usage, "--dataset idx: needs --classes, the number of its classes");
  const std::string head = split == Split::train ? "train" : "t10k";
  const auto files = find_idx_pair("idx", folders_below(data, {"idx"}), head + "-images-idx3-ubyte",
                                   head + "-labels-idx1-ubyte");
  if (!files) return files.failure();
  return load_idx(files->images, files->labels, classes, IdxRead{});
}

}  // namespace detail

/// Loads a set of which is_other_idx_set holds. `classes`: of "idx" only. The hash is that of the
/// set as it is here, with upright images and classes from 0, so that a packed copy has the same.
inline Result<Dataset> load_other_idx_set(std::string_view name, const std::string& data,
                                          Split split, Index classes) {
  auto out = [&]() -> Result<Dataset> {
    if (name == "qmnist") return detail::load_qmnist(data, split);
    for (const EmnistDivision& division : emnist_divisions)
      if (division.name == name) return detail::load_emnist(division, data, split);
    return detail::load_any_idx(data, split, classes);
  }();
  if (!out) return out;
  out->name = name;
  out->sha256 = idx_sha256(*out);
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
