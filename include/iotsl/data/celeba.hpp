#pragma once
// CelebA as the paper uses it: three attributes make eight classes, of each of which a number of
// images is drawn. The list of attributes is parsed strictly.
//
//   DIR/list_attr_celeba.txt or .csv      the images in DIR/img_align_celeba/, or beside the list

#include <array>
#include <charconv>

#include "iotsl/data/image_folder.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// Bit 0, 1 and 2 of the class number.
inline constexpr std::array<std::string_view, 3> celeba_attributes = {"Smiling", "Black_Hair",
                                                                      "Male"};
inline constexpr std::array<const char*, 2> celeba_list_names = {"list_attr_celeba.txt",
                                                                 "list_attr_celeba.csv"};
inline constexpr Index celeba_per_class = 10000;

/// "none", "smiling", "black_hair", "smiling+black_hair", ... for 0 to 7.
inline std::vector<std::string> celeba_class_names() {
  std::vector<std::string> out;
  for (std::size_t c = 0; c < 8; ++c) {
    std::string name;
    for (std::size_t bit = 0; bit < 3; ++bit) {
      if ((c >> bit & 1) == 0) continue;
      if (!name.empty()) name += "+";
      for (const char letter : celeba_attributes[bit])
        name += letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    }
    out.push_back(name.empty() ? "none" : name);
  }
  return out;
}

/// One line of the list.
struct CelebaRow {
  std::string_view file;  ///< a view into the text
  Label label = 0;
};

namespace detail {

/// The words of a line and the lines of a text, one after another.
class CelebaText {
 public:
  explicit CelebaText(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);  // a byte order mark
  }
  /// The table of Kaggle: commas, and the names in the first line.
  bool has_commas() const { return text_.substr(0, text_.find('\n')).find(',') != text_.npos; }
  /// Whether nothing but blanks follows.
  bool only_blanks_follow() const { return text_.find_first_not_of(" \t\r\n") == text_.npos; }
  /// The next line; false at the end. The last line may end without a line break.
  bool next_line() {
    if (text_.empty()) return false;
    const std::size_t end = std::min(text_.find('\n'), text_.size());
    line_ = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    if (line_.ends_with('\r')) line_.remove_suffix(1);
    ++number_;
    return true;
  }
  /// The next word of the line; empty at its end.
  std::string_view next_word() {
    constexpr std::string_view separators = " \t,";
    const std::size_t begin = std::min(line_.find_first_not_of(separators), line_.size());
    line_.remove_prefix(begin);
    const std::string_view word = line_.substr(0, line_.find_first_of(separators));
    line_.remove_prefix(word.size());
    return word;
  }
  template <class... Parts>
  Failure bad(const Parts&... parts) const {
    return failure(ErrorCode::data, "line ", number_, ": ", parts...);
  }

 private:
  std::string_view text_, line_;
  Index number_ = 0;
};

/// Where the three attributes stand among the names, and how many names there are.
struct CelebaColumns {
  std::array<Index, 3> place{-1, -1, -1};
  Index count = 0;
};

inline Result<Index> parse_celeba_count(CelebaText& lines) {
  if (!lines.next_line()) return lines.bad("the list is empty");
  const std::string_view word = lines.next_word();
  Index count = 0;
  const auto [stop, status] = std::from_chars(word.data(), word.data() + word.size(), count);
  if (status != std::errc() || stop != word.data() + word.size() || count < 1 ||
      count > 10'000'000 || !lines.next_word().empty())
    return lines.bad("'", word, "', expected the number of images, 1 to 10000000, alone");
  return count;
}

/// `table`: the first name is that of the column of files.
inline Result<CelebaColumns> parse_celeba_names(CelebaText& text, bool table) {
  if (!text.next_line()) return text.bad("the list ends before the names of the attributes");
  if (table) text.next_word();
  CelebaColumns out;
  std::vector<std::string_view> seen;
  for (std::string_view name = text.next_word(); !name.empty(); name = text.next_word()) {
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      return text.bad("attribute ", name, " stands there twice");
    for (std::size_t i = 0; i < 3; ++i)
      if (name == celeba_attributes[i]) out.place[i] = out.count;
    seen.push_back(name);
    if (++out.count > 1024) return text.bad("more than 1024 attributes");
  }
  for (std::size_t i = 0; i < 3; ++i)
    if (out.place[i] < 0)
      return text.bad(out.count, " attributes, none of them ", celeba_attributes[i]);
  return out;
}

inline Result<CelebaRow> parse_celeba_row(CelebaText& text, const CelebaColumns& columns) {
  CelebaRow out;
  out.file = text.next_word();
  if (out.file.empty()) return text.bad("is empty, expected an image and its attributes");
  if (!has_image_name(out.file) || out.file.find('/') != out.file.npos)
    return text.bad("'", out.file,
                    "' is not the name of an image: expected one without a folder, ending with ",
                    image_names);
  for (Index i = 0; i < columns.count; ++i) {
    const std::string_view word = text.next_word();
    if (word.empty())
      return text.bad(out.file, " has ", i, " attributes, expected ", columns.count);
    if (word != "1" && word != "-1")
      return text.bad("attribute ", i + 1, " of ", out.file, " is '", word, "', expected 1 or -1");
    for (std::size_t bit = 0; bit < 3; ++bit)
      if (columns.place[bit] == i && word == "1")
        out.label = static_cast<Label>(out.label | (1u << bit));
  }
  if (const std::string_view more = text.next_word(); !more.empty())
    return text.bad("'", more, "' after the ", columns.count, " attributes of ", out.file);
  return out;
}

}  // namespace detail

/// Reads list_attr_celeba.txt: the number of images, the names of the attributes, then a line per
/// image with 1 or -1 for each; or the table of commas, which begins with the names. Empty lines
/// may follow. The rows look into `text`. A failure names the line.
inline Result<std::vector<CelebaRow>> parse_celeba_list(std::string_view text) {
  detail::CelebaText lines(text);
  const bool table = lines.has_commas();
  Index count = 0;
  if (!table) {
    const auto announced = detail::parse_celeba_count(lines);
    if (!announced) return announced.failure();
    count = *announced;
  }
  const auto columns = detail::parse_celeba_names(lines, table);
  if (!columns) return columns.failure();
  std::vector<CelebaRow> out;
  while (!lines.only_blanks_follow() && lines.next_line()) {
    if (!table && static_cast<Index>(out.size()) == count)
      return lines.bad("goes on after the ", count, " images that line 1 announces");
    const auto row = detail::parse_celeba_row(lines, *columns);
    if (!row) return row.failure();
    out.push_back(*row);
  }
  if (out.empty() || (!table && static_cast<Index>(out.size()) != count))
    return lines.bad("the list ends after ", out.size(), " images",
                     table ? "" : concat(", line 1 announces ", count));
  std::vector<std::string_view> names;
  for (const CelebaRow& row : out) names.push_back(row.file);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return failure(ErrorCode::data, *twice, " stands in the list twice");
  return out;
}

/// The folder's list of attributes; empty where it has none.
inline std::string find_celeba_list(const std::string& folder) {
  for (const char* name : celeba_list_names)
    if (file_exists(join_path(folder, name))) return join_path(folder, name);
  return {};
}

/// Draws `per_class` images of each of the eight classes, a tenth of them (rounded down, at least
/// one) to test: the images of a class, in the order of the list, are put in an order that the seed
/// draws; the first ones test, the next ones train. The paper does not say which images it takes.
inline Result<ImageList> list_celeba(const std::string& folder, Index per_class,
                                     std::uint64_t seed) {
  if (per_class < 2)
    return failure(ErrorCode::usage, "--per-class ", per_class, ": expected at least 2");
  std::string path = find_celeba_list(folder);
  if (path.empty()) path = join_path(folder, celeba_list_names[0]);
  const auto text = read_text_file(path, std::uint64_t{1} << 30);
  if (!text) return text.failure();
  const auto rows = parse_celeba_list(*text);
  if (!rows) return failure(ErrorCode::data, path, ": ", rows.failure().message);
  ImageList out;
  out.name = "celeba";
  out.class_names = celeba_class_names();
  std::vector<std::vector<std::string_view>> files(8);
  for (const CelebaRow& row : *rows) files[row.label].push_back(row.file);
  for (std::size_t c = 0; c < 8; ++c)
    if (static_cast<Index>(files[c].size()) < per_class)
      return failure(ErrorCode::data, path, ": class ", out.class_names[c], " has ",
                     files[c].size(), " images, --per-class wants ", per_class);
  // Kaggle's archive has the folder in itself.
  std::string images = folder;
  for (int depth = 0; depth < 2; ++depth) {
    std::string inner = join_path(images, "img_align_celeba");
    if (folder_exists(inner)) images = std::move(inner);
  }
  const Index tested = std::max<Index>(1, per_class / 10);
  for (std::size_t c = 0; c < 8; ++c) {
    shuffle_values(
        std::span(files[c]),
        Random(seed, Stream::shuffle, detail::celeba_step + static_cast<std::uint32_t>(c)));
    for (Index i = 0; i < per_class; ++i) {
      std::string image = join_path(images, files[c][static_cast<std::size_t>(i)]);
      if (!file_exists(image))
        return failure(ErrorCode::data, image, ": no such file, but ", path, " lists it");
      (i < tested ? out.test : out.train).push_back({std::move(image), static_cast<Label>(c)});
    }
  }
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
