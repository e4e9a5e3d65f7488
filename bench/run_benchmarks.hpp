#pragma once
// What every benchmark program ends with: the machine that its figures are of, then the figures.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/simd/target.hpp"

/// The processor's name as Linux knows it; boards have it in the device tree.
inline std::string cpu_name() {
  std::string found = "unknown";
  char line[256];
  if (std::FILE* board = std::fopen("/proc/device-tree/model", "r")) {
    if (std::fgets(line, sizeof line, board) != nullptr) found = line;
    std::fclose(board);
    return found;
  }
  std::FILE* file = std::fopen("/proc/cpuinfo", "r");
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
    const std::string text = line;
    const std::size_t colon = text.find(": ");
    if (!text.starts_with("model name") || colon == std::string::npos) continue;
    found = text.substr(colon + 2, text.find('\n') - colon - 2);
    break;
  }
  if (file != nullptr) std::fclose(file);
  return found;
}

inline int run_benchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("CPU", cpu_name());
  benchmark::AddCustomContext("target", iotsl::simd::name(iotsl::simd::active_target()));
  benchmark::AddCustomContext("threads", std::to_string(iotsl::threads()));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
