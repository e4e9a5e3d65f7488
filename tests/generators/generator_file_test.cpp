#include "iotsl/generators/generator_file.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "support/temporary_folder.hpp"

namespace generator_file_test {

using namespace iotsl;
using generators::GeneratorFile;
using Bytes = std::vector<std::uint8_t>;

GeneratorFile small_file() {
  generators::GeneratorCard card;
  card.settings.net.width = 4;
  card.settings.net.iterations = 30;
  card.images = {.height = 12, .width = 10, .classes = 3};
  card.dataset = "test";
  card.class_names = {"a", "b", "c"};
  card.label_counts = {5, 0, 7};
  card.device = 2;
  card.iterations = 30;
  card.quality.checked = true;
  card.quality.accuracy = 0.75;
  card.quality.classes = {0, 2};
  card.quality.class_accuracy = {0.5, 1};
  card.quality.class_informedness = {0.5, 0.5};
  card.quality.class_held_out = {2, 3};
  generators::NetGenerator net{
      GeneratorNet<float>(gan::generator_spec(card.settings.net, card.images))};
  net.net.initialize(1);
  return {card, std::move(net)};
}

/// The two sections of a file, to be altered and put together again.
struct Parts {
  Json card;
  Bytes weights;

  Parts() {
    const GeneratorFile file = small_file();
    card = to_json_fields(file.card);
    weights = *serialize_safetensors(state_views(file.generator.net()->net));
  }
  Bytes bytes() const {
    const std::string text = to_text(card);
    return *serialize_container(
        "generator", {{"card", bytes_of(std::string_view(text))}, {"weights", ByteSpan(weights)}});
  }
};

std::string error_of(const Bytes& bytes) {
  const auto parsed = generators::parse_generator(ByteSpan(bytes));
  if (parsed) return "no error";
  CHECK(parsed.failure().code == ErrorCode::data);
  return parsed.failure().message;
}

void refuses(const Bytes& bytes, const std::string& text) {
  const std::string message = error_of(bytes);
  INFO("given: ", message);
  INFO("expected: ", text);
  CHECK(message.find(text) != std::string::npos);
}

/// The file with one member of its card changed, named by its path.
Bytes with(std::initializer_list<const char*> path, Json value) {
  Parts parts;
  Json* at = &parts.card;
  for (const char* key : path) at = &(*at)[key];
  *at = std::move(value);
  return parts.bytes();
}

TEST_CASE("generator file: what is written is read, in memory and on disk") {
  const GeneratorFile file = small_file();
  const TemporaryFolder folder;
  const std::string path = folder / "a.gen";
  REQUIRE(generators::save_generator(path, file).ok());
  const auto bytes = generators::serialize_generator(file);
  REQUIRE(bytes.ok());
  CHECK(*bytes == *read_file(path));
  CHECK(*bytes == Parts().bytes());
  const auto loaded = generators::load_generator(path);
  REQUIRE(loaded.ok());
  CHECK(to_text(to_json_fields(loaded->card)) == to_text(to_json_fields(file.card)));
  CHECK(state_sha256(loaded->generator.net()->net) == state_sha256(file.generator.net()->net));
  CHECK_FALSE(loaded->generator.net()->gaussian);
}

TEST_CASE("generator file: flipped bits, truncations and other kinds are refused") {
  const Bytes good = Parts().bytes();
  REQUIRE(error_of(good) == "no error");
  for (std::size_t at = 0; at < good.size(); at += at < 256 ? 1 : 61) {
    Bytes bytes = good;
    bytes[at] ^= static_cast<std::uint8_t>(1u << (at % 8));
    CHECK(error_of(bytes) != "no error");
    bytes.assign(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(at));
    CHECK(error_of(bytes) != "no error");
  }
  refuses({}, "truncated");
  refuses(*serialize_container("checkpoint", {}), "kind is 'checkpoint', expected 'generator'");
  refuses(*serialize_container("generator", {}), "section 'card' is missing");
  refuses(*serialize_container("generator", {{"card", {}}, {"weight", {}}}), "card: ");
  const TemporaryFolder folder;
  CHECK(generators::load_generator(folder / "none").failure().code == ErrorCode::data);
  REQUIRE(write_file_atomic(folder / "half", ByteSpan(good).first(good.size() / 2)).ok());
  CHECK(generators::load_generator(folder / "half").failure().message.find(folder / "half: ") == 0);
}

TEST_CASE("generator file: a card that lies is refused with the place") {
  refuses(with({"version"}, 1), "version 1, expected 3");
  refuses(with({"version"}, "one"), "version");
  CHECK(error_of(with({"surprise"}, 1)) == "no error");  // a later version may say more
  refuses(with({"settings", "kind"}, "oil"), "key 'kind' is 'oil', expected one of net, moments");
  refuses(with({"settings", "kind"}, "moments"), "key 'moments' is missing");
  refuses(with({"settings", "privacy", "mode"}, "moments"), "key 'epsilon' is missing");
  refuses(with({"privacy", "mode"}, "eq5"), "key 'mechanism' is missing");
  refuses(with({"quality", "accuracy"}, "good"), "accuracy");
  refuses(
      with({"quality", "class_held_out"}, Json::array_of(std::vector<Index>{2})),
      "quality: 2 classes with 2 accuracies, 2 values of informedness and 1 numbers of samples");
  for (const std::vector<Index>& classes : {std::vector<Index>{0, 3}, {2, 0}, {2, 2}})
    refuses(
        with({"quality", "classes"}, Json::array_of(classes)),
        concat("quality: class ", classes[1], " at place 1, expected ascending numbers below 3"));
  refuses(with({"settings", "net", "generator"}, "big"), "generator 'big'; expected full, light or coarse");
  refuses(with({"label_counts"}, Json::array_of(std::vector<Index>{1, 2})),
          "label_counts has 2 classes, the images 3");
  refuses(with({"class_names"}, Json::array_of(std::vector<std::string>{"a"})),
          "class_names has 1 classes, the images 3");
  refuses(with({"images", "height"}, 5000), "5000");
  refuses(with({"images", "classes"}, -1), "classes");
  refuses(with({"settings", "net", "latent"}, 1000000000), "1000000000 latent values");
  Parts no_card;
  no_card.card = Json("text");
  CHECK(error_of(no_card.bytes()) != "no error");
  Parts deep;
  Json nested = Json::array();
  for (int i = 0; i < 1000; ++i) {
    Json outer = Json::array();
    outer.push_back(std::move(nested));
    nested = std::move(outer);
  }
  deep.card["dataset"] = std::move(nested);
  CHECK(error_of(deep.bytes()) != "no error");
}

TEST_CASE("generator file: a model that is too large costs no memory") {
  Parts parts;
  parts.card["settings"]["net"]["width"] = 1024;
  parts.card["settings"]["net"]["latent"] = 4096;
  const std::size_t before = memory_statistics().peak_bytes;
  reset_memory_peak();
  refuses(parts.bytes(), "parameters at width 1024; limit");
  CHECK(memory_statistics().peak_bytes <=
        std::max(before, memory_statistics().in_use_bytes + 4096));
}

TEST_CASE("generator file: weights of another model, missing, superfluous or not finite") {
  const GeneratorFile file = small_file();
  const auto weights_of = [](const std::vector<SafeTensor>& tensors) {
    Parts parts;
    parts.weights = *serialize_safetensors(tensors);
    return parts.bytes();
  };
  GeneratorSpec wide = file.generator.net()->net.spec();
  wide.width = 6;
  GeneratorNet<float> other(wide);
  refuses(weights_of(state_views(other)), "linear.weight");

  auto tensors = state_views(file.generator.net()->net);
  tensors.pop_back();
  refuses(weights_of(tensors), "deconv2.bias");
  tensors = state_views(file.generator.net()->net);
  tensors.push_back(tensors.front());
  tensors.back().name = "more.weight";
  refuses(weights_of(tensors), "more.weight");
  Parts cut;
  cut.weights.resize(cut.weights.size() - 4);
  CHECK(error_of(cut.bytes()) != "no error");

  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    GeneratorFile poisoned = small_file();
    Tensor<float> bias = poisoned.generator.net()->net.parameters().back().tensor;
    bias.mutable_data()[0] = bad;
    const char* const text = "tensor 'deconv2.bias' has NaN or Inf";
    refuses(weights_of(state_views(poisoned.generator.net()->net)), text);
    const auto written = generators::serialize_generator(poisoned);
    REQUIRE_FALSE(written.ok());
    CHECK(written.failure().message.find(text) != std::string::npos);
  }
}

}  // namespace generator_file_test
