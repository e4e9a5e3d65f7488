#pragma once
// Table I of the paper, and the bill of what really passed.

#include "iotsl/core/json/fields.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Values sent in one device epoch (Table I): N F + N up, N F down, and w handed over.
/// `samples` N, `smashed` F, `front` w. Nothing comes down where the front is frozen.
inline std::uint64_t values_formula(std::uint64_t samples, std::uint64_t smashed,
                                    std::uint64_t front, bool gradients = true) {
  return samples * ((gradients ? 2 : 1) * smashed + 1) + front;
}

/// Bytes by what they were for. The first four are what the formula counts, each value in the 4
/// bytes of a float or as the wire codes it; the rest are the extras that it leaves out. All
/// together they are the bytes of the sockets. Method local, which the formula does not count, has
/// its front among the first.
struct ByteBill {
  std::uint64_t smashed = 0;
  std::uint64_t labels = 0;
  std::uint64_t gradient = 0;
  std::uint64_t front = 0;  ///< handed over at the ends of turns, counted once: device to server

  std::uint64_t front_inside = 0;   ///< the same in barriers inside turns, which hand nothing over
  std::uint64_t front_relay = 0;    ///< the same on its way from the server to the next device
  std::uint64_t batch_norm = 0;     ///< running statistics, both ways
  std::uint64_t optimizer = 0;      ///< state of the front's optimiser, both ways
  std::uint64_t generators_up = 0;  ///< generators of the devices (method iotsl)
  std::uint64_t generators_down = 0;   ///< the same to other devices
  std::uint64_t imputation_plans = 0;  ///< what these are to make of them
  std::uint64_t fields = 0;            ///< positions, loss, names and shapes inside transfers
  std::uint64_t transfers = 0;         ///< BEGIN, END and the chunks' offsets
  std::uint64_t frames = 0;            ///< headers of 32 bytes
  std::uint64_t control = 0;           ///< all other messages, heartbeats included

  /// Of the values in values_formula, summed over the epochs of the run: 4 times as many where
  /// nothing is coded.
  std::uint64_t formula() const { return smashed + labels + gradient + front; }
  std::uint64_t extras() const {
    return front_inside + front_relay + batch_norm + optimizer + generators_up + generators_down +
           imputation_plans + fields + transfers + frames + control;
  }
  std::uint64_t total() const { return formula() + extras(); }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("smashed", self.smashed);
    f("labels", self.labels);
    f("gradient", self.gradient);
    f("front", self.front);
    f.later("front_inside", self.front_inside);
    f("front_relay", self.front_relay);
    f("batch_norm", self.batch_norm);
    f("optimizer", self.optimizer);
    f("generators_up", self.generators_up);
    f("generators_down", self.generators_down);
    f("imputation_plans", self.imputation_plans);
    f("fields", self.fields);
    f("transfers", self.transfers);
    f("frames", self.frames);
    f("control", self.control);
  }
};

inline ByteBill& operator+=(ByteBill& a, const ByteBill& b) {
  a.smashed += b.smashed;
  a.labels += b.labels;
  a.gradient += b.gradient;
  a.front += b.front;
  a.front_inside += b.front_inside;
  a.front_relay += b.front_relay;
  a.batch_norm += b.batch_norm;
  a.optimizer += b.optimizer;
  a.generators_up += b.generators_up;
  a.generators_down += b.generators_down;
  a.imputation_plans += b.imputation_plans;
  a.fields += b.fields;
  a.transfers += b.transfers;
  a.frames += b.frames;
  a.control += b.control;
  return a;
}

inline Json to_json(const ByteBill& bill) {
  Json out = to_json_fields(bill);
  out["total"] = bill.total();
  return out;
}

}  // namespace measure
IOTSL_NAMESPACE_END
