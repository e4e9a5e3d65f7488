#pragma once
// What passed over a link, by message type: the numbers from which the itemised bill is made. Their
// sum equals the bytes of the socket in plain text; what TLS adds is counted by the sockets alone.

#include "iotsl/net/messages/transfer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Frames and bytes in one direction.
struct Traffic {
  struct Count {
    std::uint64_t messages = 0;     ///< frames; for a transfer kind: complete transfers
    std::uint64_t bytes = 0;        ///< payload bytes; for a transfer kind: content bytes
    std::uint64_t frame_bytes = 0;  ///< beside them: headers; BEGIN, END and offsets of a transfer
    friend bool operator==(const Count&, const Count&) = default;
  };
  std::uint64_t frames = 0;
  std::uint64_t transfer_overhead_bytes = 0;  ///< BEGIN and END payloads, offsets of the chunks
  std::array<Count, message_places> by_type{};

  const Count& of(MessageType type) const { return by_type[place_of(type)]; }
  std::uint64_t header_bytes_total() const { return frames * header_bytes; }

  /// All bytes: headers, payloads and contents.
  std::uint64_t total_bytes() const {
    std::uint64_t sum = header_bytes_total() + transfer_overhead_bytes;
    for (const Count& count : by_type) sum += count.bytes;
    return sum;
  }

  /// All bytes that were spent on messages of one type.
  std::uint64_t bytes_of(MessageType type) const { return of(type).bytes + of(type).frame_bytes; }

  /// Counts a frame; `kind` is that of the open transfer, for BEGIN, CHUNK and END.
  void add_frame(MessageType type, MessageType kind, std::size_t payload) {
    ++frames;
    const auto add_overhead = [&](std::size_t bytes) {
      transfer_overhead_bytes += bytes;
      at(kind).frame_bytes += header_bytes + bytes;
    };
    switch (type) {
      case MessageType::begin:
        return add_overhead(payload);
      case MessageType::chunk:
        at(kind).bytes += payload - Chunk::overhead_bytes;
        return add_overhead(Chunk::overhead_bytes);
      case MessageType::end:
        ++at(kind).messages;
        return add_overhead(payload);
      default:
        ++at(type).messages;
        at(type).bytes += payload;
        at(type).frame_bytes += header_bytes;
    }
  }

  Traffic& operator+=(const Traffic& other) {
    frames += other.frames;
    transfer_overhead_bytes += other.transfer_overhead_bytes;
    for (std::size_t i = 0; i < by_type.size(); ++i) {
      by_type[i].messages += other.by_type[i].messages;
      by_type[i].bytes += other.by_type[i].bytes;
      by_type[i].frame_bytes += other.by_type[i].frame_bytes;
    }
    return *this;
  }
  friend bool operator==(const Traffic&, const Traffic&) = default;

 private:
  Count& at(MessageType type) { return by_type[place_of(type)]; }
};

}  // namespace net
IOTSL_NAMESPACE_END
