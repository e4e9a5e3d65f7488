#pragma once
// The safetensors format: u64 length of the header, the header as a JSON object (tensor name ->
// dtype, shape, data_offsets), then the data without holes. Written files are accepted by the
// format's own readers. Reading trusts nothing; the caller's limits bound it.

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "iotsl/core/bytes.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/heap_sort.hpp"
#include "iotsl/core/json/json.hpp"

IOTSL_NAMESPACE_BEGIN

/// Halves (F16 and BF16) are read from files of others; nothing here computes with them.
enum class DType { f32, f64, i64, i32, u8, f16, bf16 };

/// Name in files: "F32".
inline std::string_view dtype_name(DType dtype) {
  constexpr std::string_view names[] = {"F32", "F64", "I64", "I32", "U8", "F16", "BF16"};
  return names[static_cast<std::size_t>(dtype)];
}

/// Bytes of one value.
inline std::uint64_t dtype_bytes(DType dtype) {
  constexpr std::uint64_t sizes[] = {4, 8, 8, 4, 1, 2, 2};
  return sizes[static_cast<std::size_t>(dtype)];
}

/// The type in files of values of type V.
template <class V>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}

/// One named tensor: a view into memory that somebody else holds. Its bytes may lie at any address;
/// copy them out, or use copy_values.
struct SafeTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;  ///< empty for a scalar
  ByteSpan bytes;                   ///< row-major, little endian

  /// The values as `V`, which must be the tensor's own type.
  template <class V>
  Result<std::vector<V>> copy_values() const {
    if (dtype != dtype_of<V>())
      return failure(ErrorCode::data, "tensor '", name, "' is ", dtype_name(dtype), ", expected ",
                     dtype_name(dtype_of<V>()));
    std::vector<V> out(bytes.size() / sizeof(V));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
};

/// A view of an array of numbers as a tensor to be written.
template <class V>
SafeTensor safe_tensor(std::string name, std::vector<std::int64_t> shape, const V* values,
                       std::size_t count) {
  return {std::move(name), dtype_of<V>(), std::move(shape), bytes_of(values, count)};
}

/// Keys and texts of a file.
using SafeMetadata = std::vector<std::pair<std::string, std::string>>;

/// A parsed file. Movable, not copyable: the tensors look into `storage` or into the bytes that
/// were given to parse_safetensors.
struct SafeTensors {
  std::vector<SafeTensor> tensors;  ///< in the order of the header
  SafeMetadata metadata;
  std::vector<std::uint8_t> storage;

  SafeTensors() = default;
  SafeTensors(SafeTensors&&) = default;
  SafeTensors& operator=(SafeTensors&&) = default;

  /// The tensor of that name, or null.
  const SafeTensor* find(std::string_view name) const {
    for (const SafeTensor& tensor : tensors)
      if (tensor.name == name) return &tensor;
    return nullptr;
  }
  /// The metadata value of that key, or null.
  const std::string* find_metadata(std::string_view key) const {
    for (const auto& [name, value] : metadata)
      if (name == key) return &value;
    return nullptr;
  }
};

/// What a file that is read may ask for.
struct SafeTensorsLimits {
  std::uint64_t max_header_bytes = std::uint64_t{16} << 20;
  std::uint64_t max_file_bytes = default_max_file_bytes;
  std::size_t max_tensors = 65536;
  std::size_t max_dims = 8;
};

namespace detail {

inline constexpr std::string_view safetensors_metadata_key = "__metadata__";

/// Bytes of a tensor of that shape; false where the product overflows.
inline bool tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape,
                         std::uint64_t& bytes) {
  bytes = dtype_bytes(dtype);
  for (std::int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes))
      return false;
  return true;
}

inline Result<SafeMetadata> parse_safe_metadata(const Json& object) {
  if (!object.is_object())
    return failure(ErrorCode::data, "safetensors: __metadata__ must be an object, found ",
                   object.type_name());
  SafeMetadata out;
  for (const JsonMember& member : object.as_object()) {
    if (!member.value.is_string())
      return failure(ErrorCode::data, "safetensors: __metadata__ '", member.key,
                     "' must be a string, found ", member.value.type_name());
    out.emplace_back(member.key, member.value.as_string());
  }
  return out;
}

inline Result<DType> parse_dtype(std::string_view text) {
  for (DType dtype :
       {DType::f32, DType::f64, DType::i64, DType::i32, DType::u8, DType::f16, DType::bf16})
    if (dtype_name(dtype) == text) return dtype;
  return failure(ErrorCode::data, "dtype '", text,
                 "', expected F32, F64, I64, I32, U8, F16 or BF16");
}

/// One header entry; its bytes are looked up in `data`.
inline Result<SafeTensor> parse_safe_tensor(const JsonMember& member, ByteSpan data,
                                            const SafeTensorsLimits& limits) {
  const auto bad = [&](const auto&... parts) {
    return failure(ErrorCode::data, "safetensors: tensor '", member.key, "': ", parts...);
  };
  SafeTensor out;
  out.name = member.key;
  const auto dtype = get_string(member.value, "dtype");
  if (!dtype) return bad(dtype.failure().message);
  const auto known = parse_dtype(*dtype);
  if (!known) return bad(known.failure().message);
  out.dtype = *known;

  const auto shape = get_array(member.value, "shape");
  if (!shape) return bad(shape.failure().message);
  if ((*shape)->size() > limits.max_dims)
    return bad((*shape)->size(), " dimensions, limit is ", limits.max_dims);
  for (const Json& extent : **shape) {
    if (!extent.is_int() || extent.as_int() < 0)
      return bad("shape must hold integers of at least 0");
    out.shape.push_back(extent.as_int());
  }
  std::uint64_t expected = 0;
  if (!tensor_bytes(out.dtype, out.shape, expected)) return bad("shape overflows 64 bits");

  const auto offsets = get_array(member.value, "data_offsets");
  if (!offsets) return bad(offsets.failure().message);
  const JsonArray& pair = **offsets;
  if (pair.size() != 2 || !pair[0].is_int() || !pair[1].is_int())
    return bad("data_offsets must be two integers");
  const std::int64_t begin = pair[0].as_int();
  const std::int64_t end = pair[1].as_int();
  if (begin < 0 || begin > end || static_cast<std::uint64_t>(end) > data.size())
    return bad("data_offsets ", begin, " to ", end, " outside the ", data.size(), " data bytes");
  if (static_cast<std::uint64_t>(end - begin) != expected)
    return bad("data_offsets span ", end - begin, " bytes, dtype and shape need ", expected);
  if (member.value.size() != 3) return bad("has keys beside dtype, shape and data_offsets");
  out.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  return out;
}

/// Every data byte must belong to exactly one tensor.
inline Result<void> check_coverage(const std::vector<SafeTensor>& tensors, ByteSpan data) {
  std::vector<const SafeTensor*> order;
  for (const SafeTensor& tensor : tensors) order.push_back(&tensor);
  heap_sort(order.data(), order.size(), [](const SafeTensor* a, const SafeTensor* b) {
    if (a->bytes.data() != b->bytes.data()) return a->bytes.data() < b->bytes.data();
    if (a->bytes.size() != b->bytes.size()) return a->bytes.size() < b->bytes.size();
    return a < b;
  });
  std::uint64_t covered = 0;
  for (const SafeTensor* tensor : order) {
    const auto begin = static_cast<std::uint64_t>(tensor->bytes.data() - data.data());
    if (begin != covered)
      return failure(ErrorCode::data, "safetensors: tensor '", tensor->name, "' begins at ", begin,
                     begin < covered ? ", inside another tensor" : ", after a hole", " (expected ",
                     covered, ")");
    covered += tensor->bytes.size();
  }
  if (covered != data.size())
    return failure(ErrorCode::data, "safetensors: ", data.size() - covered,
                   " bytes after the last tensor");
  return {};
}

/// Length field and JSON header. The data order is by element size, largest first, so that every
/// tensor is aligned to its type, which readers that map the file rely on.
inline std::vector<std::uint8_t> safetensors_header(const std::vector<SafeTensor>& tensors,
                                                    const SafeMetadata& metadata,
                                                    std::vector<ByteSpan>& data) {
  std::vector<const SafeTensor*> order;
  for (const std::uint64_t value_bytes : {8u, 4u, 2u, 1u})
    for (const SafeTensor& tensor : tensors)
      if (dtype_bytes(tensor.dtype) == value_bytes) order.push_back(&tensor);
  JsonObject header;
  if (!metadata.empty()) {
    Json texts = Json::object();
    for (const auto& [key, value] : metadata) texts[key] = value;
    header.push_back({std::string(safetensors_metadata_key), std::move(texts)});
  }
  std::uint64_t begin = 0;
  for (const SafeTensor* tensor : order) {
    std::uint64_t expected = 0;
    if (!tensor_bytes(tensor->dtype, tensor->shape, expected) || expected != tensor->bytes.size())
      fail("safetensors: tensor '", tensor->name, "' has ", tensor->bytes.size(),
           " bytes, dtype and shape need ", expected);
    const std::uint64_t end = begin + expected;
    Json entry = Json::object();
    entry["dtype"] = dtype_name(tensor->dtype);
    entry["shape"] = Json::array_of(tensor->shape);
    entry["data_offsets"] = Json(JsonArray{begin, end});
    header.push_back({tensor->name, std::move(entry)});
    data.push_back(tensor->bytes);
    begin = end;
  }
  std::string text = to_text(Json(std::move(header)));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::vector<std::uint8_t> out(sizeof(std::uint64_t) + text.size());
  store_le(out.data(), std::uint64_t{text.size()});
  std::memcpy(out.data() + sizeof(std::uint64_t), text.data(), text.size());
  return out;
}

inline Result<void> check_names(const std::vector<SafeTensor>& tensors) {
  std::vector<std::string_view> names;
  for (const SafeTensor& tensor : tensors) names.push_back(tensor.name);
  heap_sort(names);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == safetensors_metadata_key || (i != 0 && names[i - 1] == names[i]))
      return failure(ErrorCode::other, "safetensors: tensor name '", names[i],
                     "' is reserved or used twice");
  return {};
}

}  // namespace detail

/// Reads the format from memory. The tensors of the result look into `file`, which must live
/// longer. Refused, with the tensor's name: an unknown dtype, sizes that do not match dtype x
/// shape, offsets out of range, overlaps, holes, bytes that belong to no tensor, a name that
/// appears twice.
inline Result<SafeTensors> parse_safetensors(ByteSpan file, const SafeTensorsLimits& limits = {}) {
  const auto bad = [](const auto&... parts) {
    return failure(ErrorCode::data, "safetensors: ", parts...);
  };
  if (file.size() > limits.max_file_bytes)
    return bad(file.size(), " bytes, limit is ", limits.max_file_bytes);
  if (file.size() < 8) return bad("truncated: ", file.size(), " bytes, the length field needs 8");
  const auto header_bytes = load_le<std::uint64_t>(file.data());
  if (header_bytes > limits.max_header_bytes)
    return bad("offset 0: header of ", header_bytes, " bytes, limit is ", limits.max_header_bytes);
  if (header_bytes > file.size() - 8)
    return bad("truncated: header of ", header_bytes, " bytes, the file holds ", file.size() - 8);
  const ByteSpan header = file.subspan(8, static_cast<std::size_t>(header_bytes));
  const ByteSpan data = file.subspan(8 + header.size());

  const auto json = parse_json(text_of(header), {.max_bytes = header.size(), .max_depth = 4});
  if (!json) return bad("header: ", json.failure().message);
  if (!json->is_object()) return bad("header must be an object, found ", json->type_name());
  if (json->size() > limits.max_tensors)
    return bad(json->size(), " header entries, limit is ", limits.max_tensors);
  SafeTensors out;
  for (const JsonMember& member : json->as_object()) {
    if (member.key == detail::safetensors_metadata_key) {
      auto metadata = detail::parse_safe_metadata(member.value);
      if (!metadata) return metadata.failure();
      out.metadata = std::move(*metadata);
      continue;
    }
    auto tensor = detail::parse_safe_tensor(member, data, limits);
    if (!tensor) return tensor.failure();
    out.tensors.push_back(std::move(*tensor));
  }
  if (auto covered = detail::check_coverage(out.tensors, data); !covered) return covered.failure();
  return out;
}

/// The same for bytes that the result shall keep.
inline Result<SafeTensors> parse_safetensors(std::vector<std::uint8_t>&& file,
                                             const SafeTensorsLimits& limits = {}) {
  auto parsed = parse_safetensors(ByteSpan(file), limits);
  if (parsed) parsed->storage = std::move(file);  // moving a vector keeps its memory in place
  return parsed;
}

/// The bytes of a file with these tensors and texts. A failure where a name is reserved or used
/// twice; raises an Error where a tensor's bytes do not match its dtype and shape.
inline Result<std::vector<std::uint8_t>> serialize_safetensors(
    const std::vector<SafeTensor>& tensors, const SafeMetadata& metadata = {}) {
  if (auto names = detail::check_names(tensors); !names) return names.failure();
  std::vector<ByteSpan> data;
  std::vector<std::uint8_t> out = detail::safetensors_header(tensors, metadata, data);
  for (const ByteSpan& bytes : data)
    out.insert(out.end(), bytes.data(), bytes.data() + bytes.size());
  return out;
}

/// Reads a file; the failure names it. See parse_safetensors.
inline Result<SafeTensors> load_safetensors(const std::string& path,
                                            const SafeTensorsLimits& limits = {}) {
  auto bytes = read_file(path, limits.max_file_bytes);
  if (!bytes) return bytes.failure();
  auto parsed = parse_safetensors(std::move(*bytes), limits);
  if (!parsed) return failure(parsed.failure().code, path, ": ", parsed.failure().message);
  return parsed;
}

/// Writes atomically and without a second copy of the data.
inline Result<void> save_safetensors(const std::string& path,
                                     const std::vector<SafeTensor>& tensors,
                                     const SafeMetadata& metadata = {}) {
  if (auto names = detail::check_names(tensors); !names)
    return failure(names.failure().code, path, ": ", names.failure().message);
  std::vector<ByteSpan> parts(1);
  const std::vector<std::uint8_t> header = detail::safetensors_header(tensors, metadata, parts);
  parts[0] = header;
  return write_file_atomic(path, std::span<const ByteSpan>(parts));
}

IOTSL_NAMESPACE_END
