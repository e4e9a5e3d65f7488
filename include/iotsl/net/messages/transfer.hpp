#pragma once
// Transfers: content of any size as BEGIN, CHUNK ..., END. Small chunks leave room for heartbeats
// between them. Every chunk is a frame and has the CRC32C of that frame; END has XXH64 of the
// whole, and SHA-256 for the kinds that hold a front or a generator.

#include "iotsl/net/messages/messages.hpp"
#include "iotsl/net/messages/wire_format.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Content bytes of a chunk: four seconds at the slowest link that is allowed (16 KiB/s).
inline constexpr std::size_t chunk_content_bytes = 64 << 10;

inline bool is_bulk(MessageType type) {
  return type == MessageType::front_init || type == MessageType::turn_grant ||
         type == MessageType::step || type == MessageType::grad ||
         type == MessageType::barrier_ack || type == MessageType::gen_upload ||
         type == MessageType::gen_download || type == MessageType::local_model ||
         type == MessageType::global_model;
}
/// Kinds whose END carries a SHA-256: they are few, and other machines and files depend on them.
inline bool has_digest(MessageType kind) {
  return is_bulk(kind) && kind != MessageType::step && kind != MessageType::grad;
}

struct Begin {
  static constexpr MessageType type = MessageType::begin;
  static constexpr const char* name = "BEGIN";
  MessageType kind{};
  std::uint64_t total_bytes = 0;
  std::uint8_t codec = 0;  ///< 0: as it is
  BatchForm form;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.kind);
    c.number(self.total_bytes);
    c.number(self.codec);
    c.number(self.form.dtype);
    c.array(self.form.shape, 4);
    c.require(is_bulk(self.kind), "kind is no transfer");
    c.require(self.codec == 0, "codec is not 0 (raw)");
    const bool may_be_coded = self.kind == MessageType::step || self.kind == MessageType::grad;
    c.require(may_be_coded || self.form.dtype == type_number(WireCoding::fp32),
              "dtype is not 1 (float32)");
    c.require(self.form.dtype >= 1 && self.form.dtype <= std::size(names_of(WireCoding{})),
              "dtype is not in 1 to 4 (float32, fp16, int8, int4)");
  }
};

struct Chunk {
  static constexpr MessageType type = MessageType::chunk;
  static constexpr const char* name = "CHUNK";
  static constexpr std::size_t overhead_bytes = 8;
  std::uint64_t offset = 0;
  ByteSpan content;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.offset);
    c.rest(self.content);
  }
};

struct End {
  static constexpr MessageType type = MessageType::end;
  static constexpr const char* name = "END";
  std::uint64_t xxh64 = 0;
  std::vector<std::uint8_t> sha256;  ///< 32 bytes or none
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.xxh64);
    c.array(self.sha256, 32);
  }
};

/// A complete message: a payload, or the content of a transfer.
struct Message {
  MessageType type{};
  Bytes payload;
  BatchForm form;          ///< what BEGIN said
  std::uint64_t hash = 0;  ///< XXH64 of a transfer's content
  Sha256Digest digest{};   ///< SHA-256, for the kinds that have one
};

template <class M>
Message make_message(const M& fields, BatchForm form = {}) {
  Message message;
  message.type = M::type;
  message.payload = encode(fields);
  message.form = std::move(form);
  return message;
}

/// Writes one message as frames, one frame a call.
class MessageSender {
 public:
  explicit MessageSender(Message message, std::uint64_t transfer)
      : message_(std::move(message)), transfer_(transfer) {}

  /// Appends the next frame. True when it was the last.
  bool write_next(FrameWriter& frames, Bytes& out) {
    if (!is_bulk(message_.type)) {
      frames.write(out, message_.type, 0, message_.payload, {}, flags_of(message_.type));
      return true;
    }
    const ByteSpan content(message_.payload);
    if (!begun_) {
      begun_ = true;
      Begin begin;
      begin.kind = message_.type;
      begin.total_bytes = content.size();
      begin.form = message_.form;
      frames.write(out, Begin::type, transfer_, encode(begin));
      return false;
    }
    if (sent_ < content.size()) {
      const ByteSpan piece =
          content.subspan(sent_, std::min(chunk_content_bytes, content.size() - sent_));
      std::uint8_t offset[Chunk::overhead_bytes];
      store_le(offset, std::uint64_t{sent_});
      frames.write(out, Chunk::type, transfer_, offset, piece);
      hash_.update(piece);
      if (has_digest(message_.type)) digest_.update(piece);
      sent_ += piece.size();
      return false;
    }
    End end;
    end.xxh64 = hash_.digest();
    if (has_digest(message_.type)) {
      const Sha256Digest digest = digest_.digest();
      end.sha256.assign(digest.begin(), digest.end());
    }
    frames.write(out, End::type, transfer_, encode(end));
    return true;
  }

 private:
  Message message_;
  std::uint64_t transfer_;
  XxHash64 hash_;
  Sha256 digest_;
  std::size_t sent_ = 0;
  bool begun_ = false;
};

/// Puts one incoming transfer together. A second BEGIN before END is refused.
class TransferAssembler {
 public:
  /// The largest content of a kind, which follows from the model both sides agreed on. A kind
  /// without a limit is refused.
  void set_limit(MessageType kind, std::size_t bytes) { limits_[place_of(kind)] = bytes; }
  bool open() const { return open_; }
  /// Kind of the transfer that is open.
  MessageType kind() const { return message_.type; }

  Result<void> on_begin(std::uint64_t transfer, ByteSpan payload) {
    if (open_) return problem("BEGIN inside a transfer");
    const Result<Begin> begin = decode<Begin>(payload);
    if (!begin) return begin.failure();
    const std::size_t limit = limits_[place_of(begin->kind)];
    if (begin->total_bytes > limit)
      return failure(ErrorCode::network, "transfer of ", to_string(begin->kind), ": ",
                     begin->total_bytes, " bytes announced, limit ", limit);
    if (transfer <= last_transfer_)
      return failure(ErrorCode::network, "transfer of ", to_string(begin->kind), ": id ", transfer,
                     " after ", last_transfer_, "; ids must rise");
    last_transfer_ = transfer;
    open_ = true;
    message_ = {};
    message_.type = begin->kind;
    message_.form = begin->form;
    total_ = static_cast<std::size_t>(begin->total_bytes);
    hash_ = XxHash64();
    digest_ = Sha256();
    return {};
  }

  Result<void> on_chunk(std::uint64_t transfer, ByteSpan payload) {
    if (!open_ || transfer != last_transfer_) return problem("CHUNK outside its transfer");
    const Result<Chunk> chunk = decode<Chunk>(payload);
    if (!chunk) return chunk.failure();
    Bytes& content = message_.payload;
    if (chunk->offset != content.size()) return problem("CHUNK at another offset than the next");
    if (chunk->content.empty()) return problem("CHUNK without content");
    if (chunk->content.size() > total_ - content.size())
      return problem("CHUNK beyond the announced size");
    // Grow to twice what has arrived, never at once to what was announced.
    const std::size_t need = content.size() + chunk->content.size();
    if (need > content.capacity()) content.reserve(std::min(total_, 2 * need));
    content.insert(content.end(), chunk->content.begin(), chunk->content.end());
    hash_.update(chunk->content);
    if (has_digest(message_.type)) digest_.update(chunk->content);
    return {};
  }

  /// The complete message.
  Result<Message> on_end(std::uint64_t transfer, ByteSpan payload) {
    if (!open_ || transfer != last_transfer_) return problem("END outside its transfer");
    const Result<End> end = decode<End>(payload);
    if (!end) return end.failure();
    if (message_.payload.size() != total_) return problem("END before the announced size");
    message_.hash = hash_.digest();
    if (end->xxh64 != message_.hash) return problem("content does not have the hash of END");
    if (has_digest(message_.type)) {
      message_.digest = digest_.digest();
      if (!std::equal(end->sha256.begin(), end->sha256.end(), message_.digest.begin(),
                      message_.digest.end()))
        return problem("content does not have the SHA-256 of END");
    } else if (!end->sha256.empty()) {
      return problem("END has a SHA-256 that its kind does not use");
    }
    open_ = false;
    return std::move(message_);
  }

 private:
  Failure problem(const char* what) const {
    return failure(ErrorCode::network, "transfer of ", to_string(message_.type), " at byte ",
                   message_.payload.size(), " of ", total_, ": ", what);
  }

  std::array<std::size_t, message_places> limits_{};
  Message message_;
  XxHash64 hash_;
  Sha256 digest_;
  std::size_t total_ = 0;
  std::uint64_t last_transfer_ = 0;
  bool open_ = false;
};

}  // namespace net
IOTSL_NAMESPACE_END
