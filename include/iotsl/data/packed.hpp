#pragma once
// A packed set: images that the host tool has decoded, as idx files, with a card that names the
// classes. A device reads it without any image library.
//
//   set.json  train-images.idx  train-labels.idx  test-images.idx  test-labels.idx

#include <string>
#include <vector>

#include "iotsl/core/json/json.hpp"
#include "iotsl/data/idx.hpp"
#include "iotsl/data/idx_writer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// {format, name, channels, height, width, center_crop, classes, train: {samples, sha256}, test}
struct PackCard {
  std::string name;  ///< of the set that was packed
  Index channels = 1, height = 0, width = 0;
  bool center_crop = false;  ///< how the images were fitted, so that a later one is fitted alike
  std::vector<std::string> class_names;
  struct Part {
    Index samples = 0;
    std::string sha256;
  };
  Part train, test;

  Part& part(Split split) { return split == Split::train ? train : test; }
  const Part& part(Split split) const { return split == Split::train ? train : test; }
  Index sample_elems() const { return channels * height * width; }
};

inline constexpr std::string_view pack_format = "iotsl-packed-1";
inline constexpr const char* pack_card_name = "set.json";

namespace detail {
inline std::string pack_path(const std::string& folder, Split split, const char* what) {
  return join_path(folder, concat(split_name(split), "-", what, ".idx"));
}

inline Result<PackCard::Part> parse_pack_part(const Json& json, const char* key) {
  const auto object = get_object(json, key);
  if (!object) return object.failure();
  const auto samples = get_int(**object, "samples", 1, 10'000'000);
  if (!samples) return failure(ErrorCode::data, key, ": ", samples.failure().message);
  auto sha256 = get_string(**object, "sha256");
  if (!sha256) return failure(ErrorCode::data, key, ": ", sha256.failure().message);
  return PackCard::Part{*samples, std::move(*sha256)};
}
}  // namespace detail

inline Json to_json(const PackCard& card) {
  Json out = Json::object();
  out["format"] = pack_format;
  out["name"] = card.name;
  out["channels"] = card.channels;
  out["height"] = card.height;
  out["width"] = card.width;
  out["center_crop"] = card.center_crop;
  Json classes = Json::array();
  for (const std::string& name : card.class_names) classes.push_back(name);
  out["classes"] = std::move(classes);
  for (const Split split : {Split::train, Split::test}) {
    Json part = Json::object();
    part["samples"] = card.part(split).samples;
    part["sha256"] = card.part(split).sha256;
    out[split_name(split)] = std::move(part);
  }
  return out;
}

/// Names of classes in a JSON array: 1 to max_classes different ones.
inline Result<std::vector<std::string>> parse_class_names(const Json& object) {
  const auto array = get_array(object, "classes");
  if (!array) return array.failure();
  std::vector<std::string> out;
  for (const Json& name : **array) {
    if (!name.is_string() || name.as_string().empty() || !is_printable(name.as_string()))
      return failure(ErrorCode::data, "classes[", out.size(), "] must be a name");
    out.push_back(name.as_string());
  }
  if (out.empty() || static_cast<Index>(out.size()) > max_classes)
    return failure(ErrorCode::data, out.size(), " classes, expected 1 to ", max_classes);
  std::vector<std::string_view> sorted(out.begin(), out.end());
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    return failure(ErrorCode::data, "class '", *twice, "' stands there twice");
  return out;
}

inline Result<PackCard> parse_pack_card(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return json.failure();
  const auto format = get_string(*json, "format");
  if (!format) return format.failure();
  if (*format != pack_format)
    return failure(ErrorCode::data, "format is '", *format, "', expected '", pack_format, "'");
  PackCard out;
  auto name = get_string(*json, "name");
  if (!name) return name.failure();
  if (name->empty() || name->size() > 64)
    return failure(ErrorCode::data, "name has ", name->size(), " bytes, expected 1 to 64");
  out.name = std::move(*name);
  for (const auto& [key, field] :
       {std::pair{"channels", &out.channels}, std::pair{"height", &out.height},
        std::pair{"width", &out.width}}) {
    const auto value = get_int(*json, key, 1, 4096);
    if (!value) return value.failure();
    *field = *value;
  }
  const auto crop = get_bool(*json, "center_crop");
  if (!crop) return crop.failure();
  out.center_crop = *crop;
  auto classes = parse_class_names(*json);
  if (!classes) return classes.failure();
  out.class_names = std::move(*classes);
  for (const Split split : {Split::train, Split::test}) {
    auto part = detail::parse_pack_part(*json, split_name(split));
    if (!part) return part.failure();
    out.part(split) = std::move(*part);
  }
  return out;
}

/// The card of a packed set in `folder`.
inline Result<PackCard> load_pack_card(const std::string& folder) {
  const std::string path = join_path(folder, pack_card_name);
  const auto text = read_text_file(path, std::uint64_t{8} << 20);
  if (!text) return text.failure();
  auto card = parse_pack_card(*text);
  if (!card) return failure(card.failure().code, path, ": ", card.failure().message);
  return card;
}

/// Loads one part of a packed set. Refused: files whose shape, count or hash is not the card's.
inline Result<Dataset> load_packed(const std::string& folder, Split split,
                                   const std::vector<Index>* keep = nullptr, bool pixels = true) {
  const auto card = load_pack_card(folder);
  if (!card) return card.failure();
  const std::string images = detail::pack_path(folder, split, "images");
  auto out = load_idx(images, detail::pack_path(folder, split, "labels"),
                      static_cast<Index>(card->class_names.size()),
                      {.planes = card->channels != 1,
                       .keep = keep,
                       .pixels = pixels,
                       .limits = {.max_bytes = Index{16} << 30}});
  if (!out) return out;
  const PackCard::Part& part = card->part(split);
  if (out->channels != card->channels || out->height != card->height || out->width != card->width ||
      out->full_size != part.samples)
    return failure(ErrorCode::data, images, ": ", out->full_size, " images of ", out->channels, "x",
                   out->height, "x", out->width, ", ", pack_card_name, " says ", part.samples,
                   " of ", card->channels, "x", card->height, "x", card->width);
  if (out->sha256 != part.sha256)
    return failure(ErrorCode::data, images, ": sha256 of images and labels is ", out->sha256, ", ",
                   pack_card_name, " says ", part.sha256);
  out->name = card->name;
  out->class_names = card->class_names;
  out->center_crop = card->center_crop;
  return out;
}

/// Writes one part of a packed set, sample by sample.
class PackPartWriter {
 public:
  PackPartWriter(const std::string& folder, Split split, const PackCard& card)
      : card_(card),
        images_(detail::pack_path(folder, split, "images")),
        labels_path_(detail::pack_path(folder, split, "labels")) {}

  Result<void> open(Index samples) {
    const auto header =
        detail::idx_image_header(samples, card_.channels, card_.height, card_.width);
    hash_.update(header);
    return images_.open(header, samples * card_.sample_elems());
  }
  /// The planes of one image [C,H,W], or of several, whose labels follow in the same order.
  Result<void> add_pixels(ByteSpan planes) {
    hash_.update(planes);
    return images_.write(planes);
  }
  void add_label(Label label) { labels_.push_back(label); }

  Result<PackCard::Part> finish() {
    if (auto done = images_.finish(); !done) return done.failure();
    const auto classes = static_cast<Index>(card_.class_names.size());
    const auto count = static_cast<Index>(labels_.size());
    std::vector<std::uint8_t> file = detail::idx_header(detail::idx_label_type(classes), {count});
    const std::vector<std::uint8_t> values = detail::idx_labels(labels_, classes);
    file.insert(file.end(), values.begin(), values.end());
    hash_.update(file);
    if (auto done = write_file_atomic(labels_path_, ByteSpan(file)); !done) return done.failure();
    return PackCard::Part{count, to_hex(hash_.digest())};
  }

 private:
  PackCard card_;
  IdxWriter images_;
  std::string labels_path_;
  std::vector<Label> labels_;
  Sha256 hash_;
};

/// Writes the card, which makes the folder a packed set: last, when both parts are whole.
inline Result<void> save_pack_card(const std::string& folder, const PackCard& card) {
  return write_file_atomic(join_path(folder, pack_card_name), to_text(to_json(card), 1) + "\n");
}

namespace detail {
/// That load_packed() would take what is about to be written.
inline Result<void> check_packable(const PackCard& card, const Dataset& train,
                                   const Dataset& test) {
  PackCard written = card;
  for (const Split split : {Split::train, Split::test}) {
    const Dataset& set = split == Split::train ? train : test;
    written.part(split) = {set.size(), std::string(2 * sizeof(Sha256Digest), '0')};
    if (set.pixels.size() != set.labels.size() * static_cast<std::size_t>(set.sample_elems()))
      return failure(ErrorCode::data, split_name(split), ": ", set.pixels.size(), " pixels of ",
                     set.size(), " images of ", set.sample_elems());
    for (const Label label : set.labels)
      if (label >= set.classes)
        return failure(ErrorCode::data, split_name(split), ": label ", label, ", expected 0 to ",
                       set.classes - 1);
  }
  if (card.channels != 1 && card.channels != 3)
    return failure(ErrorCode::data, card.channels, " channels, expected 1 or 3");
  const auto read = parse_pack_card(to_text(to_json(written)));
  return read ? Result<void>{} : read.failure();
}
}  // namespace detail

/// Packs two parts that are in memory. Classes without a name get what `class_name` calls them.
/// Refused, with nothing written: what load_packed() would refuse.
inline Result<void> save_packed(const std::string& folder, const Dataset& train,
                                const Dataset& test) {
  if (auto same = check_same_shape(train, test); !same) return same;
  PackCard card{train.name,        train.channels,    train.height, train.width,
                train.center_crop, train.class_names, {},           {}};
  for (Index c = static_cast<Index>(train.class_names.size()); c < train.classes; ++c)
    card.class_names.push_back(class_name(train, c));
  if (auto good = detail::check_packable(card, train, test); !good)
    return failure(good.failure().code, folder, ": ", good.failure().message);
  if (auto made = create_folders(folder); !made) return made;
  // Without its card a folder that holds half of the old and half of the new files is no set.
  ::unlink(join_path(folder, pack_card_name).c_str());
  for (const Split split : {Split::train, Split::test}) {
    const Dataset& set = split == Split::train ? train : test;
    PackPartWriter writer(folder, split, card);
    if (auto done = writer.open(set.size()); !done) return done;
    if (auto done = writer.add_pixels(set.pixels); !done) return done;
    for (const Label label : set.labels) writer.add_label(label);
    auto part = writer.finish();
    if (!part) return part.failure();
    card.part(split) = std::move(*part);
  }
  return save_pack_card(folder, card);
}

}  // namespace data
IOTSL_NAMESPACE_END
