// Trainings that are stopped, and data of every form.

#include "iotsl/moments/trainer.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "moments/small_set.hpp"
#include "support/temporary_folder.hpp"

namespace moments_trainer_test {

using namespace moments_test;
using namespace iotsl::moments;

namespace {

std::string error_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a training that is stopped after any step goes on with the same numbers") {
  const data::Dataset set = random_set({1, 12, 10, 4}, 50);
  const std::vector<Index> all = data::count_up(set.size());
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  for (const bool noise : {true, false}) {
    Trainer whole(set, all, quick(noise), privacy::seeded_noise_key(5));
    std::vector<std::vector<std::int64_t>> disclosed;
    while (!whole.done()) disclosed.push_back(whole.step().sums);
    CHECK(static_cast<Index>(disclosed.size()) == whole.steps());
    for (Index stop = 0; stop <= whole.steps(); ++stop) {
      CAPTURE(stop);
      Trainer first(set, all, quick(noise), privacy::seeded_noise_key(5));
      while (first.steps_done() < stop) first.step();
      REQUIRE(first.save(path, 2).ok());
      // One step more that the file does not know of: it is repeated, not spent again.
      const bool more = !first.done();
      const std::vector<std::int64_t> lost = more ? first.step().sums : std::vector<std::int64_t>{};
      Trainer second(set, all, quick(noise), privacy::seeded_noise_key(77));
      REQUIRE(second.load(path).ok());
      CHECK(second.steps_done() == stop);
      CHECK(second.seconds_before() == 2);
      if (more) CHECK(second.step().sums == lost);
      while (!second.done()) second.step();
      CHECK(serialize_sums(second.release()) == serialize_sums(whole.release()));
      CHECK(serialize_head(second.release()) == serialize_head(whole.release()));
    }
  }
}

TEST_CASE("the state has the noise's key, so that only its owner may read it") {
  const data::Dataset set = random_set({1, 8, 8, 2}, 10);
  Trainer trainer(set, data::count_up(set.size()), quick(), privacy::seeded_noise_key(5));
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  const mode_t usual = ::umask(0);
  const Result<void> saved = trainer.save(path);
  ::umask(usual);
  REQUIRE(saved.ok());
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("a state of another training, or a damaged one, is refused and changes nothing") {
  const data::Dataset set = random_set({1, 8, 8, 2}, 12);
  const std::vector<Index> all = data::count_up(set.size());
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  Trainer trainer(set, all, quick(), privacy::seeded_noise_key(5));
  trainer.step();
  REQUIRE(trainer.save(path).ok());
  Settings other = quick();
  other.mu = 1;
  Trainer with_other(set, all, other, privacy::seeded_noise_key(5));
  CHECK_FALSE(with_other.load(path).ok());
  CHECK(with_other.steps_done() == 0);
  Trainer fewer(set, {0, 1, 2}, quick(), privacy::seeded_noise_key(5));
  CHECK(fewer.load(path).failure().message.find("another training") != std::string::npos);
  auto bytes = read_file(path).value();
  bytes[bytes.size() / 2] ^= 1;
  REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
  Trainer damaged(set, all, quick(), privacy::seeded_noise_key(5));
  CHECK_FALSE(damaged.load(path).ok());
  CHECK(damaged.steps_done() == 0);
  CHECK_FALSE(damaged.load(folder / "none").ok());
}

TEST_CASE("what cannot be trained on, and what is not there yet") {
  const data::Dataset set = random_set({1, 8, 8, 2}, 4);
  CHECK(error_of([&] { Trainer(set, {}, quick(), {}); }) ==
        "moments: 0 samples; expected 1 to 2147483648");
  Settings wrong = quick();
  wrong.mu = -1;
  CHECK(error_of([&] { Trainer(set, {0}, wrong, {}); }) ==
        "moments: mu -1; expected a number from 0.01 to 50");
  CHECK(error_of([&] { class_sums(set, std::vector<Index>{4}, quick()); }) ==
        "moments: sample 4 of random, which has 4");
  Trainer trainer(set, {0, 1}, quick(), {});
  CHECK(error_of([&] { trainer.release(); }) == "moments: step 0 of 6, there is no release yet");
  while (!trainer.done()) trainer.step();
  CHECK(error_of([&] { trainer.step(); }) == "moments: the training is done");
}

TEST_CASE("images of every form, one image a class, classes without images, a single class") {
  struct Case {
    ImageSpec images;
    Index samples;
  };
  for (const Case& c : {Case{{1, 8, 8, 2}, 20}, Case{{3, 32, 32, 10}, 30},
                        Case{{1, 28, 28, 10}, 10}, Case{{3, 20, 9, 5}, 3}, Case{{1, 28, 28, 10}, 1},
                        Case{{16, 8, 8, 2}, 4}, Case{{3, 128, 128, 4}, 8}}) {
    CAPTURE(c.images.height);
    CAPTURE(c.samples);
    const data::Dataset set = random_set(c.images, c.samples);
    for (const bool noise : {true, false}) {
      const Release r = train(set, quick(noise));
      CHECK(r.held() == std::min(c.samples, c.images.classes));
      CHECK(r.weights.empty() == (r.held() == 1));
      const Result<Release> back = round_trip(r);
      REQUIRE(back.ok());
      const Generator generator(*back);
      for (Index label = 0; label < c.images.classes; ++label) {
        CHECK(generator.holds(label) == (label < c.samples));
        if (!generator.holds(label)) {
          CHECK(error_of([&] { draw(generator, label, 1); }).find("does not hold") !=
                std::string::npos);
          continue;
        }
        CHECK(static_cast<Index>(draw(generator, label, 3).size()) == 3 * set.sample_elems());
      }
    }
  }
}

TEST_CASE("a sample that is listed twice is refused: its part would be twice the bound") {
  const data::Dataset set = random_set({1, 12, 10, 4}, 50);
  CHECK(error_of([&] {
          Trainer(set, {3, 5, 3}, quick(), privacy::seeded_noise_key(5));
        }) == "moments: sample 3 is listed twice");
}

}  // namespace moments_trainer_test
