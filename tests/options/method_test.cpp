#include "iotsl/options/method.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace iotsl;

namespace method_test {

TEST_CASE("method: names and properties, one row for each") {
  struct Row {
    Method method;
    std::string name;
    bool fronts, splits, generators, averages, pools;
  };
  const Row rows[] = {{Method::split_learning, "sl", true, true, false, false, false},
                      {Method::iotsl, "iotsl", true, true, true, false, false},
                      {Method::federated_averaging, "fedavg", false, false, false, true, false},
                      {Method::central, "central", false, false, false, false, true},
                      {Method::cached, "cache", true, true, true, false, false},
                      {Method::random_gradient, "local", true, false, false, false, false}};
  CHECK(std::size(names_of(Method{})) == std::size(rows));
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(traits_of(row.method).value == row.method);
    CHECK(to_string(row.method) == row.name);
    CHECK(parse_method(row.name).value() == row.method);
    CHECK(has_fronts(row.method) == row.fronts);
    CHECK(splits(row.method) == row.splits);
    CHECK(has_generators(row.method) == row.generators);
    CHECK(caches(row.method) == (row.method == Method::cached));
    CHECK(averages(row.method) == row.averages);
    CHECK(pools_data(row.method) == row.pools);
  }
}

TEST_CASE("method: another name is refused") {
  for (const char* name : {"", "SL", "split_learning", "sl "}) {
    CHECK_FALSE(find_named<Method>(name));
    CHECK(parse_method(name).failure().message ==
          concat("--method ", name, ": expected sl, iotsl, cache, fedavg, central or local"));
  }
}

}  // namespace method_test
