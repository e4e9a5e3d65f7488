// The fuzz targets in the ordinary build: seeds, inputs that broke something once, and mutations of
// both that are the same in every run.

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <random>

#include "fuzz/fuzz.hpp"

using namespace iotsl;

namespace replay_test {

namespace {

using fuzz::Bytes;

constexpr int mutations_per_target = 300;

/// One to four changes: bits, bytes, numbers at their limits, pieces lost, doubled or of another
/// input.
Bytes mutated(Bytes input, const Bytes& other, std::mt19937& random, std::size_t most) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : random() % limit; };
  for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
    const std::size_t at = below(input.size()), length = 1 + below(8);
    const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = place + static_cast<std::ptrdiff_t>(std::min(length, input.size() - at));
    constexpr std::uint8_t limits[] = {0, 1, 0x7F, 0x80, 0xFF};
    const std::size_t kind = input.empty() ? 4 : below(7);
    if (kind == 0) {
      input[at] ^= static_cast<std::uint8_t>(1u << below(8));
    } else if (kind == 1) {
      input[at] = static_cast<std::uint8_t>(below(256));
    } else if (kind == 2) {
      std::fill(place, end, limits[below(std::size(limits))]);
    } else if (kind == 3) {
      input.erase(place, end);
    } else if (kind == 4) {
      const std::size_t from = below(other.size());
      const auto first = other.begin() + static_cast<std::ptrdiff_t>(from);
      input.insert(place, first,
                   first + static_cast<std::ptrdiff_t>(std::min(length, other.size() - from)));
    } else if (kind == 5) {
      const Bytes piece(place, end);
      input.insert(place, piece.begin(), piece.end());
    } else {
      input.resize(at);
    }
  }
  input.resize(std::min(input.size(), most));
  return input;
}

std::string as_hex(ByteSpan bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes.first(std::min<std::size_t>(bytes.size(), 4096))) {
    constexpr char digits[] = "0123456789abcdef";
    out += {digits[byte >> 4], digits[byte & 15]};
  }
  return out;
}

/// Where the target breaks, the failure has the whole input.
void run(const fuzz::Target& target, ByteSpan input) {
  try {
    target.run(input);
  } catch (const std::exception& error) {
    FAIL_CHECK(target.name << ": " << error.what() << "\ninput: " << as_hex(input));
  }
}

std::vector<Bytes> regressions(const fuzz::Target& target) {
  const std::string folder = concat(IOTSL_TESTS_DIR "/fuzz/regressions/", target.name);
  std::vector<Bytes> out;
  for (const std::string& name : list_folder(folder))
    out.push_back(read_file(join_path(folder, name)).value());
  return out;
}

}  // namespace

TEST_CASE("fuzz targets: seeds, regressions and mutations of them") {
  REQUIRE(fuzz::targets().size() > 20);
  for (const fuzz::Target& target : fuzz::targets()) {
    INFO("target ", std::string(target.name));
    std::vector<Bytes> inputs = target.seeds();
    REQUIRE_FALSE(inputs.empty());
    for (const Bytes& seed : inputs) CHECK(seed.size() <= target.max_bytes);
    for (Bytes& regression : regressions(target)) inputs.push_back(std::move(regression));
    for (const Bytes& input : inputs) run(target, input);
    std::mt19937 random(1);
    for (int i = 0; i < mutations_per_target; ++i) {
      const Bytes& first = inputs[random() % inputs.size()];
      run(target, mutated(first, inputs[random() % inputs.size()], random, target.max_bytes));
    }
    // No input has more than some kilobytes.
    rusage used{};
    REQUIRE(::getrusage(RUSAGE_SELF, &used) == 0);
    CHECK_MESSAGE(used.ru_maxrss < 300 << 10, "after ", std::string(target.name), ": ",
                  used.ru_maxrss, " KiB were in memory");
  }
}

}  // namespace replay_test
