#pragma once
// The bounded file format of checkpoints, generator files and transfers: named sections of bytes
// (safetensors, JSON, raw), each with a checksum, and a SHA-256 of everything at the end.
//
// All numbers are little endian. Every place follows from the sizes, so that sections can neither
// overlap nor leave holes.
//
//   offset  bytes
//   0       8      magic "iotsl\r\n\x1a": a text-mode copy or a cut at the first line shows at once
//   8       4      version, 1
//   12      4      number of sections
//   16      8      bytes of the table
//   24      8      bytes of the whole file
//   32      24     kind, for example "checkpoint", padded with zeros
//   56      4      CRC-32C of the table
//   60      4      CRC-32C of bytes 0 to 59
//   64             table: per section u32 CRC-32C of its bytes, u32 length of its name, u64 size,
//                  name
//   ...            the sections, each beginning at a multiple of 64 after zeros
//   end-32  32     SHA-256 of everything before

#include <algorithm>
#include <string>
#include <vector>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/hash.hpp"

IOTSL_NAMESPACE_BEGIN

/// A named piece of memory that somebody else holds.
struct Section {
  std::string name;
  ByteSpan bytes;
};

/// The same without its bytes.
struct SectionSize {
  std::string name;
  std::uint64_t bytes = 0;
};

struct ContainerLimits {
  std::uint64_t max_file_bytes = default_max_file_bytes;
  std::size_t max_sections = 1024;
  std::size_t max_name_bytes = 256;
};

/// A parsed file. Movable, not copyable: the sections look into `storage` or into the bytes that
/// were given to parse_container.
struct Container {
  std::string kind;
  std::vector<Section> sections;
  std::vector<std::uint8_t> storage;

  Container() = default;
  Container(Container&&) = default;
  Container& operator=(Container&&) = default;

  /// The section of that name; a failure where there is none.
  Result<ByteSpan> section(std::string_view name) const {
    for (const Section& each : sections)
      if (each.name == name) return each.bytes;
    return failure(ErrorCode::data, kind, ": section '", name, "' is missing");
  }
};

namespace detail {

inline constexpr std::string_view container_magic = "iotsl\r\n\x1a";
inline constexpr std::uint32_t container_version = 1;
inline constexpr std::size_t container_header_bytes = 64;
inline constexpr std::size_t container_kind_bytes = 24;
inline constexpr std::size_t container_entry_bytes = 16;  // without the name
inline constexpr std::uint64_t container_alignment = 64;
inline constexpr std::size_t container_digest_bytes = 32;

inline std::uint64_t container_aligned(std::uint64_t offset) {
  return (offset + container_alignment - 1) / container_alignment * container_alignment;
}

inline std::uint64_t size_of(ByteSpan bytes) { return bytes.size(); }
inline std::uint64_t size_of(std::uint64_t bytes) { return bytes; }

}  // namespace detail

/// Bytes of a container with such sections: of Section, or of SectionSize.
template <class Sections>
std::uint64_t container_bytes(const Sections& sections) {
  std::uint64_t total = detail::container_header_bytes;
  for (const auto& section : sections) total += detail::container_entry_bytes + section.name.size();
  for (const auto& section : sections)
    total = detail::container_aligned(total) + detail::size_of(section.bytes);
  return total + detail::container_digest_bytes;
}

namespace detail {

/// A container in pieces, so that it can be written without a copy of the sections.
struct ContainerParts {
  std::vector<std::uint8_t> head;  // header and table
  Sha256Digest digest{};
  std::vector<ByteSpan> spans;  // everything in order; looks into head, digest and the sections
};

inline constexpr std::array<std::uint8_t, container_alignment> container_zeros{};

inline Result<void> build_container(std::string_view kind, const std::vector<Section>& sections,
                                    ContainerParts& out) {
  if (kind.empty() || kind.size() > container_kind_bytes || kind.find('\0') != kind.npos)
    fail("container: kind '", kind, "' must have 1 to 24 characters");
  const ContainerLimits limits;
  if (sections.size() > limits.max_sections)
    return failure(ErrorCode::other, "container: ", sections.size(), " sections, limit is ",
                   limits.max_sections);
  std::vector<std::uint8_t> table;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const auto& [name, bytes] = sections[i];
    for (std::size_t j = 0; j < i; ++j)
      if (sections[j].name == name)
        return failure(ErrorCode::other, "container: section '", name, "' appears twice");
    if (name.empty() || name.size() > limits.max_name_bytes)
      return failure(ErrorCode::other, "container: section name '", name,
                     "' must have 1 to 256 bytes");
    append_le(table, crc32c(bytes));
    append_le(table, static_cast<std::uint32_t>(name.size()));
    append_le(table, std::uint64_t{bytes.size()});
    table.insert(table.end(), name.begin(), name.end());
  }
  out.head.assign(container_header_bytes, 0);
  std::uint8_t* head = out.head.data();
  std::copy(container_magic.begin(), container_magic.end(), head);
  store_le(head + 8, container_version);
  store_le(head + 12, static_cast<std::uint32_t>(sections.size()));
  store_le(head + 16, std::uint64_t{table.size()});
  store_le(head + 24, container_bytes(sections));
  std::copy(kind.begin(), kind.end(), head + 32);
  store_le(head + 56, crc32c(table));
  store_le(head + 60, crc32c(ByteSpan(head, 60)));
  out.head.insert(out.head.end(), table.begin(), table.end());

  out.spans = {ByteSpan(out.head)};
  std::uint64_t at = out.head.size();
  for (const Section& section : sections) {
    out.spans.push_back(
        ByteSpan(container_zeros).first(static_cast<std::size_t>(container_aligned(at) - at)));
    out.spans.push_back(section.bytes);
    at = container_aligned(at) + section.bytes.size();
  }
  Sha256 hash;
  for (const ByteSpan& span : out.spans) hash.update(span);
  out.digest = hash.digest();
  out.spans.push_back(ByteSpan(out.digest));
  return {};
}

template <class... Parts>
IOTSL_COLD Failure bad_container(const Parts&... parts) {
  return failure(ErrorCode::data, "container: ", parts...);
}

/// Name and checksum of every section and the places of their bytes.
inline Result<std::vector<Section>> parse_container_table(ByteSpan file, std::uint32_t count,
                                                          ByteSpan table,
                                                          const ContainerLimits& limits) {
  std::vector<Section> out;
  const std::uint64_t end = file.size() - container_digest_bytes;
  std::uint64_t at = container_header_bytes + table.size();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (table.size() < container_entry_bytes) return bad_container("table ends in entry ", i);
    const auto checksum = load_le<std::uint32_t>(table.data());
    const auto name_bytes = load_le<std::uint32_t>(table.data() + 4);
    const auto size = load_le<std::uint64_t>(table.data() + 8);
    table = table.subspan(container_entry_bytes);
    if (name_bytes == 0 || name_bytes > limits.max_name_bytes || name_bytes > table.size())
      return bad_container("entry ", i, ": name of ", name_bytes, " bytes");
    std::string name(text_of(table.first(name_bytes)));
    table = table.subspan(name_bytes);
    for (const Section& other : out)
      if (other.name == name) return bad_container("section '", name, "' appears twice");

    const std::uint64_t begin = container_aligned(at);
    if (begin > end || size > end - begin)
      return bad_container("section '", name, "' of ", size, " bytes at offset ", begin,
                           " goes beyond the data's end at ", end);
    for (; at < begin; ++at)
      if (file[static_cast<std::size_t>(at)] != 0)
        return bad_container("offset ", at, ": padding is not zero");
    const ByteSpan bytes =
        file.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size));
    if (crc32c(bytes) != checksum)
      return bad_container("section '", name, "' at offset ", begin, ": checksum does not match");
    at = begin + size;
    out.push_back({std::move(name), bytes});
  }
  if (!table.empty()) return bad_container(table.size(), " bytes after the last table entry");
  if (at != end)
    return bad_container("offset ", at, ": ", end - at, " bytes after the last section");
  return out;
}

}  // namespace detail

/// The bytes of a container. A failure where a section's name is empty, too long or used twice.
inline Result<std::vector<std::uint8_t>> serialize_container(std::string_view kind,
                                                             const std::vector<Section>& sections) {
  detail::ContainerParts parts;
  if (auto built = detail::build_container(kind, sections, parts); !built) return built.failure();
  std::vector<std::uint8_t> out;
  for (const ByteSpan& span : parts.spans) out.insert(out.end(), span.begin(), span.end());
  return out;
}

/// Writes a container atomically, without a copy of the sections.
inline Result<void> save_container(const std::string& path, std::string_view kind,
                                   const std::vector<Section>& sections, mode_t mode = 0666) {
  detail::ContainerParts parts;
  if (auto built = detail::build_container(kind, sections, parts); !built)
    return failure(built.failure().code, path, ": ", built.failure().message);
  return write_file_atomic(path, std::span<const ByteSpan>(parts.spans), mode);
}

/// Reads a container from memory and verifies every checksum. The sections look into `file`, which
/// must live longer. `kind` is the expected kind. A failure names the offset or the section.
inline Result<Container> parse_container(ByteSpan file, std::string_view kind,
                                         const ContainerLimits& limits = {}) {
  using detail::bad_container;
  constexpr std::size_t least = detail::container_header_bytes + detail::container_digest_bytes;
  if (file.size() > limits.max_file_bytes)
    return bad_container(file.size(), " bytes, limit is ", limits.max_file_bytes);
  if (file.size() < least)
    return bad_container("truncated: ", file.size(), " bytes, at least ", least, " expected");
  const std::uint8_t* head = file.data();
  if (text_of(file.first(8)) != detail::container_magic)
    return bad_container("offset 0: not an iotsl container");
  if (load_le<std::uint32_t>(head + 60) != crc32c(file.first(60)))
    return bad_container("offset 60: header checksum does not match");
  const auto version = load_le<std::uint32_t>(head + 8);
  if (version != detail::container_version)
    return bad_container("offset 8: version ", version, ", expected ", detail::container_version);
  const auto count = load_le<std::uint32_t>(head + 12);
  if (count > limits.max_sections)
    return bad_container("offset 12: ", count, " sections, limit is ", limits.max_sections);
  const auto table_bytes = load_le<std::uint64_t>(head + 16);
  const auto total = load_le<std::uint64_t>(head + 24);
  if (total != file.size())
    return bad_container(total > file.size() ? "truncated: " : "too long: ", file.size(),
                         " bytes, the header says ", total);
  if (table_bytes > file.size() - least)
    return bad_container("offset 16: table of ", table_bytes, " bytes does not fit");
  const std::string_view padded = text_of(file.subspan(32, detail::container_kind_bytes));
  const std::string_view found = padded.substr(0, padded.find('\0'));
  if (padded.find_first_not_of('\0', found.size()) != padded.npos)
    return bad_container("offset 32: kind is not padded with zeros");
  if (found != kind) return bad_container("kind is '", found, "', expected '", kind, "'");
  const ByteSpan table =
      file.subspan(detail::container_header_bytes, static_cast<std::size_t>(table_bytes));
  if (load_le<std::uint32_t>(head + 56) != crc32c(table))
    return bad_container("offset 56: table checksum does not match");

  auto sections = detail::parse_container_table(file, count, table, limits);
  if (!sections) return sections.failure();
  const ByteSpan body = file.first(file.size() - detail::container_digest_bytes);
  const Sha256Digest digest = sha256(body);
  if (!std::equal(digest.begin(), digest.end(),
                  file.begin() + static_cast<std::ptrdiff_t>(body.size())))
    return bad_container("offset ", body.size(), ": SHA-256 does not match");
  Container out;
  out.kind = found;
  out.sections = std::move(*sections);
  return out;
}

/// The same for bytes that the result shall keep.
inline Result<Container> parse_container(std::vector<std::uint8_t>&& file, std::string_view kind,
                                         const ContainerLimits& limits = {}) {
  auto parsed = parse_container(ByteSpan(file), kind, limits);
  if (parsed) parsed->storage = std::move(file);  // moving a vector keeps its memory in place
  return parsed;
}

inline Result<Container> load_container(const std::string& path, std::string_view kind,
                                        const ContainerLimits& limits = {}) {
  auto bytes = read_file(path, limits.max_file_bytes);
  if (!bytes) return bytes.failure();
  auto parsed = parse_container(std::move(*bytes), kind, limits);
  if (!parsed) return failure(parsed.failure().code, path, ": ", parsed.failure().message);
  return parsed;
}

IOTSL_NAMESPACE_END
