#pragma once
// Table I of the paper, and the bill of what really passed.

#include "iotsl/core/json.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Values sent in one device epoch (Table I): N F + N up, N F down, and w handed over.
/// `samples` N, `smashed` F, `front` w.
inline std::uint64_t values_formula(std::uint64_t samples, std::uint64_t smashed,
                                    std::uint64_t front) {
  return samples * (2 * smashed + 1) + front;
}

/// Bytes by what they were for. The first four are 4 times the formula, the rest are the extras
/// that it leaves out; all together they are the bytes of the sockets.
struct ByteBill {
  std::uint64_t smashed = 0;
  std::uint64_t labels = 0;
  std::uint64_t gradient = 0;
  std::uint64_t front = 0;  ///< handed over, counted once: device to server

  std::uint64_t front_relay = 0;  ///< the same on its way from the server to the next device
  std::uint64_t batch_norm = 0;   ///< running statistics, both ways
  std::uint64_t optimizer = 0;    ///< state of the front's optimiser, both ways
  std::uint64_t fields = 0;       ///< positions, loss, names and shapes inside transfers
  std::uint64_t transfers = 0;    ///< BEGIN, END and the chunks' offsets
  std::uint64_t frames = 0;       ///< headers of 32 bytes
  std::uint64_t control = 0;      ///< all other messages, heartbeats included

  /// 4 times values_formula, summed over the epochs of the run.
  std::uint64_t formula() const { return smashed + labels + gradient + front; }
  std::uint64_t extras() const {
    return front_relay + batch_norm + optimizer + fields + transfers + frames + control;
  }
  std::uint64_t total() const { return formula() + extras(); }
};

inline Json to_json(const ByteBill& bill) {
  Json out = Json::object();
  out["smashed"] = bill.smashed;
  out["labels"] = bill.labels;
  out["gradient"] = bill.gradient;
  out["front"] = bill.front;
  out["front_relay"] = bill.front_relay;
  out["batch_norm"] = bill.batch_norm;
  out["optimizer"] = bill.optimizer;
  out["fields"] = bill.fields;
  out["transfers"] = bill.transfers;
  out["frames"] = bill.frames;
  out["control"] = bill.control;
  out["total"] = bill.total();
  return out;
}

}  // namespace measure
IOTSL_NAMESPACE_END
