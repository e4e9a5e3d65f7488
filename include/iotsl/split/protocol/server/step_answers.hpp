#pragma once
// What the server answers to the steps of a turn. The last answer is kept for a device that has not
// received it, so that a step that comes again is not applied again.

#include "iotsl/split/protocol/server/server_peer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class StepAnswers {
 public:
  /// The turn is granted anew: what was said before counts no more.
  void forget() { last_.reset(); }
  /// Whether a step of the grant was answered.
  bool any() const { return last_.has_value(); }
  const net::Message& last() const { return last_->message; }

  /// A step with so many samples is being applied; `hash` of its message.
  void begin(std::uint64_t hash, std::uint64_t samples) {
    hash_ = hash;
    samples_ = samples;
  }
  /// Of the step that is being applied.
  std::uint64_t samples() const { return samples_; }
  /// It is applied as step `step`: GRAD.
  void keep(const net::TurnKey& key, std::uint64_t step, TrainedStep trained) {
    net::Grad grad;
    grad.key = key;
    grad.step = step;
    grad.loss = trained.loss;
    grad.correct = trained.correct;
    grad.gradient = trained.gradient;
    last_ = {hash_, net::make_message(grad, std::move(trained.form))};
  }
  /// Whether a message is the one that was answered last.
  bool answers(const net::Message& step) const { return step.hash == last_->step_hash; }

 private:
  struct Last {
    std::uint64_t step_hash = 0;  // of the STEP that it answers
    net::Message message;
  };
  std::uint64_t hash_ = 0, samples_ = 0;
  std::optional<Last> last_;
};

}  // namespace split
IOTSL_NAMESPACE_END
