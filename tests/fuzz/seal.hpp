#pragma once
// Puts checksums right, so that what lies behind them is read too. A target tries every input as it
// is and sealed.

#include "fuzz/fuzz.hpp"
#include "iotsl/core/files/container.hpp"
#include "iotsl/net/messages/frame.hpp"

namespace iotsl::fuzz {

/// Frames of one direction: magic, version, number, length and checksums of each are what they have
/// to be. A length goes no further than the bytes do.
inline Bytes sealed_frames(ByteSpan stream) {
  Bytes out(stream.begin(), stream.end());
  std::uint32_t number = 0;
  for (std::size_t at = 0; out.size() - at >= net::header_bytes; ++number) {
    std::uint8_t* const head = out.data() + at;
    const std::size_t left = out.size() - at - net::header_bytes;
    net::FrameHeader header;
    header.type = static_cast<net::MessageType>(head[5]);
    header.flags = load_le<std::uint16_t>(head + 6);
    header.payload_bytes =
        std::min(load_le<std::uint32_t>(head + 8), static_cast<std::uint32_t>(left));
    header.sequence = number;
    header.object_id = load_le<std::uint64_t>(head + 16);
    header.payload_crc = crc32c(ByteSpan(head + net::header_bytes, header.payload_bytes));
    net::detail::write_header(header, head);
    at += net::header_bytes + header.payload_bytes;
  }
  return out;
}

/// A container: magic, version, length and all checksums. Its table is taken for what it says, as
/// far as the file goes.
inline Bytes sealed_container(ByteSpan file) {
  namespace d = iotsl::detail;
  Bytes out(file.begin(), file.end());
  if (out.size() < d::container_header_bytes + d::container_digest_bytes) return out;
  std::uint8_t* const head = out.data();
  const std::uint64_t end = out.size() - d::container_digest_bytes;
  std::copy(d::container_magic.begin(), d::container_magic.end(), head);
  store_le(head + 8, d::container_version);
  store_le(head + 24, std::uint64_t{out.size()});
  const std::uint64_t table_bytes =
      std::min<std::uint64_t>(load_le<std::uint64_t>(head + 16), end - d::container_header_bytes);
  store_le(head + 16, table_bytes);
  std::uint64_t entry = d::container_header_bytes, section = entry + table_bytes;
  const std::uint64_t table_end = section;
  while (table_end - entry >= d::container_entry_bytes) {
    const std::uint64_t name_bytes = load_le<std::uint32_t>(head + entry + 4);
    const auto size = load_le<std::uint64_t>(head + entry + 8);
    const std::uint64_t begin = d::container_aligned(section);
    if (begin > end || size > end - begin) break;
    store_le(head + entry, crc32c(ByteSpan(head + begin, static_cast<std::size_t>(size))));
    std::fill(head + section, head + begin, std::uint8_t{0});
    section = begin + size;
    if (name_bytes > table_end - entry - d::container_entry_bytes) break;
    entry += d::container_entry_bytes + name_bytes;
  }
  store_le(head + 56, crc32c(ByteSpan(head + d::container_header_bytes,
                                      static_cast<std::size_t>(table_bytes))));
  store_le(head + 60, crc32c(ByteSpan(head, 60)));
  const Sha256Digest digest = sha256(ByteSpan(head, static_cast<std::size_t>(end)));
  std::copy(digest.begin(), digest.end(), out.begin() + static_cast<std::ptrdiff_t>(end));
  return out;
}

}  // namespace iotsl::fuzz
