#pragma once
// ISL frames: a 32-byte header and a payload, both with a CRC32C. No sockets here: bytes go in
// and frames come out, in pieces of any size.
//
//   offset  0  magic u32            "ISL1"
//           4  major u8             1, the version of this layout
//           5  type u8              MessageType
//           6  flags u16            bit 0: OPTIONAL, an unknown type may be skipped
//           8  payload_len u32
//          12  frame_seq u32        0, 1, 2, ... in each direction
//          16  object_id u64        the transfer's id in BEGIN, CHUNK and END, else 0
//          24  payload_crc32c u32
//          28  header_crc32c u32    over the 28 bytes before

#include "iotsl/net/messages/codec.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

inline constexpr std::uint32_t frame_magic = 0x314C5349;  // "ISL1" read as little endian
/// Of the layout of a frame. It is older than the messages, so that peers of different versions
/// can still tell each other so.
inline constexpr std::uint8_t frame_major = 1;
/// Of the messages and their order: what HELLO and HELLO_OK agree on.
inline constexpr std::uint8_t protocol_major = 2;
inline constexpr std::size_t header_bytes = 32;
inline constexpr std::size_t max_payload_before_join = 4 << 10;
inline constexpr std::size_t max_payload_bytes = 1 << 20;
inline constexpr std::uint16_t flag_optional = 1;

/// The message's number on the wire.
enum class MessageType : std::uint8_t {
  hello = 0x01,
  hello_ok = 0x02,
  join = 0x03,
  join_ok = 0x04,
  begin = 0x05,
  chunk = 0x06,
  end = 0x07,
  label_hist = 0x10,
  gen_upload = 0x11,
  gen_ack = 0x12,
  front_init = 0x20,
  impute_plan = 0x21,
  gen_download = 0x22,
  turn_grant = 0x30,
  turn_accept = 0x31,
  step = 0x32,
  grad = 0x33,
  barrier = 0x34,
  barrier_ack = 0x35,
  barrier_committed = 0x36,
  turn_done = 0x37,
  turn_committed = 0x38,
  eval_req = 0x40,
  eval_resp = 0x41,
  ping = 0x50,
  pong = 0x51,
  error = 0x52,
  leave = 0x53,
  bye = 0x54,
  resume = 0x55,
  resume_ok = 0x56,
  leave_ok = 0x57,
  enroll = 0x60,
  enroll_ok = 0x61,
  server_key = 0x62,
  server_key_kept = 0x63,
  local_model = 0x70,
  global_model = 0x71,
};

namespace detail {

struct MessageName {
  MessageType type;
  const char* name;
};
inline constexpr MessageName message_names[] = {
    {MessageType::hello, "HELLO"},
    {MessageType::hello_ok, "HELLO_OK"},
    {MessageType::join, "JOIN"},
    {MessageType::join_ok, "JOIN_OK"},
    {MessageType::begin, "BEGIN"},
    {MessageType::chunk, "CHUNK"},
    {MessageType::end, "END"},
    {MessageType::label_hist, "LABEL_HIST"},
    {MessageType::gen_upload, "GEN_UPLOAD"},
    {MessageType::gen_ack, "GEN_ACK"},
    {MessageType::front_init, "FRONT_INIT"},
    {MessageType::impute_plan, "IMPUTE_PLAN"},
    {MessageType::gen_download, "GEN_DOWNLOAD"},
    {MessageType::turn_grant, "TURN_GRANT"},
    {MessageType::turn_accept, "TURN_ACCEPT"},
    {MessageType::step, "STEP"},
    {MessageType::grad, "GRAD"},
    {MessageType::barrier, "BARRIER"},
    {MessageType::barrier_ack, "BARRIER_ACK"},
    {MessageType::barrier_committed, "BARRIER_COMMITTED"},
    {MessageType::turn_done, "TURN_DONE"},
    {MessageType::turn_committed, "TURN_COMMITTED"},
    {MessageType::eval_req, "EVAL_REQ"},
    {MessageType::eval_resp, "EVAL_RESP"},
    {MessageType::ping, "PING"},
    {MessageType::pong, "PONG"},
    {MessageType::error, "ERROR"},
    {MessageType::leave, "LEAVE"},
    {MessageType::bye, "BYE"},
    {MessageType::resume, "RESUME"},
    {MessageType::resume_ok, "RESUME_OK"},
    {MessageType::leave_ok, "LEAVE_OK"},
    {MessageType::enroll, "ENROLL"},
    {MessageType::enroll_ok, "ENROLL_OK"},
    {MessageType::server_key, "SERVER_KEY"},
    {MessageType::server_key_kept, "SERVER_KEY_KEPT"},
    {MessageType::local_model, "LOCAL_MODEL"},
    {MessageType::global_model, "GLOBAL_MODEL"},
};

}  // namespace detail

/// The name in capitals; "unknown" for a number without a message.
inline const char* to_string(MessageType type) {
  for (const detail::MessageName& each : detail::message_names)
    if (each.type == type) return each.name;
  return "unknown";
}

namespace detail {

/// Of each number, its place among the messages that exist.
inline constexpr auto place_table = [] {
  std::array<std::uint8_t, 256> out{};
  out.fill(static_cast<std::uint8_t>(std::size(message_names)));
  std::uint8_t place = 0;
  for (const MessageName& each : message_names) out[static_cast<std::size_t>(each.type)] = place++;
  return out;
}();

}  // namespace detail

/// For tables with an entry for each message, and a last one for all numbers without.
inline constexpr std::size_t message_places = std::size(detail::message_names) + 1;
inline std::size_t place_of(MessageType type) {
  return detail::place_table[static_cast<std::size_t>(type)];
}

inline bool known(MessageType type) { return place_of(type) + 1 < message_places; }

/// Of a message's frames. An optional one is skipped by a program that is older than it.
constexpr std::uint16_t flags_of(MessageType type) {
  return type == MessageType::server_key ? flag_optional : std::uint16_t{0};
}

struct FrameHeader {
  MessageType type{};
  std::uint16_t flags = 0;
  std::uint32_t payload_bytes = 0;
  std::uint32_t sequence = 0;
  std::uint64_t object_id = 0;
  std::uint32_t payload_crc = 0;
};

namespace detail {

inline void write_header(const FrameHeader& h, std::uint8_t* out) {
  store_le(out, frame_magic);
  out[4] = frame_major;
  out[5] = static_cast<std::uint8_t>(h.type);
  store_le(out + 6, h.flags);
  store_le(out + 8, h.payload_bytes);
  store_le(out + 12, h.sequence);
  store_le(out + 16, h.object_id);
  store_le(out + 24, h.payload_crc);
  store_le(out + 28, crc32c(ByteSpan(out, 28)));
}

}  // namespace detail

/// Numbers and appends the frames of one direction.
class FrameWriter {
 public:
  /// Appends one frame to `out`. Its payload is `head` followed by `body`: a chunk's bytes are
  /// taken from where they are.
  void write(Bytes& out, MessageType type, std::uint64_t object_id, ByteSpan head,
             ByteSpan body = {}, std::uint16_t flags = 0) {
    const std::size_t payload = head.size() + body.size();
    if (payload > max_payload_bytes)
      fail("frame ", to_string(type), ": payload of ", payload, " bytes, limit ",
           max_payload_bytes);
    FrameHeader h;
    h.type = type;
    h.flags = flags;
    h.payload_bytes = static_cast<std::uint32_t>(payload);
    h.sequence = sequence_++;
    h.object_id = object_id;
    h.payload_crc = crc32c(body, crc32c(head));
    const std::size_t at = out.size();
    out.resize(at + header_bytes);
    detail::write_header(h, out.data() + at);
    out.insert(out.end(), head.begin(), head.end());
    out.insert(out.end(), body.begin(), body.end());
  }

 private:
  std::uint32_t sequence_ = 0;
};

/// A complete and checked frame. The payload is valid until the reader is used again.
struct Frame {
  FrameHeader header;
  ByteSpan payload;
};

/// Cuts the incoming bytes of one direction into frames. Holds one frame at most, and no more
/// memory than bytes were received. After a failure the direction is lost: every later call fails
/// too.
class FrameReader {
 public:
  /// The limit before JOIN_OK holds until it is raised.
  void set_max_payload(std::size_t bytes) { max_payload_ = bytes; }

  /// Takes bytes off the front of `input`, up to the end of one frame. True: `frame` is complete;
  /// call again for the next. False: all of `input` is used and more is needed.
  Result<bool> next(ByteSpan& input, Frame& frame) {
    if (lost_) return failure(ErrorCode::network, "frame: the direction was given up earlier");
    if (complete_) {
      buffer_.clear();
      complete_ = false;
    }
    if (buffer_.size() < header_bytes) {
      move_bytes(input, header_bytes);
      if (buffer_.size() < header_bytes) return false;
      const Result<void> good = check_header();
      if (!good) return give_up(good.failure());
    }
    const std::size_t all = header_bytes + header_.payload_bytes;
    move_bytes(input, all);
    if (buffer_.size() < all) return false;
    const ByteSpan payload = ByteSpan(buffer_).subspan(header_bytes);
    const std::uint32_t crc = crc32c(payload);
    if (crc != header_.payload_crc)
      return give_up(failure(ErrorCode::network, "frame ", header_.sequence, " ",
                             to_string(header_.type), ": payload crc32c is ", crc,
                             ", the header says ", header_.payload_crc));
    frame = {header_, payload};
    complete_ = true;
    return true;
  }

  /// Bytes held now.
  std::size_t buffered() const { return buffer_.size(); }
  /// Gives back the room of larger frames; it is taken again when one comes.
  void release_memory() {
    if (!complete_ && !buffer_.empty()) return;
    Bytes().swap(buffer_);
    complete_ = false;
  }

 private:
  void move_bytes(ByteSpan& input, std::size_t until) {
    const std::size_t count = std::min(until - buffer_.size(), input.size());
    // Twice what is here, and never beyond the frame: small ones of many peers lie in memory.
    const std::size_t need = buffer_.size() + count;
    if (need > buffer_.capacity()) buffer_.reserve(std::min(until, 2 * need));
    buffer_.insert(buffer_.end(), input.begin(),
                   input.begin() + static_cast<std::ptrdiff_t>(count));
    input = input.subspan(count);
  }

  Result<void> check_header() {
    const std::uint8_t* p = buffer_.data();
    const auto magic = load_le<std::uint32_t>(p);
    if (magic != frame_magic)
      return failure(ErrorCode::network, "frame ", expected_, ": magic is ", magic, ", expected ",
                     frame_magic, "; the peer does not speak ISL");
    const auto crc = load_le<std::uint32_t>(p + 28);
    if (crc != crc32c(ByteSpan(p, 28)))
      return failure(ErrorCode::network, "frame ", expected_, ": header crc32c is ", crc,
                     ", expected ", crc32c(ByteSpan(p, 28)));
    if (p[4] != frame_major)
      return failure(ErrorCode::network, "frame ", expected_, ": layout version ", int{p[4]},
                     ", expected ", int{frame_major});
    header_.type = static_cast<MessageType>(p[5]);
    header_.flags = load_le<std::uint16_t>(p + 6);
    header_.payload_bytes = load_le<std::uint32_t>(p + 8);
    header_.sequence = load_le<std::uint32_t>(p + 12);
    header_.object_id = load_le<std::uint64_t>(p + 16);
    header_.payload_crc = load_le<std::uint32_t>(p + 24);
    if (header_.sequence != expected_)
      return failure(ErrorCode::network, "frame: frame_seq is ", header_.sequence, ", expected ",
                     expected_);
    if (header_.payload_bytes > max_payload_)
      return failure(ErrorCode::network, "frame ", expected_, " ", to_string(header_.type),
                     ": payload of ", header_.payload_bytes, " bytes, limit ", max_payload_);
    ++expected_;
    return {};
  }

  Failure give_up(Failure why) {
    lost_ = true;
    buffer_.clear();
    return why;
  }

  Bytes buffer_;
  FrameHeader header_;
  std::size_t max_payload_ = max_payload_before_join;
  std::uint32_t expected_ = 0;
  bool complete_ = false;
  bool lost_ = false;
};

}  // namespace net
IOTSL_NAMESPACE_END
