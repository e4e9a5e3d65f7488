#include "iotsl/data/partition.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "support/temporary_folder.hpp"

using iotsl::Index;
using iotsl::data::make_partition;
using iotsl::data::parse_partition;
using iotsl::data::Partition;

namespace {

/// Labels of a set with these counts per class, mixed.
std::vector<iotsl::data::Label> labels_of(const std::vector<Index>& counts) {
  std::vector<iotsl::data::Label> out;
  for (std::size_t c = 0; c < counts.size(); ++c)
    out.insert(out.end(), static_cast<std::size_t>(counts[c]), static_cast<iotsl::data::Label>(c));
  iotsl::data::shuffle_values(std::span(out), iotsl::Random(9, iotsl::Stream::user));
  return out;
}

const std::vector<Index> mnist = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};

Partition draw(std::string_view text, const std::vector<Index>& counts, Index devices,
               std::uint64_t seed, Index limit = 0) {
  const auto spec = parse_partition(text);
  REQUIRE(spec.ok());
  auto partition = make_partition(*spec, labels_of(counts), static_cast<Index>(counts.size()),
                                  devices, seed, limit);
  if (!partition) FAIL(partition.failure().message);
  return *partition;
}

std::string draw_error(std::string_view text, const std::vector<Index>& counts, Index devices) {
  const auto spec = parse_partition(text);
  if (!spec) return spec.failure().message;
  const auto partition =
      make_partition(*spec, labels_of(counts), static_cast<Index>(counts.size()), devices, 1);
  return partition ? "no error" : partition.failure().message;
}

/// Samples ascending and on one device only, counts and unused right.
void check_consistent(const Partition& partition, const std::vector<Index>& counts) {
  const auto labels = labels_of(counts);
  std::vector<bool> used(labels.size(), false);
  Index unused = static_cast<Index>(labels.size());
  int repeats = 0;
  REQUIRE(partition.devices.size() == partition.counts.size());
  for (std::size_t d = 0; d < partition.devices.size(); ++d) {
    std::vector<Index> found(counts.size(), 0);
    CHECK(std::is_sorted(partition.devices[d].begin(), partition.devices[d].end()));
    CHECK_FALSE(partition.devices[d].empty());
    for (const Index i : partition.devices[d]) {
      repeats += used[static_cast<std::size_t>(i)] ? 1 : 0;
      used[static_cast<std::size_t>(i)] = true;
      ++found[labels[static_cast<std::size_t>(i)]];
      --unused;
    }
    CHECK(found == partition.counts[d]);
  }
  CHECK(repeats == 0);
  CHECK(partition.unused == unused);
}

std::size_t nonzero(const std::vector<Index>& row) {
  return static_cast<std::size_t>(
      std::count_if(row.begin(), row.end(), [](Index v) { return v > 0; }));
}

}  // namespace

TEST_CASE("partition: iid gives equal shares with about the same classes") {
  const Partition p = draw("iid", mnist, 5, 1);
  check_consistent(p, mnist);
  CHECK(p.unused == 0);
  for (std::size_t d = 0; d < 5; ++d) {
    CHECK(p.devices[d].size() == 12000);
    for (std::size_t c = 0; c < 10; ++c) CHECK(std::abs(p.counts[d][c] - mnist[c] / 5) < 180);
  }
  CHECK(draw("iid", {50, 53}, 10, 1).unused == 3);
}

TEST_CASE("partition: a seed gives one partition, another seed another") {
  for (const char* text : {"iid", "classes:4", "classes-random:4", "random:A", "dirichlet:0.5"}) {
    const std::vector<Index> counts(10, 600);
    CHECK(draw(text, counts, 5, 3).devices == draw(text, counts, 5, 3).devices);
    CHECK(draw(text, counts, 5, 3).devices != draw(text, counts, 5, 4).devices);
  }
}

TEST_CASE("partition: classes:2 on five devices puts every class on one device") {
  const std::vector<Index> fashion(10, 6000);
  const Partition p = draw("classes:2", fashion, 5, 1);
  check_consistent(p, fashion);
  std::vector<int> devices_with(10, 0);
  for (const auto& row : p.counts) {
    CHECK(nonzero(row) == 2);
    for (std::size_t c = 0; c < 10; ++c) {
      CHECK((row[c] == 0 || row[c] == 1200));
      devices_with[c] += row[c] > 0 ? 1 : 0;
    }
  }
  CHECK(devices_with == std::vector<int>(10, 1));
  CHECK(p.unused == 60000 - 10 * 1200);
  // MNIST: a block is a class's count divided by the devices, rounded down.
  const Partition q = draw("classes:8", mnist, 5, 2);
  check_consistent(q, mnist);
  for (const auto& row : q.counts)
    for (std::size_t c = 0; c < 10; ++c) CHECK((row[c] == 0 || row[c] == mnist[c] / 5));
}

TEST_CASE("partition: classes:C finds an assignment whenever there is one") {
  for (Index m = 1; m <= 12; ++m)
    for (Index c = 1; c <= m; ++c)
      for (Index k = 1; k <= 11; ++k)
        for (std::uint64_t seed = 1; seed <= 3; ++seed) {
          const auto owns = iotsl::data::detail::assign_classes(c, k, m, seed);
          REQUIRE(static_cast<Index>(owns.size()) == k);
          std::vector<Index> devices_with(static_cast<std::size_t>(m), 0);
          for (const auto& device : owns) {
            REQUIRE(std::count(device.begin(), device.end(), true) == c);
            for (std::size_t i = 0; i < device.size(); ++i) devices_with[i] += device[i] ? 1 : 0;
          }
          const Index most = (c * k + m - 1) / m;
          for (const Index n : devices_with) REQUIRE(n <= most);
        }
}

TEST_CASE("partition: classes:C is random in which classes go together") {
  std::set<std::vector<bool>> seen;
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    seen.insert(iotsl::data::detail::assign_classes(2, 5, 10, seed)[0]);
  CHECK(seen.size() > 20);  // of 45 pairs
}

TEST_CASE("partition: random gives 3 to 8 classes with 100 to 1200 samples, three fixed tables") {
  std::vector<iotsl::data::CountTable> tables;
  for (const char* text : {"random:A", "random:B", "random:C"}) {
    const Partition p = draw(text, mnist, 5, 1);
    check_consistent(p, mnist);
    for (const auto& row : p.counts) {
      CHECK(nonzero(row) >= 3);
      CHECK(nonzero(row) <= 8);
      for (const Index n : row) CHECK((n == 0 || (n >= 100 && n <= 1200)));
    }
    CHECK(draw(text, mnist, 5, 2).counts == p.counts);
    tables.push_back(p.counts);
  }
  CHECK(tables[0] != tables[1]);
  CHECK(tables[1] != tables[2]);
}

TEST_CASE("partition: every random partition gives every class to somebody") {
  for (const Index devices : {3, 5, 8})
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
      for (const char* text :
           {"iid", "classes:4", "classes:6", "classes:8", "classes-random:4", "classes-random:6",
            "classes-random:8", "random:A", "random:B", "random:C", "dirichlet:0.1"}) {
        CAPTURE(text);
        CAPTURE(devices);
        const Partition p = draw(text, mnist, devices, seed);
        CHECK(iotsl::data::classes_of_nobody(p.counts).empty());
        CHECK(p.redraws < 1000);
      }
}

TEST_CASE("partition: a table without a class is drawn again from the next numbers") {
  // The first draw for five devices leaves class 5 to nobody.
  const Partition a = draw("random:A", mnist, 5, 1);
  CHECK(a.redraws == 1);
  iotsl::data::detail::DrawnNumbers numbers(
      iotsl::Random(1, iotsl::Stream::partition, iotsl::data::detail::random_step));
  const auto first = iotsl::data::detail::random_table(5, 10, numbers);
  CHECK(iotsl::data::classes_of_nobody(first) == std::vector<Index>{5});
  CHECK(iotsl::data::detail::random_table(5, 10, numbers) == a.counts);
  // A class of one sample, which equal shares leave over once in a while.
  std::vector<Index> redraws;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Partition p = draw("iid", {14, 1}, 4, seed);
    check_consistent(p, {14, 1});
    CHECK(p.unused == 3);
    CHECK(iotsl::data::classes_of_nobody(p.counts).empty());
    redraws.push_back(p.redraws);
  }
  CHECK(*std::max_element(redraws.begin(), redraws.end()) > 0);
}

TEST_CASE("partition: what cannot cover all classes is refused, and the classes are named") {
  CHECK(
      draw_error("random:B", mnist, 1) ==
      "--partition random:B: each of 1000 draws leaves a class to none of 1 devices, the last one "
      "class 0, 2, 3, 6, 7; take more devices or another partition");
  CHECK(draw_error("classes:2", mnist, 3) ==
        "--partition classes:2: leaves class 0, 3, 4, 8 to none of 3 devices; take more devices or "
        "another partition");
  CHECK(draw_error("classes-random:3", mnist, 3)
            .find("--partition classes-random:3: leaves class ") == 0);
  CHECK(draw_error("classes-random:4", mnist, 3) == "no error");
  // A class of which the set has no sample is not missed.
  CHECK(draw_error("iid", {10, 0, 10}, 2) == "no error");
}

TEST_CASE("partition: classes-random:C draws blocks of C classes for each device by itself") {
  const std::vector<Index> fashion(10, 6000);
  std::vector<bool> seen(6, false);  // on how many devices a class is
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Partition p = draw("classes-random:4", fashion, 5, seed);
    check_consistent(p, fashion);
    for (const auto& row : p.counts) {
      CHECK(nonzero(row) == 4);
      for (const Index n : row) CHECK((n == 0 || n == 1200));
    }
    for (std::size_t c = 0; c < 10; ++c) {
      std::size_t devices_with = 0;
      for (const auto& row : p.counts) devices_with += row[c] > 0;
      seen[devices_with] = true;
    }
  }
  // classes:4 would put each class on two.
  CHECK_FALSE(seen[0]);
  CHECK((seen[1] && seen[2] && seen[3] && seen[4]));
  // The rarest case: ten classes on five devices of two.
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const Partition p = draw("classes-random:2", fashion, 5, seed);
    check_consistent(p, fashion);
    CHECK(iotsl::data::classes_of_nobody(p.counts).empty());
  }
}

TEST_CASE("partition: random takes less of a class that runs out") {
  const std::vector<Index> small(10, 1200);
  const Partition p = draw("random:A", small, 20, 1);
  check_consistent(p, small);
  CHECK(
      draw_error("random:A", std::vector<Index>(10, 8), 12).find("--partition random:A: class ") ==
      0);
}

TEST_CASE("partition: dirichlet uses every sample; a small ALPHA is skewed, a large one is not") {
  const auto skew = [&](std::string_view text) {
    const Partition p = draw(text, mnist, 5, 7);
    check_consistent(p, mnist);
    CHECK(p.unused == 0);
    double largest = 0;
    for (std::size_t c = 0; c < 10; ++c) {
      Index most = 0;
      for (const auto& row : p.counts) most = std::max(most, row[c]);
      largest += static_cast<double>(most) / static_cast<double>(mnist[c]) / 10;
    }
    return largest;
  };
  CHECK(skew("dirichlet:0.1") > 0.6);
  CHECK(skew("dirichlet:1000") < 0.25);
  CHECK(draw_error("dirichlet:0.001", std::vector<Index>(10, 100), 60)
            .find("--partition dirichlet:0.001: none of 1000 draws gives each of 60 devices 10") ==
        0);
}

TEST_CASE("partition: gamma numbers have the mean and variance of their distribution") {
  for (const double alpha : {0.3, 1.0, 4.0}) {
    const iotsl::Random random(5, iotsl::Stream::user);
    constexpr int count = 20000;
    double sum = 0, squares = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const double v = std::exp(iotsl::data::detail::log_gamma_number(alpha, random, i * 256));
      sum += v;
      squares += v * v;
    }
    const double mean = sum / count;
    CHECK(mean == doctest::Approx(alpha).epsilon(0.04));
    CHECK(squares / count - mean * mean == doctest::Approx(alpha).epsilon(0.1));
  }
}

TEST_CASE("partition: table:FILE gives the counts of the file") {
  const TemporaryFolder folder;
  const std::string path = folder / "table.csv";
  REQUIRE(
      iotsl::write_file_atomic(path, "# two devices\n10, 0, 5\n\n0 7\t3 # blanks too\r\n").ok());
  const std::vector<Index> counts = {10, 8, 9};
  const Partition p = draw("table:" + path, counts, 2, 1);
  check_consistent(p, counts);
  CHECK(p.counts == iotsl::data::CountTable{{10, 0, 5}, {0, 7, 3}});
  CHECK(p.unused == 2);
  const std::string option = "--partition table:" + path + ": ";
  CHECK(draw_error("table:" + path, counts, 3) ==
        option + "has 2 rows, expected one for each of 3 devices");
  CHECK(draw_error("table:" + path, {10, 8}, 2) ==
        option + "row 1 has 3 columns, expected one for each of 2 classes");
  CHECK(draw_error("table:" + path, {10, 6, 9}, 2) ==
        option + "the devices together need 7 samples of class 1, the set has 6");
  REQUIRE(iotsl::write_file_atomic(path, "1 2\n0 0\n").ok());
  CHECK(draw_error("table:" + path, {5, 5}, 2) == option + "device 1 gets no sample");
  REQUIRE(iotsl::write_file_atomic(path, "1 2\n3 -4\n").ok());
  CHECK(draw_error("table:" + path, {5, 5}, 2) ==
        option + "line 2: '-4' is not a count from 0 to 1000000000");
  CHECK(draw_error("table:/no/such", {5, 5}, 2) ==
        "--partition table:/no/such: /no/such: cannot open: No such file or directory");
}

TEST_CASE("partition: a table from a spreadsheet; an empty cell is no count") {
  using iotsl::data::parse_count_table;
  const auto table = parse_count_table(
      "\xEF\xBB\xBF"
      "1;2;3\r\n4; 5 ;6\r\n\r\n");
  REQUIRE(table.ok());
  CHECK(*table == iotsl::data::CountTable{{1, 2, 3}, {4, 5, 6}});
  const auto error = [](const char* text) { return parse_count_table(text).failure().message; };
  CHECK(error("\xff\xfe"
              "2") == "is UTF-16; expected UTF-8, as a spreadsheet writes by 'CSV UTF-8'");
  CHECK(error("1,2\n3,,4\n") == "line 2: cell 2 is empty, expected a count");
  CHECK(error(",1\n") == "line 1: cell 1 is empty, expected a count");
  CHECK(error("1,2,\n") == "line 1: cell 3 is empty, expected a count");
  CHECK(error("1,x\a\n") == "line 1: 'x\\x07' is not a count from 0 to 1000000000");
}

TEST_CASE("partition: counts whose product with the limit is beyond 64 bits are scaled, too") {
  iotsl::data::CountTable counts{std::vector<Index>(20, 1'000'000'000)};
  iotsl::data::scale_counts(counts, 10'000'000'000);
  CHECK(counts[0] == std::vector<Index>(20, 500'000'000));
}

TEST_CASE("partition: --limit-train scales every count, rounded down, at least 1") {
  const std::vector<Index> counts(10, 6000);
  const Partition full = draw("classes:2", counts, 5, 1);
  const Partition p = draw("classes:2", counts, 5, 1, 1000);
  check_consistent(p, counts);
  for (std::size_t d = 0; d < 5; ++d)
    for (std::size_t c = 0; c < 10; ++c) CHECK(p.counts[d][c] == full.counts[d][c] * 1000 / 12000);
  // The samples are a part of the full draw's.
  for (std::size_t d = 0; d < 5; ++d)
    CHECK(std::includes(full.devices[d].begin(), full.devices[d].end(), p.devices[d].begin(),
                        p.devices[d].end()));
  CHECK(draw("iid", counts, 5, 1, 60000).devices == draw("iid", counts, 5, 1).devices);
  CHECK(draw("iid", counts, 5, 1, 90000).devices == draw("iid", counts, 5, 1).devices);
  const Partition tiny = draw("iid", counts, 5, 1, 1);
  for (const auto& row : tiny.counts) CHECK(row == std::vector<Index>(10, 1));
}

TEST_CASE("partition: what cannot be is refused with the option's name") {
  const std::vector<Index> counts(10, 4);
  CHECK(draw_error("classes:11", counts, 2) ==
        "--partition classes:11: the set has only 10 classes");
  CHECK(draw_error("classes:3", counts, 5).find("--partition classes:3: class ") == 0);
  CHECK(draw_error("classes:0", counts, 2) ==
        "--partition classes:0: expected classes:C with C classes per device, at least 1");
  CHECK(draw_error("classes-random:0", counts, 2) ==
        "--partition classes-random:0: expected classes-random:C with C classes per device, at "
        "least 1");
  CHECK(draw_error("classes:2x", counts, 2).find("--partition classes:2x: expected") == 0);
  CHECK(draw_error("random:D", counts, 2) ==
        "--partition random:D: expected random:A, random:B or random:C");
  CHECK(draw_error("dirichlet:-1", counts, 2) ==
        "--partition dirichlet:-1: expected dirichlet:ALPHA with ALPHA from 0.001 to 1000000");
  CHECK(draw_error("dirichlet:nan", counts, 2).find("--partition dirichlet:nan: expected") == 0);
  for (const char* text : {"", "iid:1", "even", "table:", "classes"})
    CHECK(draw_error(text, counts, 2) ==
          std::string("--partition ") + text +
              (std::string_view(text) == "classes"
                   ? ": expected classes:C with C classes per device, at least 1"
                   : ": expected iid, classes:C, classes-random:C, random:A|B|C, dirichlet:ALPHA "
                     "or table:FILE"));
  CHECK(draw_error("iid", counts, 0) ==
        "--devices 0: expected 1 to 40, the number of training samples");
  CHECK(draw_error("iid", counts, 41) ==
        "--devices 41: expected 1 to 40, the number of training samples");
}

TEST_CASE("partition: the table of counts as text") {
  CHECK(iotsl::data::format_counts({{12, 0}, {3, 1000}}, 7) ==
        "device         0      1  total\n"
        "0             12      0     12\n"
        "1              3   1000   1003\n"
        "all           15   1000   1015\n"
        "unused                       7\n");
  CHECK(iotsl::data::format_counts({{12, 0, 0}, {3, 0, 0}}, 0)
            .ends_with("unused                              0\nno device has class 1, 2\n"));
}
