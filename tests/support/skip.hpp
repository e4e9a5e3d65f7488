#pragma once
// A test that needs something this machine does not have says so, and tests/run.sh counts it as
// skipped instead of passed: `if (!found) { SKIP_TEST("no MNIST under IOTSL_DATA"); return; }`

#include <doctest/doctest.h>

#include <cstdio>

#define SKIP_TEST(reason) \
  std::printf("[skipped] %s: %s\n", doctest::getContextOptions()->currentTest->m_name, reason)
