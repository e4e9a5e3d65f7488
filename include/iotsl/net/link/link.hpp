#pragma once
// One connection without its socket: bytes in, messages out, and the other way round, with
// heartbeats, time limits and byte counts. The driver moves the bytes and says what time it is.

#include <deque>

#include "iotsl/net/link/link_options.hpp"
#include "iotsl/net/link/traffic.hpp"
#include "iotsl/net/messages/messages.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Longest time between two calls of Link::tick.
inline constexpr Microseconds tick_interval = second_us / 4;

/// State of one connection.
class Link {
 public:
  explicit Link(const LinkOptions& options, Microseconds now = 0)
      : options_(options), opened_(now), heard_(now), sent_(now) {}

  /// Begins the time limits, where the link was made before its connection.
  void restart(Microseconds now) { opened_ = heard_ = sent_ = now; }

  // What this side sends.

  /// Queues a message behind the earlier ones.
  void send(Message message) {
    if (options_.server && message.type == MessageType::join_ok) join();
    const std::uint64_t transfer = is_bulk(message.type) ? ++transfers_ : 0;
    queued_bytes_ += message.payload.size();
    queue_.push_back(
        {message.type, message.payload.size(), MessageSender(std::move(message), transfer)});
  }
  template <class M>
  void send_fields(const M& fields) {
    send(make_message(fields));
  }
  /// Drops what is queued and sends this as the last message.
  void send_last(Message message) {
    queue_.clear();
    queued_bytes_ = 0;
    urgent_.clear();
    urgent_.push_back(std::move(message));
  }
  /// Queues a PING ahead of everything else. With `busy_us` > 0 the peer waits that much longer.
  void ping(Microseconds now, Microseconds busy_us = 0) {
    Heartbeat beat;
    beat.clock_us = static_cast<std::uint64_t>(now);
    beat.last_step = last_step_;
    beat.busy_ms = static_cast<std::uint32_t>(busy_us / 1000);
    urgent_.push_back(beat_message(MessageType::ping, beat));
  }
  /// Appends frames to `out` until it holds `until` bytes or nothing is left to send.
  void produce(Bytes& out, std::size_t until, Microseconds now) {
    while (out.size() < until && wants_to_send()) {
      sent_ = now;
      const std::size_t before = out.size();
      if (!urgent_.empty()) {
        frames_.write(out, urgent_.front().type, 0, urgent_.front().payload);
        traffic_out_.add_frame(urgent_.front().type, {}, urgent_.front().payload.size());
        urgent_.pop_front();
        continue;
      }
      Outgoing& next = queue_.front();
      const bool last = next.sender.write_next(frames_, out);
      // The type is read back from the frame: a transfer's frames differ from its message.
      traffic_out_.add_frame(static_cast<MessageType>(out[before + 5]), next.type,
                             out.size() - before - header_bytes);
      if (last) {
        queued_bytes_ -= next.bytes;
        queue_.pop_front();
      }
    }
  }
  bool wants_to_send() const { return !urgent_.empty() || !queue_.empty(); }
  /// Payload bytes of the messages that are not sent completely.
  std::size_t queued_bytes() const { return queued_bytes_; }

  // What the peer sends.

  void set_transfer_limit(MessageType kind, std::size_t bytes) {
    transfers_in_.set_limit(kind, bytes);
  }
  /// Takes received bytes. A failure ends the connection.
  Result<void> receive(ByteSpan input, Microseconds now) {
    if (!input.empty()) heard_ = now;
    window_bytes_ += input.size();
    Frame frame;
    for (;;) {
      const Result<bool> complete = reader_.next(input, frame);
      if (!complete) return complete.failure();
      if (!*complete) return {};
      const Result<void> done = on_frame(frame, now);
      if (!done) return done;
    }
  }
  /// The next complete message, if there is one. Heartbeats never appear here.
  bool pop(Message& message) {
    if (inbox_.empty()) return false;
    message = std::move(inbox_.front());
    inbox_.pop_front();
    return true;
  }
  bool has_message() const { return !inbox_.empty(); }
  bool joined() const { return joined_; }

  // Time.

  /// Messages of the peer wait for this side's computation (`waits`), or no longer. The handshake
  /// stands still meanwhile, and a peer that has not joined is told by PING.
  void set_waiting(bool waits, Microseconds now) {
    if (waits || waiting_) opened_ = now;
    told_busy_ = told_busy_ && waits;
    waiting_ = waits;
  }
  /// Nothing is read from the peer for now: neither its silence nor its speed says anything.
  void pause_reading(Microseconds now) {
    heard_ = window_start_ = now;
    window_bytes_ = 0;
  }

  /// Sends what is due and checks the limits. Call it after reading what has arrived.
  Result<void> tick(Microseconds now) {
    if (!options_.timers) return {};
    // A server that is busy with others says so before it answers.
    const Microseconds in_handshake = now - std::max(opened_, peer_busy_until_);
    if (!heard_hello_ && in_handshake > options_.hello_limit)
      return too_late("no HELLO", options_.hello_limit);
    if (!joined_ && in_handshake > options_.handshake_limit + busy_allowance())
      return too_late("handshake not complete", options_.handshake_limit);
    if (now - std::max(heard_, peer_busy_until_) > options_.dead_limit)
      return too_late("nothing heard from the peer", options_.dead_limit);
    if (joined_ && now - sent_ >= options_.ping_interval && urgent_.empty()) ping(now);
    if (!joined_ && waiting_) tell_busy(now);
    return check_speed(now);
  }
  /// The heartbeat that HELLO_OK asks for.
  void set_heartbeat(Microseconds interval, Microseconds dead, Microseconds busy_cap) {
    options_.ping_interval = interval;
    options_.dead_limit = dead;
    options_.busy_cap = busy_cap;
  }
  void set_last_step(std::uint64_t step) { last_step_ = step; }
  Microseconds busy_cap() const { return options_.busy_cap; }

  /// Gives back the room of larger frames, while the connection is idle.
  void release_memory() { reader_.release_memory(); }

  // Counts.

  const Traffic& traffic_in() const { return traffic_in_; }
  const Traffic& traffic_out() const { return traffic_out_; }

 private:
  struct Outgoing {
    MessageType type;
    std::size_t bytes;
    MessageSender sender;
  };

  static Message beat_message(MessageType type, const Heartbeat& beat) {
    Message message;
    message.type = type;
    message.payload = encode(beat);
    return message;
  }

  Result<void> on_frame(const Frame& frame, Microseconds now) {
    const MessageType type = frame.header.type;
    if (!known(type)) {
      traffic_in_.add_frame(type, {}, frame.payload.size());
      if ((frame.header.flags & flag_optional) != 0) return {};
      return failure(ErrorCode::network, "frame ", frame.header.sequence, ": type ",
                     static_cast<int>(type), " is unknown and not optional");
    }
    if (is_bulk(type))
      return failure(ErrorCode::network, "frame ", frame.header.sequence, ": ", to_string(type),
                     " must come as a transfer");
    const bool of_transfer =
        type == MessageType::begin || type == MessageType::chunk || type == MessageType::end;
    if (of_transfer) return on_transfer_frame(frame, now);
    if (frame.header.object_id != 0)
      return failure(ErrorCode::network, "frame ", frame.header.sequence, " ", to_string(type),
                     ": object_id is ", frame.header.object_id, ", expected 0");
    traffic_in_.add_frame(type, {}, frame.payload.size());
    if (type == MessageType::ping || type == MessageType::pong) return on_heartbeat(frame, now);
    heard_hello_ = true;
    if (!options_.server && type == MessageType::join_ok) join();
    const std::size_t most = joined_ ? max_inbox : max_inbox_before_join;
    if (inbox_.size() >= most)
      return failure(ErrorCode::network, "more than ", most, " messages wait to be handled");
    Message message;
    message.type = type;
    message.payload.assign(frame.payload.begin(), frame.payload.end());
    inbox_.push_back(std::move(message));
    return {};
  }

  Result<void> on_transfer_frame(const Frame& frame, Microseconds now) {
    if (!joined_)
      return failure(ErrorCode::network, to_string(frame.header.type), " before JOIN_OK");
    const MessageType type = frame.header.type;
    const std::uint64_t transfer = frame.header.object_id;
    if (type == MessageType::begin) {
      const Result<void> begun = transfers_in_.on_begin(transfer, frame.payload);
      if (!begun) return begun;
      window_start_ = now;
      window_bytes_ = 0;
    }
    if (type != MessageType::end) {
      if (type == MessageType::chunk) {
        const Result<void> added = transfers_in_.on_chunk(transfer, frame.payload);
        if (!added) return added;
      }
      traffic_in_.add_frame(type, transfers_in_.kind(), frame.payload.size());
      return {};
    }
    Result<Message> message = transfers_in_.on_end(transfer, frame.payload);
    if (!message) return message.failure();
    traffic_in_.add_frame(type, message->type, frame.payload.size());
    if (inbox_.size() >= max_inbox)
      return failure(ErrorCode::network, "more than ", max_inbox, " messages wait to be handled");
    inbox_.push_back(std::move(message).value());
    return {};
  }

  Result<void> on_heartbeat(const Frame& frame, Microseconds now) {
    Result<Heartbeat> beat = decode<Heartbeat>(frame.payload);
    if (!beat) return beat.failure();
    if (frame.header.type == MessageType::pong) return {};
    // Only a server may be busy with others; a stranger cannot ask for more time.
    if (!joined_ && options_.server) return failure(ErrorCode::network, "PING before JOIN_OK");
    const Microseconds busy = Microseconds{beat->busy_ms} * 1000;
    peer_busy_until_ = now + std::min(busy, options_.busy_cap);
    beat->busy_ms = 0;
    beat->last_step = last_step_;
    // A flood of PINGs must not grow the queue: one answer at a time is enough.
    if (urgent_.size() < 4) urgent_.push_back(beat_message(MessageType::pong, *beat));
    return {};
  }

  void join() {
    joined_ = true;
    reader_.set_max_payload(max_payload_bytes);
  }
  /// PING to a peer in the handshake. The time goes beyond the next PING, so that one may be late.
  void tell_busy(Microseconds now) {
    const Microseconds due = told_busy_ ? options_.ping_interval : options_.busy_notice;
    if (now - sent_ < due || !urgent_.empty()) return;
    ping(now, 2 * options_.ping_interval);
    told_busy_ = true;
  }
  /// A device waits longer: its server may be busy with others before it says so.
  Microseconds busy_allowance() const { return options_.server ? 0 : options_.dead_limit; }

  Result<void> check_speed(Microseconds now) {
    if (!transfers_in_.open() || now < peer_busy_until_) {
      window_start_ = now;
      window_bytes_ = 0;
      return {};
    }
    if (now - window_start_ < options_.slow_window) return {};
    const auto seconds = static_cast<std::uint64_t>((now - window_start_) / second_us);
    if (window_bytes_ < options_.slow_bytes_per_second * seconds)
      return failure(ErrorCode::network, "transfer of ", to_string(transfers_in_.kind()), ": ",
                     window_bytes_, " bytes in ", seconds, " s, slower than ",
                     options_.slow_bytes_per_second, " bytes/s");
    window_start_ = now;
    window_bytes_ = 0;
    return {};
  }

  Failure too_late(const char* what, Microseconds limit) const {
    return failure(ErrorCode::network, what, " within ", limit / second_us, " s");
  }

  static constexpr std::size_t max_inbox = 16;
  /// HELLO and JOIN wait for their answers, so that an unknown peer costs two frames at most.
  static constexpr std::size_t max_inbox_before_join = 2;

  LinkOptions options_;
  Microseconds opened_, heard_, sent_;
  Microseconds peer_busy_until_ = 0;
  Microseconds window_start_ = 0;
  std::uint64_t window_bytes_ = 0;
  std::uint64_t last_step_ = 0;
  bool heard_hello_ = false;
  bool joined_ = false;
  bool waiting_ = false;    ///< messages of the peer wait for this side's computation
  bool told_busy_ = false;  ///< and it knows

  FrameWriter frames_;
  FrameReader reader_;
  TransferAssembler transfers_in_;
  std::uint64_t transfers_ = 0;
  std::size_t queued_bytes_ = 0;
  std::deque<Message> urgent_;
  std::deque<Outgoing> queue_;
  std::deque<Message> inbox_;
  Traffic traffic_in_, traffic_out_;
};

}  // namespace net
IOTSL_NAMESPACE_END
