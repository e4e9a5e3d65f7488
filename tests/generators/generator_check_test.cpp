#include "iotsl/generators/generator_check.hpp"

#include <doctest/doctest.h>

namespace generator_check_test {

using namespace iotsl;

namespace {

const ImageSpec images{.channels = 1, .height = 16, .width = 16, .classes = 4};
const std::vector<std::uint64_t> held{13, 12, 0, 0};

generators::GeneratorSettings settings(Index width = 4) {
  generators::GeneratorSettings out;
  out.net.width = width;
  return out;
}

/// A generator whose card counts the samples of a device that holds `held`.
generators::GeneratorFile file(Index width = 4) {
  generators::GeneratorCard card;
  card.settings = settings(width);
  card.images = images;
  card.dataset = "tiny";
  card.label_counts = held;
  generators::NetGenerator net{GeneratorNet<float>(gan::generator_spec(card.settings.net, images))};
  net.net.initialize(1);
  return {card, std::move(net)};
}

std::string misfit(const std::vector<std::uint64_t>& trained, const ImageSpec& wanted = images) {
  generators::GeneratorFile out = file();
  out.card.label_counts = trained;
  const Result<void> fits = generators::check_generator_fits(out, wanted, held);
  return fits ? "" : fits.failure().message;
}

}  // namespace

TEST_CASE("generator check: one of the device's images and samples fits") {
  CHECK(misfit(held) == "");
  CHECK(misfit({1000000000, 0, 0, 0}) == "");
}

TEST_CASE("generator check: a card with impossible counts is refused") {
  for (const std::uint64_t count : {std::uint64_t{1000000001}, (std::uint64_t{1} << 63) - 1})
    CHECK(misfit({13, count, 0, 0}) == concat("the generator's card counts ", count,
                                              " samples of class 1, expected 0 to 1000000000"));
  CHECK(misfit({0, 0, 0, 0}) == "the generator's card counts no samples");
  CHECK(misfit({13, 12, 0}) == "the generator's card counts 3 classes, the run has 4");
}

TEST_CASE("generator check: a class that its device does not hold, or other images, are refused") {
  CHECK(misfit({13, 0, 7, 0}) ==
        "the generator was trained on 7 samples of class 2, of which its device holds none");
  CHECK(misfit(held, {.channels = 1, .height = 20, .width = 16, .classes = 4}) ==
        "the generator makes images of 1x16x16 in 4 classes, the run's are 1x20x16 in 4");
}

TEST_CASE("generator check: what a device is told of a generator from elsewhere") {
  const generators::GeneratorCard card = file().card;
  CHECK(generators::generator_differences(card, "tiny", held) == "");
  CHECK(generators::generator_differences(card, "other", held) ==
        "was trained on tiny, its device holds other");
  CHECK(generators::generator_differences(card, "other", {0, 0, 8, 9}) ==
        "was trained on tiny, its device holds other; was trained on other samples: per class "
        "13 12 0 0, its device holds 0 0 8 9");
}

TEST_CASE("generator check: its set and its classes, by their names, are those of the run") {
  generators::GeneratorCard card = file().card;
  const auto answer = [&](const std::string& set, const std::vector<std::string>& names) {
    const Result<void> ours = generators::check_generator_origin(card, set, names);
    return ours ? "" : ours.failure().message;
  };
  const std::string anyway = "; --foreign-generators takes it all the same";
  CHECK(answer("tiny", {}) == "");
  CHECK(answer("tiny", {"0", "1", "2", "3"}) == "");
  CHECK(answer("other", {}) ==
        "the generator was trained on 'tiny', the run's data set is 'other'" + anyway);
  card.class_names = {"cat", "dog", "eel", "fox"};
  CHECK(answer("tiny", {"cat", "dog", "eel", "fox"}) == "");
  CHECK(answer("tiny", {"cat", "eel", "dog", "fox"}) ==
        "the generator was trained on 'tiny', whose class 1 is 'dog'; in this run it is 'eel'" +
            anyway);
  card.class_names.clear();
  CHECK(answer("tiny", {"0", "1"}) == "");  // more classes than the run: another check's matter
  card.class_names = {"cat", "dog", "eel", "fox"};
  CHECK(answer("tiny", {}) ==
        "the generator was trained on 'tiny', whose class 0 is 'cat'; in this run it is '0'" +
            anyway);
}

TEST_CASE("generator check: a file of the run's settings is within the limit, a wider one is not") {
  const std::size_t limit = generators::generator_file_limit(settings(), images);
  CHECK(generators::serialize_generator(file())->size() <= limit);
  CHECK(generators::serialize_generator(file(32))->size() > limit);
}

}  // namespace generator_check_test
