#pragma once
// Numbers as little-endian bytes, the byte order of every file and message here.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "iotsl/config.hpp"

// Numbers and tensors are written as they lie in memory.
static_assert(std::endian::native == std::endian::little, "iotsl needs a little-endian machine");

IOTSL_NAMESPACE_BEGIN

/// A view of bytes.
using ByteSpan = std::span<const std::uint8_t>;

/// The unsigned number in the first sizeof(V) bytes at `bytes`.
template <std::unsigned_integral V>
V load_le(const std::uint8_t* bytes) {
  V v;
  std::memcpy(&v, bytes, sizeof(V));
  return v;
}

/// The same of four bytes, big endian.
inline std::uint32_t load_be32(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | bytes[3];
}

/// Writes a number little endian.
template <std::unsigned_integral V>
void store_le(std::uint8_t* bytes, V v) {
  std::memcpy(bytes, &v, sizeof(V));
}

/// Appends a number little endian.
template <std::unsigned_integral V>
void append_le(std::vector<std::uint8_t>& out, V v) {
  out.resize(out.size() + sizeof(V));
  store_le(out.data() + out.size() - sizeof(V), v);
}

/// The characters of a text as bytes, and back.
inline ByteSpan bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
/// The same bytes as text.
inline std::string_view text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The memory of an array of numbers as bytes.
template <class V>
ByteSpan bytes_of(const V* values, std::size_t count) {
  return {reinterpret_cast<const std::uint8_t*>(values), count * sizeof(V)};
}

IOTSL_NAMESPACE_END
