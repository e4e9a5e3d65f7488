#pragma once
// The contents of the transfers: messages that may be larger than a frame. Their float values are
// views, into the sender's tensors or into the received content.

#include <algorithm>

#include "iotsl/net/messages/messages.hpp"
#include "iotsl/net/messages/wire_format.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

enum class TensorRole : std::uint8_t {
  parameter = 0,
  buffer = 1,     ///< batch norm's running statistics
  optimizer = 2,  ///< `<parameter>.<slot>`
};

/// A named tensor of float32 values.
struct WireTensor {
  std::string name;
  TensorRole role = TensorRole::parameter;
  std::vector<std::uint32_t> shape;
  ByteSpan values;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.string(self.name, 160);
    c.number(self.role);
    c.require(static_cast<std::uint8_t>(self.role) <= 2, "tensor role is unknown");
    c.array(self.shape, 4);
    c.block(self.values);
    std::uint64_t bytes = state_bytes(1);
    bool fits = true;
    for (std::uint32_t extent : self.shape) {
      fits = fits && (extent == 0 || bytes <= (std::uint64_t{1} << 40) / extent);
      if (fits) bytes *= extent;
    }
    c.require(fits && bytes == self.values.size(), "tensor's shape and bytes do not agree");
  }
};

/// A named integer that travels with the tensors: `num_batches_tracked`.
struct WireCounter {
  std::string name;
  std::int64_t value = 0;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.string(self.name, 160);
    c.number(self.value);
    c.require(self.value >= 0 && static_cast<std::uint64_t>(self.value) <= max_count,
              "counter is not in 0..2^53");
  }
};

/// The front with all that travels with it. Without running statistics and optimiser state the
/// accuracy and the bit-identity with a single process would be lost without notice.
struct FrontState {
  static constexpr const char* name = "front state";
  std::uint64_t optimizer_steps = 0;
  std::vector<WireTensor> tensors;  ///< parameters, buffers, optimiser slots, each in model order
  std::vector<WireCounter> counters;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.count(self.optimizer_steps);
    c.list(self.tensors, 4096);
    c.list(self.counters, 1024);
  }
};

/// What one local epoch, or the training of a generator, cost the device.
struct EpochCost {
  std::uint64_t compute_us = 0;         ///< processor time of the thread that computes
  std::uint64_t peak_memory_bytes = 0;  ///< of the process so far
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.count(self.compute_us);
    c.count(self.peak_memory_bytes);
  }
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("compute_us", self.compute_us);
    f("peak_memory_bytes", self.peak_memory_bytes);
  }
};

/// Both together. However often a device says its most, the sum stays one that can be written.
inline EpochCost add_costs(const EpochCost& a, const EpochCost& b) {
  return {std::min(max_count, a.compute_us + b.compute_us),
          std::max(a.peak_memory_bytes, b.peak_memory_bytes)};
}

/// The front that the devices train, or with method fedavg the whole net: its layers, without
/// weights.
struct FrontInit {
  static constexpr MessageType type = MessageType::front_init;
  static constexpr const char* name = "FRONT_INIT";
  ByteSpan layers;  ///< JSON, see nn/layer_list.hpp
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.rest(self.layers);
  }
};
/// Most that a device takes: some thousand layers.
inline constexpr std::size_t max_front_init_bytes = 512 << 10;

/// A device's generator.
struct GenUpload {
  static constexpr MessageType type = MessageType::gen_upload;
  static constexpr const char* name = "GEN_UPLOAD";
  static constexpr std::size_t overhead_bytes = 1 + 8 + 8;
  bool brought = false;  ///< from elsewhere: not trained on this device
  EpochCost cost;        ///< of its training, all pieces together
  ByteSpan file;         ///< a generator file, see gan/generator_file.hpp
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.boolean(self.brought);
    EpochCost::fields(self.cost, c);
    c.rest(self.file);
  }
};

/// A generator of another device.
struct GenDownload {
  static constexpr MessageType type = MessageType::gen_download;
  static constexpr const char* name = "GEN_DOWNLOAD";
  static constexpr std::size_t overhead_bytes = 4;
  std::uint32_t device = 0;  ///< whose it is
  ByteSpan file;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.device);
    c.rest(self.file);
  }
};

struct TurnGrant {
  static constexpr MessageType type = MessageType::turn_grant;
  static constexpr const char* name = "TURN_GRANT";
  TurnKey key;
  std::uint32_t round = 0;
  /// Steps of the run before this turn; the turn's first is one more.
  std::uint64_t first_step = 0;
  std::uint64_t done_steps = 0;  ///< of this turn, up to the barrier that `front` comes from
  std::uint64_t order_seed = 0;  ///< of the sample order
  double learning_rate = 0;
  FrontState front;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.number(self.round);
    c.count(self.first_step);
    c.count(self.done_steps);
    c.number(self.order_seed);
    c.number(self.learning_rate);
    FrontState::fields(self.front, c);
  }
};

struct Step {
  static constexpr MessageType type = MessageType::step;
  static constexpr const char* name = "STEP";
  /// Bytes of the content beside labels and smashed values.
  static constexpr std::size_t overhead_bytes = 16 + 8 + 4;
  TurnKey key;
  std::uint64_t step = 0;
  std::vector<std::int32_t> labels;
  ByteSpan smashed;  ///< [N, F], see WireFormat
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.step);
    c.array(self.labels, 8192);
    c.rest(self.smashed);
  }
};

struct Grad {
  static constexpr MessageType type = MessageType::grad;
  static constexpr const char* name = "GRAD";
  static constexpr std::size_t overhead_bytes = 16 + 8 + 8 + 4;
  TurnKey key;
  std::uint64_t step = 0;
  double loss = 0;            ///< mean over the batch
  std::uint32_t correct = 0;  ///< samples classified correctly before the update
  /// [N, F], see WireFormat: of the mean loss with respect to the smashed batch.
  ByteSpan gradient;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.step);
    c.number(self.loss);
    c.number(self.correct);
    c.rest(self.gradient);
  }
};

struct BarrierAck {
  static constexpr MessageType type = MessageType::barrier_ack;
  static constexpr const char* name = "BARRIER_ACK";
  TurnKey key;
  std::uint64_t id = 0;
  std::uint64_t step = 0;
  std::vector<EpochCost> costs;  ///< of the turn's epochs, since the grant
  FrontState front;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    TurnKey::fields(self.key, c);
    c.count(self.id);
    c.count(self.step);
    c.list(self.costs, 1024);
    FrontState::fields(self.front, c);
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
