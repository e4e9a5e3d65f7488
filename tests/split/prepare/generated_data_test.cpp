// What generators are asked for, and what they make of it.

#include "iotsl/split/prepare/generated_data.hpp"

#include "split/prepare/preparation_fixture.hpp"

namespace generated_data_test {

using namespace tiny;

TEST_CASE("generated data: a plan that no memory holds is refused before anything is made") {
  ImageSpec images = gan::image_spec(tiny::dataset(4, 1));
  images.height = images.width = 64;  // 4096 bytes, and two for the label
  impute::GenerationLog log;
  log.entries = {{0, 0, 1000000000, 1}, {0, 1, 1000000000, 2}};
  const auto load = [](std::size_t) -> Result<generators::GeneratorFile> {
    return failure(ErrorCode::other, "was asked for");
  };
  CHECK(generate_dataset(log, images, load).failure().message ==
        "pre-training: the devices' classes ask for 2000000000 generated images of 4098 bytes, at "
        "most 4192256 fit into the limit of 16 GiB");
  // A sum that would wrap to 4.
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  log.entries = {{0, 0, half, 1}, {0, 1, half + 4, 2}};
  CHECK(generate_dataset(log, images, load)
            .failure()
            .message.find("ask for 18446744073709551615 generated") != std::string::npos);
  log.entries = {{0, 0, 2096128, 1}, {0, 1, 2096128, 2}};
  CHECK(check_generation(log, images).ok());
  ++log.entries[1].count;
  CHECK_FALSE(check_generation(log, images).ok());
}

TEST_CASE("generated data: room is made once") {
  const data::Dataset own = tiny::dataset(8, 1);
  data::Dataset set = data::select_samples(own, data::count_up(8));
  reserve_samples(set, 1000);
  const std::uint8_t* pixels = set.pixels.data();
  set.pixels.resize(1008 * 256);
  CHECK(set.pixels.data() == pixels);
  CHECK(set.labels.capacity() >= 1008);
}

TEST_CASE("generated data: classes and counts of every histogram, from each device's generator") {
  const Setting s;
  const auto histograms = s.histograms();
  REQUIRE(histograms[0] == std::vector<std::uint64_t>{13, 12, 0, 0});
  std::vector<GeneratorRecord> records(2);
  for (std::size_t d = 0; d < 2; ++d) records[d].label_counts = histograms[d];
  const auto log_of = [&](std::uint64_t seed) {
    return make_generation_log(histograms, records, seed).value();
  };
  const impute::GenerationLog log = log_of(7);
  REQUIRE(log.entries.size() == 4);
  CHECK(log.samples() == 41);
  int loaded = 0;
  const auto load = [&](std::size_t device) {
    ++loaded;
    return generators::parse_generator(trained(static_cast<std::uint32_t>(device)).file);
  };
  const auto generated = generate_dataset(log, gan::image_spec(s.train), load);
  REQUIRE(generated.ok());
  CHECK(loaded == 2);
  CHECK(data::class_counts(generated->labels, 4) == std::vector<Index>{13, 12, 8, 8});
  CHECK(generated->pixels.size() == 41 * 256);
  // The same seed, the same bytes; another one, others.
  CHECK(generate_dataset(log, gan::image_spec(s.train), load)->pixels == generated->pixels);
  CHECK(generate_dataset(log_of(8), gan::image_spec(s.train), load)->pixels != generated->pixels);
  // What a generator has never seen is not asked of it, nor what another makes better.
  records[0].label_counts[1] = 0;
  CHECK(log_of(7).samples() == 29);
  auto shared = histograms;
  shared[1] = shared[0];
  records[0].label_counts = records[1].label_counts = shared[0];
  records[0].passed = {0};
  records[0].failed = {1};
  records[1].passed = {0, 1};
  const impute::GenerationLog better = make_generation_log(shared, records, 7).value();
  REQUIRE(better.entries.size() == 3);
  CHECK(better.entries[2].count == 24);
  CHECK(better.struck == std::vector<impute::ClassOfGenerator>{{0, 1}});
}

}  // namespace generated_data_test
