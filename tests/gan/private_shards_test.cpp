// Shards of critics, labels of generated images, and critics on the disk.

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "gan/small_training.hpp"
#include "iotsl/gan/private/critic_store.hpp"
#include "iotsl/gan/private/shards.hpp"
#include "support/temporary_folder.hpp"

namespace private_shards_test {

using namespace small_training;
using gan::CriticStore;
using gan::Shards;

TEST_CASE(
    "shards: disjoint, all samples, the same size and classes within one, from labels alone") {
  data::Dataset set = digits(230, 7);
  std::vector<Index> mine = all_of(set);
  mine.resize(101);
  for (const Index count : {1, 2, 7, 101}) {
    CAPTURE(count);
    const Shards shards(set, mine, count);
    CHECK(shards.count() == count);
    std::vector<Index> together;
    for (Index k = 0; k < count; ++k) {
      const std::vector<Index> shard = shards.samples(k);
      const auto size = static_cast<Index>(shard.size());
      CHECK((size == 101 / count || size == 101 / count + 1));
      together.insert(together.end(), shard.begin(), shard.end());
      const auto held = data::count_labels(set, shard), whole = data::count_labels(set, mine);
      for (std::size_t c = 0; c < held.size(); ++c)
        CHECK(std::abs(static_cast<double>(held[c]) -
                       static_cast<double>(whole[c]) / static_cast<double>(count)) < 1);
    }
    std::sort(together.begin(), together.end());
    CHECK(together == mine);
    data::Dataset other = set;
    for (auto& pixel : other.pixels) pixel = static_cast<std::uint8_t>(255 - pixel);
    CHECK(Shards(other, mine, count).samples(count - 1) == shards.samples(count - 1));
  }
  CHECK_THROWS_WITH(Shards(set, mine, 102),
                    "shards: 101 samples for 102 shards; expected one for each");
}

/// 190 of 200 samples have label 0, the others 1 or 2.
data::Dataset uneven() {
  data::Dataset set = digits(400, 3);
  std::vector<Index> kept;
  for (Index i = 0; i < set.size() && kept.size() < 200; ++i)
    if (kept.size() < 10 || set.labels[static_cast<std::size_t>(i)] == 0) kept.push_back(i);
  return data::select_samples(set, kept);
}

/// Chi-squared of `counts` against equal chances.
double chi_squared(const std::vector<double>& counts) {
  double total = 0, out = 0;
  for (const double n : counts) total += n;
  const double expected = total / static_cast<double>(counts.size());
  for (const double n : counts) out += (n - expected) * (n - expected) / expected;
  return out;
}

TEST_CASE("labels of generated images: uniform over the held classes, whatever they have") {
  const data::Dataset set = uneven();
  const std::vector<std::int32_t> classes = gan::held_classes(set, all_of(set));
  REQUIRE(classes == std::vector<std::int32_t>{0, 1, 2});
  std::vector<double> counts(3);
  for (std::uint32_t step = 0; step < 100; ++step)
    for (const std::int32_t label :
         gan::uniform_labels(classes, 30, Random(1, Stream::gan_labels, step)))
      ++counts[static_cast<std::size_t>(label)];
  CHECK(chi_squared(counts) < 15.2);  // exceeded with chance 0.0005
  const std::vector<std::int32_t> two{4, 9};
  for (const std::int32_t label : gan::uniform_labels(two, 20, Random(1, Stream::gan_labels)))
    CHECK((label == 4 || label == 9));
}

TEST_CASE("shards: batches are of the shard alone, each class as often as the others") {
  const data::Dataset set = uneven();
  const Shards shards(set, all_of(set), 2);
  const std::vector<Index> shard = shards.samples(1);
  std::vector<double> counts(3);
  for (std::uint32_t step = 0; step < 100; ++step)
    for (const Index i : shards.draw(1, 30, Random(1, Stream::gan_batch, step))) {
      CHECK(std::find(shard.begin(), shard.end(), i) != shard.end());
      ++counts[set.labels[static_cast<std::size_t>(i)]];
    }
  CHECK(chi_squared(counts) < 15.2);
}

/// A critic of six numbers that all are `value`.
std::vector<NamedTensor<float>> critic_of(float value) {
  return {{"a", Tensor<float>::full(Shape{2, 2}, value)},
          {"b", Tensor<float>::full(Shape{2}, value)}};
}
float read_value(CriticStore& store, Index critic, std::uint64_t updates) {
  const std::vector<NamedTensor<float>> to = critic_of(-1);
  CHECK(store.read(critic, to).value() == updates);
  CHECK(to[1].tensor.data()[1] == to[0].tensor.data()[0]);
  return to[0].tensor.data()[0];
}

TEST_CASE("critic store: a state that was saved keeps its critics, whatever is written after it") {
  const TemporaryFolder folder;
  const std::string path = folder / "critics";
  CriticStore store(path, 3, 6);
  CHECK_FALSE(store.holds(1));
  REQUIRE(store.write(1, critic_of(1), 10).ok());
  REQUIRE(store.write(1, critic_of(2), 20).ok());
  REQUIRE(store.write(2, critic_of(7), 70).ok());
  CHECK(read_value(store, 1, 20) == 2);
  REQUIRE(store.sync().ok());
  const std::vector<CriticStore::Place> saved(store.places().begin(), store.places().end());
  store.saved();
  for (const float value : {3.0F, 4.0F, 5.0F}) {
    REQUIRE(store.write(1, critic_of(value), 30).ok());
    CHECK(read_value(store, 1, 30) == value);
  }
  CriticStore later(path, 3, 6);  // as after a kill
  later.restore(saved);
  CHECK(read_value(later, 1, 20) == 2);
  CHECK(read_value(later, 2, 70) == 7);
  CHECK_FALSE(later.holds(0));

  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("critic store: damage and critics of another state are refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "critics";
  CriticStore store(path, 2, 6);
  REQUIRE(store.write(0, critic_of(1), 1).ok());
  const std::vector<CriticStore::Place> old(store.places().begin(), store.places().end());
  store.saved();
  REQUIRE(store.write(0, critic_of(2), 2).ok());
  store.saved();
  REQUIRE(store.write(0, critic_of(3), 3).ok());  // over what `old` was
  CriticStore late(path, 2, 6);
  late.restore(old);
  CHECK(late.read(0, critic_of(0)).failure().message ==
        path + ": critic 0 is damaged, or that of another state of the training");
  REQUIRE(write_file_atomic(path, std::string_view("short")).ok());
  CriticStore cut(path, 2, 6);
  cut.restore(old);
  CHECK_FALSE(cut.read(0, critic_of(0)).ok());
  CriticStore nowhere(folder / "no/such/folder", 2, 6);
  CHECK(nowhere.write(0, critic_of(1), 1).failure().message.find("cannot open") !=
        std::string::npos);
}

TEST_CASE("critic store: without a name it leaves no file") {
  CriticStore store("", 2, 6);
  CHECK_FALSE(store.has_name());
  REQUIRE(store.write(1, critic_of(5), 3).ok());
  CHECK(read_value(store, 1, 3) == 5);
}

}  // namespace private_shards_test
