// A device's generator: trained on from where it stood, or brought from elsewhere.

#include "gan/small_training.hpp"
#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace generator_training_test {

using namespace tiny;

TEST_CASE("generator work: a training that was stopped ends with the same weights") {
  const Setting s;
  const std::vector<std::uint8_t> whole = train_generator(s, 0).file;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "state";
  files.save_every = 0;
  {
    GeneratorWork first(s.train, s.samples[0], s.task(0), files);
    REQUIRE(first.step().value() == false);
  }  // killed
  const Trained second = train_generator(s, 0, files);
  CHECK(second.steps == 1);
  CHECK(second.file == whole);
  // A third start finds the finished file.
  const Trained third = train_generator(s, 0, files);
  CHECK(third.steps == 1);
  CHECK(third.file == second.file);
  // The state of other samples, another device or other settings is another one.
  CHECK(train_generator(s, 1, files).steps == 2);
  DeviceFiles other = files;
  other.data_fingerprint[0] = 1;
  CHECK(train_generator(s, 0, other).steps == 2);
}

TEST_CASE("generator work: numbers that are not finite end the training at once") {
  Setting s;
  s.config.preparation.generator.net.iterations = 20;
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
  s.config.preparation.generator.net.check_every = 2;
  const auto pattern = [&](std::uint32_t device) {
    GeneratorWork work(s.train, s.samples[device], s.task(device), {});
    std::string out;
    for (bool last = false; !last; last = work.step().value())
      out += work.checks_next() ? '1' : '0';
    return out;
  };
  s.config.preparation.generator.net.iterations = 4;
  s.config.preparation.generator.net.patience = 3;
  CHECK(pattern(0) == "1101");  // the first begins the training
  std::erase_if(s.samples[0],
                [&](Index i) { return s.train.labels[static_cast<std::size_t>(i)] != 0; });
  CHECK(pattern(0) == "1001");
}

TEST_CASE("generator work: a stop breaks the check off, and nothing is lost") {
  const Setting s;
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> whole = train_generator(s, 0).file;
  DeviceFiles files;
  files.state = folder / "state";
  bool asked = false;
  auto stop = [&] { return asked; };
  GeneratorWork work(s.train, s.samples[0], s.task(0), files, StopCheck::of(stop));
  REQUIRE(work.step().value() == false);
  asked = true;
  CHECK(work.step().value() == false);  // the last iteration, without the check
  CHECK(work.step().value() == false);
  CHECK(work.checks_next());
  // The next start of the program finds the trained weights and makes the check.
  const Trained second = train_generator(s, 0, files);
  CHECK(second.steps == 1);
  CHECK(second.file == whole);
  asked = false;
  CHECK(work.step().value() == true);
}

TEST_CASE("generator work: a damaged state costs time, not the run") {
  const Setting s;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "state";
  const Trained whole = train_generator(s, 0, files);
  for (const std::string& name : list_folder(files.state)) {
    const std::string path = join_path(files.state, name);
    auto bytes = read_file(path).value();
    bytes[bytes.size() / 2] ^= 1;
    REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
  }
  const Trained again = train_generator(s, 0, files);
  CHECK(again.steps == 2);
  CHECK(again.file == whole.file);
}

TEST_CASE("generator work: a generator that was brought is sent as it is, if it fits") {
  const Setting s;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.generator = folder / "mine.iotsl";
  const Trained mine = train_generator(s, 0);
  REQUIRE(write_file_atomic(files.generator, ByteSpan(mine.file)).ok());
  GeneratorWork work(s.train, s.samples[0], s.task(0), files);
  REQUIRE(work.step().value() == true);
  const TrainedGenerator made = work.finish();
  CHECK(made.brought);
  CHECK(std::equal(made.file.begin(), made.file.end(), mine.file.begin(), mine.file.end()));
  // It has seen classes 0 and 1, which device 1 does not hold.
  GeneratorWork wrong(s.train, s.samples[1], s.task(1), files);
  const auto refused = wrong.step();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find("class 0") != std::string::npos);
  CHECK(refused.failure().message.find("mine.iotsl") != std::string::npos);
  // It is larger than the run's settings allow.
  GeneratorTask narrow = s.task(0);
  narrow.settings.net.width = 2;
  const std::size_t limit =
      generators::generator_file_limit(narrow.settings, gan::image_spec(s.train));
  Setting wide;
  wide.config.preparation.generator.net.width = 32;
  REQUIRE(write_file_atomic(files.generator, ByteSpan(train_generator(wide, 0).file)).ok());
  GeneratorWork large(s.train, s.samples[0], narrow, files);
  const auto too_large = large.step();
  REQUIRE_FALSE(too_large.ok());
  CHECK(too_large.failure().message.find(std::to_string(limit)) != std::string::npos);
}

}  // namespace generator_training_test
