// What leaves a device: bytes and back, and bytes of somebody who means harm.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "iotsl/core/json/fields.hpp"
#include "moments/small_set.hpp"

namespace release_test {

using namespace moments_test;
using namespace iotsl::moments;
using Bytes = std::vector<std::uint8_t>;

TEST_CASE("a release comes back from its bytes, to the byte") {
  for (const bool noise : {true, false}) {
    const Release r = train(random_set({1, 8, 8, 3}, 40), quick(noise));
    const Result<Release> back = round_trip(r);
    REQUIRE(back.ok());
    CHECK(back->sums == r.sums);
    CHECK(back->centre == r.centre);
    CHECK(back->counts == r.counts);
    CHECK(serialize_sums(*back) == serialize_sums(r));
    CHECK(serialize_head(*back) == serialize_head(r));
    CHECK(back->values() == r.values());
    double worst = 0, most = 0;
    for (std::size_t i = 0; i < r.weights.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(r.weights[i] - back->weights[i])));
      most = std::max(most, std::abs(static_cast<double>(r.weights[i])));
    }
    CHECK(worst <= most / 32767);
    const Release other = round_trip(*back).value();
    CHECK(draw(Generator(*back), 1, 10) == draw(Generator(other), 1, 10));
  }
}

TEST_CASE("numbers of every size") {
  Bytes bytes;
  const std::int64_t numbers[] = {0,          1,
                                  -1,         63,
                                  64,         -64,
                                  -65,        8191,
                                  1000000007, -(std::int64_t{1} << 61),
                                  127,        -128,
                                  16384,      std::int64_t{1} << 61};
  for (const std::int64_t v : numbers) moments::detail::append_number(bytes, v);
  ByteSpan rest(bytes);
  for (const std::int64_t v : numbers) {
    std::int64_t got = 7;
    REQUIRE(moments::detail::take_number(rest, got));
    CHECK(got == v);
  }
  CHECK(rest.empty());
  std::int64_t got = 0;
  CHECK_FALSE(moments::detail::take_number(rest, got));
  for (const Bytes& bad : {Bytes{128}, Bytes{128, 0}, Bytes(12, 255), Bytes(9, 128)}) {
    ByteSpan span(bad);
    CHECK_FALSE(moments::detail::take_number(span, got));
  }
}

TEST_CASE("a release with anything wrong is refused") {
  const Release r = train(random_set({1, 8, 8, 3}, 40), quick());
  const Bytes sums = serialize_sums(r), head = serialize_head(r);
  const auto parse = [&](const Bytes& s, const Bytes& h) {
    return parse_release(r.images, r.settings, r.counts, ByteSpan(s), ByteSpan(h));
  };
  REQUIRE(parse(sums, head).ok());
  for (std::size_t cut = 0; cut < sums.size(); cut += 97)
    CHECK_FALSE(
        parse(Bytes(sums.begin(), sums.begin() + static_cast<std::ptrdiff_t>(cut)), head).ok());
  for (std::size_t cut = 0; cut < head.size(); cut += 97)
    CHECK_FALSE(
        parse(sums, Bytes(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(cut))).ok());
  Bytes longer = sums;
  longer.push_back(0);
  CHECK_FALSE(parse(longer, head).ok());
  longer = head;
  longer.push_back(0);
  CHECK_FALSE(parse(sums, longer).ok());
  // A sum that 40 images cannot have.
  Release huge = r;
  huge.sums[5] = std::int64_t{1} << 60;
  CHECK(parse(serialize_sums(huge), head).failure().message.find("40 images do not give") !=
        std::string::npos);
  // Steps of the weights that are no number.
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(), -1.0F, 1e30F}) {
    Bytes changed = head;
    store_le(changed.data(), std::bit_cast<std::uint32_t>(bad));
    CHECK_FALSE(parse(sums, changed).ok());
  }
  const auto with_counts = [&](std::vector<std::uint64_t> counts) {
    return parse_release(r.images, r.settings, std::move(counts), ByteSpan(sums), ByteSpan(head));
  };
  CHECK_FALSE(with_counts({}).ok());
  CHECK_FALSE(with_counts({0, 0, 0}).ok());
  CHECK_FALSE(with_counts({14, 13}).ok());
  CHECK_FALSE(with_counts({14, 13, 13, 1}).ok());
  CHECK_FALSE(with_counts({14, 13, 0}).ok());
  CHECK_FALSE(with_counts({~std::uint64_t{0}, 1, 1}).ok());
  CHECK_FALSE(with_counts({std::uint64_t{1} << 31, 1, 1}).ok());
  const auto with_images = [&](const ImageSpec& images) {
    return parse_release(images, r.settings,
                         std::vector<std::uint64_t>(
                             static_cast<std::size_t>(images.classes > 0 ? images.classes : 0), 9),
                         ByteSpan(sums), ByteSpan(head));
  };
  for (const ImageSpec& bad :
       {ImageSpec{0, 8, 8, 3}, ImageSpec{1, 1 << 20, 8, 3}, ImageSpec{1, 8, 8, 0},
        ImageSpec{1, 8, 8, 4096}, ImageSpec{16, 1024, 1024, 4096}})
    CHECK_FALSE(with_images(bad).ok());
}

TEST_CASE("settings that no training can have are refused") {
  CHECK(check_settings({}).ok());
  const auto refused = [](const auto& change) {
    Settings s;
    change(s);
    return !check_settings(s).ok();
  };
  const double nan = std::nan("");
  CHECK(refused([](Settings& s) { s.mu = 0; }));
  CHECK(refused([&](Settings& s) { s.mu = nan; }));
  CHECK(refused([](Settings& s) { s.mu = 51; }));
  CHECK(refused([](Settings& s) { s.head_share = 1; }));
  CHECK(refused([&](Settings& s) { s.head_share = nan; }));
  CHECK(refused([](Settings& s) { s.centre_share = 0; }));
  CHECK(refused([](Settings& s) { s.side = 0; }));
  CHECK(refused([](Settings& s) { s.side = 33; }));
  CHECK(refused([](Settings& s) { s.max_coefs = 401; }));
  CHECK(refused([&](Settings& s) { s.norm = nan; }));
  CHECK(refused([](Settings& s) { s.head_steps = 0; }));
  CHECK(refused([](Settings& s) { s.head_steps = 1001; }));
  CHECK(refused([](Settings& s) { s.head_clip = 0; }));
  CHECK(refused([&](Settings& s) { s.head_rate = nan; }));
  CHECK(refused([](Settings& s) { s.head_momentum = 1; }));
  CHECK(refused([](Settings& s) { s.head_constant = -1; }));
  CHECK(refused([](Settings& s) { s.max_redraws = 1001; }));
  CHECK(refused([&](Settings& s) { s.contrast = nan; }));
  CHECK(refused([](Settings& s) { s.contrast_share = 1.1; }));
  CHECK(refused([](Settings& s) { s.brightness = 0.5; }));
  CHECK(refused([&](Settings& s) { s.pixel_noise = nan; }));
  CHECK(refused([](Settings& s) { s.mu = 0.01, s.head_share = 0.001, s.head_steps = 1000; }));
  // Every setting goes through the card.
  Settings s = quick();
  s.mu = 0.123;
  const Result<Settings> back = parse_json_fields<Settings>(to_json_fields(s));
  REQUIRE(back.ok());
  CHECK(*back == s);
}

}  // namespace release_test
