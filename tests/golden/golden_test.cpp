// Golden values from PyTorch: every *.safetensors file below this folder, and below the folder that
// the environment variable IOTSL_GOLDEN names.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "golden/golden_run.hpp"

namespace {

namespace fs = std::filesystem;

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
  MESSAGE(folder.string(), ": ", files.size() - failed, " golden files passed, ", failed, " failed");
}

const fs::path here = fs::path(__FILE__).parent_path();

}  // namespace

TEST_CASE("golden: operations") { run_folder(here / "ops"); }
TEST_CASE("golden: optimisers and learning rates") { run_folder(here / "optim"); }
TEST_CASE("golden: training runs") { run_folder(here / "models"); }

TEST_CASE("golden: the folder of IOTSL_GOLDEN") {
  if (const char* folder = std::getenv("IOTSL_GOLDEN"); folder != nullptr && *folder != '\0')
    run_folder(folder);
}
