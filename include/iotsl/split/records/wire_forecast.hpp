#pragma once
// What a run will put on the wire, before it starts.

#include "iotsl/data/loader.hpp"
#include "iotsl/measure/bytes.hpp"
#include "iotsl/net/bulk_messages.hpp"
#include "iotsl/net/transfer_size.hpp"
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

/// `samples` of each device; `barriers_inside`: of each turn, by the clock and the steps; `rank` of
/// the smashed batch.
inline WireForecast forecast_wire(const RunConfig& config, const WireSizes& sizes,
                                  const std::vector<std::uint64_t>& samples,
                                  std::uint64_t barriers_inside, std::size_t rank) {
  using net::MessageType;
  WireForecast out;
  const auto epochs = static_cast<std::uint64_t>(config.training.local_epochs);
  constexpr std::uint64_t fields = 64;  // of TURN_GRANT and BARRIER_ACK beside the state
  const std::uint64_t grant =
      net::transfer_bytes(MessageType::turn_grant, sizes.state_bytes() + fields, 0);
  const std::uint64_t ack =
      net::transfer_bytes(MessageType::barrier_ack, sizes.state_bytes() + fields + 16 * epochs, 0);
  for (std::uint64_t turn = 0; turn < config.turns(); ++turn) {
    const std::uint64_t n = samples[turn % samples.size()];
    out.barriers += 1 + barriers_inside;
    const auto batches = data::batch_ranges(static_cast<Index>(n), config.training.batch);
    out.steps += batches.size() * epochs;
    const bool is_cached = caches(config.method) && turn >= samples.size();
    if (is_cached) continue;  // the server alone
    out.bytes_down += grant;
    out.bytes_up += ack * (1 + barriers_inside);
    if (!splits(config.method)) continue;
    out.values_formula += epochs * measure::values_formula(n, sizes.smashed_values, 0,
                                                           sizes.format.gradients.has_value()) +
                          sizes.front_values;
    for (const data::BatchRange& batch : batches) {
      const auto size = static_cast<std::uint64_t>(batch.size());
      const std::uint64_t up = net::Step::overhead_bytes + net::label_bytes(size) +
                               sizes.format.smashed_bytes(size, sizes.smashed_values);
      const std::uint64_t down =
          net::Grad::overhead_bytes + sizes.format.gradient_bytes(size, sizes.smashed_values);
      out.bytes_up += epochs * net::transfer_bytes(MessageType::step, up, rank);
      out.bytes_down += epochs * net::transfer_bytes(MessageType::grad, down, rank);
    }
  }
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
