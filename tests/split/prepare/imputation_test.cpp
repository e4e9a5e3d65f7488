#include "iotsl/split/prepare/imputation.hpp"

#include "split/prepare/preparation_fixture.hpp"
#include "support/temporary_folder.hpp"

namespace imputation_test {

using namespace tiny;

TEST_CASE(
    "imputation: a device is sent its plan and the generators in it, and gets what it lacks") {
  const Setting s;
  GeneratorStore store(s.config, {});
  keep_both(store, s);
  Imputation imputation(s.config, {}, store);
  CHECK(imputation.orders()[0].added == 0);
  REQUIRE(imputation.plan(s.histograms(), log_of(store, s)).value());
  // Device 0 lacks classes 2 and 3, its mean class size is 13.
  const ImputationOrder order = imputation.orders()[0];
  CHECK(order.added == 26);
  const auto messages = imputation.messages(0);
  REQUIRE(messages.ok());
  REQUIRE(messages->size() == 2);
  CHECK((*messages)[0].type == net::MessageType::impute_plan);
  CHECK(sha256((*messages)[0].payload) == order.plan_hash);
  const auto download = net::decode<net::GenDownload>((*messages)[1].payload);
  REQUIRE(download.ok());
  CHECK(download->device == 1);
  CHECK(sha256(download->file) == store.digest(1));
  const auto completed = imputation.completed(0, s.train, s.samples[0]);
  REQUIRE(completed.ok());
  REQUIRE(completed->has_value());
  CHECK(data::class_counts((**completed).labels, 4) == std::vector<Index>{13, 12, 13, 13});
  const ImputationRecord& record = imputation.records()[0];
  CHECK(record.generators == std::vector<std::uint64_t>{1});
  CHECK(record.values == store.records()[1].values);
  CHECK(record.bytes_down > store.bytes(1)->size());
}

TEST_CASE("imputation: a device whose data is complete is sent nothing") {
  Setting s;
  s.samples[1] = s.samples[0];
  GeneratorStore store(s.config, {});
  for (std::uint32_t d = 0; d < 2; ++d) keep(store, s, d, trained(0));
  Imputation imputation(s.config, {}, store);
  REQUIRE(imputation.plan(s.histograms(), log_of(store, s)).value());
  CHECK(imputation.orders()[1].plan_hash == Sha256Digest{});
  CHECK_FALSE(imputation.completed(1, s.train, s.samples[1])->has_value());
  CHECK(imputation.records()[1].bytes_down == 0);
}

TEST_CASE("imputation: a plan is made once, and again where its file is damaged") {
  Setting s;
  const TemporaryFolder folder;
  s.config.out = folder / "run";
  GeneratorStore store(s.config, {});
  keep_both(store, s);
  Imputation first(s.config, {}, store);
  REQUIRE(first.plan(s.histograms(), log_of(store, s)).value());
  const auto second = [&](std::vector<std::string>& notes) {
    Imputation out(s.config, hooks_of(notes), store);
    out.take_up(first.planned(), first.records());
    const bool made = out.plan(s.histograms(), log_of(store, s)).value();
    CHECK(out.orders()[0].plan_hash == first.orders()[0].plan_hash);
    return made;
  };
  std::vector<std::string> notes;
  CHECK_FALSE(second(notes));
  CHECK(notes.empty());
  damage(join_path(s.config.out, impute_plan_name));
  CHECK(second(notes));
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].ends_with("; the plan is made again"));
}

}  // namespace imputation_test
