#include "iotsl/data/partition/validation.hpp"

#include <doctest/doctest.h>

namespace validation_test {

using namespace iotsl;
using namespace iotsl::data;

namespace {

/// Labels of a set with these counts per class, mixed.
std::vector<Label> mixed_labels(const std::vector<Index>& counts) {
  std::vector<Label> out;
  for (std::size_t c = 0; c < counts.size(); ++c)
    out.insert(out.end(), static_cast<std::size_t>(counts[c]), static_cast<Label>(c));
  shuffle_values(std::span(out), Random(9, Stream::user));
  return out;
}

Result<PartitionWithValidation> try_draw(std::string_view text, const std::vector<Label>& labels,
                                         double part, std::uint64_t seed = 1, Index limit = 0,
                                         Index devices = 2) {
  return partition_with_validation(parse_partition(text).value(), labels, 4, devices, seed, limit,
                                   part);
}
PartitionWithValidation draw(std::string_view text, const std::vector<Label>& labels, double part,
                             std::uint64_t seed = 1, Index limit = 0) {
  auto out = try_draw(text, labels, part, seed, limit);
  REQUIRE_MESSAGE(out.ok(), out.failure().message);
  return std::move(out).value();
}

std::vector<Index> counts_of(const std::vector<Index>& samples, const std::vector<Label>& labels) {
  std::vector<Label> own;
  for (const Index i : samples) own.push_back(labels[static_cast<std::size_t>(i)]);
  return class_counts(own, 4);
}

}  // namespace

TEST_CASE("validation: the same part of every class, and no sample of it on a device") {
  const std::vector<Label> labels = mixed_labels({400, 200, 100, 300});
  for (const char* partition : {"iid", "classes:2", "dirichlet:1"}) {
    INFO(partition);
    const PartitionWithValidation drawn = draw(partition, labels, 0.1);
    CHECK(std::is_sorted(drawn.validation.begin(), drawn.validation.end()));
    std::vector<bool> seen(labels.size(), false);
    for (const Index i : drawn.validation) seen[static_cast<std::size_t>(i)] = true;
    std::size_t shared = 0, used = drawn.validation.size();
    for (const auto& device : drawn.partition.devices) {
      CHECK(std::is_sorted(device.begin(), device.end()));
      used += device.size();
      for (const Index i : device) shared += seen[static_cast<std::size_t>(i)];
    }
    CHECK(shared == 0);
    CHECK(used + static_cast<std::size_t>(drawn.partition.unused) == labels.size());
    for (std::size_t d = 0; d < 2; ++d)
      CHECK(counts_of(drawn.partition.devices[d], labels) == drawn.partition.counts[d]);
  }
  CHECK(counts_of(draw("iid", labels, 0.1).validation, labels) ==
        std::vector<Index>{40, 20, 10, 30});
  CHECK(counts_of(draw("iid", labels, 0.5).validation, labels) ==
        std::vector<Index>{200, 100, 50, 150});
}

TEST_CASE("validation: a function of the seed; without it the partition is what it was") {
  const std::vector<Label> labels = mixed_labels({400, 200, 100, 300});
  const auto one = draw("classes:2", labels, 0.1, 5), two = draw("classes:2", labels, 0.1, 5);
  CHECK(one.validation == two.validation);
  CHECK(one.partition.devices == two.partition.devices);
  CHECK(one.validation != draw("classes:2", labels, 0.1, 6).validation);
  const PartitionSpec spec = parse_partition("classes:2").value();
  const Partition plain = make_partition(spec, labels, 4, 2, 5).value();
  const PartitionWithValidation none = draw("classes:2", labels, 0, 5);
  CHECK(none.validation.empty());
  CHECK(none.partition.devices == plain.devices);
  CHECK(none.partition.unused == plain.unused);
}

TEST_CASE("validation: it is its part of the samples in use, of classes that a device holds") {
  const std::vector<Label> labels = mixed_labels({400, 200, 100, 300});
  // 180 samples on devices, a tenth of 200 for the server.
  const PartitionWithValidation few = draw("iid", labels, 0.1, 1, 180);
  CHECK(counts_of(few.validation, labels) == std::vector<Index>{8, 4, 2, 6});
  CHECK(few.partition.devices[0].size() + few.partition.devices[1].size() + few.validation.size() +
            static_cast<std::size_t>(few.partition.unused) ==
        labels.size());
  PartitionSpec table;
  table.kind = PartitionSpec::Kind::table;
  table.table = {{90, 0, 45, 0}, {0, 0, 45, 0}};
  const auto given = partition_with_validation(table, labels, 4, 2, 1, 0, 0.1);
  REQUIRE_MESSAGE(given.ok(), given.failure().message);
  CHECK(counts_of(given->validation, labels) == std::vector<Index>{16, 0, 4, 0});
  // At least one, however few there are.
  for (const Index n : counts_of(draw("iid", labels, 0.01, 1, 20).validation, labels))
    CHECK(n == 1);
}

TEST_CASE("validation: the last sample of a class stays with the devices") {
  const std::vector<Label> labels = mixed_labels({40, 2, 1, 30});
  const PartitionWithValidation drawn = draw("iid", labels, 0.9);
  const std::vector<Index> aside = counts_of(drawn.validation, labels);
  CHECK(aside == std::vector<Index>{36, 1, 0, 27});
}

TEST_CASE("validation: what cannot be is refused, and what it has taken is named") {
  const std::vector<Label> labels = mixed_labels({100, 100, 100, 100});
  for (const double part : {-0.1, 0.91, std::numeric_limits<double>::quiet_NaN()})
    CHECK(try_draw("iid", labels, part).failure().message ==
          concat("--validation ", part, ": expected 0 to 0.9"));
  CHECK(try_draw("iid", labels, 0.9).ok());
  PartitionSpec table;
  table.kind = PartitionSpec::Kind::table;
  table.text = "table:all";
  table.table = {{100, 0, 0, 0}, {0, 100, 0, 0}};
  CHECK(partition_with_validation(table, labels, 4, 2, 1, 0, 0).ok());
  CHECK(partition_with_validation(table, labels, 4, 2, 1, 0, 0.1).failure().message ==
        "--partition table:all: the devices together need 100 samples of class 0, the set has 90 "
        "(--validation 0.1 has set 40 of 400 samples aside)");
}

}  // namespace validation_test
