#include "iotsl/nn/foreign_state.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "iotsl/nn/layers.hpp"

namespace foreign_state_test {

using namespace iotsl;

/// A convolution with batch norm, and its state as views.
struct Net {
  Net() {
    layers.add("features.0", Conv2d<float>(1, 2, 3));
    layers.add("features.1", BatchNorm2d<float>(2));
    layers.initialize(7);
  }
  Sequential<float> layers;
};

/// The state with other names, or values of another type.
SafeTensors file_of(const Net& net) {
  SafeTensors out;
  out.tensors = state_views(net.layers);
  return out;
}

std::string error(const Net& net, const SafeTensors& file) {
  const auto loaded = load_foreign_state(net.layers, file);
  return loaded ? "no error" : loaded.failure().message;
}

TEST_CASE("weights of others: prefixes of wrappers fall off, missing counters are 0") {
  const Net source;
  for (const char* prefix : {"", "module.", "model.", "_orig_mod.", "module._orig_mod.model."}) {
    Net net;
    net.layers.initialize(8);
    SafeTensors file = file_of(source);
    for (SafeTensor& tensor : file.tensors) tensor.name = prefix + tensor.name;
    std::erase_if(file.tensors, [](const SafeTensor& t) { return t.name.ends_with("tracked"); });
    CHECK(error(net, file) == "no error");
    CHECK(state_sha256(net.layers) == state_sha256(source.layers));
  }
}

TEST_CASE("weights of others: halves and doubles become floats") {
  CHECK(detail::half_to_float(0x3C00) == 1.0f);
  CHECK(detail::half_to_float(0xC000) == -2.0f);
  CHECK(detail::half_to_float(0x7BFF) == 65504.0f);
  CHECK(detail::half_to_float(0x0400) == 0x1p-14f);
  CHECK(detail::half_to_float(0x0001) == 0x1p-24f);
  CHECK(detail::half_to_float(0x83FF) == -1023 * 0x1p-24f);
  CHECK(std::isinf(detail::half_to_float(0x7C00)));
  CHECK(std::isnan(detail::half_to_float(0x7E00)));
  CHECK(detail::bfloat_to_float(0x3FC0) == 1.5f);
  const Net net;
  const std::vector<double> doubles(18, 0.25);
  const std::vector<std::uint16_t> halves(2, 0x3800), bfloats(2, 0x3F00);
  SafeTensors file = file_of(net);
  for (SafeTensor& tensor : file.tensors) {
    if (tensor.name == "features.0.weight") {
      tensor.dtype = DType::f64;
      tensor.bytes = bytes_of(doubles.data(), doubles.size());
    } else if (tensor.name == "features.0.bias") {
      tensor.dtype = DType::f16;
      tensor.bytes = bytes_of(halves.data(), halves.size());
    } else if (tensor.name == "features.1.weight") {
      tensor.dtype = DType::bf16;
      tensor.bytes = bytes_of(bfloats.data(), bfloats.size());
    }
  }
  Net loaded;
  CHECK(error(loaded, file) == "no error");
  for (const SafeTensor& view : state_views(loaded.layers)) {
    const float expected = view.name == "features.0.weight" ? 0.25f : 0.5f;
    if (view.name != "features.1.weight" && !view.name.starts_with("features.0")) continue;
    const std::vector<float> values = *view.copy_values<float>();
    for (const float value : values) CHECK(value == expected);
  }
}

TEST_CASE("weights of others: a net of double takes F64 as it is, and floats") {
  Sequential<double> net, again;
  for (Sequential<double>* each : {&net, &again}) each->add("a", Linear<double>(2, 3));
  net.initialize(7);
  SafeTensors file;
  file.tensors = state_views(net);
  REQUIRE(load_foreign_state(again, file).ok());
  CHECK(state_sha256(again) == state_sha256(net));
  Sequential<float> narrow;
  narrow.add("a", Linear<float>(2, 3));
  narrow.initialize(7);
  file.tensors = state_views(narrow);
  REQUIRE(load_foreign_state(again, file).ok());
  CHECK(again.parameters()[0].tensor.data()[5] ==
        static_cast<double>(narrow.parameters()[0].tensor.data()[5]));
  narrow.parameters()[0].tensor.mutable_data()[5] = std::numeric_limits<float>::infinity();
  CHECK(load_foreign_state(again, file).failure().message.find("NaN or Inf") != std::string::npos);
}

TEST_CASE("weights of others: what cannot be used is named with what the file has") {
  const Net net;
  SafeTensors file = file_of(net);
  file.tensors[0].name = "conv1.weight";
  CHECK(error(net, file).find("the file has no tensor 'features.0.weight'; the file has 7 tensors: "
                              "'conv1.weight' F32 [2,1,3,3], 'features.0.bias' F32 [2]") == 0);
  file = file_of(net);
  file.tensors.push_back(file.tensors[0]);
  file.tensors.back().name = "model.features.0.weight";
  CHECK(error(net, file) == "the file has tensor 'features.0.weight' twice, once with a prefix");
}

}  // namespace foreign_state_test
