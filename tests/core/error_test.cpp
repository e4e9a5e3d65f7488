#include "iotsl/core/error.hpp"

#include <doctest/doctest.h>

namespace error_test {

namespace {

int handled = 0;
void count_handled(const char*) { ++handled; }

}  // namespace

TEST_CASE("error: where there are exceptions the handler is not asked") {
  // What a build without exceptions does is tests/checks/error_handler.py.
  iotsl::set_error_handler(count_handled);
  CHECK_THROWS_WITH_AS(iotsl::fail("x has ", 3, " rows, expected ", 4L), "x has 3 rows, expected 4",
                       iotsl::Error);
  iotsl::set_error_handler(nullptr);
  CHECK(handled == 0);
}

TEST_CASE("error: a text is joined of values as they are read") {
  CHECK(iotsl::concat("a", std::string("b"), 'c', true, -1, std::size_t{2}, 0.5, 1e-9f) ==
        "abctrue-120.51e-09");
}

}  // namespace error_test
