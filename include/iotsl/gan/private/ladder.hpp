#pragma once
// How many noised steps a critic gets for each step of the generator. Noise makes critics weak, so
// there are more of them whenever the generator's images pass for real too often (Bie, Kamath,
// Zhang, "Private GANs, revisited", TMLR 2023: "adaptive discriminator update frequency"). It looks
// at generated images only, so it costs no privacy; the number of critic steps in all stays the
// same, only the generator's steps become fewer.

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

class Ladder {
 public:
  static constexpr Index rungs[] = {1, 2, 5, 10, 20, 50, 100, 200, 500};

  /// Begins on the highest rung that is not above `critic_steps`.
  explicit Ladder(Index critic_steps = 1) {
    while (rung_ + 1 < std::ssize(rungs) && rungs[rung_ + 1] <= critic_steps) ++rung_;
  }

  Index critic_steps() const { return rungs[rung_]; }
  double accuracy() const { return accuracy_; }

  /// After a step of the critic: whether it is the generator's turn.
  bool critic_stepped() { return ++critic_steps_ >= critic_steps(); }

  /// After one of the generator, of whose images the critic took the share `found` for generated:
  /// a rung up where its running mean has come to the threshold, once in `grace` steps at most.
  void generator_stepped(double found) {
    critic_steps_ = 0;
    ++generator_steps_;
    accuracy_ = accuracy_ < 0 ? found : decay * accuracy_ + (1 - decay) * found;
    if (generator_steps_ < grace || accuracy_ > threshold || rung_ + 1 == std::ssize(rungs)) return;
    ++rung_;
    generator_steps_ = 0;
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("rung", self.rung_);
    f("critic_steps", self.critic_steps_);
    f("generator_steps", self.generator_steps_);
    f("accuracy", self.accuracy_);
  }
  /// False where it was read from a file and cannot be one.
  bool sound() const {
    return rung_ >= 0 && rung_ < std::ssize(rungs) && critic_steps_ >= 0 && generator_steps_ >= 0;
  }

 private:
  static constexpr double decay = 0.99, threshold = 0.6;
  static constexpr Index grace = 200;

  Index rung_ = 0;
  Index critic_steps_ = 0;     // since the generator's last
  Index generator_steps_ = 0;  // on this rung
  double accuracy_ = -1;       // running mean; -1: none yet
};

}  // namespace gan
IOTSL_NAMESPACE_END
