// What is held out is not in the other part, not even as a copy.

#include "iotsl/data/held_out.hpp"

#include <doctest/doctest.h>

#include <set>

namespace held_out_test {

using namespace iotsl;
using data::Dataset;
using data::HeldOutSplit;

/// Images of one pixel each.
Dataset set_of(const std::vector<std::uint8_t>& pixels, const std::vector<data::Label>& labels,
               Index classes) {
  Dataset out;
  out.name = "test";
  out.height = out.width = 1;
  out.classes = classes;
  out.pixels = pixels;
  out.labels = labels;
  out.full_size = out.size();
  return out;
}

HeldOutSplit split_of(const Dataset& set, std::uint64_t seed, Index each) {
  return data::hold_out(set, data::count_up(set.size()), Random(seed, Stream::user),
                        [&](Index images) { return std::min(each, images); });
}

std::set<std::uint8_t> images_of(const Dataset& set, const std::vector<Index>& samples) {
  std::set<std::uint8_t> out;
  for (const Index i : samples) out.insert(set.sample(i)[0]);
  return out;
}

TEST_CASE("held out: samples of the same pixels make one group") {
  const Dataset set = set_of({7, 3, 7, 9, 3, 7}, {0, 0, 0, 1, 1, 0}, 2);
  using Groups = std::vector<std::vector<Index>>;
  CHECK(data::group_equal_images(set, data::count_up(6)) == Groups{{0, 2, 5}, {1, 4}, {3}});
  CHECK(data::group_equal_images(set, std::vector<Index>{5, 4, 0}) == Groups{{0, 5}, {4}});
}

TEST_CASE("held out: the parts share no image, and numbers are those of different images") {
  // Class 0: images 0 to 9, ten of each; class 1: images 100 to 119, and 0 to 4 again.
  std::vector<std::uint8_t> pixels;
  std::vector<data::Label> labels;
  for (int copy = 0; copy < 10; ++copy)
    for (std::uint8_t i = 0; i < 10; ++i) pixels.push_back(i), labels.push_back(0);
  for (std::uint8_t i = 0; i < 20; ++i) pixels.push_back(100 + i), labels.push_back(1);
  for (std::uint8_t i = 0; i < 5; ++i) pixels.push_back(i), labels.push_back(1);
  const Dataset set = set_of(pixels, labels, 2);
  bool crossed = false;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const HeldOutSplit parts = split_of(set, seed, 3);
    const auto train = images_of(set, parts.train), held_out = images_of(set, parts.held_out);
    CHECK(train.size() + held_out.size() == 30);  // none is in both
    CHECK(held_out.size() == 6);                  // three of each class
    std::vector<Index> together = parts.train;
    together.insert(together.end(), parts.held_out.begin(), parts.held_out.end());
    std::sort(together.begin(), together.end());
    CHECK(together == data::count_up(set.size()));
    for (const Index i : parts.held_out) crossed |= i >= 120;  // went with its copies in class 0
  }
  CHECK(crossed);
  CHECK(split_of(set, 1, 3).held_out == split_of(set, 1, 3).held_out);
  CHECK(split_of(set, 1, 3).held_out != split_of(set, 2, 3).held_out);
}

TEST_CASE("held out: without copies the split is the one by samples") {
  std::vector<std::uint8_t> pixels;
  std::vector<data::Label> labels;
  for (std::uint8_t i = 0; i < 200; ++i) pixels.push_back(i), labels.push_back(i % 2);
  const Dataset set = set_of(pixels, labels, 2);
  const Random random(4, Stream::user);
  std::vector<Index> expected;
  for (Index label = 0; label < 2; ++label) {
    std::vector<Index> members;
    for (Index i = label; i < 200; i += 2) members.push_back(i);
    data::shuffle_values(std::span(members), random, static_cast<std::uint64_t>(label) << 32);
    expected.insert(expected.end(), members.begin(), members.begin() + 7);
  }
  std::sort(expected.begin(), expected.end());
  CHECK(split_of(set, 4, 7).held_out == expected);
}

}  // namespace held_out_test
