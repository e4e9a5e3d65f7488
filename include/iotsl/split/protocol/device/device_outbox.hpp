#pragma once
// What the parts of the device's machine share: the queue of actions for the driver, and how a part
// says that the run cannot go on.

#include <list>
#include <optional>

#include "iotsl/split/protocol/device/device_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Actions that wait for the driver, in order.
class DeviceOutbox {
 public:
  // Not inlined: every part asks for many things, and small programs count bytes.
  [[gnu::noinline]] void ask(DeviceAction action) { waiting_.push_back(std::move(action)); }
  template <class Fields>
  void send(const Fields& fields, net::BatchForm form = {}) {
    ask(device_action::Send{net::make_message(fields, std::move(form))});
  }
  /// The next action to carry out, if there is one.
  std::optional<DeviceAction> pop() {
    if (waiting_.empty()) return std::nullopt;
    std::optional<DeviceAction> action(std::move(waiting_.front()));
    waiting_.pop_front();
    return action;
  }

  /// Nobody wants the turn's results any more.
  void drop_turn() { waiting_.remove_if(is_turn_work); }
  /// Nothing can be sent, and a new connection begins with a handshake: only computations whose
  /// results are of use after it are left.
  void drop_connection() {
    waiting_.remove_if([](const DeviceAction& action) {
      return !is_turn_work(action) && !device_action::is_any_of<device_action::Impute>(action);
    });
  }

 private:
  static bool is_turn_work(const DeviceAction& action) {
    using namespace device_action;
    return is_any_of<Load, Forward, Repeat, Backward, BackwardRandom, ExportFront, LoadModel,
                     TrainBatch, ExportModel>(action);
  }

  std::list<DeviceAction> waiting_;
};

/// Why the device ends its part of the run: `code` and the text are for the server.
struct DeviceRefusal {
  net::WireError code{};
  Failure why;

  template <class... Parts>
  static DeviceRefusal because(net::WireError code, const Parts&... parts) {
    return {code, failure(ErrorCode::network, parts...)};
  }
  static DeviceRefusal damaged(const Failure& why) { return {net::WireError::protocol, why}; }
  /// In the state that the device is in.
  static DeviceRefusal not_allowed(net::MessageType type) {
    return because(net::WireError::not_allowed, "the server sent ", net::to_string(type),
                   " where the protocol does not allow it");
  }
};

/// Nothing where all is well.
using DeviceVerdict = std::optional<DeviceRefusal>;

}  // namespace split
IOTSL_NAMESPACE_END
