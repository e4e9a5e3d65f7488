// Bytes of a peer behind its socket: frames, every message, transfers, batches in few bits.

#include "fuzz/seal.hpp"
#include "iotsl/core/finite.hpp"
#include "iotsl/net/messages/model_messages.hpp"
#include "iotsl/net/messages/transfer.hpp"
#include "iotsl/options/optimizer.hpp"

namespace wire_fuzzer {
namespace {

using namespace iotsl;
using namespace iotsl::net;
using iotsl::fuzz::chosen;
using iotsl::fuzz::expect;
using iotsl::fuzz::require;

// Frames

struct ReadFrame {
  FrameHeader header;
  Bytes payload;
  friend bool operator==(const ReadFrame& a, const ReadFrame& b) {
    return a.header.type == b.header.type && a.header.flags == b.header.flags &&
           a.header.object_id == b.header.object_id && a.payload == b.payload;
  }
};
struct ReadStream {
  std::vector<ReadFrame> frames;
  bool failed = false;
  friend bool operator==(const ReadStream&, const ReadStream&) = default;
};

ReadStream read_stream(ByteSpan stream, std::size_t piece, std::size_t limit) {
  ReadStream out;
  FrameReader reader;
  reader.set_max_payload(limit);
  while (!stream.empty()) {
    ByteSpan input = stream.first(std::min(piece, stream.size()));
    stream = stream.subspan(input.size());
    for (bool more = true; more;) {
      Frame frame;
      const Result<bool> got = reader.next(input, frame);
      require(reader.buffered() <= header_bytes + limit, "a frame takes more than its limit");
      if (!got) {
        out.failed = true;
        require(!reader.next(input, frame).ok(), "a lost direction is found again");
        return out;
      }
      more = *got;
      if (more)
        out.frames.push_back({frame.header, Bytes(frame.payload.begin(), frame.payload.end())});
    }
    require(input.empty(), "bytes are left although more are wanted");
  }
  return out;
}

void run_frames(ByteSpan input) {
  fuzz::Fields fields(input);
  const std::uint8_t pattern = fields.byte();
  const std::size_t limit = pattern % 2 == 0 ? max_payload_before_join : max_payload_bytes;
  const ByteSpan as_given = fields.rest();
  const Bytes sealed = fuzz::sealed_frames(as_given);
  for (const ByteSpan stream : {as_given, ByteSpan(sealed)}) {
    const ReadStream whole = read_stream(stream, stream.size(), limit);
    require(whole == read_stream(stream, 1 + pattern / 2u, limit),
            "frames depend on how their bytes are cut");
    Bytes again;
    FrameWriter writer;
    for (const ReadFrame& frame : whole.frames)
      writer.write(again, frame.header.type, frame.header.object_id, frame.payload, {},
                   frame.header.flags);
    require(again.size() <= stream.size() && fuzz::same_bytes(again, stream.first(again.size())),
            "a frame that was accepted is not what the writer makes of it");
  }
}

std::vector<Bytes> frame_seeds() {
  Bytes stream;
  FrameWriter writer;
  for (const std::size_t size : {0u, 1u, 40u, 300u})
    writer.write(stream, MessageType::ping, size, Bytes(size, std::uint8_t{7}), {}, flag_optional);
  return {chosen(0, stream), chosen(12, stream), chosen(1, ByteSpan(stream).first(100))};
}

// Messages

/// Every accepted payload is what the writer makes of its message, but for these: words are made
/// printable, and HELLO_OK may say the usual codings aloud.
template <class M>
constexpr bool has_one_form = !std::is_same_v<M, HelloOk> && !std::is_same_v<M, ErrorMessage> &&
                              !std::is_same_v<M, Leave> && !std::is_same_v<M, Bye>;

template <class M>
void check_message(ByteSpan payload) {
  const Result<M> message = decode<M>(payload);
  if (!message) return;
  const Bytes written = encode(*message);
  if (has_one_form<M>)
    require(fuzz::same_bytes(written, payload), M::name, ": was accepted in another form");
  const M again = expect(decode<M>(written), M::name);
  require(encode(again) == written, M::name, ": changes when it is written and read");
  if constexpr (std::is_same_v<M, HelloOk>) {
    const OptimizerOptions& o = message->description.training.optimizer;
    if (check_optimizer(o))
      for (const double v : {o.momentum, o.weight_decay, o.beta1, o.beta2, o.eps, o.ewc})
        require(std::isfinite(v), "HELLO_OK: an optimizer with NaN or Inf passes");
  }
  if constexpr (std::is_same_v<M, LocalModel>)
    for (const EpochResult& result : message->results)
      require(std::isfinite(result.loss_sum), "LOCAL_MODEL: a loss is NaN or Inf");
}

/// Values in all kinds of fields, so that a mutation finds them.
template <class M>
M example() {
  return {};
}
template <>
Hello example() {
  Hello out;
  out.device = "pi-1";
  out.dataset = "mnist";
  out.samples = 600;
  return out;
}
template <>
HelloOk example() {
  HelloOk out;
  out.heartbeat_ms = 1000;
  out.dead_ms = 5000;
  out.devices = 5;
  out.description.dataset = "mnist";
  out.description.model = "vgg16";
  out.description.training.wire = WireCoding::int8;
  return out;
}
template <>
LabelHist example() {
  return {.counts = {3, 0, 5}};
}
template <>
ImputePlan example() {
  return {.generators = {{1, {}}, {2, {}}}, .entries = {{0, 3, 40, 9}, {1, 4, 50, 9}}};
}
template <>
EvalResp example() {
  return {.id = 1, .loss = 0.5, .correct = {1, 2}, .samples = {3, 4}};
}
template <>
EnrollOk example() {
  return {.device = "pi-1"};
}
template <>
ErrorMessage example() {
  return {.code = WireError::full, .fatal = false, .retry_after_ms = 5, .text = "no place"};
}
template <>
Leave example() {
  return {.reason = "for good", .device = "pi-1"};
}
template <>
Bye example() {
  return {.reason = "done", .will_return = true};
}
template <>
Begin example() {
  return {.kind = MessageType::step, .total_bytes = 100, .codec = 0, .form = {{2, 3}, 3}};
}
template <>
Chunk example() {
  static constexpr std::uint8_t content[4] = {1, 2, 3, 4};
  return {.offset = 64, .content = content};
}
template <>
End example() {
  return {.xxh64 = 5, .sha256 = Bytes(32, std::uint8_t{9})};
}
FrontState example_state() {
  static constexpr float values[6] = {1, 2, 3, 4, 5, 6};
  const ByteSpan bytes = bytes_of(values, 6);
  return {.optimizer_steps = 7,
          .tensors = {{"features.0.weight", TensorRole::parameter, {2, 3}, bytes},
                      {"features.1.running_var", TensorRole::buffer, {6}, bytes},
                      {"features.0.weight.momentum", TensorRole::optimizer, {1, 2, 3, 1}, bytes}},
          .counters = {{"features.1.num_batches_tracked", 8}}};
}
template <>
FrontInit example() {
  return {.layers = iotsl::bytes_of(std::string_view("[{\"name\":\"a\",\"type\":\"relu\"}]"))};
}
template <>
GenUpload example() {
  return {.brought = true, .cost = {1, 2}, .file = iotsl::bytes_of(std::string_view("file"))};
}
template <>
GenDownload example() {
  return {.device = 3, .file = iotsl::bytes_of(std::string_view("file"))};
}
template <>
TurnGrant example() {
  TurnGrant out;
  out.learning_rate = 0.01;
  out.front = example_state();
  return out;
}
template <>
Step example() {
  static constexpr float values[4] = {1, 2, 3, 4};
  return {.key = {1, 2, 3}, .step = 4, .labels = {0, 1}, .smashed = bytes_of(values, 4)};
}
template <>
Grad example() {
  static constexpr float values[4] = {1, 2, 3, 4};
  return {{1, 2, 3}, 4, 0.5, 2, bytes_of(values, 4)};
}
template <>
BarrierAck example() {
  return {{1, 2, 3}, 4, 5, {{6, 7}, {8, 9}}, example_state()};
}
template <>
GlobalModel example() {
  GlobalModel out;
  out.learning_rate = 0.01;
  out.model = example_state();
  return out;
}
template <>
LocalModel example() {
  return {{1, 2, 3}, 4, 5, {{0.5, 6, 7}}, {{8, 9}}, example_state()};
}

struct MessageCheck {
  void (*check)(ByteSpan payload);
  Bytes (*seed)();
};
template <class... M>
const std::vector<MessageCheck>& checks_of() {
  static const std::vector<MessageCheck> all = {
      {&check_message<M>, [] { return encode(example<M>()); }}...};
  return all;
}
/// Heartbeat stands for PING and PONG.
const std::vector<MessageCheck>& message_checks() {
  return checks_of<Hello, HelloOk, Join, JoinOk, LabelHist, GenAck, ImputePlan, TurnAccept, Barrier,
                   BarrierCommitted, TurnDone, TurnCommitted, Resume, ResumeOk, EvalReq, EvalResp,
                   Heartbeat, ErrorMessage, Enroll, EnrollOk, Leave, Bye, Begin, Chunk, End,
                   FrontInit, GenUpload, GenDownload, TurnGrant, Step, Grad, BarrierAck,
                   GlobalModel, LocalModel, ServerKey, ServerKeyKept, LeaveOk>();
}

void run_messages(ByteSpan input) {
  if (input.empty()) return;
  const std::vector<MessageCheck>& all = message_checks();
  all[input[0] % all.size()].check(input.subspan(1));
}
std::vector<Bytes> message_seeds() {
  std::vector<Bytes> out;
  for (std::size_t i = 0; i < message_checks().size(); ++i)
    out.push_back(chosen(static_cast<std::uint8_t>(i), message_checks()[i].seed()));
  // No mutation finds these doubles, and a peer may send them.
  HelloOk hello = example<HelloOk>();
  OptimizerOptions& optimizer = hello.description.training.optimizer;
  for (double* const value : {&optimizer.momentum, &optimizer.weight_decay, &optimizer.beta1,
                              &optimizer.eps, &optimizer.ewc}) {
    const double before = *value;
    for (const double bad : {INFINITY, NAN}) {
      *value = bad;
      out.push_back(chosen(1, encode(hello)));
    }
    *value = before;
  }
  return out;
}

// Transfers

constexpr std::size_t transfer_limit = 64 << 10;

TransferAssembler new_assembler() {
  TransferAssembler out;
  for (int kind = 0; kind < 256; ++kind)
    if (kind != static_cast<int>(MessageType::gen_download))
      out.set_limit(static_cast<MessageType>(kind), transfer_limit);
  return out;
}

/// A message that was put together goes out and comes in again as the same.
void check_sent_again(const Message& message) {
  MessageSender sender(message, 1);
  FrameWriter frames;
  Bytes stream;
  while (!sender.write_next(frames, stream)) continue;
  TransferAssembler assembler = new_assembler();
  for (const ReadFrame& frame : read_stream(stream, stream.size(), max_payload_bytes).frames) {
    if (frame.header.type == MessageType::begin)
      require(assembler.on_begin(1, frame.payload).ok(), "our own BEGIN is refused");
    else if (frame.header.type == MessageType::chunk)
      require(assembler.on_chunk(1, frame.payload).ok(), "our own CHUNK is refused");
    else {
      const Message again = expect(assembler.on_end(1, frame.payload), "our own END is refused");
      require(again.type == message.type && again.form == message.form &&
                  again.payload == message.payload && again.hash == message.hash &&
                  again.digest == message.digest,
              "a transfer changes when it is sent again");
      return;
    }
  }
  throw fuzz::Broken("our own transfer does not end");
}

/// `seals`: END has the hashes of what has arrived.
void assemble(const std::vector<ReadFrame>& frames, bool seals) {
  TransferAssembler assembler = new_assembler();
  Bytes content;
  for (const ReadFrame& frame : frames) {
    const std::uint64_t id = frame.header.object_id;
    if (frame.header.type == MessageType::begin) {
      if (!assembler.on_begin(id, frame.payload)) return;
      content.clear();
    } else if (frame.header.type == MessageType::chunk) {
      if (!assembler.on_chunk(id, frame.payload)) return;
      const ByteSpan added = ByteSpan(frame.payload).subspan(Chunk::overhead_bytes);
      content.insert(content.end(), added.begin(), added.end());
      require(content.size() <= transfer_limit, "a transfer goes beyond its limit");
    } else if (frame.header.type == MessageType::end) {
      Bytes payload = frame.payload;
      if (seals && assembler.open()) {
        End end{.xxh64 = xxh64(content), .sha256 = {}};
        const Sha256Digest digest = sha256(content);
        if (has_digest(assembler.kind())) end.sha256.assign(digest.begin(), digest.end());
        payload = encode(end);
      }
      const Result<Message> message = assembler.on_end(id, payload);
      if (!message) return;
      require(message->payload == content && message->hash == xxh64(content),
              "a transfer is not what has arrived");
      require(!has_digest(message->type) || message->digest == sha256(content),
              "a transfer has another SHA-256");
      check_sent_again(*message);
    }
  }
}

void run_transfers(ByteSpan input) {
  const Bytes stream = fuzz::sealed_frames(input);
  const std::vector<ReadFrame> frames =
      read_stream(stream, stream.size(), max_payload_bytes).frames;
  assemble(frames, false);
  assemble(frames, true);
}
std::vector<Bytes> transfer_seeds() {
  std::vector<Bytes> out;
  std::uint64_t transfer = 0;
  Bytes both;
  FrameWriter frames;
  for (Message message : {make_message(example<Step>(), {{2, 2}, 1}), make_message(example<Grad>()),
                          make_message(example<BarrierAck>()), make_message(FrontInit{})}) {
    Bytes stream;
    FrameWriter own;
    MessageSender sender(message, 1), second(message, ++transfer);
    while (!sender.write_next(own, stream)) continue;
    while (!second.write_next(frames, both)) continue;
    out.push_back(stream);
  }
  out.push_back(both);
  return out;
}

// Batches

void run_batches(ByteSpan input) {
  fuzz::Fields fields(input);
  const auto coding = static_cast<WireCoding>(1 + fields.byte() % 4);
  const Index samples = 1 + fields.byte() % 3, values = 1 + fields.byte() % 200;
  const WireFormat format{.smashed = coding, .gradients = coding};
  Bytes bytes(static_cast<std::size_t>(format.smashed_bytes(static_cast<std::uint64_t>(samples),
                                                            static_cast<std::uint64_t>(values))));
  const ByteSpan given = fields.bytes(bytes.size());
  std::copy(given.begin(), given.end(), bytes.begin());
  const Shape shape{samples, values};
  const Tensor<float> batch = format.decode_smashed(bytes, shape);
  const Tensor<float> gradient = format.decode_gradient(bytes, shape);
  const auto count = static_cast<std::size_t>(batch.size());
  require(std::memcmp(batch.data(), gradient.data(), sizeof(float) * count) == 0,
          "gradients are decoded otherwise");
  if (!all_finite(batch)) return;
  const Tensor<float> again = format.arrived_smashed(batch, {1, 2});
  // A code is wrong by one step at most: of half a 2^-11th of the value, else of the tile's scale.
  const float step = coding == WireCoding::fp32   ? 0.0f
                     : coding == WireCoding::fp16 ? 0x1p-11f
                     : coding == WireCoding::int8 ? 1.0f / 127
                                                  : 1.0f / 7;
  for (Index s = 0; s < samples; ++s)
    for (Index first = 0; first < values; first += kernels::wire_tile) {
      const float* const x = batch.data() + s * values + first;
      const float* const y = again.data() + s * values + first;
      const Index tile = std::min<Index>(kernels::wire_tile, values - first);
      float largest = 0;
      for (Index i = 0; i < tile; ++i) largest = std::max(largest, std::abs(x[i]));
      for (Index i = 0; i < tile; ++i)
        require(std::abs(x[i] - y[i]) <= step * 1.02f * largest + 0x1p-120f, "value ", x[i],
                " of a tile up to ", largest, " arrives as ", y[i], " in ", coding);
    }
}
std::vector<Bytes> batch_seeds() {
  std::vector<Bytes> out;
  Tensor<float> batch = Tensor<float>::uninitialized({3, 150});
  for (Index i = 0; i < batch.size(); ++i)
    batch.mutable_data()[i] = static_cast<float>(i % 17) - (i < 200 ? 0.0f : 5.5f);
  for (std::uint8_t coding = 1; coding <= 4; ++coding) {
    const WireFormat format{.smashed = static_cast<WireCoding>(coding)};
    const EncodedBatch coded = format.encode_smashed(batch, {1, 2});
    const std::uint8_t head[3] = {static_cast<std::uint8_t>(coding - 1), 2, 149};
    out.push_back(fuzz::joined(head, coded.bytes()));
  }
  return out;
}

const fuzz::Registration registration{
    {"frames", 4096, &run_frames, &frame_seeds},
    {"messages", 2048, &run_messages, &message_seeds},
    {"transfers", 4096, &run_transfers, &transfer_seeds},
    {"batches", 2048, &run_batches, &batch_seeds},
};

}  // namespace
}  // namespace wire_fuzzer
