// A net of the program's own, with branches and a layer that no list of the library has, in a run.

#include <doctest/doctest.h>

#include <cstdio>
#include <thread>

#include "iotsl/iotsl.hpp"
#include "split/runs/tcp_run.hpp"

// The example costs as much to compile as this file, so it is compiled with it.
namespace front_over_a_socket {
#define main run_example
#include "../examples/13_front_over_a_socket.cpp"
#undef main
}  // namespace front_over_a_socket

using namespace iotsl;
using namespace iotsl::split;

namespace own_layers_test {

namespace {

/// max(x, slope x).
struct Leaky {
  static constexpr const char* type = "leaky";
  double slope = 0.1;
  template <class Fields>
  void visit_fields(Fields& f) {
    f.real("slope", slope, 0, 1);
  }
  Tensor<float> forward(Tensor<float> x) {
    return sub(relu(x), scale(relu(neg(x)), static_cast<float>(slope)));
  }
};

Sequential<float> branching_net(const ImageSpec& images) {
  Residual<float> sum;
  sum.body.add("conv1", Conv2d<float>(images.channels, 4, 3, {.pad_h = 1, .pad_w = 1}, false));
  sum.body.add("bn1", BatchNorm2d<float>(4));
  sum.body.add("act", Leaky{0.25});
  sum.body.add("conv2", Conv2d<float>(4, 4, 3, {.pad_h = 1, .pad_w = 1}));
  sum.projection.add("0", Conv2d<float>(images.channels, 4, 1, {}, false));
  Concat<float> both;
  both.branches.add("narrow", Conv2d<float>(4, 2, 1, {}));
  both.branches.add("wide", Conv2d<float>(4, 3, 3, {.pad_h = 1, .pad_w = 1}));
  Sequential<float> stage;
  stage.add("0", std::move(sum));
  stage.add("1", Leaky{});
  stage.add("drop", Dropout<float>{0.25});
  Sequential<float> net;
  net.add("layer1", std::move(stage));
  net.add("mixed", std::move(both));
  net.add("pool", MaxPool2d<float>{});
  net.add("drop", Dropout<float>{0.5});
  net.add("avgpool", GlobalAvgPool2d<float>{});
  net.add("fc", Linear<float>(5, images.classes));
  return net;
}

RunConfig own_config() {
  RunConfig config = tiny::config();
  config.model.name = "own";
  config.make_net = &branching_net;
  config.layers = StandardLayers<float>::With<Leaky>::types<float>();
  config.cut = "pool";
  return config;
}

}  // namespace

TEST_CASE("own layers: a net that branches gives the same weights over every transport") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const RunConfig config = own_config();
  const auto none = run_one_net(config, {}, train, test, samples);
  REQUIRE_MESSAGE(none.ok(), none.failure().message);
  CHECK(none->smashed_values == 5 * 8 * 8);
  const auto inproc = run_inproc(config, {}, train, test, samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  CHECK(inproc->weights_sha256 == none->weights_sha256);
  tiny::TcpRun tcp{config, train, samples};
  const auto sockets = tcp.run(test);
  REQUIRE_MESSAGE(sockets.ok(), sockets.failure().message);
  CHECK(sockets->weights_sha256 == none->weights_sha256);
  CHECK(sockets->bill.total() == sockets->bytes_up + sockets->bytes_down);
  for (const auto& outcome : tcp.outcomes) CHECK(outcome.ok());
}

TEST_CASE("own layers: the example of a front over a socket") {
  CHECK(front_over_a_socket::run_example() == 0);
}

TEST_CASE("own layers: a device that lacks one says its name before it trains") {
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
  const RunConfig config = own_config();
  tiny::TcpRun tcp{config, train, samples};
  tcp.layers = StandardLayers<float>::types<float>();
  ServerOptions options;
  options.gather_limit = net::second_us;
  const auto summary = tcp.run(test, options);
  CHECK_FALSE(summary.ok());
  for (const auto& outcome : tcp.outcomes) {
    REQUIRE_FALSE(outcome.ok());
    CHECK(outcome.failure().message.starts_with(
        "front: layer 'layer1.0.act' is of type 'leaky', which this program does not have; it has "
        "conv2d, batch_norm2d, "));
  }
}

TEST_CASE("own layers: what does not fit the run is refused before it begins") {
  const auto problem = [](const RunConfig& config) {
    const auto model = build_split_model(config);
    return model ? std::string() : model.failure().message;
  };
  RunConfig config = own_config();
  CHECK(problem(config) == "");
  config.cut = "layer1.0.conv1";
  CHECK(problem(config) ==
        "cut 'layer1.0.conv1' lies inside layer 'layer1'; a cut lies after a layer of the outer "
        "chain, such as 'layer1'");
  config = own_config();
  config.make_net = [](const ImageSpec& images) {
    return branching_net({images.channels, images.height, images.width, 7});
  };
  CHECK(problem(config) == "own: a sample [1,1,16,16] gives [1,7], expected [1,4]");
  config.make_net = [](const ImageSpec&) { return branching_net({3, 16, 16, 4}); };
  CHECK(problem(config).starts_with("own: layer 'layer1': layer '0': layer 'conv1': conv2d: "));
}

}  // namespace own_layers_test
