// Method cache: each sample is sent once, the server trains on what it keeps.

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <thread>

#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

namespace cache_test {

using namespace tiny;

namespace {

const std::vector<std::vector<Index>>& samples() {
  static const std::vector<std::vector<Index>> lists{range(0, 25), range(25, 41)};
  return lists;
}

/// As long as it lives, no file can be made larger: like a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("cache: the same weights over every transport, and each sample is sent once") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  for (const WireCoding coding : {WireCoding::fp32, WireCoding::int4}) {
    RunConfig config = cache_config(coding);
    if (coding == WireCoding::int4) config.training.optimizer.ewc = 10;
    const auto [none, inproc, tcp] = run_everywhere(config, train, test, halves(train));
    CHECK(fragile::history(inproc) == fragile::history(none));
    CHECK(fragile::history(tcp) == fragile::history(none));
    std::uint64_t sent = 0;
    for (const measure::EpochRecord& epoch : tcp.epochs)
      if (epoch.round == 0) sent += epoch.samples;
    CHECK(sent > 41);  // the imputed ones as well
    CHECK(tcp.bill.total() == tcp.bytes_up + tcp.bytes_down);
    CHECK(tcp.bill.smashed ==
          net::WireFormat::of(config.training).smashed_bytes(sent, tcp.smashed_values));
    CHECK(tcp.bill.labels == net::label_bytes(sent));
    CHECK(tcp.bill.gradient == 0);
    CHECK(tcp.bill.front == net::state_bytes(2 * tcp.front_values));  // two hand-overs
    CHECK(tcp.bill.front_inside == 0);
    CHECK(tcp.values_formula == sent * (tcp.smashed_values + 1) + 2 * tcp.front_values);
    REQUIRE(tcp.epochs.size() == 6);
    for (const measure::EpochRecord& epoch : tcp.epochs) {
      CHECK((epoch.values_formula == 0) == (epoch.round > 0));
      CHECK(epoch.has_training);
    }
  }
}

TEST_CASE("cache: in full precision it is split learning with a frozen front, without the bytes") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  RunConfig config = cache_config();
  const auto cached = run_inproc(config, {}, train, test, halves(train));
  REQUIRE_MESSAGE(cached.ok(), cached.failure().message);
  config.method = Method::iotsl;
  const auto frozen = run_inproc(config, {}, train, test, halves(train));
  REQUIRE_MESSAGE(frozen.ok(), frozen.failure().message);
  CHECK(cached->weights_sha256 == frozen->weights_sha256);
  REQUIRE(cached->epochs.size() == frozen->epochs.size());
  for (std::size_t i = 0; i < cached->epochs.size(); ++i)
    CHECK(cached->epochs[i].loss == frozen->epochs[i].loss);
  CHECK(3 * cached->bill.smashed == frozen->bill.smashed);
}

TEST_CASE("cache: a cut or a death at any message changes nothing") {
  using fragile::Fault;
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  RunConfig config = cache_config(WireCoding::int8);
  config.training.epochs = 4;
  config.barriers.steps = 2;
  config.barriers.seconds = 0;
  config.offline_seconds = 0;
  config.preparation.pretrain = false;
  const TemporaryFolder folder;
  DeviceFiles files;
  files.state = folder / "devices";  // all runs together train the generators once
  // What comes before the first TURN_GRANT is that of any run with generators.
  constexpr std::size_t first = 16;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    fragile::check_faults(config, files, train, test, samples(), fault, first,
                          fault == Fault::cut ? 2 : 1);
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

  // Stopped in the second round, and gone on with over a socket to which the devices come when all
  // is over: they hear of it.
  config.out = folder / "stopped";
  std::size_t epochs = 0;
  RunHooks hooks;
  hooks.context = &epochs;
  hooks.on_epoch = [](void* count, const measure::EpochRecord&) {
    ++*static_cast<std::size_t*>(count);
  };
  hooks.should_stop = [](void* count) { return *static_cast<std::size_t*>(count) == 3; };
  const auto stopped = run_inproc(config, hooks, train, test, samples());
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.failure().code == ErrorCode::stopped);
  config.resume = true;
  struct Late {
    const RunConfig& config;
    const data::Dataset& train;
    std::vector<std::thread> threads = {};
    std::array<bool, 2> are_told = {};
  } late{config, train};
  RunHooks listening;
  listening.context = &late;
  listening.on_listening = [](void* self, std::uint16_t port) {
    auto& all = *static_cast<Late*>(self);
    for (std::size_t i = 0; i < 2; ++i)
      all.threads.emplace_back([&all, i, port] {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        DeviceOptions options;
        options.server = {"127.0.0.1", port};
        options.identity = identity(all.config, all.train, samples()[i], i);
        options.connect.total_limit = 5 * net::second_us;
        const auto done = run_device(options, all.train, samples()[i]);
        all.are_told[i] = done.ok() && done->complete;
      });
  };
  const auto resumed = run_server(config, listening, {}, test);
  for (std::thread& thread : late.threads) thread.join();
  REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
  CHECK(late.are_told == std::array{true, true});
  CHECK(fragile::history(*resumed) == fragile::history(*expected));
  CHECK(resumed->bill.total() == resumed->bytes_up + resumed->bytes_down);
  CHECK(resumed->bill.smashed ==
        net::WireFormat::of(config.training).smashed_bytes(41, resumed->smashed_values));
}

TEST_CASE("cache: a file that is damaged, cut short or of another run is refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "device-000.cache";
  const std::vector<std::uint8_t> content(3 * 8, 7);
  const std::vector<std::int32_t> labels{1, 2, 3};
  {
    auto cache = SmashedCache::create(path, 3, 8, "kitchen");
    REQUIRE_MESSAGE(cache.ok(), cache.failure().message);
    cache->put(data::count_up(3), content, labels);
    REQUIRE(cache->sync().ok());
    CHECK_FALSE(SmashedCache::load(path, 8)->complete());
    REQUIRE(cache->close().ok());
  }
  {
    const auto again = SmashedCache::load(path, 8);
    REQUIRE_MESSAGE(again.ok(), again.failure().message);
    CHECK(again->complete());
    CHECK(again->samples() == 3);
    CHECK(again->name() == "kitchen");
    const std::vector<Index> places{2, 0};
    CHECK(again->take(places).labels == std::vector<std::int32_t>{3, 1});
    CHECK(again->take(places).content == std::vector<std::uint8_t>(16, 7));
  }
  const auto refusal = [&](std::uint64_t sample_bytes) {
    return SmashedCache::load(path, sample_bytes).failure().message;
  };
  CHECK(refusal(9).find("is no cache of smashed samples of 9 bytes") != std::string::npos);
  const std::vector<std::uint8_t> whole = read_file(path).value();
  std::vector<std::uint8_t> bytes = whole;
  bytes[130] ^= 1;
  REQUIRE(write_file_atomic(path, bytes).ok());
  CHECK(refusal(8).find("is damaged") != std::string::npos);
  for (const std::size_t left : {whole.size() - 1, std::size_t{128}, std::size_t{5}}) {
    REQUIRE(write_file_atomic(path, ByteSpan(whole).first(left)).ok());
    CHECK(refusal(8).find("was cut short") != std::string::npos);
  }
}

TEST_CASE("cache: what it takes is checked before the first turn, and nothing is left half made") {
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  const TemporaryFolder folder;
  RunConfig config = cache_config();
  config.out = folder / "run";
  config.cache_limit_gib = 1e-5;
  for (const auto& outcome : {run_one_net(config, {}, train, test, samples()),
                              run_inproc(config, {}, train, test, samples())}) {
    REQUIRE_FALSE(outcome.ok());
    CHECK_MESSAGE(outcome.failure().message.starts_with(
                      "--cache-limit 1e-05 GiB: the smashed samples of all devices take"),
                  outcome.failure().message);
    CHECK_FALSE(file_exists(folder / "run/cache/device-000.cache"));
  }
  // The same run goes on once it may take more.
  config.resume = true;
  config.cache_limit_gib = 1;
  const auto resumed = run_inproc(config, {}, train, test, samples());
  REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
  config = cache_config();
  CHECK(fragile::history(*resumed) ==
        fragile::history(run_one_net(config, {}, train, test, samples()).value()));

  // A disk that takes the first device's samples but not the second's.
  const SplitModel model = build_split_model(config).value();
  const FrontHalf front(model.front, config.training.optimizer, config.seed);
  const WireSizes sizes =
      wire_sizes(front.layers(), front.optimizer(), sample_shape(config.model), 8);
  config.out = folder / "full";
  REQUIRE(create_folders(config.out).ok());
  SmashedCaches caches(config, sizes, model.front.output_shape(sample_shape(config.model)).value());
  const FileSizeLimit limit(100000);
  const Result<void> full = caches.reserve({2, 1000}, {"first", "second"});
  REQUIRE_FALSE(full.ok());
  CHECK_MESSAGE(
      full.failure().message.find("device-001.cache: cannot reserve") != std::string::npos,
      full.failure().message);
  CHECK(list_folder(folder / "full/cache").empty());
  CHECK(caches.reserve({2, 3}, {"first", "second"}).ok());
  CHECK(list_folder(folder / "full/cache").size() == 2);
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
  RunConfig config = cache_config();
  config.cache_limit_gib = 0;
  CHECK(check_config(config).failure().message == "--cache-limit 0: expected a number above 0");
  config = cache_config();
  config.preparation.generator_only = true;
  CHECK(check_config(config).failure().message ==
        "--generator-only on: --method cache trains on the devices' smashed samples");
}

}  // namespace cache_test
