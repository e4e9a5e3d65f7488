#include "iotsl/data/loader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

using iotsl::Index;
using iotsl::data::batch_ranges;
using iotsl::data::BatchSequence;
using iotsl::data::Dataset;
using iotsl::data::epoch_order;
using iotsl::data::Loader;

namespace {

/// `count` samples of 1 x 1 x 2 pixels: sample i is (i, 255 - i) with label i % 10.
Dataset ramp(Index count) {
  Dataset set;
  set.name = "ramp";
  set.height = 1;
  set.width = 2;
  set.classes = 10;
  for (Index i = 0; i < count; ++i) {
    set.pixels.push_back(static_cast<std::uint8_t>(i));
    set.pixels.push_back(static_cast<std::uint8_t>(255 - i));
    set.labels.push_back(static_cast<iotsl::data::Label>(i % 10));
  }
  set.full_size = count;
  return set;
}

std::vector<Index> sizes(Index count, Index batch) {
  std::vector<Index> out;
  Index next = 0;
  for (const auto& range : batch_ranges(count, batch)) {
    CHECK(range.begin == next);
    next = range.end;
    out.push_back(range.size());
  }
  CHECK(next == count);
  return out;
}

}  // namespace

// A loader keeps no copy of its set, so one that would be gone at once is refused by the compiler.
static_assert(std::is_constructible_v<Loader, const Dataset&, Index>);
static_assert(!std::is_constructible_v<Loader, Dataset, Index>);
static_assert(!std::is_constructible_v<Loader, Dataset, std::vector<Index>, Index>);

TEST_CASE("loader: an order is a permutation and a function of seed, device and round") {
  const auto order = epoch_order(1000, 1, 2, 3);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (Index i = 0; i < 1000; ++i) CHECK(sorted[static_cast<std::size_t>(i)] == i);
  CHECK(order == epoch_order(1000, 1, 2, 3));
  CHECK(order != epoch_order(1000, 2, 2, 3));
  CHECK(order != epoch_order(1000, 1, 1, 3));
  CHECK(order != epoch_order(1000, 1, 2, 4));
  CHECK(epoch_order(0, 1, 0, 0).empty());
  // The committed order of this format: a change would break the resumption of old runs.
  CHECK(epoch_order(8, 1, 0, 0) == std::vector<Index>{2, 7, 3, 4, 6, 0, 1, 5});
}

TEST_CASE("loader: every place is equally likely") {
  std::vector<int> first(8, 0);
  for (Index round = 0; round < 8000; ++round)
    ++first[static_cast<std::size_t>(epoch_order(8, 3, 0, round)[0])];
  for (const int n : first) CHECK(std::abs(n - 1000) < 150);
}

TEST_CASE("loader: a last batch of one sample joins the one before") {
  CHECK(sizes(10, 5) == std::vector<Index>{5, 5});
  CHECK(sizes(11, 5) == std::vector<Index>{5, 6});
  CHECK(sizes(12, 5) == std::vector<Index>{5, 5, 2});
  CHECK(sizes(1, 5) == std::vector<Index>{1});
  CHECK(sizes(3, 1) == std::vector<Index>{1, 1, 1});
  CHECK(sizes(0, 5).empty());
  CHECK_THROWS_WITH_AS(batch_ranges(3, 0), "batch_ranges: batch of 0 samples, expected at least 1",
                       iotsl::Error);
}

TEST_CASE("loader: batches hold every sample of the device once, as floats in [0,1]") {
  const Dataset set = ramp(100);
  const std::vector<Index> own = {5, 17, 30, 31, 64, 90, 99};
  Loader loader(set, own, 3);
  CHECK(loader.samples() == 7);
  CHECK(loader.batches() == 2);
  CHECK(loader.batch(0)[0] == 5);
  loader.start_epoch(1, 0, 0);
  std::vector<Index> seen;
  for (Index b = 0; b < loader.batches(); ++b) {
    const iotsl::data::Batch batch = loader.fetch(b);
    REQUIRE(batch.x.shape() == iotsl::Shape{loader.batch_size(b), 1, 1, 2});
    REQUIRE(batch.labels.size() == loader.batch(b).size());
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
      const Index sample = loader.batch(b)[i];
      seen.push_back(sample);
      CHECK(batch.x.data()[2 * i] == static_cast<float>(sample) / 255.0f);
      CHECK(batch.x.data()[2 * i + 1] == static_cast<float>(255 - sample) / 255.0f);
      CHECK(batch.labels[i] == sample % 10);
    }
  }
  CHECK(seen != own);
  std::sort(seen.begin(), seen.end());
  CHECK(seen == own);
}

TEST_CASE("loader: an epoch does not depend on the ones before") {
  const Dataset set = ramp(50);
  Loader a(set, 8);
  Loader b(set, 8);
  a.start_epoch(1, 0, 0);
  a.start_epoch(1, 0, 1);
  b.start_epoch(1, 0, 1);
  for (Index batch = 0; batch < a.batches(); ++batch)
    CHECK(std::equal(a.batch(batch).begin(), a.batch(batch).end(), b.batch(batch).begin()));
  CHECK_THROWS_WITH_AS((void)a.batch_size(7), "loader: batch 7 of 7", iotsl::Error);
}

TEST_CASE("loader: a sequence draws the order of each epoch, from whatever step it begins") {
  const Dataset set = ramp(50);
  Loader whole(set, 8), late(set, 8), each(set, 8);
  BatchSequence all(whole, 3, 2, 5);
  const auto same = [](const iotsl::data::Batch& a, const iotsl::data::Batch& b) {
    return a.labels == b.labels && std::ranges::equal(a.x.values(), b.x.values());
  };
  for (std::uint64_t step = 0; step < 14; ++step) {
    CHECK(all.epoch(step) == step / 7);
    each.start_epoch(3, 2, 5 + static_cast<Index>(step / 7));
    const iotsl::data::Batch batch = all.fetch(step);
    CHECK(same(batch, each.fetch(static_cast<Index>(step % 7))));
    BatchSequence rest(late, 3, 2, 5);
    CHECK(same(batch, rest.fetch(step)));
  }
}

TEST_CASE("dataset: samples are counted by class and named by their numbers") {
  const Dataset set = ramp(25);
  CHECK(iotsl::data::count_labels(set, std::vector<Index>{3, 13, 23, 9}) ==
        std::vector<std::uint64_t>{0, 0, 0, 3, 0, 0, 0, 0, 0, 1});
  // SHA-256 of the text, then of each number as eight bytes, lowest first.
  CHECK(iotsl::to_hex(iotsl::data::fingerprint("abc", {})) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::vector<Index> one = {0x1122}, other = {0x1123};
  CHECK(iotsl::data::fingerprint("abc", one) ==
        iotsl::sha256(iotsl::bytes_of(std::string_view("abc\x22\x11\0\0\0\0\0\0", 11))));
  CHECK(iotsl::data::fingerprint("abc", one) != iotsl::data::fingerprint("abc", other));
}

TEST_CASE("dataset: batches and selections check their numbers") {
  const Dataset set = ramp(10);
  std::vector<float> pixels(2);
  std::vector<std::int32_t> labels(1);
  const std::vector<Index> beyond = {10};
  CHECK_THROWS_WITH_AS(iotsl::data::copy_batch(set, beyond, pixels.data(), labels.data()),
                       "copy_batch: sample 10 of ramp, which has 10", iotsl::Error);
  const Dataset some = iotsl::data::select_samples(set, std::vector<Index>{7, 2});
  CHECK(some.labels == std::vector<iotsl::data::Label>{7, 2});
  CHECK(some.pixels == std::vector<std::uint8_t>{7, 248, 2, 253});
  CHECK(some.pixels.capacity() < set.pixels.size());  // the rest is not kept in memory
  CHECK_THROWS_WITH_AS(iotsl::data::count_labels(set, beyond),
                       "count_labels: sample 10 of ramp, which has 10", iotsl::Error);
  Dataset wrong = set;
  wrong.labels[0] = 10;
  CHECK_THROWS_WITH_AS(iotsl::data::count_labels(wrong, std::vector<Index>{0}),
                       "count_labels: label 10 of 10 classes", iotsl::Error);
}

TEST_CASE("dataset: --limit-test keeps a seeded part in the set's order") {
  const Dataset set = ramp(100);
  const Dataset part = iotsl::data::limit_samples(set, 30, 1);
  CHECK(part.size() == 30);
  CHECK(part.full_size == 100);
  for (std::size_t i = 1; i < 30; ++i) CHECK(part.pixels[2 * i] > part.pixels[2 * i - 2]);
  CHECK(part.pixels == iotsl::data::limit_samples(set, 30, 1).pixels);
  CHECK(part.pixels != iotsl::data::limit_samples(set, 30, 2).pixels);
  CHECK(part.pixels.back() != 255 - 29);
  CHECK(iotsl::data::limit_samples(set, 100, 1).pixels == set.pixels);
  CHECK(iotsl::data::limit_samples(set, 500, 1).pixels == set.pixels);
}

TEST_CASE("dataset: a limit per class keeps a seeded part of each class in the set's order") {
  const Dataset set = ramp(100);
  std::vector<Index> most(static_cast<std::size_t>(set.classes), 0);
  most[1] = 3;
  most[2] = 1000;
  const Dataset part = iotsl::data::limit_per_class(set, most, 1);
  const std::vector<Index> all = iotsl::data::class_counts(set.labels, set.classes);
  const std::vector<Index> kept = iotsl::data::class_counts(part.labels, set.classes);
  for (std::size_t c = 0; c < kept.size(); ++c) CHECK(kept[c] == std::min(all[c], most[c]));
  for (std::size_t i = 1; i < part.labels.size(); ++i)
    CHECK(part.pixels[2 * i] > part.pixels[2 * i - 2]);
  CHECK(part.pixels != iotsl::data::limit_per_class(set, most, 2).pixels);
  most.pop_back();
  CHECK_THROWS_AS(iotsl::data::limit_per_class(set, most, 1), iotsl::Error);
}
