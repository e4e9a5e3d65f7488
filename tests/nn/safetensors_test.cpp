#include "iotsl/nn/safetensors.hpp"

#include <doctest/doctest.h>

#include "iotsl/core/random.hpp"
#include "support/temporary_folder.hpp"

using iotsl::DType;
using iotsl::SafeTensor;

namespace {

/// A file in the format: length, header text, data bytes 0, 1, 2, ...
std::vector<std::uint8_t> file_of(std::string_view header, std::size_t data_bytes) {
  std::vector<std::uint8_t> out;
  iotsl::append_le(out, std::uint64_t{header.size()});
  for (char c : header) out.push_back(static_cast<std::uint8_t>(c));
  for (std::size_t i = 0; i < data_bytes; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}

std::string parse_error(std::string_view header, std::size_t data_bytes) {
  const auto bytes = file_of(header, data_bytes);
  const auto parsed = iotsl::parse_safetensors(iotsl::ByteSpan(bytes));
  return parsed ? "no error" : parsed.failure().message;
}

const std::vector<float> weights = {1.5f, -2.0f, 0.25f, 3e-38f, 7.0f, -0.0f};
const std::vector<double> doubles = {1.0 / 3.0};
const std::vector<std::int64_t> batches = {469};
const std::vector<std::int32_t> labels = {-1, 2, 3};
const std::vector<std::uint8_t> pixels = {0, 128, 255};

std::vector<SafeTensor> sample() {
  return {iotsl::safe_tensor("pixels", {3}, pixels.data(), 3),
          iotsl::safe_tensor("features.0.weight", {2, 3, 1, 1}, weights.data(), 6),
          iotsl::safe_tensor("labels", {3}, labels.data(), 3),
          iotsl::safe_tensor("features.1.num_batches_tracked", {}, batches.data(), 1),
          iotsl::safe_tensor("x", {1, 1}, doubles.data(), 1),
          iotsl::safe_tensor("nothing", {0, 4}, weights.data(), 0)};
}

}  // namespace

TEST_CASE("safetensors: what is written is read, every type and a scalar") {
  auto bytes = iotsl::serialize_safetensors(sample(), {{"op", "conv2d"}, {"note", "a \"b\""}});
  REQUIRE(bytes.ok());
  const auto parsed = iotsl::parse_safetensors(std::move(*bytes));
  REQUIRE(parsed.ok());
  CHECK(parsed->tensors.size() == 6);
  CHECK(*parsed->find("features.0.weight")->copy_values<float>() == weights);
  CHECK(parsed->find("features.0.weight")->shape == std::vector<std::int64_t>{2, 3, 1, 1});
  CHECK(*parsed->find("features.1.num_batches_tracked")->copy_values<std::int64_t>() == batches);
  CHECK(parsed->find("features.1.num_batches_tracked")->shape.empty());
  CHECK(*parsed->find("x")->copy_values<double>() == doubles);
  CHECK(*parsed->find("labels")->copy_values<std::int32_t>() == labels);
  CHECK(*parsed->find("pixels")->copy_values<std::uint8_t>() == pixels);
  CHECK(parsed->find("nothing")->bytes.empty());
  CHECK(parsed->find("none") == nullptr);
  CHECK(*parsed->find_metadata("note") == "a \"b\"");
  CHECK(parsed->find_metadata("none") == nullptr);
  CHECK(parsed->find("x")->copy_values<float>().failure().message ==
        "tensor 'x' is F64, expected F32");
}

TEST_CASE("safetensors: every tensor is aligned to its type and the header to 8 bytes") {
  const auto bytes = iotsl::serialize_safetensors(sample());
  REQUIRE(bytes.ok());
  const auto header_bytes = iotsl::load_le<std::uint64_t>(bytes->data());
  CHECK(header_bytes % 8 == 0);
  CHECK((*bytes)[8] == '{');
  const auto parsed = iotsl::parse_safetensors(iotsl::ByteSpan(*bytes));
  REQUIRE(parsed.ok());
  for (const SafeTensor& tensor : parsed->tensors) {
    const auto offset = static_cast<std::uint64_t>(tensor.bytes.data() - bytes->data());
    CHECK(offset % iotsl::dtype_bytes(tensor.dtype) == 0);
  }
}

TEST_CASE("safetensors: the exact bytes of a small file") {
  const std::vector<float> one = {1.0f};
  const auto bytes =
      iotsl::serialize_safetensors({iotsl::safe_tensor("w", {1}, one.data(), 1)}, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::vector<std::uint8_t> expected = file_of(padded, 0);
  for (int b : {0x00, 0x00, 0x80, 0x3F}) expected.push_back(static_cast<std::uint8_t>(b));
  CHECK(*bytes == expected);
}

TEST_CASE("safetensors: layouts of other writers are read") {
  // Spaces in the header, data in another order than the header, an odd address.
  const auto bytes = file_of(R"({"b": {"shape": [2], "dtype": "F32", "data_offsets": [3, 11]},)"
                             R"( "a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}  )",
                             11);
  const auto parsed = iotsl::parse_safetensors(iotsl::ByteSpan(bytes));
  REQUIRE(parsed.ok());
  CHECK(*parsed->find("a")->copy_values<std::uint8_t>() == std::vector<std::uint8_t>{0, 1, 2});
  const auto b = parsed->find("b")->copy_values<float>();
  CHECK(std::bit_cast<std::uint32_t>((*b)[0]) == 0x06050403u);
  CHECK(iotsl::parse_safetensors(iotsl::ByteSpan(file_of("{}", 0))).ok());
}

TEST_CASE("safetensors: files that lie are refused") {
  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return iotsl::concat("{\"a\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                         ",\"data_offsets\":", offsets, "}}");
  };
  CHECK(parse_error(entry("F32", "[1]", "[0,4]"), 4) == "no error");
  CHECK(parse_error(entry("F8_E4M3", "[2]", "[0,4]"), 4) ==
        "safetensors: tensor 'a': dtype 'F8_E4M3', expected F32, F64, I64, I32, U8, F16 or BF16");
  CHECK(parse_error(entry("F32", "[2]", "[0,4]"), 4) ==
        "safetensors: tensor 'a': data_offsets span 4 bytes, dtype and shape need 8");
  CHECK(parse_error(entry("F32", "[1]", "[0,8]"), 4) ==
        "safetensors: tensor 'a': data_offsets 0 to 8 outside the 4 data bytes");
  CHECK(parse_error(entry("F32", "[1]", "[4,0]"), 4) ==
        "safetensors: tensor 'a': data_offsets 4 to 0 outside the 4 data bytes");
  CHECK(parse_error(entry("F32", "[1]", "[-4,0]"), 4) ==
        "safetensors: tensor 'a': data_offsets -4 to 0 outside the 4 data bytes");
  CHECK(parse_error(entry("F32", "[1]", "[0]"), 4) ==
        "safetensors: tensor 'a': data_offsets must be two integers");
  CHECK(parse_error(entry("F32", "[1.5]", "[0,4]"), 4) ==
        "safetensors: tensor 'a': shape must hold integers of at least 0");
  CHECK(parse_error(entry("F32", "[-1]", "[0,4]"), 4) ==
        "safetensors: tensor 'a': shape must hold integers of at least 0");
  CHECK(parse_error(entry("F32", "[4611686018427387904,4]", "[0,0]"), 0) ==
        "safetensors: tensor 'a': shape overflows 64 bits");
  CHECK(parse_error(entry("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1) ==
        "safetensors: tensor 'a': 9 dimensions, limit is 8");
  CHECK(parse_error(entry("F32", "[1]", "[0,4]"), 5) ==
        "safetensors: 1 bytes after the last tensor");
  CHECK(parse_error(entry("F32", "[1]", "[1,5]"), 5) ==
        "safetensors: tensor 'a' begins at 1, after a hole (expected 0)");
  CHECK(parse_error(R"({"a":{"dtype":"F32","shape":[1]}})", 4) ==
        "safetensors: tensor 'a': key 'data_offsets' is missing");
  CHECK(parse_error(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                    R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                    3) ==
        "safetensors: tensor 'b' begins at 1, inside another tensor (expected 2)");
  CHECK(parse_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                    R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                    2)
            .find("key 'a' appears twice") != std::string::npos);
  CHECK(parse_error(R"({"__metadata__":{"k":1}})", 0) ==
        "safetensors: __metadata__ 'k' must be a string, found integer");
  CHECK(parse_error("[]", 0) == "safetensors: header must be an object, found array");
}

TEST_CASE("safetensors: lengths are checked before they are believed") {
  std::vector<std::uint8_t> bytes = {1, 2, 3};
  CHECK(iotsl::parse_safetensors(iotsl::ByteSpan(bytes)).failure().message ==
        "safetensors: truncated: 3 bytes, the length field needs 8");
  bytes.assign(8, 255);
  CHECK(iotsl::parse_safetensors(iotsl::ByteSpan(bytes)).failure().message ==
        "safetensors: offset 0: header of 18446744073709551615 bytes, limit is 16777216");
  bytes = file_of("{}", 0);
  bytes[0] = 3;
  CHECK(iotsl::parse_safetensors(iotsl::ByteSpan(bytes)).failure().message ==
        "safetensors: truncated: header of 3 bytes, the file holds 2");
  bytes = file_of("{}", 0);
  CHECK(iotsl::parse_safetensors(iotsl::ByteSpan(bytes), {.max_file_bytes = 9}).failure().message ==
        "safetensors: 10 bytes, limit is 9");
}

TEST_CASE("safetensors: a writer's mistakes are refused") {
  const auto twice = sample();
  CHECK_FALSE(iotsl::serialize_safetensors({twice[0], twice[0]}).ok());
  CHECK_FALSE(
      iotsl::serialize_safetensors({iotsl::safe_tensor("__metadata__", {3}, pixels.data(), 3)})
          .ok());
  CHECK_THROWS_WITH_AS(
      (void)iotsl::serialize_safetensors({iotsl::safe_tensor("p", {2}, pixels.data(), 3)}),
      "safetensors: tensor 'p' has 3 bytes, dtype and shape need 2", iotsl::Error);
}

TEST_CASE("safetensors: files on disk") {
  const TemporaryFolder folder;
  const std::string path = folder / "w.safetensors";
  REQUIRE(iotsl::save_safetensors(path, sample(), {{"k", "v"}}).ok());
  auto loaded = iotsl::load_safetensors(path);
  REQUIRE(loaded.ok());
  const iotsl::SafeTensors moved = std::move(*loaded);
  CHECK(*moved.find("features.0.weight")->copy_values<float>() == weights);
  CHECK(*iotsl::serialize_safetensors(sample(), {{"k", "v"}}) == *iotsl::read_file(path));
  CHECK(iotsl::load_safetensors(path, {.max_file_bytes = 10}).failure().message.find(path) == 0);
  REQUIRE(iotsl::write_file_atomic(path, "no").ok());
  CHECK(iotsl::load_safetensors(path).failure().message ==
        path + ": safetensors: truncated: 2 bytes, the length field needs 8");
}

TEST_CASE("safetensors: damaged files never crash the reader") {
  const auto good = *iotsl::serialize_safetensors(sample(), {{"k", "v"}});
  const iotsl::Random random(3, iotsl::Stream::user);
  int refused = 0;
  constexpr int rounds = 20000;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    std::vector<std::uint8_t> bytes = good;
    if (i % 4 == 0) bytes.resize(random.below(4 * i, bytes.size()));
    for (std::uint64_t flip = 0; !bytes.empty() && flip < i % 3; ++flip)
      bytes[random.below(4 * i + 1 + flip, bytes.size())] ^=
          static_cast<std::uint8_t>(1u << random.below(4 * i + 3, 8));
    const auto parsed = iotsl::parse_safetensors(iotsl::ByteSpan(bytes));
    refused += parsed ? 0 : 1;
    if (!parsed) continue;
    std::size_t total = 0;
    for (const SafeTensor& tensor : parsed->tensors)
      for (std::uint8_t byte : tensor.bytes) total += byte;
    CHECK(total < bytes.size() * 256);
  }
  CHECK(refused > rounds / 4);
}
