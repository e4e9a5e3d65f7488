// How a device's training of its generator ends where it cannot go on, and what it says of its
// time.

#include "iotsl/split/generator_work.hpp"

#include <doctest/doctest.h>

#include "gan/small_training.hpp"
#include "split/iotsl_run.hpp"
#include "support/temporary_folder.hpp"

namespace generator_work_test {

using namespace tiny;

namespace {

struct Setting {
  data::Dataset train = dataset(52, 1);
  std::vector<std::vector<Index>> samples = halves(train);
  RunConfig config = iotsl_config();

  GeneratorTask task(std::uint32_t device) const { return {config.gan, config.seed, device}; }
};

}  // namespace

TEST_CASE("generator work: numbers that are not finite end the training at once") {
  Setting s;
  s.config.gan.iterations = 20;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "state";
  files.save_every = 0;
  {
    GeneratorWork first(s.train, s.samples[1], s.task(1), files);
    REQUIRE(first.step().value() == false);
  }
  std::string path;
  for (const std::string& name : list_folder(files.state))
    if (name.ends_with(".training")) path = join_path(files.state, name);
  small_training::poison_state(path, "critic/linear.bias", 3e38F);
  const auto before = read_file(path).value();
  GeneratorWork work(s.train, s.samples[1], s.task(1), files);
  for (int again = 0; again < 2; ++again) {
    const Result<bool> lost = work.step();
    REQUIRE_FALSE(lost.ok());
    INFO(lost.failure().message);
    CHECK(lost.failure().message.find("device 1: GAN training: iteration 2") != std::string::npos);
    // What is lost does not take the place of a state.
    CHECK(work.save().ok());
    CHECK(read_file(path).value() == before);
  }
}

TEST_CASE("generator work: no time is asked for checks that are not made") {
  Setting s;
  s.config.gan.check_every = 2;
  const auto pattern = [&](std::uint32_t device) {
    GeneratorWork work(s.train, s.samples[device], s.task(device), {});
    std::string out;
    for (bool last = false; !last; last = work.step().value())
      out += work.checks_next() ? '1' : '0';
    return out;
  };
  s.config.gan.iterations = 4;
  s.config.gan.patience = 3;
  CHECK(pattern(0) == "1101");  // the first begins the training
  std::erase_if(s.samples[0],
                [&](Index i) { return s.train.labels[static_cast<std::size_t>(i)] != 0; });
  CHECK(pattern(0) == "1000");
}

}  // namespace generator_work_test
