#include "iotsl/split/prepare/generator_store.hpp"

#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace generator_store_test {

using namespace tiny;

TEST_CASE("generator store: what is kept is there as it was, in a folder or in memory") {
  const TemporaryFolder folder;
  for (const std::string& out : {std::string(), folder / "run"}) {
    Setting s;
    s.config.out = out;
    GeneratorStore store(s.config, {});
    REQUIRE(store.create().ok());
    CHECK_FALSE(store.has(1));
    const Trained& made = trained(1);
    keep(store, s, 1, made);
    CHECK(store.has(1));
    CHECK_FALSE(store.has(0));
    CHECK(store.bytes(1).value() == made.file);
    CHECK(store.digest(1) == sha256(made.file));
    CHECK(store.load(1)->card.label_counts == s.histograms()[1]);
    const GeneratorRecord& record = store.records()[1];
    CHECK(record.origin == "trained");
    CHECK(record.seconds_training == 2);
    CHECK(record.bytes_up > made.file.size());
  }
}

TEST_CASE("generator store: a file that was damaged or has gone is not there, and said so") {
  Setting s;
  s.config.devices = 3;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  GeneratorStore first(s.config, {});
  keep_both(first, s);
  std::vector<GeneratorRecord> records = first.records();
  records[2] = records[1];
  damage(generator_path(s.config, 1));
  std::vector<std::string> notes;
  GeneratorStore second(s.config, hooks_of(notes));
  REQUIRE(second.take_up(records).ok());
  CHECK(second.has(0));
  CHECK(second.digest(0) == first.digest(0));
  CHECK_FALSE(second.has(1));
  CHECK_FALSE(second.has(2));
  REQUIRE(notes.size() == 2);
  CHECK(notes[0] == generator_path(s.config, 1) +
                        ": is not the file that preparation.json names; it is taken or asked for "
                        "again");
  CHECK(notes[1].find(generator_path(s.config, 2)) == 0);
  records.pop_back();
  CHECK(second.take_up(records).failure().message ==
        join_path(s.config.out, preparation_name) + ": has 2 generators, the run has 3 devices");
}

TEST_CASE("generator store: of given generators those are taken that are not there") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "first";
  GeneratorStore first(s.config, {});
  keep_both(first, s);
  Setting again;
  again.config.preparation.generators = join_path(s.config.out, generator_folder);
  std::vector<std::string> notes;
  GeneratorStore second(again.config, hooks_of(notes));
  keep(second, again, 0, trained(0));
  REQUIRE(second.find_given().value() == std::vector<std::size_t>{1});
  REQUIRE(second.take_given(1).ok());
  CHECK(second.records()[0].origin == "trained");
  CHECK(second.records()[1].origin == "given");
  CHECK(second.digest(1) == first.digest(1));
  CHECK(second.find_given().value().empty());
  CHECK(second.records()[1].bytes_up == first.records()[1].bytes_up);
  CHECK(second.records()[1].seconds_training == 0);  // no preparation.json knows
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("the full sum counts 0 s for it") != std::string::npos);
  // A folder without any is a mistake only where there is no other.
  again.config.preparation.generators = folder / "nothing";
  GeneratorStore none(again.config, {});
  CHECK_FALSE(none.find_given().ok());
  keep(none, again, 0, trained(0));
  CHECK(none.find_given().value().empty());
}

TEST_CASE("generator store: a generator that is larger than the run's settings allow is refused") {
  const Setting s;
  generators::GeneratorFile file = generators::parse_generator(trained(0).file).value();
  file.card.settings.net.width = 32;
  generators::NetGenerator wide{
      GeneratorNet<float>(gan::generator_spec(file.card.settings.net, file.card.images))};
  wide.net.initialize(1);
  file.generator = std::move(wide);
  const Trained made{generators::serialize_generator(file).value()};
  const GeneratorStore store(s.config, {});
  const auto refused = store.check({}, s.histograms()[0], upload_of(made));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message ==
        concat("the generator file has ", made.file.size(),
               " bytes; one of the run's settings has at most ",
               generators::generator_file_limit(s.config.preparation.generator,
                                                gan::image_spec(s.train))));
}

}  // namespace generator_store_test
