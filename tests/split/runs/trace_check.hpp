#pragma once
// Reads what passes in a run against the protocol's invariants, whatever is lost meanwhile. Told
// are:
//
//   1   every step is applied exactly once on the committed history
//   2   no gradient without a valid grant, and one holder of the fence
//   3   what is computed again after a roll-back is the same to the bit
//   4   a repeated STEP is byte-identical
//   5   fence and incarnation rise, steps by one
//   6,7 a barrier that was committed is on the disk and verifies, and is where the next grant
//   begins 8   the front of a grant is that of the barrier before it 12  no NaN or Inf in a front
//   14  no raw sample on the wire
//
// Of the others, 9 to 11, 13 and 15 are tested where they are kept: tests/net,
// tests/split/protocol, tests/split/prepare, tests/measure.

#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/split/records/checkpoint.hpp"

namespace fragile {

using namespace iotsl;
using namespace iotsl::split;

/// What an observer of a run is told of. `server_gets` and `device_gets`: a message that is handed
/// to the machine; what a fault takes away is not.
enum class Seen {
  server_starts,
  device_starts,
  connects,
  disconnects,
  server_sends,
  device_gets,
  server_gets
};

class TraceCheck {
 public:
  /// `out`: the run's folder; empty: none. `raw`: looked for in what devices send; may be null.
  explicit TraceCheck(std::string out = {}, const data::Dataset* raw = nullptr)
      : out_(std::move(out)), raw_(raw) {}

  /// `message`: null where there is none.
  void see(Seen seen, std::size_t device, const net::Message* message) {
    if (seen == Seen::server_starts) {
      holder_.reset();
      ++starts_;
    }
    if (seen == Seen::server_sends) sent(device, *message);
    if (seen == Seen::server_gets) got(device, *message);
  }
  /// After the run's end. `steps` of it.
  void end(std::uint64_t steps) {
    if (committed_.step != steps)
      breach(1, concat("committed to step ", committed_.step, " of ", steps));
  }
  /// None where all is well.
  const std::set<std::string>& breaches() const { return breaches_; }
  std::string text() const {
    std::string out;
    for (const std::string& each : breaches_) out += each + "\n";
    return out;
  }
  std::size_t gradients() const { return gradients_; }

 private:
  using Digest = std::uint64_t;
  struct Barrier {
    std::uint64_t id = 0, step = 0;
    Digest front = 0;
  };

  void breach(int invariant, const std::string& what) {
    breaches_.insert(concat("invariant ", invariant, ": ", what));
  }
  static Digest digest(const net::FrontState& front) {
    XxHash64 out;
    for (const net::WireTensor& each : front.tensors)
      out.update(iotsl::bytes_of(std::string_view(each.name))).update(ByteSpan(each.values));
    for (const net::WireCounter& each : front.counters) out.update(iotsl::bytes_of(&each.value, 1));
    return out.digest();
  }
  void look_for_nan(const net::FrontState& front) {
    for (const net::WireTensor& each : front.tensors)
      for (std::size_t i = 0; i + sizeof(float) <= each.values.size(); i += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, each.values.data() + i, sizeof value);
        if (!std::isfinite(value)) return breach(12, concat(each.name, " has NaN or Inf"));
      }
  }

  void sent(std::size_t device, const net::Message& message) {
    switch (message.type) {
      case net::MessageType::hello_ok: {
        const auto said = net::decode<net::HelloOk>(message.payload).value();
        if (said.incarnation < incarnation_ ||
            (starts_ != started_ && said.incarnation == incarnation_))
          breach(5, concat("incarnation ", said.incarnation, " after ", incarnation_));
        incarnation_ = said.incarnation;
        started_ = starts_;
        return;
      }
      case net::MessageType::turn_grant:
        return granted(device, net::decode<net::TurnGrant>(message.payload).value());
      case net::MessageType::grad:
        return answered(device, net::decode<net::Grad>(message.payload).value());
      case net::MessageType::barrier_committed:
        return committed(net::decode<net::BarrierCommitted>(message.payload).value());
      default:
        return;
    }
  }

  void granted(std::size_t device, const net::TurnGrant& grant) {
    if (grant.key.fence <= fence_) breach(5, concat("fence ", grant.key.fence, " after ", fence_));
    fence_ = grant.key.fence;
    holder_ = device;
    turn_ = grant.key.turn;
    applied_ = grant.first_step + grant.done_steps;
    look_for_nan(grant.front);
    if (applied_ < committed_.step)
      breach(7, concat("a grant at step ", applied_, ", committed is ", committed_.step));
    // A barrier may be on the disk that nobody was told of.
    if (applied_ == committed_.step &&
        (committed_.id == 0 || committed_.front == digest(grant.front)))
      return;
    for (const auto& [id, each] : acknowledged_)
      if (each.step == applied_ && each.front == digest(grant.front)) return;
    breach(8, concat("a grant at step ", applied_, " with a front that no barrier has"));
  }

  void answered(std::size_t device, const net::Grad& grad) {
    ++gradients_;
    if (!holder_ || *holder_ != device || grad.key.fence != fence_ || grad.key.turn != turn_)
      breach(2, concat("a gradient for device ", device, " under fence ", grad.key.fence));
    if (grad.step != applied_ && grad.step != applied_ + 1)
      breach(1, concat("step ", grad.step, " is answered after step ", applied_));
    if (!asked_.contains({fence_, grad.step}))
      breach(1, concat("step ", grad.step, " is answered, and was not sent"));
    applied_ = grad.step;
    XxHash64 content;
    content.update(iotsl::bytes_of(&grad.loss, 1)).update(grad.gradient);
    const auto [known, fresh] = gradients_of_.try_emplace(grad.step, content.digest());
    if (!fresh && known->second != content.digest())
      breach(3, concat("step ", grad.step, " has another gradient the second time"));
  }

  void committed(const net::BarrierCommitted& said) {
    if (said.id < committed_.id) breach(5, concat("barrier ", said.id, " after ", committed_.id));
    const auto known = acknowledged_.find(said.id);
    if (known == acknowledged_.end()) return breach(7, concat("barrier ", said.id, " of nothing"));
    committed_ = known->second;
    if (out_.empty()) return;
    const std::string path =
        join_path(join_path(out_, checkpoint_folder), split::detail::barrier_name(said.id));
    const auto file = load_container(path, checkpoint_kind);
    if (!file) breach(6, concat("barrier ", said.id, " is not on the disk"));
  }

  void got(std::size_t device, const net::Message& message) {
    if (raw_ != nullptr) look_for_samples(message);
    if (message.type == net::MessageType::step) {
      const auto step = net::decode<net::Step>(message.payload).value();
      if (step.key.fence != fence_ || !holder_ || *holder_ != device) return;  // stale, or too late
      asked_.insert({fence_, step.step});
      XxHash64 content;
      content.update(iotsl::bytes_of(step.labels.data(), step.labels.size())).update(step.smashed);
      const auto [known, fresh] = steps_.try_emplace(step.step, content.digest());
      if (!fresh && known->second != content.digest())
        breach(4, concat("step ", step.step, " is not the same when it is repeated"));
    }
    if (message.type == net::MessageType::barrier_ack) {
      const auto ack = net::decode<net::BarrierAck>(message.payload).value();
      if (ack.key.fence != fence_) return;
      look_for_nan(ack.front);
      acknowledged_[ack.id] = {ack.id, ack.step, digest(ack.front)};
    }
  }
  void look_for_samples(const net::Message& message) {
    const auto pixels = static_cast<std::size_t>(raw_->sample_elems());
    for (Index i = 0; i < raw_->size(); ++i)
      if (::memmem(message.payload.data(), message.payload.size(),
                   raw_->pixels.data() + static_cast<std::size_t>(i) * pixels,
                   std::min<std::size_t>(pixels, 24)) != nullptr)
        breach(14, concat("sample ", i, " is on the wire"));
  }

  std::string out_;
  const data::Dataset* raw_;
  std::set<std::string> breaches_;
  std::uint32_t incarnation_ = 0, fence_ = 0, turn_ = 0;
  std::size_t starts_ = 0, started_ = 0, gradients_ = 0;
  std::optional<std::size_t> holder_;
  std::uint64_t applied_ = 0;
  Barrier committed_;
  std::map<std::uint64_t, Barrier> acknowledged_;
  std::map<std::uint64_t, Digest> steps_, gradients_of_;     // by their steps, over all fences
  std::set<std::pair<std::uint32_t, std::uint64_t>> asked_;  // fence and step
};

}  // namespace fragile
