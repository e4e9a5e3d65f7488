#pragma once
// How large the parts of the wire are, as both sides agreed.

#include <algorithm>

#include "iotsl/net/messages/wire_format.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// How many values the parts of the wire have, and their form: what both sides agreed on.
struct WireSizes {
  std::uint64_t front_values = 0;      ///< w
  std::uint64_t buffer_values = 0;     ///< running statistics
  std::uint64_t optimizer_values = 0;  ///< slots of the front's optimiser
  std::uint64_t state_overhead = 0;    ///< bytes of names, shapes and counters
  std::uint64_t smashed_values = 0;    ///< F, for one sample
  std::uint64_t largest_batch = 0;     ///< batch + 1: a last batch of one joins the one before
  std::uint64_t generator_bytes = 0;   ///< most of a generator file; 0: there are none
  net::WireFormat format;              ///< of smashed batches and their gradients
  bool whole_net =
      false;  ///< of federated averaging: the front is the whole net, and travels alone

  std::uint64_t state_bytes() const {
    return net::state_bytes(front_values + buffer_values + optimizer_values) + state_overhead;
  }
  /// Most of a batch or of its gradient.
  std::uint64_t batch_bytes() const {
    return net::label_bytes(largest_batch) +
           std::max(format.smashed_bytes(largest_batch, smashed_values),
                    format.gradient_bytes(largest_batch, smashed_values));
  }
};

/// Tells a link how large the peer's transfers may be; `of_device`: the link leads to a device.
template <class Link>
void set_transfer_limits(Link& link, const WireSizes& sizes, bool of_device) {
  using net::MessageType;
  if (sizes.whole_net) {
    // What a message holds beside the net; an epoch's results and costs take 40 bytes.
    constexpr std::uint64_t fields = 128 + 40 * 1024;
    link.set_transfer_limit(of_device ? MessageType::local_model : MessageType::global_model,
                            static_cast<std::size_t>(sizes.state_bytes() + fields));
    return;
  }
  // What a message holds beside the state or the batch; an epoch's costs take 16 bytes.
  constexpr std::uint64_t fields = 128 + 16 * 1024;
  const auto state = static_cast<std::size_t>(sizes.state_bytes() + fields);
  const auto batch = static_cast<std::size_t>(sizes.batch_bytes() + fields);
  link.set_transfer_limit(of_device ? MessageType::barrier_ack : MessageType::turn_grant, state);
  link.set_transfer_limit(of_device ? MessageType::step : MessageType::grad, batch);
  if (sizes.generator_bytes != 0)
    link.set_transfer_limit(of_device ? MessageType::gen_upload : MessageType::gen_download,
                            static_cast<std::size_t>(sizes.generator_bytes + fields));
}

}  // namespace split
IOTSL_NAMESPACE_END
