#include <doctest/doctest.h>

#include <unistd.h>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

namespace net_file_test {

namespace {
struct Own {
  static constexpr const char* type = "own";
  Tensor<float> forward(Tensor<float> x) { return x; }
};
}  // namespace

TEST_CASE("net file: a net comes back with its layers; what is wrong is named") {
  const std::string path = concat("/tmp/net_file_test.", static_cast<long>(::getpid()));
  Sequential<float> net;
  net.add("norm", BatchNorm2d<float>(2));
  net.add("own", Own{});
  REQUIRE(save_net(path, net, {1, 2, 3, 3}).ok());
  const auto again = load_net<float>(path, AllLayers<float>::With<Own>::types<float>());
  REQUIRE_MESSAGE(again.ok(), again.failure().message);
  CHECK(state_sha256(*again) == state_sha256(net));
  CHECK(load_net(path).failure().message.starts_with(
      path + ": layer 'own' is of type 'own', which this program does not have"));

  const auto loading = [&](const char* description) {
    SafeMetadata metadata;
    if (*description != '\0') metadata = {{std::string(net_metadata_key), description}};
    REQUIRE(save_safetensors(path, state_views(net), metadata).ok());
    return load_net(path).failure().message.substr(path.size());
  };
  CHECK(loading("").starts_with(": has no description of a net"));
  CHECK(loading(R"({"input":[1,99999999999999],"layers":[]})") ==
        ": 'input' has more than 4294967296 values");
  CHECK(loading(R"({"input":[1,0],"layers":[]})") ==
        ": 'input' must be at most 4 extents of at least 1");
  CHECK(loading(R"({"input":[1,2],"layers":[]})") == ": there are no layers");
  // A short file cannot ask for memory that it does not fill.
  CHECK(loading(R"({"input":[1,9],"layers":[{"name":"a","type":"linear","in_features":9,
                     "out_features":900}]})")
            .find("more than") != std::string::npos);
  ::unlink(path.c_str());
}

namespace {

/// Its weights do not follow from fields: it has none.
struct Unlisted {
  static constexpr const char* type = "unlisted";
  explicit Unlisted(Index size = 3) : weight(Tensor<float>::full({size}, 1)) {}
  template <class V>
  void visit_state(V& v) {
    v.parameter("weight", weight);
  }
  Tensor<float> forward(Tensor<float> x) { return x * weight; }
  Tensor<float> weight;
};
struct Doubled {
  static constexpr const char* type = "doubled";
  template <class F>
  void visit_fields(F& f) {
    f.integer("c", c, 1, 9);
    f.integer("c", d, 1, 9);
  }
  Tensor<float> forward(Tensor<float> x) { return x; }
  Index c = 3, d = 4;
};

}  // namespace

TEST_CASE("net file: what could not be loaded again is not written") {
  const std::string path = concat("/tmp/net_file_test.", static_cast<long>(::getpid()), ".bad");
  const auto saving = [&](const char* name, auto layer, const Shape& sample) {
    Sequential<float> net;
    net.add(name, std::move(layer));
    const Result<void> saved = save_net(path, net, sample);
    CHECK_FALSE(load_net(path).ok());
    return saved ? std::string("saved") : saved.failure().message.substr(path.size());
  };
  const std::string refused = ": is not written, since load_net() would refuse it: ";
  CHECK(saving("", Relu<float>{}, {1, 2}).starts_with(refused + "layer '' has an empty name"));
  CHECK(saving("a\nb", Relu<float>{}, {1, 2}).starts_with(refused));
  CHECK_THROWS_AS(saving("\xff", Relu<float>{}, {1, 2}), Error);
  CHECK(saving("a", BatchNorm2d<float>(65536), {1, 65536, 1, 1}).find("65535") !=
        std::string::npos);
  CHECK(saving("a", Relu<float>{}, {0, 2}).find("'input'") != std::string::npos);
  CHECK(saving("a", Unlisted(5), {1, 5}).find("'a.weight' [5]") != std::string::npos);
  CHECK_THROWS_WITH_AS(saving("a", Doubled{}, {1, 5}),
                       doctest::Contains("field 'c' is given twice"), Error);
}

TEST_CASE("predict: neither the running statistics nor the mode of the net change") {
  Sequential<float> net;
  net.add("norm", BatchNorm2d<float>(2));
  const Tensor<float> x =
      data::image_tensor(std::vector<std::uint8_t>{0, 255, 51, 102, 0, 255},
                         {.channels = 2, .height = 1, .width = 3, .order = data::PixelOrder::hwc});
  CHECK(x.data()[1] == 0.2f);  // planes: the values at even places first
  CHECK(x.data()[3] == 1.0f);
  const std::string before = state_sha256(net);
  const Tensor<float> y = net.predict(x);
  CHECK_FALSE(y.requires_grad());
  CHECK(state_sha256(net) == before);
  CHECK(net.forward(x).requires_grad());  // still in training
  CHECK(state_sha256(net) != before);
}

}  // namespace net_file_test
