// A device's private generator: counted before it is made, never counted twice, never past the
// owner's limit.

#include <sys/stat.h>

#include <cmath>

#include "iotsl/privacy/data_id.hpp"
#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace private_generator_test {

using namespace tiny;

namespace {

Setting private_setting(double epsilon = 10) {
  Setting s;
  generators::GeneratorSettings& g = s.config.preparation.generator;
  g.kind = generators::GeneratorKind::moments;
  g.privacy = {.mode = privacy::PrivacyMode::moments, .epsilon = epsilon};
  REQUIRE(generators::apply_privacy(g).ok());
  return s;
}

DeviceFiles files_in(const std::string& folder) {
  DeviceFiles out;
  out.state = folder;
  out.private_only = true;
  out.keep_ledger_in_state();
  out.save_every = 0;
  return out;
}

std::string only_file(const std::string& folder, const char* ending) {
  for (const std::string& name : list_folder(folder))
    if (name.ends_with(ending)) return join_path(folder, name);
  FAIL("no file that ends with ", ending);
  return {};
}

privacy::PrivacyCard card_of(const std::vector<std::uint8_t>& file) {
  return generators::parse_generator(file).value().card.privacy;
}

}  // namespace

TEST_CASE(
    "private generator: it is counted before its first step, under a key that is on the disk") {
  const Setting s = private_setting();
  const TemporaryFolder folder;
  const DeviceFiles files = files_in(folder / "state");
  GeneratorWork work(s.train, s.samples[0], s.task(0), files);
  REQUIRE(work.step().value() == false);
  const privacy::Ledger ledger = privacy::read_ledger(files.ledger).value();
  REQUIRE(ledger.releases.size() == 1);
  CHECK(ledger.releases[0].mode == privacy::PrivacyMode::moments);
  struct stat state {};
  REQUIRE(::stat(only_file(files.state, ".training").c_str(), &state) == 0);
  CHECK((state.st_mode & 077) == 0);  // a secret of its owner
  const std::string promise = work.take_note();
  CHECK_MESSAGE(promise.find("epsilon 10 at delta 1e-05") != std::string::npos, promise);
  CHECK(promise.find("not covered: the number of images") != std::string::npos);
}

TEST_CASE(
    "private generator: a kill between ledger and release counts once and gives one release") {
  const Setting s = private_setting();
  const TemporaryFolder folder;
  const DeviceFiles files = files_in(folder / "state");
  {
    GeneratorWork first(s.train, s.samples[0], s.task(0), files);
    REQUIRE(first.step().value() == false);
  }  // killed
  const std::vector<std::uint8_t> made = train_generator(s, 0, files).file;
  CHECK(train_generator(s, 0, files).file == made);  // found finished, sent again
  CHECK(privacy::read_ledger(files.ledger)->releases.size() == 1);
  CHECK(card_of(made).releases == 1);

  // Without the state nobody knows what was released under that entry: the next one composes.
  for (const std::string& name : list_folder(files.state))
    if (name != privacy::ledger_name) std::remove(join_path(files.state, name).c_str());
  const std::vector<std::uint8_t> again = train_generator(s, 0, files).file;
  CHECK(again != made);
  CHECK(card_of(again).releases == 2);
  CHECK(card_of(again).release.epsilon == doctest::Approx(10).epsilon(1e-4));
  // Two mechanisms of mu are one of sqrt(2) mu.
  const double mu = privacy::gaussian_mu(10, 1e-5);
  CHECK(card_of(again).all_releases.epsilon ==
        doctest::Approx(privacy::gaussian_epsilon(mu * std::sqrt(2.0), 1e-5)).epsilon(1e-4));
}

TEST_CASE("private generator: other samples compose too, unless the owner declares new data") {
  Setting s = private_setting(3);
  s.samples.push_back(tiny::range(13, 39));
  const TemporaryFolder folder;
  DeviceFiles files = files_in(folder / "state");
  CHECK(card_of(train_generator(s, 0, files).file).releases == 1);
  CHECK(card_of(train_generator(s, 1, files).file).releases == 2);
  files.new_data = true;
  files.data_fingerprint[0] = 1;
  const privacy::PrivacyCard declared = card_of(train_generator(s, 2, files).file);
  CHECK(declared.releases == 1);
  CHECK(declared.new_data_declared);
  CHECK(privacy::read_ledger(files.ledger)->releases.size() == 3);
  // Of samples that are in the ledger nobody can say so.
  files.data_fingerprint[0] = 2;
  GeneratorWork again(s.train, s.samples[1], s.task(1), files);
  const Result<bool> refused = again.step();
  REQUIRE_FALSE(refused.ok());
  CHECK_MESSAGE(refused.failure().message.find("--new-data: these samples are those of release") !=
                    std::string::npos,
                refused.failure().message);
  files.new_data = false;
  files.data_fingerprint[0] = 3;
  const privacy::PrivacyCard old = card_of(train_generator(s, 1, files).file);
  CHECK(old.releases == 3);
  CHECK(old.new_data_declared);
}

TEST_CASE("private generator: nothing is made past the owner's limit, and nothing is entered") {
  const Setting s = private_setting(3);
  const TemporaryFolder folder;
  DeviceFiles files = files_in(folder / "state");
  files.max_epsilon = 4;
  CHECK(card_of(train_generator(s, 0, files).file).releases == 1);
  GeneratorWork second(s.train, s.samples[1], s.task(1), files);
  const Result<bool> refused = second.step();
  REQUIRE_FALSE(refused.ok());
  CHECK_MESSAGE(refused.failure().message.find("more than the limit 4") != std::string::npos,
                refused.failure().message);
  CHECK(privacy::read_ledger(files.ledger)->releases.size() == 1);
}

TEST_CASE("private generator: a damaged ledger stops the device") {
  const Setting s = private_setting();
  const TemporaryFolder folder;
  const DeviceFiles files = files_in(folder / "state");
  REQUIRE(create_folders(files.state).ok());
  REQUIRE(write_file_atomic(files.ledger, std::string_view("{\"format\":")).ok());
  GeneratorWork work(s.train, s.samples[0], s.task(0), files);
  const Result<bool> refused = work.step();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find("nobody knows what this device has released") !=
        std::string::npos);
}

TEST_CASE("private generator: what it cost and how good it is stays on the device") {
  const Setting s = private_setting();
  const TemporaryFolder folder;
  GeneratorWork work(s.train, s.samples[0], s.task(0), files_in(folder / "state"));
  for (bool last = false; !last;) last = work.step().value();
  const TrainedGenerator made = work.finish();
  CHECK(made.cost.compute_us == 0);
  CHECK(made.cost.peak_memory_bytes == 0);
  const generators::GeneratorFile file = generators::parse_generator(made.file).value();
  CHECK_FALSE(file.card.quality.checked);
  CHECK(to_json_fields(file.card).find("quality") == nullptr);
}

TEST_CASE("private generator: one that is brought or found again keeps to the owner's wishes") {
  const Setting s = private_setting(3);
  const TemporaryFolder folder;
  DeviceFiles files = files_in(folder / "state");
  const std::vector<std::uint8_t> made = train_generator(s, 0, files).file;
  const std::string path = folder / "made.iotsl", plain = folder / "plain.iotsl";
  REQUIRE(write_file_atomic(path, ByteSpan(made)).ok());
  REQUIRE(write_file_atomic(plain, ByteSpan(trained(0).file)).ok());
  const auto outcome = [&](const DeviceFiles& given, std::string& promise) {
    GeneratorWork work(s.train, s.samples[0], s.task(0), given);
    const Result<bool> done = work.step();
    promise = work.take_note();
    return done ? std::string("shared") : done.failure().message;
  };
  std::string promise;
  // Found again: the promise is told again, and a limit that came later holds.
  CHECK(outcome(files, promise) == "shared");
  CHECK(promise.find("epsilon 3 at delta") != std::string::npos);
  files.max_epsilon = 1;
  CHECK(outcome(files, promise).find("more than the limit 1") != std::string::npos);
  // Brought from elsewhere, likewise.
  files.max_epsilon = 3;
  files.generator = path;
  CHECK(outcome(files, promise) == "shared");
  CHECK(promise.find("epsilon 3 at delta") != std::string::npos);
  files.max_epsilon = 1;
  CHECK(outcome(files, promise).find("more than the limit 1") != std::string::npos);
  files.generator = plain;
  CHECK(outcome(files, promise).find("the generator promises nothing") != std::string::npos);
}

TEST_CASE("generator store: a promise that is weaker than the run asks for is refused") {
  const TemporaryFolder folder;
  Setting s = private_setting(10);
  const Trained made = train_generator(s, 0, files_in(folder / "state"));
  const auto refusal = [&](const Setting& run, const Trained& generator) {
    const GeneratorStore store(run.config, {});
    const auto checked = store.check({}, run.histograms()[0], upload_of(generator));
    return checked ? std::string("taken") : checked.failure().message;
  };
  CHECK(refusal(s, made) == "taken");
  s.config.preparation.max_epsilon = 5;
  CHECK(refusal(s, made).find("--max-epsilon 5: the generator and what its device") == 0);
  CHECK(refusal(private_setting(3), made).find("the run asks for 3") != std::string::npos);
  CHECK(refusal(private_setting(), trained(0)) ==
        "the generator's privacy is of mode off, the run asks for moments");
  Setting plain;
  plain.config.preparation.max_epsilon = 5;
  CHECK(refusal(plain, trained(0)) == "--max-epsilon 5: the generator promises nothing");
}

TEST_CASE("data id: random, kept, and another one for other samples") {
  const TemporaryFolder folder;
  Sha256Digest a{}, b{};
  b[0] = 1;
  const Sha256Digest first = privacy::data_id(folder / "x", a).value();
  CHECK(privacy::data_id(folder / "x", a).value() == first);
  CHECK(privacy::data_id(folder / "x", b).value() != first);
  CHECK(privacy::data_id(folder / "y", a).value() != first);
}

}  // namespace private_generator_test
