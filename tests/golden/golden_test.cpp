// Golden values from PyTorch: every *.safetensors file below this folder, and below the folder that
// the environment variable IOTSL_GOLDEN names.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "golden/golden_run.hpp"

namespace {

namespace fs = std::filesystem;
using iotsl::concat;

std::vector<fs::path> golden_files(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".safetensors")
      out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

void run_folder(const fs::path& folder) {
  INFO("folder ", folder.string());
  REQUIRE(fs::is_directory(folder));
  const std::vector<fs::path> files = golden_files(folder);
  REQUIRE_MESSAGE(!files.empty(), "no .safetensors file in ", folder.string());
  std::size_t failed = 0;
  for (const fs::path& file : files) {
    const golden::Names problems = golden::run_file(file.string());
    for (const std::string& problem : problems) FAIL_CHECK(problem);
    failed += problems.empty() ? 0 : 1;
  }
  MESSAGE(folder.string(), ": ", files.size() - failed, " golden files passed, ", failed,
          " failed");
}

const fs::path here = fs::path(IOTSL_TESTS_DIR) / "golden";

/// A golden file that can be altered and run.
class Altered {
 public:
  explicit Altered(const char* name) {
    auto loaded = iotsl::load_safetensors((here / name).string());
    REQUIRE(loaded.ok());
    file_ = std::move(*loaded);
  }
  void set_metadata(const std::string& key, const std::string& value) {
    for (auto& [name, text] : file_.metadata)
      if (name == key) text = value;
  }
  void rename(const std::string& from, const std::string& to) {
    for (iotsl::SafeTensor& tensor : file_.tensors)
      if (tensor.name == from) tensor.name = to;
  }
  void remove(const std::string& name) {
    std::erase_if(file_.tensors, [&](const auto& tensor) { return tensor.name == name; });
  }
  void set_shape(const std::string& name, std::vector<std::int64_t> shape) {
    for (iotsl::SafeTensor& tensor : file_.tensors)
      if (tensor.name == name) tensor.shape = shape;
  }
  /// Adds `change` to the first value of a tensor in double.
  void shift(const std::string& name, double change) {
    for (iotsl::SafeTensor& tensor : file_.tensors) {
      if (tensor.name != name) continue;
      shifted_ = *tensor.copy_values<double>();
      shifted_.front() += change;
      tensor.bytes = iotsl::bytes_of(shifted_.data(), shifted_.size());
    }
  }
  /// Stores everything in float, as a case made without double would be.
  void to_float() {
    for (iotsl::SafeTensor& tensor : file_.tensors) {
      if (tensor.dtype != iotsl::DType::f64) continue;
      const std::vector<double> values = *tensor.copy_values<double>();
      floats_.emplace_back(values.begin(), values.end());
      tensor.dtype = iotsl::DType::f32;
      tensor.bytes = iotsl::bytes_of(floats_.back().data(), floats_.back().size());
    }
  }
  /// All problems in one text.
  std::string run() const {
    const fs::path path = fs::temp_directory_path() / "iotsl-altered.safetensors";
    REQUIRE(iotsl::save_safetensors(path.string(), file_.tensors, file_.metadata).ok());
    std::string out;
    for (const std::string& problem : golden::run_file(path.string())) {
      CHECK(problem.starts_with(path.string()));
      out += problem + "\n";
    }
    fs::remove(path);
    return out;
  }

 private:
  iotsl::SafeTensors file_;
  std::vector<double> shifted_;
  std::vector<std::vector<float>> floats_;
};

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, "expected: ", part);
  return found;
}

}  // namespace

TEST_CASE("golden: operations") { run_folder(here / "ops"); }
TEST_CASE("golden: optimisers and learning rates") { run_folder(here / "optim"); }
TEST_CASE("golden: training runs") { run_folder(here / "models"); }
TEST_CASE("golden: losses of the generative network") { run_folder(here / "gan"); }

TEST_CASE("golden: the folder of IOTSL_GOLDEN") {
  if (const char* folder = std::getenv("IOTSL_GOLDEN"); folder != nullptr && *folder != '\0')
    run_folder(folder);
}

TEST_CASE("golden runner: every expected value is compared") {
  for (const char* name : {"output.0", "grad.x", "grad.weight", "grad.bias", "grad2.x",
                           "grad2.weight", "grad2.bias", "grad2.cotangent"}) {
    Altered file("ops/conv2d-uneven.safetensors");
    file.shift(name, 1e-6);
    const std::string text = file.run();
    contains(text, concat(" in double: ", name, "[0]: "));
    CHECK(text.find("in float") == std::string::npos);  // within float's tolerance
  }
  for (const char* name : {"output.0", "output.running_mean", "output.running_var"}) {
    Altered file("ops/batch_norm2d-train.safetensors");
    file.shift(name, 0.5);
    const std::string text = file.run();
    contains(text, concat(" in double: ", name, "[0]: "));
    contains(text, concat(" in float: ", name, "[0]: "));
  }
  Altered step("optim/adam-decay.safetensors");
  step.shift("output.param.3", 1e-6);
  contains(step.run(), " in double: output.param.3[0]: ");
  Altered loss("models/compact-w2-adam.safetensors");
  loss.shift("loss.2", 1e-6);
  contains(loss.run(), " in double: loss.2[0]: ");
  Altered final_state("models/compact-w2-adam.safetensors");
  final_state.shift("final.features.41.running_var", 0.5);
  contains(final_state.run(), " in double: final.features.41.running_var[0]: ");
}

TEST_CASE("golden runner: every value and gradient of the two losses is compared") {
  const char* name = "gan/wgan_gp-w2-batch1.safetensors";
  const auto file = iotsl::load_safetensors((here / name).string());
  REQUIRE(file.ok());
  int expected = 0;
  for (const iotsl::SafeTensor& tensor : file->tensors) {
    if (tensor.name.starts_with("input.")) continue;
    Altered altered(name);
    altered.shift(tensor.name, 0.5);
    const std::string text = altered.run();
    contains(text, concat(" in double: ", tensor.name, "[0]: "));
    contains(text, concat(" in float: ", tensor.name, "[0]: "));
    ++expected;
  }
  CHECK(expected == 5 + 9 + 8);  // outputs; parameters of the critic; of the generator
}

TEST_CASE("golden runner: a file that cannot be run is an error") {
  const char* name = "ops/conv2d-uneven.safetensors";
  SUBCASE("unknown op") {
    Altered file(name);
    file.set_metadata("op", "conv9d");
    contains(file.run(), "unknown op 'conv9d'");
  }
  SUBCASE("missing input") {
    Altered file(name);
    file.remove("input.weight");
    contains(file.run(), "tensor 'input.weight' is missing");
  }
  SUBCASE("missing output") {
    Altered file(name);
    file.remove("output.0");
    contains(file.run(), "tensor 'output.0' is missing");
  }
  SUBCASE("unknown attribute") {
    Altered file(name);
    file.set_metadata("attrs", R"({"stride":[2,1],"padding":[1,0],"dilation":[1,2],"stide":2})");
    contains(file.run(), "attribute 'stide' is not one of conv2d");
  }
  SUBCASE("attribute of the wrong type") {
    Altered file(name);
    file.set_metadata("attrs", R"({"stride":"two"})");
    contains(file.run(), "attribute 'stride' must be a number");
  }
  SUBCASE("unsupported attribute") {
    Altered file(name);
    file.set_metadata("attrs", R"({"padding_mode":"reflect"})");
    contains(file.run(), R"(attribute 'padding_mode' is "reflect", only "zeros" is supported)");
  }
  SUBCASE("unknown tensor") {
    Altered file(name);
    file.rename("grad.bias", "grad.beta");
    contains(file.run(), "tensor 'grad.beta' is not one of conv2d");
  }
  SUBCASE("bad shape") {
    Altered file(name);
    file.set_shape("input.weight", {4, 1, 3, 3});
    contains(file.run(), "conv2d: weight [4,1,3,3] expects 1 input channels, x [2,2,6,7] has 2");
  }
  SUBCASE("a network of another width") {
    Altered file("gan/wgan_gp-w2-batch1.safetensors");
    file.set_metadata("attrs", R"({"width":4})");
    contains(file.run(), "'input.critic.conv1.weight' has shape [2,1,5,5], the network's is [4,1");
  }
  SUBCASE("a network without what it is compared with") {
    Altered file("gan/wgan_gp-w2-batch1.safetensors");
    file.rename("input.critic.conv1.weight", "input.critic.conv1.wait");
    file.rename("input.generator.linear.weight", "input.generator.linear.wait");
    contains(file.run(), "no expected 'output.*' or 'grad.*' of a network");
  }
  SUBCASE("a tolerance that is no number") {
    Altered file(name);
    file.set_metadata("rtol", "small");
    contains(file.run(), "metadata 'rtol' is 'small'");
  }
  SUBCASE("no such file") {
    const golden::Names problems = golden::run_file((here / "none.safetensors").string());
    CHECK(problems.size() == 1);
  }
}

TEST_CASE("golden runner: other ways to write the same case") {
  Altered file("ops/conv2d-uneven.safetensors");
  file.set_metadata("op", "torch.nn.functional.conv2d");
  file.set_metadata("attrs", R"({"stride":[2,1],"padding_h":1,"dilation":[1,2],"groups":1})");
  for (const char* prefix : {"input.", "grad.", "direction.", "grad2."}) {
    file.rename(std::string(prefix) + "x", std::string(prefix) + "0");
    file.rename(std::string(prefix) + "weight", std::string(prefix) + "w");
  }
  CHECK(file.run() == "");
  file.remove("grad.w");
  file.remove("grad2.0");
  CHECK(file.run() == "");
  file.to_float();
  CHECK(file.run() == "");
}
