#include "iotsl/impute/pairing.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace {

namespace pairing_cases {

using iotsl::Index;
using namespace iotsl::impute;
using Classes = std::vector<Index>;
using iotsl::data::CountTable;

/// A row with `count` samples of each of these classes.
std::vector<Index> holding(std::size_t classes, const Classes& held, Index count = 100) {
  std::vector<Index> row(classes, 0);
  for (const Index c : held) row[static_cast<std::size_t>(c)] = count;
  return row;
}

std::string text_of(const std::vector<Partner>& partners) {
  std::string out;
  for (const Partner& p : partners) {
    out += iotsl::concat(out.empty() ? "" : ", ", p.generator, ":");
    for (const Index c : p.classes) out += iotsl::concat(" ", c);
  }
  return out;
}

/// Who fills everything that device `receiver` misses.
std::string search(const CountTable& table, const std::vector<GeneratorCheck>& checks,
                   Index receiver) {
  const auto offers = Offers::create(table, checks);
  REQUIRE(offers.ok());
  const auto row = table[static_cast<std::size_t>(receiver)];
  const auto missing = find_defects(row, union_of_classes(table)).missing;
  const auto partners = find_partners(offers.value(), receiver, missing);
  return partners ? text_of(partners.value()) : partners.failure().message;
}

std::vector<GeneratorCheck> equal_checks(std::size_t devices) {
  return std::vector<GeneratorCheck>(devices);
}

TEST_CASE("pairing: one generator with a superset of what is missing") {
  // Device 1 has a lower id than device 2, but not class 4.
  const CountTable table{holding(5, {0}), holding(5, {0, 1, 2, 3}), holding(5, {1, 2, 3, 4})};
  CHECK(search(table, equal_checks(3), 0) == "2: 1 2 3 4");
  CHECK(search(table, equal_checks(3), 1) == "2: 4");
  CHECK(search(table, equal_checks(3), 2) == "1: 0");
}

TEST_CASE("pairing: ties go to the lower loss, then to the lower id") {
  const CountTable table{holding(3, {0}), holding(3, {1, 2}), holding(3, {1, 2}),
                         holding(3, {1, 2})};
  std::vector<GeneratorCheck> checks = equal_checks(4);
  CHECK(search(table, checks, 0) == "1: 1 2");
  checks[1].loss = 0.5;
  checks[2].loss = 0.25;
  checks[3].loss = 0.25;
  CHECK(search(table, checks, 0) == "2: 1 2");
  checks[3].loss = 0.125;
  CHECK(search(table, checks, 0) == "3: 1 2");
  // A worse loss does not outweigh a class more.
  checks[3].loss = 100;
  CHECK(search({holding(3, {0}), holding(3, {1}), holding(3, {2}), holding(3, {1, 2})}, checks,
               0) == "3: 1 2");
}

TEST_CASE("pairing: losses are compared as a share of what guessing costs") {
  const double guess_two = std::log(2.0), guess_eight = std::log(8.0);
  const CountTable table{holding(8, {0}), holding(8, {1, 2}), holding(8, {0, 1, 2, 3, 4, 5, 6, 7})};
  std::vector<GeneratorCheck> checks = equal_checks(3);
  const auto filled = [&] {
    const auto offers = Offers::create(table, checks);
    REQUIRE(offers.ok());
    return text_of(find_partners(offers.value(), 0, {1, 2}).value());
  };
  // The lower loss, but two classes are easier.
  checks[1].loss = 0.4 * guess_two;
  checks[2].loss = 0.3 * guess_eight;
  CHECK(filled() == "2: 1 2");
  checks[2].loss = 0.5 * guess_eight;
  CHECK(filled() == "1: 1 2");
  // Classes that a generator was not trained on do not count.
  checks[2].loss = 0.3 * guess_eight;
  checks[2].trained = holding(8, {1, 2, 3});
  CHECK(filled() == "1: 1 2");
  checks[2].loss = 0.3 * std::log(3.0);
  CHECK(filled() == "2: 1 2");
}

TEST_CASE("pairing: one class, or no check, stands behind whatever was checked") {
  // A judge of one class is always right: its loss says nothing.
  const CountTable table{holding(3, {0}), holding(3, {1}), holding(3, {0, 1, 2}),
                         holding(3, {0, 1})};
  std::vector<GeneratorCheck> checks = equal_checks(4);
  checks[1].loss = 1e-8;
  checks[2].loss = 3;
  checks[3].loss = std::numeric_limits<double>::infinity();
  const auto giver_of_1 = [&] {
    const auto offers = Offers::create(table, checks);
    REQUIRE(offers.ok());
    return text_of(find_partners(offers.value(), 0, {1}).value());
  };
  CHECK(giver_of_1() == "2: 1");
  checks[2].loss = std::numeric_limits<double>::infinity();
  CHECK(giver_of_1() == "1: 1");  // nothing is known of any: the lowest id
}

TEST_CASE("pairing: where no generator has all, the greedy cover with the fewest") {
  const CountTable table{holding(7, {0}),    holding(7, {1, 2}), holding(7, {1, 2, 3, 4}),
                         holding(7, {4, 5}), holding(7, {5, 6}), holding(7, {6})};
  CHECK(search(table, equal_checks(6), 0) == "2: 1 2 3 4, 4: 5 6");

  // Every class on one device only: everybody serves.
  CountTable pairs;
  for (Index d = 0; d < 5; ++d) pairs.push_back(holding(10, {2 * d, 2 * d + 1}));
  CHECK(search(pairs, equal_checks(5), 2) == "0: 0 1, 1: 2 3, 3: 6 7, 4: 8 9");
  std::vector<GeneratorCheck> checks = equal_checks(5);
  checks[3].loss = -1;
  CHECK(search(pairs, checks, 2) == "3: 6 7, 0: 0 1, 1: 2 3, 4: 8 9");
}

TEST_CASE("pairing: the paper's Table III") {
  // The table shows pictures, not counts. These classes are an example of what the text says of
  // it: devices 1 and 5 are each other's partners, 2 and 3, too, and 4 needs several.
  const CountTable table{holding(8, {0, 1, 2, 3, 4}), holding(8, {0, 2, 4, 6}),
                         holding(8, {1, 3, 5, 7}), holding(8, {0, 7}), holding(8, {3, 4, 5, 6, 7})};
  const auto checks = equal_checks(5);
  CHECK(search(table, checks, 0) == "4: 5 6 7");
  CHECK(search(table, checks, 4) == "0: 0 1 2");
  CHECK(search(table, checks, 1) == "2: 1 3 5 7");
  CHECK(search(table, checks, 2) == "1: 0 2 4 6");
  CHECK(search(table, checks, 3) == "0: 1 2 3 4, 4: 5 6");
}

TEST_CASE("pairing: a flagged generator serves only where there is no other") {
  const CountTable table{holding(4, {0}), holding(4, {1, 2, 3}), holding(4, {1, 2})};
  std::vector<GeneratorCheck> checks = equal_checks(3);
  CHECK(search(table, checks, 0) == "1: 1 2 3");
  checks[1].flagged = true;
  CHECK(search(table, checks, 0) == "2: 1 2, 1: 3");
  checks[2].flagged = true;
  CHECK(search(table, checks, 0) == "1: 1 2 3");
}

TEST_CASE("pairing: a generator that has seen too few of a class stands back, too") {
  CountTable table{holding(4, {0}), holding(4, {1, 2, 3}), holding(4, {2, 3})};
  table[1][3] = 20;  // of a mean of 73
  CHECK(search(table, equal_checks(3), 0) == "1: 1 2, 2: 3");
  table[2][3] = 0;
  CHECK(search(table, equal_checks(3), 0) == "1: 1 2 3");
  // Few samples of a sound generator are better than many of a flagged one.
  table[2][3] = 100;
  std::vector<GeneratorCheck> checks = equal_checks(3);
  checks[2].flagged = true;
  CHECK(search(table, checks, 0) == "1: 1 2 3");
}

TEST_CASE("pairing: what nobody else can give is named") {
  const CountTable table{holding(5, {0}), holding(5, {1, 2, 3, 4}), holding(5, {0, 4})};
  std::vector<GeneratorCheck> checks = equal_checks(3);
  checks[1].trained = {0, 100, 0, 0, 100};
  CHECK(search(table, checks, 0) ==
        "imputation: device 0 lacks classes that no other device's generator can give: 2, 3");
  CHECK(search(table, checks, 1) == "2: 0");
  // Its own generator does not help a device.
  const auto offers = Offers::create({{1, 0}, {0, 1}}, equal_checks(2));
  REQUIRE(offers.ok());
  CHECK(find_partners(offers.value(), 1, {1}).failure().message ==
        "imputation: device 1 lacks classes that no other device's generator can give: 1");
  CHECK(find_partners(offers.value(), 0, {1}).ok());
}

TEST_CASE("pairing: impossible counts on a generator's card are refused") {
  auto checks = equal_checks(2);
  checks[1].trained = {5, std::numeric_limits<Index>::max()};
  CHECK(Offers::create({{1, 0}, {0, 1}}, checks).failure().message ==
        "imputation: the generator of device 1 was trained on 9223372036854775807 samples of class "
        "1, expected 0 to 1000000000");
  checks[1].trained = {-1, 5};
  CHECK(
      Offers::create({{1, 0}, {0, 1}}, checks).failure().message.find("on -1 samples of class 0") !=
      std::string::npos);
}

TEST_CASE("pairing: checks must belong to the devices") {
  const CountTable table{{1, 0}, {0, 1}};
  CHECK(Offers::create(table, equal_checks(3)).failure().message ==
        "imputation: 3 generators for 2 devices");
  std::vector<GeneratorCheck> checks = equal_checks(2);
  checks[1].trained = {1};
  CHECK(Offers::create(table, checks).failure().message ==
        "imputation: the generator of device 1 has 1 classes, expected 2");
  checks[1] = {.loss = std::nan("")};
  CHECK(Offers::create(table, checks).failure().message ==
        "imputation: the loss of the generator of device 1 is nan, expected a number");
}

}  // namespace pairing_cases

}  // namespace
