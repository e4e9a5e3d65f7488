// Weights to PyTorch and back, where Debian's python3-torch is installed.

#include "e2e/program.hpp"
#include "support/skip.hpp"

#include <doctest/doctest.h>

namespace pytorch_test {

using iotsl::test::TemporaryFolder;

struct PythonResult {
  int exit_code;
  std::string out;
};

PythonResult run_python(const std::string& arguments) {
  std::FILE* pipe = popen(("/usr/bin/python3 " + arguments + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  PythonResult result{0, iotsl::test::read_stream(pipe)};
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

TEST_CASE("weights go to PyTorch and come back with the same logits") {
  if (run_python("-c 'import torch'").exit_code != 0) {
    SKIP_TEST("/usr/bin/python3 has no torch (package python3-torch)");
    return;
  }
  const TemporaryFolder folder;
  REQUIRE(std::filesystem::create_directory(folder / "files"));
  const PythonResult result =
      run_python(std::string(IOTSL_TESTS_DIR) + "/e2e/pytorch/pytorch_round_trip.py " +
                 IOTSL_PROGRAMS_DIR + "/iotsl " + (folder / "files"));
  INFO(result.out);
  CHECK(result.exit_code == 0);
  std::size_t cases = 0;
  for (std::size_t at = 0; (at = result.out.find("ok: ", at)) != std::string::npos; ++at) ++cases;
  CHECK(cases == 11);
}

}  // namespace pytorch_test
