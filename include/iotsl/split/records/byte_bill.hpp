#pragma once
// From counted messages to the itemised bill.

#include "iotsl/measure/bytes.hpp"
#include "iotsl/net/link/traffic.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/split/halves/wire_sizes.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Bytes without what the preparation of an IoTSL run has sent, which has books of its own.
inline std::uint64_t turn_bytes(const net::Traffic& traffic) {
  using net::MessageType;
  return traffic.total_bytes() - traffic.bytes_of(MessageType::gen_upload) -
         traffic.bytes_of(MessageType::gen_ack) - traffic.bytes_of(MessageType::impute_plan) -
         traffic.bytes_of(MessageType::gen_download);
}

/// Itemises what one side counted: `up` from the devices to the server, `down` the other way.
/// `hand_overs`: barriers at the end of a turn, the only ones in which Table I counts the front.
inline measure::ByteBill itemise(const net::Traffic& up, const net::Traffic& down,
                                 const WireSizes& sizes, std::uint64_t hand_overs) {
  using net::MessageType;
  measure::ByteBill bill;
  bill.frames = up.header_bytes_total() + down.header_bytes_total();
  bill.transfers = up.transfer_overhead_bytes + down.transfer_overhead_bytes;

  const auto& step = up.of(MessageType::step);
  const std::uint64_t sample_bytes =
      net::label_bytes(1) + sizes.format.smashed_bytes(1, sizes.smashed_values);
  const std::uint64_t samples =
      (step.bytes - step.messages * net::Step::overhead_bytes) / sample_bytes;
  bill.labels = net::label_bytes(samples);
  bill.smashed = samples * sample_bytes - bill.labels;
  bill.fields = step.bytes - samples * sample_bytes;

  const auto& grad = down.of(MessageType::grad);
  bill.gradient = grad.bytes - grad.messages * net::Grad::overhead_bytes;
  bill.fields += grad.bytes - bill.gradient;

  const auto add_state = [&](const net::Traffic::Count& count, std::uint64_t& front) {
    const std::uint64_t n = count.messages;
    front += net::state_bytes(n * sizes.front_values);
    bill.batch_norm += net::state_bytes(n * sizes.buffer_values);
    bill.optimizer += net::state_bytes(n * sizes.optimizer_values);
    bill.fields +=
        count.bytes -
        net::state_bytes(n * (sizes.front_values + sizes.buffer_values + sizes.optimizer_values));
  };
  std::uint64_t in_barriers = 0;
  add_state(up.of(MessageType::barrier_ack), in_barriers);
  bill.front = std::min(in_barriers, net::state_bytes(hand_overs * sizes.front_values));
  bill.front_inside = in_barriers - bill.front;
  add_state(down.of(MessageType::turn_grant), bill.front_relay);
  // With FedAvg the whole net is handed over.
  add_state(up.of(MessageType::local_model), bill.front);
  add_state(down.of(MessageType::global_model), bill.front_relay);

  const auto& upload = up.of(MessageType::gen_upload);
  const auto& download = down.of(MessageType::gen_download);
  bill.generators_up = upload.bytes;
  bill.generators_down = download.bytes;
  bill.imputation_plans = down.of(MessageType::impute_plan).bytes;

  bill.control = up.total_bytes() + down.total_bytes() - bill.total();
  return bill;
}

}  // namespace split
IOTSL_NAMESPACE_END
