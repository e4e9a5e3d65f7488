// Files and their parts: JSON, containers, safetensors, idx, packed sets, manifests, tables, lists.

#include "fuzz/json_check.hpp"
#include "fuzz/seal.hpp"
#include "iotsl/data/celeba.hpp"
#include "iotsl/data/manifest.hpp"
#include "iotsl/data/packed.hpp"
#include "iotsl/nn/safetensors.hpp"

#if IOTSL_READS_GZIP
#include <zlib.h>
#endif

namespace data_fuzzer {
namespace {

using namespace iotsl;
using iotsl::fuzz::Bytes;
using iotsl::fuzz::bytes_from;
using iotsl::fuzz::chosen;
using iotsl::fuzz::expect;
using iotsl::fuzz::require;

// JSON

void run_json(ByteSpan input) {
  const Result<Json> json = parse_json(text_of(input));
  if (!json) return;
  for (const int indent : {-1, 2}) {
    const std::string text = to_text(*json, indent);
    const Json again = expect(parse_json(text), "what is written is refused");
    require(again == *json, "JSON changes when it is written and read");
    require(to_text(again, indent) == text, "JSON is written in two ways");
  }
}
std::vector<Bytes> json_seeds() {
  return {bytes_from(R"({"a":[1,-2.5e3,true,false,null],"b":{"c":"\u00e9\ud83d\ude00\n\\\"/"}})"),
          bytes_from(R"([9223372036854775807,1e308,-0,0.1,5e-324,"\b\f\r\t"])"),
          bytes_from(" [ [ [ ] ] , { } ] ")};
}

// Containers

void run_container(ByteSpan input) {
  const Bytes sealed = fuzz::sealed_container(input);
  for (const ByteSpan file : {input, ByteSpan(sealed)}) {
    const Result<Container> parsed = parse_container(file, "kind", {.max_sections = 16});
    if (!parsed) continue;
    for (const Section& section : parsed->sections)
      require(expect(parsed->section(section.name), "a section").data() == section.bytes.data(),
              "a section is another one");
    const Bytes written = expect(serialize_container("kind", parsed->sections), "what was read");
    require(fuzz::same_bytes(written, file), "a container was accepted in another form");
  }
}
std::vector<Bytes> container_seeds() {
  const Bytes a(70, std::uint8_t{1}), b(3, std::uint8_t{2});
  return {*serialize_container("kind", {{"first", a}, {"second", b}, {"empty", {}}}),
          *serialize_container("kind", {})};
}

// safetensors

void run_safetensors(ByteSpan input) {
  const Result<SafeTensors> parsed =
      parse_safetensors(input, {.max_header_bytes = 4096, .max_tensors = 64, .max_dims = 8});
  if (!parsed) return;
  std::uint64_t held = 0;
  for (const SafeTensor& tensor : parsed->tensors) held += tensor.bytes.size();
  require(held <= input.size(), "tensors hold more than the file");
  const Bytes written =
      expect(serialize_safetensors(parsed->tensors, parsed->metadata), "what was read");
  const SafeTensors again = expect(parse_safetensors(written), "what was written");
  require(again.tensors.size() == parsed->tensors.size() && again.metadata == parsed->metadata,
          "a file loses something when it is written");
  for (const SafeTensor& tensor : parsed->tensors) {
    const SafeTensor* const other = again.find(tensor.name);
    require(other != nullptr && other->dtype == tensor.dtype && other->shape == tensor.shape &&
                fuzz::same_bytes(other->bytes, tensor.bytes),
            "tensor '", tensor.name, "' changes when it is written");
  }
  require(
      expect(serialize_safetensors(again.tensors, again.metadata), "what was written") == written,
      "a file is written in two ways");
}
std::vector<Bytes> safetensors_seeds() {
  const float floats[6] = {1, 2, 3, 4, 5, 6};
  const std::int64_t count = 7;
  const std::uint8_t small[3] = {1, 2, 3};
  return {*serialize_safetensors(
              {safe_tensor("weight", {2, 3}, floats, 6), safe_tensor("count", {}, &count, 1),
               safe_tensor("bytes", {3}, small, 3), safe_tensor("none", {0, 5}, floats, 0)},
              {{"key", "text"}}),
          *serialize_safetensors({})};
}

// idx

/// Pieces of an input: a length in two bytes before each but the last.
std::vector<ByteSpan> cut(ByteSpan input, std::size_t pieces) {
  fuzz::Fields fields(input);
  std::vector<ByteSpan> out;
  while (out.size() + 1 < pieces) {
    const std::size_t size = fields.word();
    out.push_back(fields.bytes(size));
  }
  out.push_back(fields.rest());
  return out;
}
Bytes pieced(std::initializer_list<ByteSpan> pieces) {
  Bytes out;
  for (const ByteSpan& piece : pieces) {
    if (&piece + 1 != pieces.end()) append_le(out, static_cast<std::uint16_t>(piece.size()));
    out.insert(out.end(), piece.begin(), piece.end());
  }
  return out;
}

void check_set(const data::Dataset& set) {
  require(set.full_size >= 1 && set.labels.size() <= static_cast<std::size_t>(set.full_size),
          "a set has more labels than samples");
  for (const data::Label label : set.labels)
    require(label < set.classes, "label ", label, " of ", set.classes, " classes");
  require(set.pixels.empty() ||
              static_cast<Index>(set.pixels.size()) == set.size() * set.sample_elems(),
          "pixels and labels do not agree");
}

data::Dataset small_set(Index channels, Index classes) {
  data::Dataset out;
  out.name = "small";
  out.channels = channels;
  out.height = 3;
  out.width = 2;
  out.classes = classes;
  for (int i = 0; i < 4; ++i) out.labels.push_back(static_cast<data::Label>(i % classes));
  out.pixels.assign(static_cast<std::size_t>(4 * out.sample_elems()), std::uint8_t{9});
  out.full_size = 4;
  for (Index c = 0; c < classes && c < 16; ++c) out.class_names.push_back(concat("class ", c));
  return out;
}
/// The two files of a set, as save_idx writes them.
std::pair<Bytes, Bytes> idx_files(const data::Dataset& set) {
  namespace d = data::detail;
  const Bytes images = fuzz::joined(
      d::idx_image_header(set.size(), set.channels, set.height, set.width), set.pixels);
  const Bytes labels = fuzz::joined(d::idx_header(d::idx_label_type(set.classes), {set.size()}),
                                    d::idx_labels(set.labels, set.classes));
  return {images, labels};
}
#if IOTSL_READS_GZIP
Bytes gzipped(ByteSpan bytes) {
  z_stream stream{};
  require(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib");
  Bytes out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
#endif

/// Bits of the first byte: planes, more than 256 classes, a few samples only, no pixels.
void run_idx(ByteSpan input) {
  fuzz::Fields fields(input);
  const std::uint8_t choice = fields.byte();
  const std::vector<ByteSpan> files = cut(fields.rest(), 2);
  static fuzz::MemoryFile images, labels;
  const std::vector<Index> some = {0, 2};
  const data::IdxRead read{.planes = (choice & 1) != 0,
                           .keep = (choice & 4) != 0 ? &some : nullptr,
                           .pixels = (choice & 8) == 0,
                           .limits = {.max_samples = 4096, .max_side = 64, .max_bytes = 1 << 16}};
  const Index classes = (choice & 2) != 0 ? 300 : 10;
  const Result<data::Dataset> set =
      data::load_idx(images.fill(files[0]), labels.fill(files[1]), classes, read);
  if (!set) return;
  check_set(*set);
  if (read.keep != nullptr || !read.pixels) return;
  const auto [image_bytes, label_bytes] = idx_files(*set);
  const data::Dataset again =
      expect(data::load_idx(images.fill(image_bytes), labels.fill(label_bytes), classes,
                            data::IdxRead{.planes = set->channels != 1, .limits = read.limits}),
             "what was written");
  require(again.pixels == set->pixels && again.labels == set->labels,
          "a set changes when it is written");
}
std::vector<Bytes> idx_seeds() {
  std::vector<Bytes> out;
  for (std::uint8_t choice = 0; choice < 16; ++choice) {
    const auto [images, labels] =
        idx_files(small_set((choice & 1) != 0 ? 3 : 1, (choice & 2) != 0 ? 300 : 10));
    out.push_back(chosen(choice, pieced({images, labels})));
#if IOTSL_READS_GZIP
    if (choice < 2) out.push_back(chosen(choice, pieced({gzipped(images), gzipped(labels)})));
#endif
  }
  return out;
}

// Packed sets

void run_pack_card(ByteSpan input) {
  const Result<data::PackCard> card = data::parse_pack_card(text_of(input));
  if (!card) return;
  const std::string text = to_text(data::to_json(*card));
  const data::PackCard again = expect(data::parse_pack_card(text), "what was written");
  require(to_text(data::to_json(again)) == text, "a card changes when it is written");
}
data::PackCard small_card() {
  data::PackCard card{"small", 3, 3, 2, false, {"class 0", "class 1"}, {}, {}};
  card.train = card.test = {4, std::string(64, 'a')};
  return card;
}
std::vector<Bytes> pack_card_seeds() { return {bytes_from(to_text(data::to_json(small_card())))}; }

/// A folder in memory, where the machine has one, for packed sets.
const std::string& set_folder() {
  struct Folder {
    std::string path = concat(folder_exists("/dev/shm") ? "/dev/shm" : "/tmp", "/iotsl-fuzz-",
                              static_cast<long>(::getpid()));
    Folder() { require(create_folders(path).ok(), "cannot make ", path); }
    ~Folder() {
      for (const std::string& name : list_folder(path)) ::unlink(join_path(path, name).c_str());
      ::rmdir(path.c_str());
    }
  };
  static const Folder folder;
  return folder.path;
}
void put_file(const std::string& path, ByteSpan bytes) {
  iotsl::detail::Descriptor file(
      iotsl::detail::open_retrying(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  require(file.ok() && iotsl::detail::write_all(file.get(), bytes), "cannot write ", path);
}

/// The card's hash of the part is put right where it is one of 64 digits that end in a zero.
void run_packed(ByteSpan input) {
  const std::vector<ByteSpan> files = cut(input, 3);
  const std::string& folder = set_folder();
  const std::string images = data::detail::pack_path(folder, data::Split::train, "images");
  put_file(images, files[1]);
  put_file(data::detail::pack_path(folder, data::Split::train, "labels"), files[2]);
  std::string card(text_of(files[0]));
  const std::string sum = to_hex(Sha256().update(files[1]).update(files[2]).digest());
  for (const std::string& text :
       {card, card.replace(std::min(card.find("SUM"), card.size()), 3, sum)}) {
    put_file(join_path(folder, data::pack_card_name), bytes_of(std::string_view(text)));
    const Result<data::Dataset> set = data::load_packed(folder, data::Split::train);
    if (!set) continue;
    check_set(*set);
    require(set->class_names.size() == static_cast<std::size_t>(set->classes) && set->sha256 == sum,
            "a set is not that of its card");
  }
}
std::vector<Bytes> packed_seeds() {
  std::vector<Bytes> out;
  for (const Index channels : {1, 3}) {
    const auto [images, labels] = idx_files(small_set(channels, 2));
    data::PackCard card = small_card();
    card.channels = channels;
    card.train.sha256 = "SUM";
    const std::string text = to_text(data::to_json(card));
    out.push_back(pieced({bytes_of(std::string_view(text)), images, labels}));
  }
  return out;
}

// Manifests, tables and lists

void run_manifest(ByteSpan input) {
  const Result<data::Manifest> manifest = data::parse_manifest(text_of(input));
  if (!manifest) return;
  const std::string text = to_text(data::to_json(*manifest));
  const data::Manifest again = expect(data::parse_manifest(text), "what was written");
  require(to_text(data::to_json(again)) == text, "a manifest changes when it is written");
  for (const std::vector<Index>& device : manifest->devices)
    for (const Index sample : device)
      require(sample >= 0 && sample < manifest->total(), "a sample beyond the set");
}
std::vector<Bytes> manifest_seeds() {
  data::Manifest manifest;
  manifest.dataset = "mnist";
  manifest.file_sha256 = std::string(64, 'a');
  manifest.partition = "classes:2";
  manifest.devices = {{0, 2, 5}, {1, 3}};
  manifest.counts = {{2, 1, 0}, {0, 2, 0}};
  manifest.validation = {4};
  manifest.unused = 2;
  Bytes with = bytes_from(to_text(data::to_json(manifest)));
  manifest.validation.clear();
  manifest.unused = 3;
  return {with, bytes_from(to_text(data::to_json(manifest), 1))};
}

void run_count_table(ByteSpan input) {
  const Result<data::CountTable> table = data::parse_count_table(text_of(input));
  if (!table) return;
  std::string text;
  bool same_width = true;
  for (const std::vector<Index>& row : *table) {
    same_width = same_width && row.size() == table->front().size();
    for (const Index count : row) {
      require(count >= 0 && count <= data::max_class_count, "a count beyond its limits");
      text += concat(count, ",");
    }
    text.back() = '\n';
  }
  require(expect(data::parse_count_table(text), "what was written") == *table,
          "a table changes when it is written");
  if (!same_width) return;
  data::CountTable scaled = *table;
  data::scale_counts(scaled, 100);
  for (std::size_t row = 0; row < scaled.size(); ++row)
    for (std::size_t c = 0; c < scaled[row].size(); ++c)
      require(scaled[row][c] <= (*table)[row][c] && (scaled[row][c] > 0) == ((*table)[row][c] > 0),
              "a count of ", (*table)[row][c], " is scaled to ", scaled[row][c]);
}
std::vector<Bytes> count_table_seeds() {
  return {bytes_from("# device x class\n1, 2;3\r\n4 5\t6\n\n7,8,9"), bytes_from("\xEF\xBB\xBF"
                                                                                "1000000000\n0")};
}

void run_celeba_list(ByteSpan input) {
  const Result<std::vector<data::CelebaRow>> rows = data::parse_celeba_list(text_of(input));
  if (!rows) return;
  for (const data::CelebaRow& row : *rows)
    require(row.label < 8 && !row.file.empty() && row.file.find('/') == row.file.npos &&
                row.file.data() >= text_of(input).data() &&
                row.file.data() + row.file.size() <= text_of(input).data() + input.size(),
            "a row is none of the list");
}
std::vector<Bytes> celeba_list_seeds() {
  return {bytes_from("2\nSmiling Young Black_Hair Male\n000001.jpg 1 -1  1 -1\n"
                     "000002.jpg -1 1 -1 1\n\n"),
          bytes_from("\xEF\xBB\xBF"
                     "image_id,Male,Smiling,Black_Hair\r\n1.png,1,-1,1\r\n")};
}

const fuzz::Registration registration{
    {"json", 2000, &run_json, &json_seeds},
    {"container", 1500, &run_container, &container_seeds},
    {"safetensors", 2000, &run_safetensors, &safetensors_seeds},
    {"idx", 1000, &run_idx, &idx_seeds},
    {"pack_card", 1500, &run_pack_card, &pack_card_seeds},
    {"packed", 1500, &run_packed, &packed_seeds},
    {"manifest", 1500, &run_manifest, &manifest_seeds},
    {"count_table", 500, &run_count_table, &count_table_seeds},
    {"celeba_list", 1000, &run_celeba_list, &celeba_list_seeds},
};

}  // namespace
}  // namespace data_fuzzer
