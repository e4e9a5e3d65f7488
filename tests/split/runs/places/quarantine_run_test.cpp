// Runs of which one device fails by itself: the others end as if it had been skipped from that turn
// on, whoever else is lost meanwhile.

#include <doctest/doctest.h>

#include <limits>

#include "iotsl/split/records/quarantine_file.hpp"
#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"

namespace quarantine_run_test {

using namespace fragile;

namespace {

const std::vector<std::vector<Index>>& three_devices() {
  static const std::vector<std::vector<Index>> lists{tiny::range(0, 17), tiny::range(17, 33),
                                                     tiny::range(33, 50)};
  return lists;
}
const data::Dataset& train_set() {
  static const data::Dataset set = tiny::dataset(50, 1);
  return set;
}
const data::Dataset& test_set() {
  static const data::Dataset set = tiny::dataset(24, 2);
  return set;
}

/// Three rounds of three devices; who is away is skipped at once.
RunConfig three_rounds(const std::string& out) {
  RunConfig config = tiny::config();
  config.devices = 3;
  config.training.epochs = 9;
  config.out = out;
  config.offline_seconds = 1e-9;
  return config;
}

/// Puts `value` in place of the first of the float32 values of `part`, which looks into `message`.
void replace_first(net::Message& message, ByteSpan part, float value) {
  std::memcpy(message.payload.data() + (part.data() - message.payload.data()), &value,
              sizeof value);
  message.hash = xxh64(message.payload);
  message.digest = sha256(message.payload);
}
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// The batch of step `number` of the run has `value` in it.
std::function<void(net::Message&)> spoilt_step(std::uint64_t number, float value) {
  return [=](net::Message& message) {
    if (message.type != net::MessageType::step) return;
    const net::Step step = net::decode<net::Step>(message.payload).value();
    if (step.step == number) replace_first(message, step.smashed, value);
  };
}
/// Messages of that type are an ERROR.
std::function<void(net::Message&)> own_error(net::MessageType type) {
  return [=](net::Message& message) {
    if (message.type == type)
      message = net::make_message(net::ErrorMessage{net::WireError::run_failed, true, 0, "broken"});
  };
}

struct Ending {
  RunSummary summary;
  std::vector<std::string> notes, endings;
};
Ending run_with(const RunConfig& config, Culprit culprit, const data::Dataset& train,
                const std::vector<std::vector<Index>>& samples, Fault fault = Fault::none,
                std::size_t at = 0, const DeviceFiles& files = {}) {
  FragileRun run(config, train, test_set(), samples, files);
  run.set_culprit(std::move(culprit));
  auto summary = run.run(fault, at);
  REQUIRE_MESSAGE(summary.ok(), "fault at " << at << ": " << summary.failure().message);
  return {std::move(summary).value(), run.notes(), run.endings()};
}
Ending run_with(const RunConfig& config, Culprit culprit, Fault fault = Fault::none,
                std::size_t at = 0) {
  return run_with(config, std::move(culprit), train_set(), three_devices(), fault, at);
}

/// The rest of turn 4 and all of turn 7, of device 1, were skipped for `reason`.
void check_put_aside(const Ending& ending, std::string_view reason) {
  const RunSummary& summary = ending.summary;
  REQUIRE(summary.epochs.size() == 9);
  for (std::size_t e = 0; e < 9; ++e) {
    CHECK(summary.epochs[e].skipped == (e == 4 || e == 7));
    CHECK(summary.epochs[e].skip_reason == (e == 4 || e == 7 ? reason : ""));
  }
  REQUIRE(summary.quarantined.size() == 1);
  CHECK(summary.quarantined[0].name == "device-1");
  CHECK(summary.quarantined[0].turn == 4);
  CHECK(summary.quarantined[0].reason == reason);
  std::size_t told = 0;
  for (const std::string& note : ending.notes)
    told += note.starts_with("quarantine: device 'device-1' is put aside in turn 5, after step ") &&
            note.find(reason) != note.npos;
  CHECK(told == 1);
  REQUIRE(ending.endings.size() == 1);
  CHECK(ending.endings[0].find(reason) != std::string::npos);
}

}  // namespace

TEST_CASE("quarantine: the run ends as one in which the device is skipped from that turn on") {
  const TemporaryFolder folder;
  const std::string skipped =
      history(run_with(three_rounds(folder / "away"), {.device = 1, .leaves_at = 4}).summary);
  const struct {
    const char* name;
    float value;
    const char* reason;
  } cases[] = {{"nan", nan, " has NaN or Inf"}, {"large", 1e30f, " has values beyond 1e+09"}};
  for (const auto& each : cases) {
    const Ending ending = run_with(three_rounds(folder / each.name),
                                   {.device = 1, .spoil = spoilt_step(10, each.value)});
    CHECK(history(ending.summary) == skipped);
    // Four turns of two steps before it, and one step of its own.
    check_put_aside(ending, concat("STEP 10", each.reason));
    const auto lines = read_text_file(folder / concat(each.name, "/metrics.jsonl"));
    CHECK(lines->find(concat("\"skip_reason\":\"STEP 10", each.reason)) != std::string::npos);
  }
  // The front that it hands over.
  const Ending far = run_with(three_rounds(folder / "far"),
                              {.device = 1, .spoil = [](auto& m) {
                                 if (m.type != net::MessageType::barrier_ack) return;
                                 const auto ack = net::decode<net::BarrierAck>(m.payload).value();
                                 if (ack.key.turn == 4)
                                   replace_first(m, ack.front.tensors[0].values, nan);
                               }});
  CHECK(history(far.summary) == skipped);
  check_put_aside(far, concat("front state: '", "features.0.weight", "' has NaN or Inf"));
}

TEST_CASE("quarantine: a run whose last turn is skipped is tested all the same") {
  const TemporaryFolder folder;
  RunConfig config = three_rounds(folder / "run");
  config.training.eval_every = 3;
  const Ending ending =
      run_with(config, {.device = 2, .spoil = own_error(net::MessageType::turn_accept)});
  const std::vector<measure::EpochRecord>& epochs = ending.summary.epochs;
  REQUIRE(epochs.size() == 9);
  for (std::size_t e = 0; e < 9; ++e) {
    CHECK(epochs[e].skipped == (e % 3 == 2));
    CHECK(epochs[e].evaluated == (e % 3 == 2));
  }
  CHECK(ending.summary.chosen.epoch == 9);
  CHECK(ending.summary.quarantined.at(0).reason == "it has failed: broken");
}

TEST_CASE("quarantine: a run with too few devices left ends, and goes on after a release") {
  const TemporaryFolder folder;
  RunConfig config = three_rounds(folder / "run");
  config.min_devices = 3;
  config.resume_command = "iotsl server --resume run";
  FragileRun run(config, train_set(), test_set(), three_devices());
  run.set_culprit({.device = 1, .spoil = spoilt_step(10, nan)});
  const auto stopped = run.run(Fault::none, 0);
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.failure().code == ErrorCode::network);
  CHECK(stopped.failure().message ==
        concat("2 of 3 devices are left, at least 3 are needed (--min-devices): device 'device-1': "
               "STEP 10 has NaN or Inf; release a device: iotsl device release NAME --run ",
               config.out, ", and go on with: iotsl server --resume run"));
  config.resume = true;
  const auto early = run_inproc(config, {}, train_set(), test_set(), three_devices());
  REQUIRE_FALSE(early.ok());
  CHECK(early.failure().message == stopped.failure().message);
  REQUIRE(release_device(config.out, "device-1").ok());
  const auto whole = run_inproc(config, {}, train_set(), test_set(), three_devices());
  REQUIRE_MESSAGE(whole.ok(), whole.failure().message);
  CHECK(whole->quarantined.at(0).released);
  config.resume = false;
  config.out.clear();
  const auto sound = run_inproc(config, {}, train_set(), test_set(), three_devices());
  CHECK(whole->weights_sha256 == sound->weights_sha256);  // the step was not applied
}

TEST_CASE("quarantine: a run in one process is taken up without the device") {
  const TemporaryFolder folder;
  RunConfig config = three_rounds(folder / "run");
  config.min_devices = 3;
  FragileRun run(config, train_set(), test_set(), three_devices());
  run.set_culprit({.device = 1, .spoil = spoilt_step(10, nan)});
  REQUIRE_FALSE(run.run(Fault::none, 0).ok());
  config.resume = true;
  config.min_devices = 2;
  const auto rest = run_inproc(config, {}, train_set(), test_set(), three_devices());
  REQUIRE_MESSAGE(rest.ok(), rest.failure().message);
  const Ending away = run_with(three_rounds(folder / "away"), {.device = 1, .leaves_at = 4});
  CHECK(rest->weights_sha256 == away.summary.weights_sha256);
}

TEST_CASE("quarantine: what is lost beside it changes nothing") {
  const TemporaryFolder folder;
  RunConfig config = three_rounds(folder / "whole");
  config.training.epochs = 6;
  config.offline_seconds = 0;
  const auto culprit = [] { return Culprit{.device = 1, .spoil = spoilt_step(4, nan)}; };
  FragileRun whole(config, train_set(), test_set(), three_devices());
  whole.set_culprit(culprit());
  const auto expected = whole.run(Fault::none, 0);
  REQUIRE_MESSAGE(expected.ok(), expected.failure().message);
  CHECK(expected->quarantined.size() == 1);
  CHECK(expected->quarantined[0].step == 2);
  for (const Fault fault : {Fault::cut, Fault::server_dies, Fault::device_dies})
    for (std::size_t at = static_cast<std::size_t>(fault); at < whole.messages(); at += 5) {
      config.out = folder / concat(static_cast<int>(fault), "-", at);
      const Ending ending = run_with(config, culprit(), fault, at);
      CHECK_MESSAGE(history(ending.summary) == history(*expected),
                    "fault " << static_cast<int>(fault) << " at message " << at);
      CHECK(ending.summary.quarantined == expected->quarantined);
    }
}

TEST_CASE("quarantine, method fedavg: the mean is without the device, whoever else is lost") {
  const TemporaryFolder folder;
  RunConfig config = three_rounds(folder / "whole");
  config.method = Method::federated_averaging;
  config.training.epochs = 6;
  config.offline_seconds = 0;
  const auto culprit = [] {
    return Culprit{.device = 1, .spoil = [](net::Message& message) {
                     if (message.type != net::MessageType::local_model) return;
                     const auto model = net::decode<net::LocalModel>(message.payload).value();
                     if (model.key.turn == 4)
                       replace_first(message, model.model.tensors[0].values, nan);
                   }};
  };
  FragileRun whole(config, train_set(), test_set(), three_devices());
  whole.set_culprit(culprit());
  const auto expected = whole.run(Fault::none, 0);
  REQUIRE_MESSAGE(expected.ok(), expected.failure().message);
  REQUIRE(expected->epochs.size() == 6);
  CHECK(expected->epochs[4].skip_reason ==
        "LOCAL_MODEL of device 'device-1': front state: 'features.0.weight' has NaN or Inf");
  CHECK_FALSE(expected->epochs[5].skipped);
  for (std::size_t at = 1; at < whole.messages(); at += 3) {
    config.out = folder / std::to_string(at);
    CHECK_MESSAGE(
        history(run_with(config, culprit(), Fault::server_dies, at).summary) == history(*expected),
        "fault at message " << at);
  }
}

TEST_CASE("quarantine, method iotsl: a device whose generator fails, whoever else is lost") {
  const data::Dataset train = tiny::dataset(52, 1);
  const TemporaryFolder folder;
  RunConfig config = tiny::iotsl_config();
  config.offline_seconds = 0;
  config.out = folder / "whole";
  DeviceFiles files;
  files.state = folder / "devices";
  const auto culprit = [] {
    return Culprit{.device = 1, .spoil = own_error(net::MessageType::gen_upload)};
  };
  const auto samples = tiny::halves(train);
  FragileRun whole(config, train, test_set(), samples, files);
  whole.set_culprit(culprit());
  const auto expected = whole.run(Fault::none, 0);
  REQUIRE_MESSAGE(expected.ok(), expected.failure().message);
  REQUIRE(expected->epochs.size() == 3);
  CHECK_FALSE(expected->epochs[0].skipped);
  CHECK(expected->epochs[1].skip_reason == "it has failed: broken");
  CHECK_FALSE(expected->epochs[2].skipped);
  REQUIRE(expected->preparation.has_value());
  CHECK(expected->preparation->generators[0].present);
  CHECK_FALSE(expected->preparation->generators[1].present);
  CHECK(expected->preparation->pretraining.done);
  CHECK(expected->preparation->devices[0].added == 0);  // nobody has what it lacks
  // Once it is put aside: a server that starts again before gathers the devices anew.
  for (std::size_t at = 16; at < whole.messages(); at += 4) {
    config.out = folder / std::to_string(at);
    const Ending ending =
        run_with(config, culprit(), train, samples, Fault::server_dies, at, files);
    CHECK_MESSAGE(history(ending.summary) == history(*expected), "fault at message " << at);
  }
}

TEST_CASE("quarantine, method cache: a device that sends NaN is skipped, the others are kept") {
  const TemporaryFolder folder;
  RunConfig config = three_rounds(folder / "run");
  config.method = Method::cached;
  config.training.frozen_front = true;
  config.training.epochs = 6;
  config.preparation = tiny::iotsl_config().preparation;
  config.preparation.pretrain = false;
  const Ending ending = run_with(config, {.device = 1, .spoil = spoilt_step(4, nan)});
  REQUIRE(ending.summary.epochs.size() == 6);
  for (std::size_t e = 0; e < 6; ++e) CHECK(ending.summary.epochs[e].skipped == (e % 3 == 1));
  CHECK(ending.summary.epochs[3].bytes_up == 0);  // of the server's own samples
}

namespace {

/// What a device computes that has gone wrong; the server's own is Sound.
struct Sound {
  static constexpr const char* type = "perhaps_nan";
  template <class Fields>
  void visit_fields(Fields&) {}
  Tensor<float> forward(Tensor<float> x) { return x; }
};
struct Broken {
  static constexpr const char* type = "perhaps_nan";
  template <class Fields>
  void visit_fields(Fields&) {}
  Tensor<float> forward(Tensor<float> x) { return scale(x, nan); }
};
Sequential<float> net_with_sound(const ImageSpec& images) {
  Sequential<float> net;
  net.add("conv", Conv2d<float>(images.channels, 4, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("act", Sound{});
  net.add("pool", GlobalAvgPool2d<float>{});
  net.add("fc", Linear<float>(4, images.classes));
  return net;
}

/// Two devices over TCP, of which the second is broken, asks for its place, is released and mended.
struct MendedRun {
  RunConfig config;
  std::vector<std::thread> threads = {};
  std::vector<std::string> endings = {};  ///< of the second device
  Result<DeviceSummary> first = Failure{}, second = Failure{};
  std::atomic<bool> mended{false};

  Result<DeviceSummary> run(std::uint16_t port, std::size_t i, const LayerTypes<float>& layers) {
    DeviceOptions options;
    options.server = {"127.0.0.1", port};
    options.identity = tiny::identity(config, train_set(), three_devices()[i], i);
    options.layers = layers;
    return run_device(options, train_set(), three_devices()[i]);
  }
  void start(std::uint16_t port) {
    threads.emplace_back([this, port] { first = run(port, 0, config.layers); });
    threads.emplace_back([this, port] {
      for (int start = 0; start < 2; ++start) {
        second = run(port, 1, StandardLayers<float>::With<Broken>::types<float>());
        endings.push_back(second ? std::string() : second.failure().message);
      }
      const Result<Released> released = release_device(config.out, "device-1");
      endings.push_back(released ? std::string() : released.failure().message);
      // The running server looks at the file twice a second.
      for (int tries = 0; tries < 100 && !second; ++tries) {
        second = run(port, 1, config.layers);
        if (!second) ::usleep(20000);
      }
      mended = true;
    });
  }
};

}  // namespace

TEST_CASE("quarantine: over TCP a device is told, released while the server runs, and trains on") {
  const TemporaryFolder folder;
  MendedRun mended;
  RunConfig& config = mended.config = tiny::config();
  config.model.name = "own";
  config.make_net = &net_with_sound;
  config.layers = StandardLayers<float>::With<Sound>::types<float>();
  config.cut = "act";
  config.training.epochs = 240;
  config.training.eval_every = 240;
  config.out = folder / "run";
  RunHooks hooks;
  hooks.context = &mended;
  hooks.on_listening = [](void* self, std::uint16_t port) {
    static_cast<MendedRun*>(self)->start(port);
  };
  // The run must not be over before the device is back.
  hooks.on_epoch = [](void*, const measure::EpochRecord& record) {
    if (record.skipped) ::usleep(20000);
  };
  const auto summary = run_server(config, hooks, {}, test_set());
  for (std::thread& thread : mended.threads) thread.join();
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  REQUIRE(mended.endings.size() == 3);
  CHECK(mended.endings[0].find("the smashed batch has NaN or Inf") != std::string::npos);
  CHECK(mended.endings[1].find("device 'device-1' is in quarantine until somebody at the server "
                               "says: iotsl device release device-1") != std::string::npos);
  CHECK(mended.endings[2] == "");
  CHECK(mended.first.ok());
  REQUIRE_MESSAGE(mended.second.ok(), mended.second.failure().message);
  CHECK(mended.second->complete);
  REQUIRE(summary->quarantined.size() == 1);
  CHECK(summary->quarantined[0].released);
  CHECK(summary->epochs[1].skipped);
  CHECK_FALSE(summary->epochs.back().skipped);
  CHECK(summary->epochs.back().device == 1);
  const auto twice = release_device(config.out, "device-1");
  REQUIRE_FALSE(twice.ok());
  CHECK(twice.failure().message.find("is not in quarantine in the run") != std::string::npos);
}

}  // namespace quarantine_run_test
