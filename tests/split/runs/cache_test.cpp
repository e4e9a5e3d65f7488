// Method cache: each sample is sent once, the server trains on what it keeps.

#include <doctest/doctest.h>

#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

namespace cache_test {

using namespace tiny;

namespace {

RunConfig cache_config(WireCoding coding = WireCoding::fp32) {
  RunConfig out = iotsl_config();
  out.method = Method::cached;
  out.training.frozen_front = true;
  out.training.local_epochs = 1;
  out.training.epochs = 6;  // of two devices: three rounds
  out.training.wire = coding;
  return out;
}

const std::vector<std::vector<Index>>& samples() {
  static const std::vector<std::vector<Index>> lists{range(0, 25), range(25, 41)};
  return lists;
}

}  // namespace

TEST_CASE("cache: the same weights over every transport, and each sample is sent once") {
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  for (const WireCoding coding : {WireCoding::fp32, WireCoding::int4}) {
    const RunConfig config = cache_config(coding);
    const auto none = run_one_net(config, {}, train, test, samples());
    REQUIRE_MESSAGE(none.ok(), none.failure().message);
    const auto inproc = run_inproc(config, {}, train, test, samples());
    REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
    TcpRun tcp{config, train, samples()};
    const auto summary = tcp.run(test);
    REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
    CHECK(fragile::history(*inproc) == fragile::history(*none));
    CHECK(fragile::history(*summary) == fragile::history(*none));
    CHECK(summary->bill.total() == summary->bytes_up + summary->bytes_down);
    CHECK(summary->bill.gradient == 0);
    std::uint64_t sent = 0;
    for (const measure::EpochRecord& epoch : summary->epochs)
      if (epoch.round == 0) sent += epoch.samples;
    const net::WireFormat format = net::WireFormat::of(config.training);
    CHECK(summary->bill.smashed == format.smashed_bytes(sent, summary->smashed_values));
    CHECK(summary->epochs.size() == 6);
    for (const measure::EpochRecord& epoch : summary->epochs) {
      CHECK((epoch.values_formula == 0) == (epoch.round > 0));
      CHECK(epoch.has_training);
    }
  }
}

TEST_CASE("cache: in full precision it is split learning with a frozen front, without the bytes") {
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  RunConfig config = cache_config();
  const auto cached = run_inproc(config, {}, train, test, samples());
  REQUIRE_MESSAGE(cached.ok(), cached.failure().message);
  config.method = Method::iotsl;
  const auto frozen = run_inproc(config, {}, train, test, samples());
  REQUIRE_MESSAGE(frozen.ok(), frozen.failure().message);
  CHECK(fragile::history(*cached) == fragile::history(*frozen));
  CHECK(3 * cached->bill.smashed == frozen->bill.smashed);
}

TEST_CASE("cache: a cut or a death at any message changes nothing") {
  using fragile::Fault;
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  RunConfig config = cache_config(WireCoding::int8);
  config.barriers.steps = 2;
  config.barriers.seconds = 0;
  config.offline_seconds = 0;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    fragile::check_faults(config, {}, train, test, samples(), fault, 0, 3);
}

TEST_CASE("cache: after the first round the server needs no device, not even to start again") {
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  RunConfig config = cache_config(WireCoding::int8);
  config.barriers.steps = 2;
  config.barriers.seconds = 0;
  const TemporaryFolder folder;
  config.out = folder / "whole";
  fragile::FragileRun whole(config, train, test, samples());
  const auto expected = whole.run(fragile::Fault::none, 0);
  REQUIRE_MESSAGE(expected.ok(), expected.failure().message);
  config.out = folder / "alone";
  fragile::FragileRun alone(config, train, test, samples());
  alone.leave_server_alone_after_caching();
  const auto summary = alone.run(fragile::Fault::none, 0);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(fragile::history(*summary) == fragile::history(*expected));
  for (const measure::EpochRecord& epoch : summary->epochs)
    CHECK(epoch.device_name == concat("device-", epoch.device));
}

TEST_CASE("cache: a file that is damaged, cut short or of another run is refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "device-000.cache";
  const std::vector<std::uint8_t> content(3 * 8, 7);
  const std::vector<std::int32_t> labels{1, 2, 3};
  {
    auto cache = SmashedCache::open(path, 3, 8, "kitchen");
    REQUIRE_MESSAGE(cache.ok(), cache.failure().message);
    cache->put(data::count_up(3), content, labels);
    REQUIRE(cache->commit(true).ok());
  }
  {
    const auto again = SmashedCache::open(path, 3, 8, "");
    REQUIRE_MESSAGE(again.ok(), again.failure().message);
    CHECK(again->complete());
    CHECK(again->name() == "kitchen");
    const std::vector<Index> places{2, 0};
    CHECK(again->take(places).labels == std::vector<std::int32_t>{3, 1});
    CHECK(SmashedCache::samples_of(path, 8).value() == 3);
  }
  CHECK(SmashedCache::samples_of(path, 9).failure().message.find("no whole number of samples") !=
        std::string::npos);
  CHECK(SmashedCache::open(path, 4, 8, "").failure().message.find("expected 176") !=
        std::string::npos);
  CHECK(SmashedCache::open(path, 2, 14, "")
            .failure()
            .message.find("is no cache of 2 smashed samples of 14 bytes") != std::string::npos);
  auto bytes = read_file(path).value();
  bytes[130] ^= 1;
  REQUIRE(write_file_atomic(path, bytes).ok());
  CHECK(SmashedCache::open(path, 3, 8, "").failure().message.find("is damaged") !=
        std::string::npos);
}

TEST_CASE("cache: what it cannot be given with") {
  const auto refusal = [](auto change) {
    RunConfig config = cache_config();
    change(config.training);
    const Result<void> good = check_config(config);
    return good ? std::string() : good.failure().message;
  };
  CHECK(refusal([](TrainingOptions&) {}).empty());
  CHECK(refusal([](TrainingOptions& t) { t.frozen_front = false; }) ==
        "--method cache: the front is frozen; --frozen-front off is not for it");
  CHECK(refusal([](TrainingOptions& t) { t.local_epochs = 2; }) ==
        "--local-epochs 2: --method cache has turns of one epoch");
  CHECK(refusal([](TrainingOptions& t) { t.replay = 4; }) ==
        "--replay 4: --method cache keeps every sample already");
}

}  // namespace cache_test
