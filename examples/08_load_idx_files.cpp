// Load idx files, the format of MNIST and its kin, plain or .gz. Compile with:
// g++ -std=c++20 -Iinclude FILE, and for .gz with -lz.
//
//   ./a.out train-images-idx3-ubyte train-labels-idx1-ubyte 10
//
// Without arguments it first writes the built-in digits as such files.

#include <cstdio>
#include <cstdlib>

#include "iotsl/data/idx_writer.hpp"
#include "iotsl/iotsl.hpp"

using namespace iotsl;

int main(int argc, char** argv) {
  std::string images = "digits-images-idx3-ubyte", labels = "digits-labels-idx1-ubyte";
  Index classes = 10;
  const bool own = argc < 4;
  if (own) {
    const auto digits = data::make_glyphs(data::Split::train, 100);
    if (const auto saved = data::save_idx(images, labels, digits); !saved) {
      std::printf("%s\n", saved.failure().message.c_str());
      return 1;
    }
  } else {
    images = argv[1];
    labels = argv[2];
    classes = std::atoi(argv[3]);
  }

  // What comes from a file is a Result: a set, or a failure that names the file and the offset.
  const Result<data::Dataset> set = data::load_idx(images, labels, classes);
  if (!set) {
    std::printf("%s\n", set.failure().message.c_str());
    return 1;
  }
  std::printf("%lld images of %lldx%lldx%lld, sha256 %.16s...\n",
              static_cast<long long>(set->size()), static_cast<long long>(set->channels),
              static_cast<long long>(set->height), static_cast<long long>(set->width),
              set->sha256.c_str());
  const std::vector<Index> counts = data::class_counts(set->labels, set->classes);
  for (std::size_t c = 0; c < counts.size(); ++c)
    std::printf("class %zu: %lld\n", c, static_cast<long long>(counts[c]));

  // Batches for a net: pixels / 255 in [N,C,H,W], labels beside them.
  data::Loader loader(*set, /*batch=*/32);
  loader.start_epoch(/*seed=*/1, /*device=*/0, /*round=*/0);
  const data::Batch batch = loader.fetch(0);
  std::printf("first batch: x %s, mean %.4f, label of the first %d\n",
              to_string(batch.x.shape()).c_str(), static_cast<double>(mean(batch.x).item()),
              batch.labels[0]);

  // A wrong file is refused before anything is trained on it.
  const auto swapped = data::load_idx(labels, images, classes);
  if (swapped) return 1;
  std::printf("as it should be: %s\n", swapped.failure().message.c_str());
  if (own) {
    std::remove(images.c_str());
    std::remove(labels.c_str());
  }
  return 0;
}
