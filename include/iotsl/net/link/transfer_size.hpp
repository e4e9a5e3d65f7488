#pragma once
// How many bytes a transfer takes on the wire, before there is one.

#include <algorithm>

#include "iotsl/net/link/traffic.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// What a transfer of `content` bytes counts for. `rank`: extents of its shape.
inline Traffic transfer_traffic(MessageType kind, std::uint64_t content, std::size_t rank) {
  Begin begin;
  begin.kind = kind;
  begin.form.shape.resize(rank);
  End end;
  if (has_digest(kind)) end.sha256.resize(sizeof(Sha256Digest));
  Traffic out;
  out.add_frame(MessageType::begin, kind, encode(begin).size());
  for (std::uint64_t sent = 0; sent < content; sent += chunk_content_bytes)
    out.add_frame(MessageType::chunk, kind,
                  Chunk::overhead_bytes + static_cast<std::size_t>(std::min<std::uint64_t>(
                                              chunk_content_bytes, content - sent)));
  out.add_frame(MessageType::end, kind, encode(end).size());
  return out;
}

/// Its bytes, with its frames.
inline std::uint64_t transfer_bytes(MessageType kind, std::uint64_t content, std::size_t rank) {
  return transfer_traffic(kind, content, rank).total_bytes();
}

}  // namespace net
IOTSL_NAMESPACE_END
