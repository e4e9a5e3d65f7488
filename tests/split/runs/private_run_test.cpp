// Runs with private generators: every byte that a device sends, and runs without turns.

#include <doctest/doctest.h>

#include <map>

#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

namespace private_run_test {

using namespace tiny;

namespace {

RunConfig private_config() {
  RunConfig out = iotsl_config();
  out.preparation.generator.kind = generators::GeneratorKind::moments;
  out.preparation.generator.privacy = {.mode = privacy::PrivacyMode::moments, .epsilon = 10};
  REQUIRE(generators::apply_privacy(out.preparation.generator).ok());
  out.preparation.generator_only = true;
  return out;
}

/// What the devices of a run send before it ends, in the order of the devices.
struct Sent {
  std::vector<std::vector<net::Message>> messages;
};

Sent record_run(const RunConfig& config, const data::Dataset& train, const data::Dataset& test,
                const std::vector<std::vector<Index>>& samples) {
  Sent out{std::vector<std::vector<net::Message>>(samples.size())};
  split::detail::InprocTransport transport;
  auto run = ServerRun::create(config, {}, EvaluationSets(test), {}, transport);
  REQUIRE_MESSAGE(run.ok(), run.failure().message);
  REQUIRE(split::detail::connect_devices(transport, **run, config, train, samples).ok());
  Failure problem;
  for (int round = 0; round < 1000 && !(*run)->done(); ++round)
    for (std::size_t d = 0; d < samples.size(); ++d) {
      split::detail::InprocDevice& device = *transport.devices[d];
      REQUIRE(split::detail::move_bytes(device.server_link, device.link).ok());
      net::Message message;
      while (device.link.pop(message)) device.machine.on_message(std::move(message));
      while (auto action = device.machine.pop()) {
        if (const auto* send = std::get_if<device_action::Send>(&*action))
          out.messages[d].push_back(send->message);
        REQUIRE(carry_out(*action, device.machine, device.work, device.link, problem) !=
                DeviceStatus::failed);
      }
      REQUIRE(split::detail::move_bytes(device.link, device.server_link).ok());
      while (device.server_link.pop(message)) (*run)->on_message(d + 1, std::move(message));
    }
  REQUIRE((*run)->done());
  return out;
}

/// A generator file's sections by name.
std::map<std::string, std::vector<std::uint8_t>> sections_of(ByteSpan file) {
  std::map<std::string, std::vector<std::uint8_t>> out;
  const Container container = parse_container(file, generators::container_kind).value();
  for (const Section& each : container.sections)
    out[std::string(each.name)] = {each.bytes.begin(), each.bytes.end()};
  return out;
}

}  // namespace

TEST_CASE("private run: two sets that differ in one image differ in the noised sections only") {
  data::Dataset train = dataset(52, 1);
  const data::Dataset test = dataset(24, 2);
  const auto samples = halves(train);
  std::vector<Sent> both;
  const TemporaryFolder folder;
  for (int other = 0; other < 2; ++other) {
    RunConfig config = private_config();
    config.out = folder / (other == 0 ? "a" : "b");
    if (other == 1) {
      const Index at = samples[0][3] * train.sample_elems();
      for (Index i = 0; i < train.sample_elems(); ++i) {
        auto& pixel = train.pixels[static_cast<std::size_t>(at + i)];
        pixel = static_cast<std::uint8_t>(255 - pixel);
      }
      train.sha256 = "another set";
    }
    both.push_back(record_run(config, train, test, samples));
  }
  for (std::size_t d = 0; d < 2; ++d) {
    const auto &a = both[0].messages[d], &b = both[1].messages[d];
    REQUIRE(a.size() == b.size());
    bool uploaded = false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      REQUIRE(a[i].type == b[i].type);
      INFO("device ", d, ": ", net::to_string(a[i].type));
      if (a[i].type == net::MessageType::hello) {
        // Random on both sides: the name of the data, and of the program's start.
        net::Hello x = net::decode<net::Hello>(a[i].payload).value();
        const net::Hello y = net::decode<net::Hello>(b[i].payload).value();
        CHECK(x.data_fingerprint != data::fingerprint(train.sha256, samples[d]));
        x.data_fingerprint = y.data_fingerprint;
        x.boot_nonce = y.boot_nonce;
        CHECK(net::encode(x) == net::encode(y));
      } else if (a[i].type == net::MessageType::join) {
        net::Join x = net::decode<net::Join>(a[i].payload).value();
        x.run = net::decode<net::Join>(b[i].payload)->run;  // the server's
        CHECK(net::encode(x) == b[i].payload);
      } else if (a[i].type == net::MessageType::gen_upload) {
        uploaded = true;
        const auto x = net::decode<net::GenUpload>(a[i].payload).value();
        const auto y = net::decode<net::GenUpload>(b[i].payload).value();
        CHECK(x.cost.compute_us == 0);
        CHECK(x.cost.peak_memory_bytes == 0);
        CHECK(x.brought == y.brought);
        auto parts = sections_of(x.file), others = sections_of(y.file);
        CHECK(parts["card"] == others["card"]);
        for (const char* noised : {moments::sums_section, moments::head_section}) {
          CHECK(parts[noised] != others[noised]);
          parts.erase(noised);
        }
        CHECK(parts.size() == 1);
      } else {
        CHECK(a[i].payload == b[i].payload);
      }
    }
    CHECK(uploaded);
  }
}

TEST_CASE(
    "generator-only: a run without turns is reported by its pre-trained net, over any transport") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  RunConfig config = private_config();
  config.preparation.generator.privacy = {};
  REQUIRE(generators::apply_privacy(config.preparation.generator).ok());
  const auto [none, inproc, tcp] = run_everywhere(config, train, test, samples);
  for (const RunSummary* each : {&none, &inproc, &tcp}) {
    CHECK(each->epochs.empty());
    CHECK(each->weights_sha256 == none.weights_sha256);
    CHECK(each->final_test_accuracy == none.preparation->pretraining.test_accuracy);
    CHECK(each->values_formula == 0);
    CHECK_FALSE(each->preparation->planned);
  }
  CHECK(tcp.bill.smashed == 0);
  CHECK(tcp.bill.total() == tcp.bytes_up + tcp.bytes_down);
}

TEST_CASE(
    "private run: the generators of every transport promise the same, each device for itself") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  const TemporaryFolder folder;
  RunConfig config = private_config();
  config.out = folder / "run";
  const auto summary = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  for (std::size_t d = 0; d < 2; ++d) {
    const privacy::PrivacyCard& card = summary->preparation->generators[d].privacy;
    CHECK(card.releases == 1);
    CHECK(card.records == samples[d].size());
    const std::string ledger =
        join_path(split::device_training_folder(config, d), privacy::ledger_name);
    CHECK(privacy::read_ledger(ledger)->releases.size() == 1);
  }
  CHECK(summary->preparation->epsilon() == doctest::Approx(10).epsilon(1e-4));
}

TEST_CASE("private run: a device and a run that do not want the same part before any training") {
  const data::Dataset train = dataset(52, 1);
  const auto samples = halves(train);
  const auto refusal = [&](const RunConfig& config, bool private_only) {
    const SplitModel model = build_split_model(config).value();
    DeviceFiles files;
    files.private_only = private_only;
    DeviceWork work(train, samples[0], files);
    const net::Message front = describe_front(model.front).value();
    const auto built = work.build(make_offer(config, model.front),
                                  net::decode<net::FrontInit>(front.payload).value());
    return built ? std::string("built") : built.failure().message;
  };
  CHECK(refusal(private_config(), true) == "built");
  CHECK(refusal(iotsl_config(), false) == "built");
  CHECK(refusal(private_config(), false).find("start with --private") != std::string::npos);
  CHECK(refusal(iotsl_config(), true).find("this device shares private ones only") !=
        std::string::npos);
}

}  // namespace private_run_test
