#pragma once
// How many bytes a transfer takes on the wire, before there is one.

#include "iotsl/net/messages/transfer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Bytes of a transfer of `content` bytes, with its frames. `rank`: extents of its shape.
inline std::uint64_t transfer_bytes(MessageType kind, std::uint64_t content, std::size_t rank) {
  Begin begin;
  begin.kind = kind;
  begin.form.shape.resize(rank);
  End end;
  if (has_digest(kind)) end.sha256.resize(sizeof(Sha256Digest));
  const std::uint64_t chunks = (content + chunk_content_bytes - 1) / chunk_content_bytes;
  return encode(begin).size() + encode(end).size() + content + chunks * Chunk::overhead_bytes +
         (chunks + 2) * header_bytes;
}

}  // namespace net
IOTSL_NAMESPACE_END
