#pragma once
// epsilon_reference.csv: epsilons of the Poisson-sampled Gaussian from two public accountants.

#include <doctest/doctest.h>

#include <cstdio>
#include <vector>

#include "iotsl/privacy/mechanism.hpp"

namespace privacy_test {

struct ReferenceRow {
  iotsl::privacy::Mechanism mechanism;
  double delta, epsilon_rdp, epsilon_tight;
};

inline std::vector<ReferenceRow> reference_rows() {
  std::FILE* file = std::fopen(IOTSL_TESTS_DIR "/privacy/epsilon_reference.csv", "r");
  REQUIRE(file != nullptr);
  char line[256];
  REQUIRE(std::fgets(line, sizeof line, file) != nullptr);  // the names of the columns
  std::vector<ReferenceRow> rows;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    ReferenceRow row{};
    double steps = 0;
    REQUIRE(std::sscanf(line, "%lf,%lf,%lf,%lf,%lf,%lf", &row.mechanism.noise_multiplier,
                        &row.mechanism.sampling_rate, &steps, &row.delta, &row.epsilon_rdp,
                        &row.epsilon_tight) == 6);
    row.mechanism.steps = static_cast<std::uint64_t>(steps);
    rows.push_back(row);
  }
  std::fclose(file);
  return rows;
}

/// The error text of a call that must fail; empty where it does not.
template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const iotsl::Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace privacy_test
