// Runs whose batches cross the network in few bits.

#include <doctest/doctest.h>

#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

namespace wire_coding_test {

using namespace tiny;

namespace {

RunConfig coded(WireCoding smashed, std::optional<WireCoding> gradients = {}) {
  RunConfig out = tiny::config();
  out.training.wire = smashed;
  out.training.wire_gradients = gradients;
  return out;
}

}  // namespace

TEST_CASE("wire coding: the same weights without a split, in memory and over TCP, exact books") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  std::vector<std::string> weights;
  for (const auto& [smashed, gradients, replay] :
       {std::tuple{WireCoding::fp32, std::optional<WireCoding>{}, Index{0}},
        std::tuple{WireCoding::fp16, std::optional<WireCoding>{}, Index{0}},
        std::tuple{WireCoding::int8, std::optional<WireCoding>{}, Index{20}},
        std::tuple{WireCoding::int4, std::optional<WireCoding>{}, Index{0}},
        std::tuple{WireCoding::int4, std::optional{WireCoding::fp32}, Index{0}},
        std::tuple{WireCoding::fp32, std::optional{WireCoding::int4}, Index{0}}}) {
    RunConfig config = coded(smashed, gradients);
    config.training.replay = replay;
    const net::WireFormat format = net::WireFormat::of(config.training);
    CAPTURE(format.text());
    const auto [none, inproc, tcp] = run_everywhere(config, train, test, samples);
    CHECK(inproc.weights_sha256 == none.weights_sha256);
    CHECK(tcp.weights_sha256 == none.weights_sha256);
    CHECK(tcp.bill.total() == tcp.bytes_up + tcp.bytes_down);
    // Both directions carried as many values, each in its own form.
    const std::uint64_t smashed_values = static_cast<std::uint64_t>(
        build_split_model(config)->front.output_shape(sample_shape(config.model))->elements());
    CHECK(tcp.bill.smashed * format.gradient_bytes(1, smashed_values) ==
          tcp.bill.gradient * format.smashed_bytes(1, smashed_values));
    weights.push_back(none.weights_sha256);
  }
  // Each coding is another run.
  std::sort(weights.begin(), weights.end());
  CHECK(std::unique(weights.begin(), weights.end()) == weights.end());
}

TEST_CASE("wire coding: behind pre-training and before a frozen front, over every transport") {
  const data::Dataset train = dataset(52, 1), test = dataset(24, 2);
  const auto samples = halves(train);
  RunConfig config = iotsl_config();
  config.training.wire = WireCoding::int8;
  config.training.frozen_front = true;
  const auto [none, inproc, tcp] = run_everywhere(config, train, test, samples);
  CHECK(inproc.weights_sha256 == none.weights_sha256);
  CHECK(tcp.weights_sha256 == none.weights_sha256);
  CHECK(tcp.bill.gradient == 0);
}

TEST_CASE("wire coding: a cut or a death at any message changes nothing") {
  using fragile::Fault;
  const data::Dataset train = dataset(41, 1), test = dataset(24, 2);
  const std::vector<std::vector<Index>> samples{range(0, 25), range(25, 41)};
  RunConfig config = coded(WireCoding::int4);
  config.training.epochs = 3;
  config.training.local_epochs = 1;
  config.barriers.steps = 2;
  config.barriers.seconds = 0;
  config.offline_seconds = 0;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    fragile::check_faults(config, {}, train, test, samples, fault, 0, fault == Fault::cut ? 1 : 3);
}

TEST_CASE("wire coding: what it cannot be given with") {
  RunConfig config = coded(WireCoding::int8);
  CHECK(check_config(config).ok());
  config.method = Method::random_gradient;
  CHECK(check_config(config).failure().message ==
        "--wire int8: for split learning only, --method local sends no smashed batches");
  config = coded(WireCoding::int8, WireCoding::int4);
  config.training.frozen_front = true;
  CHECK(check_config(config).failure().message ==
        "--wire-gradients int4: with --frozen-front on none are sent");
}

}  // namespace wire_coding_test
