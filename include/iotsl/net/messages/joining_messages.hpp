#pragma once
// What passes until a device's first turn.

#include "iotsl/net/messages/run_description.hpp"
#include "iotsl/net/messages/turn_messages.hpp"
#include "iotsl/net/messages/wire_format.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

inline constexpr std::uint32_t any_index = 0xFFFFFFFF;

// Bits of Hello::capabilities.

/// Batches may travel in every WireCoding.
inline constexpr std::uint32_t wire_codings_capability = 1;
/// The device can train a whole net: GLOBAL_MODEL and LOCAL_MODEL.
inline constexpr std::uint32_t whole_net_capability = 2;
/// A front that was frozen may be trained when the device comes back to its run.
inline constexpr std::uint32_t unfreezing_capability = 4;

struct Hello {
  static constexpr MessageType type = MessageType::hello;
  static constexpr const char* name = "HELLO";
  std::uint8_t version_min = protocol_major;
  std::uint8_t version_max = protocol_major;
  /// Of the device's program.
  std::uint32_t capabilities =
      wire_codings_capability | whole_net_capability | unfreezing_capability;
  std::string device;
  std::uint32_t index = any_index;  ///< place in the order of turns; any_index: the server's choice
  std::uint64_t boot_nonce = 0;     ///< another number after each start of the program
  std::string dataset;
  std::uint64_t samples = 0;
  Sha256Digest data_fingerprint{};  ///< over the indices of the device's samples
  Position position;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.version_min);
    c.number(self.version_max);
    c.require(self.version_min <= self.version_max, "version range is empty");
    c.number(self.capabilities);
    c.string(self.device, max_name_bytes);
    c.number(self.index);
    c.number(self.boot_nonce);
    c.string(self.dataset, max_name_bytes);
    c.count(self.samples);
    c.digest(self.data_fingerprint);
    Position::fields(self.position, c);
  }
};

struct HelloOk {
  static constexpr MessageType type = MessageType::hello_ok;
  static constexpr const char* name = "HELLO_OK";
  std::uint8_t version = protocol_major;
  std::uint64_t run = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t index = 0;    ///< the device's place in the order of turns
  std::uint32_t devices = 0;  ///< of the run
  std::uint32_t heartbeat_ms = 0, dead_ms = 0, busy_cap_ms = 0;
  RunDescription description;
  Sha256Digest model_hash{};  ///< of the tensor names and shapes of what FRONT_INIT describes
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.version);
    c.number(self.run);
    c.number(self.incarnation);
    c.number(self.index);
    c.number(self.devices);
    c.number(self.heartbeat_ms);
    c.number(self.dead_ms);
    c.number(self.busy_cap_ms);
    RunDescription::fields(self.description, c);
    c.digest(self.model_hash);
    // A device that does not know these fields never gets them: it lacks wire_codings_capability.
    auto& training = self.description.training;
    if (c.goes_on(!WireFormat::of(training).is_exact())) {
      WireCoding smashed = training.wire;
      WireCoding gradients = WireFormat::of(training).gradients.value_or(smashed);
      const bool known_smashed = c.name(smashed, max_name_bytes);
      const bool known_gradients = c.name(gradients, max_name_bytes);
      c.require(known_smashed && known_gradients, "wire coding is none of fp32, fp16, int8, int4");
      if constexpr (!std::is_const_v<Self>) {
        training.wire = smashed;
        training.wire_gradients = gradients;
      }
    }
    c.require(self.heartbeat_ms >= 100 && self.dead_ms > self.heartbeat_ms,
              "heartbeat is below 100 ms or not below the time limit");
  }
};

struct Join {
  static constexpr MessageType type = MessageType::join;
  static constexpr const char* name = "JOIN";
  std::uint64_t run = 0;
  /// SHA-256 of the IMPUTE_PLAN that the device's data is completed with; zeros: of none.
  Sha256Digest imputed{};
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.run);
    c.digest(self.imputed);
  }
};

struct JoinOk {
  static constexpr MessageType type = MessageType::join_ok;
  static constexpr const char* name = "JOIN_OK";
  std::uint64_t run = 0;
  bool generator_wanted = false;  ///< GEN_UPLOAD is to follow LABEL_HIST
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.number(self.run);
    c.boolean(self.generator_wanted);
  }
};

struct LabelHist {
  static constexpr MessageType type = MessageType::label_hist;
  static constexpr const char* name = "LABEL_HIST";
  std::vector<std::uint64_t> counts;  ///< samples of each class
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.array(self.counts, 4096);
  }
};

/// The generator is stored.
struct GenAck {
  static constexpr MessageType type = MessageType::gen_ack;
  static constexpr const char* name = "GEN_ACK";
  Sha256Digest sha256{};  ///< of the generator file
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.digest(self.sha256);
  }
};

/// What a device adds to its own samples; the generators follow, one GEN_DOWNLOAD for each, in this
/// order.
struct ImputePlan {
  static constexpr MessageType type = MessageType::impute_plan;
  static constexpr const char* name = "IMPUTE_PLAN";
  struct Generator {
    std::uint32_t device = 0;  ///< whose generator it is
    Sha256Digest sha256{};     ///< of its file
    template <class Self, class Codec>
    static void fields(Self& self, Codec& c) {
      c.number(self.device);
      c.digest(self.sha256);
    }
  };
  struct Entry {
    std::uint32_t generator = 0;  ///< its place in `generators`
    std::uint32_t label = 0;
    std::uint64_t count = 0;
    std::uint64_t seed = 0;
    template <class Self, class Codec>
    static void fields(Self& self, Codec& c) {
      c.number(self.generator);
      c.number(self.label);
      c.count(self.count);
      c.number(self.seed);
      c.require(self.count > 0, "an entry adds no samples");
    }
  };
  std::vector<Generator> generators;
  std::vector<Entry> entries;
  template <class Self, class Codec>
  static void fields(Self& self, Codec& c) {
    c.list(self.generators, 1024);
    c.list(self.entries, 4096);
    c.require(!self.generators.empty() && !self.entries.empty(), "the plan is empty");
    bool known = true;
    for (const Entry& entry : self.entries)
      known = known && entry.generator < self.generators.size();
    c.require(known, "an entry's generator is not in the plan");
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
