#include "iotsl/impute/histogram.hpp"

#include <doctest/doctest.h>

#include "iotsl/data/glyphs.hpp"
#include "iotsl/data/partition.hpp"

namespace {

namespace histogram_cases {

using iotsl::Index;
using namespace iotsl::impute;
using Classes = std::vector<Index>;

bool none(const Defects& defects) { return defects.missing.empty() && defects.scarce.empty(); }

TEST_CASE("histogram: union and mean over the classes held") {
  const iotsl::data::CountTable table{{4, 0, 2, 0}, {0, 0, 9, 0}, {0, 0, 1, 5}};
  REQUIRE(check_histograms(table).ok());
  CHECK(union_of_classes(table) == Classes{0, 2, 3});
  CHECK(mean_class_size(table[0]) == 3.0);
  CHECK(mean_class_size(table[1]) == 9.0);
  CHECK(mean_class_size({0, 0}) == 0.0);
  CHECK(target_class_size({1, 2, 0}) == 2);  // 1.5 rounds up
  CHECK(target_class_size({1, 1, 2}) == 1);
}

TEST_CASE("histogram: missing and scarce classes") {
  const Classes all{0, 1, 2, 3};
  const Defects defects = find_defects({100, 0, 30, 0, 0}, {0, 1, 2, 3});
  CHECK(defects.missing == Classes{1, 3});  // class 4 is in nobody's data
  CHECK(defects.scarce == Classes{2});      // 30 of a mean of 65
  CHECK(!none(defects));

  // Exactly half of the mean is not below it: 50 and 150, mean 100.
  CHECK(none(find_defects({50, 150}, {0, 1})));
  CHECK(find_defects({49, 151}, {0, 1}).scarce == Classes{0});
  CHECK(none(find_defects({49, 151}, {0, 1}, 0.4)));
  CHECK(none(find_defects({1, 1000}, {0, 1}, 0.0)));
  // Nothing is scarce that rounding leaves nothing to add to.
  CHECK(none(find_defects({1, 2, 1}, {0, 1, 2}, 1.0)));
  CHECK(find_defects({1, 2, 2}, {0, 1, 2}, 1.0).scarce == Classes{0});
}

TEST_CASE("histogram: iid data have no defects, classes:C exactly the missing ones") {
  const auto set = iotsl::data::make_glyphs(iotsl::data::Split::train, 2000);
  const auto counts = [&](const char* partition) {
    auto made = iotsl::data::make_partition(*iotsl::data::parse_partition(partition), set.labels,
                                            set.classes, 5, 3);
    REQUIRE(made.ok());
    return made->counts;
  };
  const auto iid = counts("iid");
  for (const auto& row : iid) CHECK(none(find_defects(row, union_of_classes(iid))));
  const auto some = counts("classes:4");
  for (const auto& row : some) {
    const Defects defects = find_defects(row, union_of_classes(some));
    CHECK(defects.missing.size() == 6);
    CHECK(defects.scarce.empty());
  }
}

TEST_CASE("histogram: what no device can have is refused") {
  const auto error = [](const iotsl::data::CountTable& table) {
    const auto checked = check_histograms(table);
    return checked ? std::string("no error") : checked.failure().message;
  };
  CHECK(error({}) == "label histograms: no device");
  CHECK(error({{1, 2}, {3}}) == "label histograms: device 1 has 1 classes, device 0 has 2");
  CHECK(error({{0, 0}, {0, 0}}) == "label histograms: no device has a sample");
  CHECK(check_histograms({{1, 2}, {0, 0}}).ok());  // the second takes no part
  CHECK(error({{1, -2}}) ==
        "label histograms: device 0 has -2 samples of class 1, expected 0 to 1000000000");
  CHECK(error({{1, 0}}) == "no error");

  const auto made = make_histograms({{1, 2}, {3, 0}});
  REQUIRE(made.ok());
  CHECK(made.value() == iotsl::data::CountTable{{1, 2}, {3, 0}});
  CHECK(make_histograms({{1}, {~std::uint64_t{0}}}).failure().message ==
        "label histograms: device 1 has 18446744073709551615 samples of class 0, expected 0 to "
        "1000000000");
  CHECK(make_histograms({{0}}).failure().message == "label histograms: no device has a sample");
}

}  // namespace histogram_cases

}  // namespace
