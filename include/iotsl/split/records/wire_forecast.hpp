#pragma once
// What a run will put on the wire, before it starts.

#include "iotsl/data/loader.hpp"
#include "iotsl/measure/bytes.hpp"
#include "iotsl/net/link/transfer_size.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
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

/// The same of one turn.
struct TurnWire {
  std::uint64_t steps = 0;
  std::uint64_t barriers = 0;
  std::uint64_t grant_bytes = 0, barrier_bytes = 0;  ///< of the grant, of what each barrier needs
  std::uint64_t steps_up = 0, steps_down = 0;        ///< bytes of all steps
  std::uint64_t values_formula = 0;
  bool cached = false;  ///< the server has all that the turn needs
};

/// A turn of a device with so many samples. `cached`: the server has them; `barriers_inside`: by
/// the clock and the steps, beside the one at its end; `rank` of the smashed batch.
inline TurnWire forecast_turn(const RunConfig& config, const WireSizes& sizes,
                              std::uint64_t samples, bool cached, std::uint64_t barriers_inside,
                              std::size_t rank) {
  using net::MessageType;
  TurnWire out;
  const auto epochs = static_cast<std::uint64_t>(config.training.local_epochs);
  constexpr std::uint64_t fields = 64;  // of TURN_GRANT and BARRIER_ACK beside the state
  const auto batches = data::batch_ranges(static_cast<Index>(samples), config.training.batch);
  out.barriers = 1 + barriers_inside;
  out.steps = batches.size() * epochs;
  out.cached = cached;
  if (cached) return out;
  out.grant_bytes = net::transfer_bytes(MessageType::turn_grant, sizes.state_bytes() + fields, 0);
  out.barrier_bytes =
      net::transfer_bytes(MessageType::barrier_ack, sizes.state_bytes() + fields + 16 * epochs, 0);
  if (!splits(config.method)) return out;
  out.values_formula = epochs * measure::values_formula(samples, sizes.smashed_values, 0,
                                                        sizes.format.gradients.has_value()) +
                       sizes.front_values;
  for (const data::BatchRange& batch : batches) {
    const auto size = static_cast<std::uint64_t>(batch.size());
    const std::uint64_t up = net::Step::overhead_bytes + net::label_bytes(size) +
                             sizes.format.smashed_bytes(size, sizes.smashed_values);
    const std::uint64_t down =
        net::Grad::overhead_bytes + sizes.format.gradient_bytes(size, sizes.smashed_values);
    out.steps_up += epochs * net::transfer_bytes(MessageType::step, up, rank);
    out.steps_down += epochs * net::transfer_bytes(MessageType::grad, down, rank);
  }
  return out;
}

/// Every turn of the run. `samples` of each device.
inline std::vector<TurnWire> forecast_turns(const RunConfig& config, const WireSizes& sizes,
                                            const std::vector<std::uint64_t>& samples,
                                            std::uint64_t barriers_inside, std::size_t rank) {
  std::vector<TurnWire> out;
  std::vector<bool> was_asked(samples.size());
  const TurnOrder order = config.turn_order();
  for (std::uint64_t turn = 0; turn < config.turns(); ++turn) {
    const std::uint32_t device = order.device_of(turn);
    out.push_back(forecast_turn(config, sizes, samples[device],
                                caches(config.method) && was_asked[device], barriers_inside, rank));
    was_asked[device] = true;
  }
  return out;
}

/// All turns together.
inline WireForecast forecast_wire(const std::vector<TurnWire>& turns) {
  WireForecast out;
  for (const TurnWire& one : turns) {
    out.steps += one.steps;
    out.barriers += one.barriers;
    out.values_formula += one.values_formula;
    if (one.cached) continue;
    out.bytes_down += one.grant_bytes + one.steps_down;
    out.bytes_up += one.barriers * one.barrier_bytes + one.steps_up;
  }
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
