// What composes with what in a device's ledger.

#include "iotsl/privacy/ledger.hpp"

#include "iotsl/privacy/data_id.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "support/temporary_folder.hpp"

namespace ledger_test {

using namespace iotsl;
using namespace iotsl::privacy;

Release release(const std::string& id, double mu, bool new_data = false,
                const std::string& data = {}) {
  Release out;
  out.id = id;
  out.mode = PrivacyMode::moments;
  out.noise_multiplier = 1 / mu;
  out.noise_multiplier_replace_one = 0.5 / mu;
  out.new_data = new_data;
  out.data = data;
  return out;
}

std::string ids(std::span<const Release> releases) {
  std::string out;
  for (const Release& each : releases) out += each.id;
  return out;
}

TEST_CASE("ledger: new data begins a sum of its own; what came before it still composes") {
  Ledger ledger;
  CHECK(ledger.current().empty());
  ledger.releases = {release("a", 1), release("b", 1), release("c", 1, true, "C"),
                     release("d", 1, false, "C")};
  CHECK(ids(ledger.current()) == "cd");
  CHECK(ids(ledger.composing_with("a")) == "abcd");
  CHECK(ids(ledger.composing_with("b")) == "abcd");
  CHECK(ids(ledger.composing_with("c")) == "cd");
  CHECK(ids(ledger.composing_with("d")) == "cd");
}

TEST_CASE("ledger: samples of before compose with what was before, whatever came between") {
  Ledger ledger;
  ledger.releases = {release("a", 1, false, "A"), release("b", 1, true, "B"),
                     release("c", 1, false, "A"), release("d", 1, false, "B"),
                     release("e", 1, true, "E")};
  CHECK(ids(ledger.composing_with("c")) == "acde");
  CHECK(ids(ledger.composing_with("d")) == "bde");
  CHECK(ids(ledger.current()) == "e");
  ledger.releases.push_back(release("f", 1, false, "F"));  // may hold any of them
  CHECK(ids(ledger.current()) == "abcdef");
  ledger.releases.push_back(release("g", 1));  // not known which
  CHECK(ids(ledger.current()) == "abcdefg");
}

TEST_CASE("ledger: samples that have been released are not new") {
  const TemporaryFolder folder;
  const std::string path = folder / "ledger.json";
  REQUIRE(enter_release(path, release("a", 1, false, "A"), 1e-5, 100).ok());
  REQUIRE(enter_release(path, release("b", 1, true, "B"), 1e-5, 100).ok());
  REQUIRE(enter_release(path, release("b", 1, true, "B"), 1e-5, 100).ok());
  const auto refused = enter_release(path, release("c", 1, true, "A"), 1e-5, 100);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find("--new-data: these samples are those of release a") !=
        std::string::npos);
  CHECK(ids(read_ledger(path)->releases) == "ab");
  // Their sum goes on where it stood, so that the limit holds.
  const double both = gaussian_epsilon(std::sqrt(2.0), 1e-5);
  CHECK_FALSE(enter_release(path, release("c", 1, false, "A"), 1e-5, both * 0.999).ok());
  CHECK(enter_release(path, release("c", 1, false, "A"), 1e-5, both * 1.001).ok());
}

TEST_CASE("ledger: Gaussian releases add the squares of their mu, under either adjacency") {
  const std::vector<Release> three{release("a", 1), release("b", 2), release("c", 2)};
  const PrivacyLoss loss = compose(three, 1e-5);
  CHECK(loss.accountant == "exact");
  CHECK(loss.epsilon == doctest::Approx(gaussian_epsilon(3, 1e-5)));
  CHECK(loss.epsilon_replace_one == doctest::Approx(gaussian_epsilon(6, 1e-5)));
  CHECK(loss.epsilon_small_delta == doctest::Approx(gaussian_epsilon(3, 1e-6)));
}

TEST_CASE("ledger: a release is entered once, and none that would pass the limit") {
  const TemporaryFolder folder;
  const std::string path = folder / "ledger.json";
  const double one = gaussian_epsilon(1, 1e-5), both = gaussian_epsilon(std::sqrt(2.0), 1e-5);
  REQUIRE(enter_release(path, release("a", 1), 1e-5, 2 * one).ok());
  REQUIRE(enter_release(path, release("a", 1), 1e-5, 2 * one).ok());
  CHECK_FALSE(enter_release(path, release("a", 1), 1e-5, one * 0.999).ok());  // goes on: too much
  CHECK(ids(read_ledger(path)->releases) == "a");
  CHECK_FALSE(enter_release(path, release("b", 1), 1e-5, both * 0.999).ok());
  CHECK(ids(read_ledger(path)->releases) == "a");
  CHECK(enter_release(path, release("b", 1), 1e-5, both * 1.001).ok());
  CHECK(ids(read_ledger(path)->releases) == "ab");
}

TEST_CASE("ledger: what a start has left that died while it wrote is removed") {
  const TemporaryFolder folder;
  const std::string path = folder / "privacy-ledger.json", fingerprint = "0000000000000000";
  const std::string left[] = {path + ".tmp.17.0",
                              folder / ("data-id-" + fingerprint + ".tmp.17.0")};
  const std::string others = folder / "data-id-1111111111111111.tmp.17.0";
  for (const std::string& each : {left[0], left[1], others})
    REQUIRE(write_file_atomic(each, "half").ok());
  REQUIRE(enter_release(path, release("a", 1), 1e-5, 10).ok());
  const auto id = data_id(folder / "", Sha256Digest{});
  REQUIRE(id.ok());
  CHECK(*data_id(folder / "", Sha256Digest{}) == *id);
  for (const std::string& each : left) CHECK_FALSE(file_exists(each));
  CHECK(file_exists(others));
  CHECK(read_ledger(path)->releases.size() == 1);
}

TEST_CASE("ledger: one that says the impossible is refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "ledger.json";
  for (const char* text : {"", "{}", "{\"format\":\"other\",\"releases\":[]}",
                           "{\"format\":\"iotsl-privacy-ledger-1\",\"releases\":[{}]}",
                           // A release that would count for nothing.
                           "{\"format\":\"iotsl-privacy-ledger-1\",\"releases\":[{\"id\":\"a\","
                           "\"mode\":\"moments\",\"noise_multiplier\":2,"
                           "\"noise_multiplier_replace_one\":1,\"sampling_rate\":1,\"steps\":0,"
                           "\"sample_revealed\":false,\"new_data\":false}]}"}) {
    INFO(text);
    REQUIRE(write_file_atomic(path, std::string_view(text)).ok());
    const auto read = read_ledger(path);
    REQUIRE_FALSE(read.ok());
    CHECK(read.failure().message.find("nobody knows what this device has released") !=
          std::string::npos);
  }
}

}  // namespace ledger_test
