#pragma once
// What a run will put on the wire, before it starts.

#include "iotsl/data/loader.hpp"
#include "iotsl/net/bulk_messages.hpp"
#include "iotsl/net/transfer.hpp"
#include "iotsl/split/halves/wire_sizes.hpp"
#include "iotsl/split/records/run_config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct WireForecast {
  std::uint64_t bytes_up = 0, bytes_down = 0;  ///< without handshakes and heartbeats
  std::uint64_t values_formula = 0;            ///< Table I
  std::uint64_t steps = 0;
  std::uint64_t barriers = 0;  ///< at the ends of the turns, and inside them
};

/// Bytes of a transfer with its frames. `rank`: extents of its shape.
inline std::uint64_t transfer_bytes(net::MessageType kind, std::uint64_t content,
                                    std::size_t rank) {
  net::Begin begin;
  begin.kind = kind;
  begin.shape.resize(rank);
  net::End end;
  if (net::has_digest(kind)) end.sha256.resize(32);
  const std::uint64_t chunks = (content + net::chunk_content_bytes - 1) / net::chunk_content_bytes;
  return net::encode(begin).size() + net::encode(end).size() + content +
         chunks * net::Chunk::overhead_bytes + (chunks + 2) * net::header_bytes;
}

/// `samples` of each device; `barriers_inside`: of each turn, by the clock and the steps; `rank` of
/// the smashed batch.
inline WireForecast forecast_wire(const RunConfig& config, const WireSizes& sizes,
                                  const std::vector<std::uint64_t>& samples,
                                  std::uint64_t barriers_inside, std::size_t rank) {
  using net::MessageType;
  WireForecast out;
  const auto epochs = static_cast<std::uint64_t>(config.local_epochs);
  constexpr std::uint64_t fields = 64;  // of TURN_GRANT and BARRIER_ACK beside the state
  const std::uint64_t grant =
      transfer_bytes(MessageType::turn_grant, sizes.state_bytes() + fields, 0);
  const std::uint64_t ack =
      transfer_bytes(MessageType::barrier_ack, sizes.state_bytes() + fields + 16 * epochs, 0);
  for (std::uint64_t turn = 0; turn < config.turns(); ++turn) {
    const std::uint64_t n = samples[turn % samples.size()];
    out.bytes_down += grant;
    out.bytes_up += ack * (1 + barriers_inside);
    out.barriers += 1 + barriers_inside;
    const auto batches = data::batch_ranges(static_cast<Index>(n), config.batch);
    out.steps += batches.size() * epochs;
    if (!config.splits()) continue;
    out.values_formula += epochs * n * (2 * sizes.smashed_values + 1) + sizes.front_values;
    for (const data::BatchRange& batch : batches) {
      const auto size = static_cast<std::uint64_t>(batch.size());
      const std::uint64_t smashed = 4 * size * sizes.smashed_values;
      out.bytes_up += epochs * transfer_bytes(MessageType::step,
                                              smashed + 4 * size + net::Step::overhead_bytes, rank);
      out.bytes_down +=
          epochs * transfer_bytes(MessageType::grad, smashed + net::Grad::overhead_bytes, rank);
    }
  }
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
