#include "iotsl/core/heap_sort.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "iotsl/core/random.hpp"

TEST_CASE("heap_sort: every order of up to seven values, with and without equal ones") {
  for (int count = 0; count <= 7; ++count)
    for (int different : {count, 3}) {
      std::vector<int> sorted;
      for (int i = 0; i < count; ++i) sorted.push_back(i * different / std::max(count, 1));
      std::vector<int> order = sorted;
      do {
        std::vector<int> values = order;
        iotsl::heap_sort(values);
        REQUIRE(values == sorted);
      } while (std::next_permutation(order.begin(), order.end()));
    }
}

TEST_CASE("heap_sort: many values, by an order of their own") {
  const iotsl::Random random(1, iotsl::Stream::user);
  for (std::size_t count : {100U, 1000U, 65537U}) {
    std::vector<std::string> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = std::to_string(random.below(i, 4 * count));
    std::vector<std::string> wanted = values;
    const auto longer_first = [](const std::string& a, const std::string& b) {
      return a.size() != b.size() ? a.size() > b.size() : a < b;
    };
    std::sort(wanted.begin(), wanted.end(), longer_first);
    iotsl::heap_sort(values.data(), values.size(), longer_first);
    CHECK(values == wanted);
  }
}
