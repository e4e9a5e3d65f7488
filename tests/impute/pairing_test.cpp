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
    out += iotsl::concat(out.empty() ? "" : "; ", p.generator, ":");
    for (const Index c : p.classes) out += iotsl::concat(" ", c);
    out += p.superset ? ", superset" : ", cover";
    const std::string_view tie = tie_break_names[static_cast<std::size_t>(p.tie)];
    if (!tie.empty()) out += iotsl::concat(", ", tie);
  }
  return out;
}

GenerationLog log_of(const CountTable& table, const std::vector<GeneratorCheck>& checks) {
  auto log = make_generation_log(table, checks, 1);
  REQUIRE(log.ok());
  return *log;
}

/// Who gives device `receiver` all that it lacks.
std::string partners_of(const CountTable& table, const std::vector<GeneratorCheck>& checks,
                        Index receiver) {
  const Offers offers(log_of(table, checks), table[0].size());
  const auto row = table[static_cast<std::size_t>(receiver)];
  const auto partners = find_partners(offers, receiver, find_defects(row, union_of_classes(table)));
  return partners ? text_of(partners.value()) : partners.failure().message;
}

std::vector<GeneratorCheck> unchecked(std::size_t devices) {
  return std::vector<GeneratorCheck>(devices);
}

/// A generator whose check had this loss and these verdicts of its classes: p, f or - each.
GeneratorCheck check_of(double loss, std::string_view verdicts = "") {
  GeneratorCheck out{.checked = true, .loss = loss};
  for (const char v : verdicts)
    out.verdicts.push_back(v == 'p'   ? Verdict::passed
                           : v == 'f' ? Verdict::failed
                                      : Verdict::unchecked);
  return out;
}

TEST_CASE("pairing: one generator with a superset of what is missing") {
  // Device 1 has a lower id than device 2, but not class 4.
  const CountTable table{holding(5, {0}), holding(5, {0, 1, 2, 3}), holding(5, {1, 2, 3, 4})};
  CHECK(partners_of(table, unchecked(3), 0) == "2: 1 2 3 4, superset");
  CHECK(partners_of(table, unchecked(3), 1) == "2: 4, superset");
  CHECK(partners_of(table, unchecked(3), 2) == "0: 0, superset, lower number");
}

TEST_CASE("pairing: a superset comes before the lower loss") {
  // Device 1 covers all; what devices 2 and 3 give of it they give better.
  const CountTable table{holding(4, {0}), holding(4, {1, 2, 3}), holding(4, {1, 2}),
                         holding(4, {0, 3})};
  const std::vector<GeneratorCheck> checks{check_of(0.1), check_of(2.0), check_of(0.1),
                                           check_of(0.1)};
  CHECK(partners_of(table, checks, 0) == "1: 1 2 3, superset");
  // Also before how much of a class a generator has seen.
  CountTable scarce = table;
  scarce[1][3] = 20;  // of a mean of 73
  CHECK(partners_of(scarce, checks, 0) == "1: 1 2 3, superset");
}

TEST_CASE("pairing: a class that failed its check is no part of a superset, if another's passed") {
  const CountTable table{holding(4, {0}), holding(4, {1, 2, 3}), holding(4, {1, 2}),
                         holding(4, {0, 3})};
  std::vector<GeneratorCheck> checks{check_of(0.1), check_of(0.1, "-ppf"), check_of(0.2, "-pp-"),
                                     check_of(0.2, "p--p")};
  CHECK(partners_of(table, checks, 0) == "1: 1 2, cover, lower loss; 3: 3, cover");
  // Two classes that failed, which other generators give well.
  checks[1] = check_of(0.1, "-fff");
  CHECK(partners_of(table, checks, 0) == "2: 1 2, cover; 3: 3, cover");
  // Nobody has passed class 3: the paper's rule as if there were no checks.
  checks[1] = check_of(0.1, "-ppf");
  checks[3] = check_of(0.2, "p--f");
  CHECK(partners_of(table, checks, 0) == "1: 1 2 3, superset");
  checks[3] = check_of(0.2, "p---");
  CHECK(partners_of(table, checks, 0) == "1: 1 2 3, superset");
}

TEST_CASE("pairing: ties go to the lower loss, then to the lower number") {
  const CountTable table{holding(3, {0}), holding(3, {1, 2}), holding(3, {1, 2}),
                         holding(3, {1, 2})};
  std::vector<GeneratorCheck> checks = unchecked(4);
  CHECK(partners_of(table, checks, 0) == "1: 1 2, superset, lower number");
  checks[1] = check_of(0.5);
  checks[2] = check_of(0.25);
  checks[3] = check_of(0.25);
  CHECK(partners_of(table, checks, 0) == "2: 1 2, superset, lower number");
  checks[3] = check_of(0.125);
  CHECK(partners_of(table, checks, 0) == "3: 1 2, superset, lower loss");
  // A worse loss does not outweigh a class more.
  checks[3] = check_of(100);
  CHECK(partners_of({holding(3, {0}), holding(3, {1}), holding(3, {2}), holding(3, {1, 2})}, checks,
                    0) == "3: 1 2, superset");
}

TEST_CASE("pairing: losses are compared as a share of what guessing costs") {
  const double guess_two = std::log(2.0), guess_eight = std::log(8.0);
  const CountTable table{holding(8, {0}), holding(8, {1, 2}), holding(8, {0, 1, 2, 3, 4, 5, 6, 7})};
  std::vector<GeneratorCheck> checks = unchecked(3);
  const auto filled = [&] {
    const Offers offers(log_of(table, checks), 8);
    return text_of(find_partners(offers, 0, {.missing = {1, 2}, .scarce = {}}).value());
  };
  // The lower loss, but two classes are easier.
  checks[1] = check_of(0.4 * guess_two);
  checks[2] = check_of(0.3 * guess_eight);
  CHECK(filled() == "2: 1 2, superset, lower loss");
  checks[2].loss = 0.5 * guess_eight;
  CHECK(filled() == "1: 1 2, superset, lower loss");
  // Classes that a generator was not trained on do not count.
  checks[2].loss = 0.3 * guess_eight;
  checks[2].trained = holding(8, {1, 2, 3});
  CHECK(filled() == "1: 1 2, superset, lower loss");
  checks[2].loss = 0.3 * std::log(3.0);
  CHECK(filled() == "2: 1 2, superset, lower loss");
}

TEST_CASE("pairing: one class, or no check, stands behind whatever was checked") {
  // A judge of one class is always right: its loss says nothing.
  const CountTable table{holding(3, {0}), holding(3, {1}), holding(3, {0, 1, 2}),
                         holding(3, {0, 1})};
  std::vector<GeneratorCheck> checks{{}, check_of(1e-8), check_of(3), {}};
  const auto giver_of_1 = [&] {
    const Offers offers(log_of(table, checks), 3);
    return text_of(find_partners(offers, 0, {.missing = {1}, .scarce = {}}).value());
  };
  CHECK(giver_of_1() == "2: 1, superset, lower loss");
  checks[2] = {};
  CHECK(giver_of_1() == "1: 1, superset, lower number");  // nothing is known of any
}

TEST_CASE("pairing: where no generator has all, the greedy cover with the fewest") {
  const CountTable table{holding(7, {0}),    holding(7, {1, 2}), holding(7, {1, 2, 3, 4}),
                         holding(7, {4, 5}), holding(7, {5, 6}), holding(7, {6})};
  CHECK(partners_of(table, unchecked(6), 0) == "2: 1 2 3 4, cover; 4: 5 6, cover");

  // Every class on one device only: everybody serves.
  CountTable pairs;
  for (Index d = 0; d < 5; ++d) pairs.push_back(holding(10, {2 * d, 2 * d + 1}));
  CHECK(partners_of(pairs, unchecked(5), 2) ==
        "0: 0 1, cover, lower number; 1: 2 3, cover, lower number; 3: 6 7, cover, lower number; "
        "4: 8 9, cover");
  std::vector<GeneratorCheck> checks = unchecked(5);
  checks[3] = check_of(0.3);
  CHECK(partners_of(pairs, checks, 2).find("3: 6 7, cover, lower loss; 0: 0 1") == 0);
}

TEST_CASE("pairing: the paper's Table III") {
  // The table shows pictures, not counts. These classes are an example of what the text says of
  // it: devices 1 and 5 are each other's partners, 2 and 3, too, and 4 needs several.
  const CountTable table{holding(8, {0, 1, 2, 3, 4}), holding(8, {0, 2, 4, 6}),
                         holding(8, {1, 3, 5, 7}), holding(8, {0, 7}), holding(8, {3, 4, 5, 6, 7})};
  for (const auto& checks :
       {unchecked(5),
        {check_of(2.0), check_of(0.5), check_of(0.1), check_of(0.1), check_of(1.5)}}) {
    CHECK(partners_of(table, checks, 0) == "4: 5 6 7, superset");
    CHECK(partners_of(table, checks, 4) == "0: 0 1 2, superset");
    CHECK(partners_of(table, checks, 1) == "2: 1 3 5 7, superset");
    CHECK(partners_of(table, checks, 2) == "1: 0 2 4 6, superset");
  }
  CHECK(partners_of(table, unchecked(5), 3) == "0: 1 2 3 4, cover, lower number; 4: 5 6, cover");
}

TEST_CASE("pairing: what a device holds too few of does not hinder a partner for what is missing") {
  // Device 0 misses 2 and 3, and has few of 0.
  const auto with = [](std::vector<std::vector<Index>> others) {
    CountTable table;
    table.push_back({10, 100, 0, 0});
    for (const auto& row : others) table.push_back(row);
    return partners_of(table, unchecked(table.size()), 0);
  };
  // Both have all that is missing: the one that gives the scarce class, too, spares a generator.
  CHECK(with({{0, 0, 100, 100}, {100, 0, 100, 100}}) == "2: 0 2 3, superset, more scarce classes");
  // Device 2 gives as many classes, but not all that is missing.
  CHECK(with({{0, 0, 100, 100}, {100, 100, 100, 0}}) == "1: 2 3, superset; 2: 0, cover");
  // Nothing is missing.
  CHECK(partners_of({{10, 100}, {100, 100}, {100, 100}}, unchecked(3), 0) ==
        "1: 0, cover, lower number");
}

TEST_CASE("pairing: where all else is equal, who has hardly seen a class stands back") {
  CountTable table{holding(4, {0}), holding(4, {1, 2, 3}), holding(4, {1, 2, 3})};
  table[1][3] = 20;  // of a mean of 73
  CHECK(partners_of(table, unchecked(3), 0) == "2: 1 2 3, superset, fewer classes hardly seen");
  // It does not outweigh the loss.
  CHECK(partners_of(table, {{}, check_of(0.1), check_of(0.2)}, 0) ==
        "1: 1 2 3, superset, lower loss");
}

TEST_CASE("pairing: what nobody else can give is named") {
  const CountTable table{holding(5, {0}), holding(5, {1, 2, 3, 4}), holding(5, {0, 4})};
  std::vector<GeneratorCheck> checks = unchecked(3);
  checks[1].trained = {0, 100, 0, 0, 100};
  CHECK(partners_of(table, checks, 0) ==
        "imputation: device 0 lacks classes that no other device's generator can give: 2, 3");
  CHECK(partners_of(table, checks, 1) == "0: 0, superset, lower number");
  // Its own generator does not help a device.
  CHECK(partners_of({{1, 0}, {0, 1}}, unchecked(2), 1) == "0: 0, superset");
  const Offers offers(log_of({{1, 0}, {0, 1}}, unchecked(2)), 2);
  CHECK(find_partners(offers, 1, {.missing = {1}, .scarce = {}}).failure().message ==
        "imputation: device 1 lacks classes that no other device's generator can give: 1");
  CHECK(find_partners(offers, 0, {.missing = {1}, .scarce = {}}).ok());
}

}  // namespace pairing_cases

}  // namespace
