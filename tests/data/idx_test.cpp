#include "iotsl/data/idx.hpp"

#include <doctest/doctest.h>

#include "support/temporary_folder.hpp"

using iotsl::ByteSpan;
using iotsl::Index;
using iotsl::data::Dataset;
using iotsl::data::load_idx;

namespace {

using Bytes = std::vector<std::uint8_t>;
using Labels = std::vector<iotsl::data::Label>;

/// Three images of 2 x 2 pixels, the values 0 to 11.
Bytes image_file() {
  return {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
}
Bytes label_file() { return {0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9}; }

struct Files {
  Files(const Bytes& image_bytes, const Bytes& label_bytes) {
    REQUIRE(iotsl::write_file_atomic(images, ByteSpan(image_bytes)).ok());
    REQUIRE(iotsl::write_file_atomic(labels, ByteSpan(label_bytes)).ok());
  }
  std::string error(const iotsl::data::IdxLimits& limits = {}) const {
    const auto loaded = load_idx(images, labels, 10, nullptr, limits);
    return loaded ? "no error" : loaded.failure().message;
  }
  TemporaryFolder folder;
  std::string images = folder / "images";
  std::string labels = folder / "labels";
};

}  // namespace

TEST_CASE("idx: images and labels are read") {
  const Files files(image_file(), label_file());
  const auto set = load_idx(files.images, files.labels, 10);
  REQUIRE(set.ok());
  CHECK(set->size() == 3);
  CHECK(set->full_size == 3);
  CHECK(set->channels == 1);
  CHECK(set->height == 2);
  CHECK(set->width == 2);
  CHECK(set->labels == Labels{7, 0, 9});
  CHECK(set->pixels == Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(set->sha256 == iotsl::data::idx_sha256(*set));
}

TEST_CASE("idx: only the samples asked for are kept, the hash is that of the whole set") {
  const Files files(image_file(), label_file());
  const std::vector<Index> keep = {0, 2};
  const auto whole = load_idx(files.images, files.labels, 10);
  const auto set = load_idx(files.images, files.labels, 10, &keep);
  REQUIRE(set.ok());
  CHECK(set->pixels == Bytes{0, 1, 2, 3, 8, 9, 10, 11});
  CHECK(set->labels == Labels{7, 9});
  CHECK(set->full_size == 3);
  CHECK(set->sha256 == whole->sha256);
  for (const std::vector<Index>& wrong : {std::vector<Index>{3}, {1, 0}, {1, 1}}) {
    const auto refused = load_idx(files.images, files.labels, 10, &wrong);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.failure().message ==
          files.images + ": has 3 images; the samples asked for must be ascending and below that");
    const auto labels = load_idx(files.images, files.labels, 10, {.keep = &wrong, .pixels = false});
    REQUIRE_FALSE(labels.ok());
    CHECK(labels.failure().message == refused.failure().message);
  }
}

TEST_CASE("idx: errors name the file and the offset") {
  Bytes images = image_file();
  Bytes labels = label_file();

  images[3] = 1;
  {
    const Files files(images, labels);
    CHECK(files.error() == files.images +
                               ": offset 0: magic 0x00000801, expected 0x00000803 "
                               "(unsigned bytes, 3 dimensions)");
  }
  images = image_file();
  images.pop_back();
  {
    const Files files(images, labels);
    CHECK(files.error() == files.images +
                               ": truncated at offset 27: the next image needs bytes up to 28 "
                               "(image 2 of 3)");
  }
  images.resize(6);
  {
    const Files files(images, labels);
    CHECK(files.error() ==
          files.images + ": truncated at offset 6: the header needs bytes up to 8");
  }
  images = image_file();
  images.push_back(0);
  {
    const Files files(images, labels);
    CHECK(files.error() ==
          files.images +
              ": offset 28: the file goes on after the last value that its header announces");
  }
  images = image_file();
  labels[10] = 10;
  {
    const Files files(images, labels);
    CHECK(files.error() == files.labels + ": offset 10: label 10, expected 0 to 9");
  }
  labels = label_file();
  labels[7] = 2;
  {
    const Files files(images, labels);
    CHECK(files.error() ==
          files.labels + ": offset 4: 2 labels, but " + files.images + " has 3 images");
  }
  labels = label_file();
  labels.pop_back();
  {
    const Files files(images, labels);
    CHECK(files.error() ==
          files.labels + ": truncated at offset 10: the last label needs bytes up to 11");
  }
  labels = image_file();
  {
    const Files files(images, labels);
    CHECK(files.error() == files.labels +
                               ": offset 0: magic 0x00000803, expected 0x00000801 "
                               "(unsigned bytes, 1 dimension)");
  }
  const auto missing = load_idx("/no/such/images", "/no/such/labels", 10);
  CHECK(missing.failure().message == "/no/such/images: cannot open: No such file or directory");
  CHECK(missing.failure().code == iotsl::ErrorCode::data);
}

TEST_CASE("idx: headers that announce too much are refused before memory is taken") {
  const Files files(image_file(), label_file());
  CHECK(files.error({.max_samples = 2}) == files.images + ": offset 4: 3 images, expected 1 to 2");
  CHECK(files.error({.max_side = 1}) ==
        files.images + ": offset 8: images of 2 x 2 pixels, expected 1 to 1 each");
  CHECK(files.error({.max_bytes = 11}) ==
        files.images + ": 3 images of 4 bytes, limit is 11 bytes");
  Bytes huge = image_file();
  for (std::size_t i = 4; i < 16; ++i) huge[i] = 255;
  CHECK(Files(huge, label_file()).error().find("offset 4: 4294967295 images") != std::string::npos);
}

#if IOTSL_READS_GZIP
namespace {
void write_gz(const std::string& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(file != nullptr);
  REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
          static_cast<int>(bytes.size()));
  REQUIRE(gzclose(file) == Z_OK);
}
}  // namespace

TEST_CASE("idx: packed files give the same set, a damaged one an error") {
  const Files files(image_file(), label_file());
  const std::string packed = files.folder / "images.gz";
  write_gz(packed, image_file());
  const auto raw = load_idx(files.images, files.labels, 10);
  const auto set = load_idx(packed, files.labels, 10);
  REQUIRE(set.ok());
  CHECK(set->pixels == raw->pixels);
  CHECK(set->sha256 == raw->sha256);

  Bytes bytes = *iotsl::read_file(packed);
  const Bytes good = bytes;
  // Without its trailer every value may be there, but nothing vouches for them.
  for (std::size_t cut = 1; cut < good.size() - 2; ++cut) {
    bytes.assign(good.begin(), good.end() - static_cast<std::ptrdiff_t>(cut));
    REQUIRE(iotsl::write_file_atomic(packed, ByteSpan(bytes)).ok());
    const auto damaged = load_idx(packed, files.labels, 10);
    REQUIRE_FALSE(damaged.ok());
    CHECK(damaged.failure().message.find(packed + ": ") == 0);
  }
  bytes = good;
  bytes[good.size() - 8] ^= 1;  // the checksum
  REQUIRE(iotsl::write_file_atomic(packed, ByteSpan(bytes)).ok());
  CHECK(load_idx(packed, files.labels, 10).failure().message ==
        packed + ": offset 0 (unpacked): incorrect data check");
}
#else
TEST_CASE("idx: a build without zlib says how to unpack") {
  const Files files(image_file(), label_file());
  CHECK(load_idx(files.images + ".gz", files.labels, 10).failure().message ==
        files.images + ".gz: this build cannot unpack .gz files; run: gunzip -k " + files.images +
            ".gz");
}
#endif
