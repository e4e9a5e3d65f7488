#pragma once
// The options that choose data, shared by the subcommands.

#include "host/commands/command.hpp"
#include "iotsl/data/manifest.hpp"
#include "iotsl/data/source.hpp"

namespace iotsl::tool {

struct DataOptions {
  std::string dataset = "mnist";
  std::string folder;
  Index devices = 5;
  std::string partition = "iid";
  std::uint64_t seed = 1;
  Index limit_train = 0, limit_test = 0;  // 0: all

  // Of image files only.
  std::string image_size;  // empty: the files' own, 128 for CelebA
  Index channels = 0;      // 0: 3
  bool center_crop = false;
  double test_fraction = 0;  // 0: not given
  Index per_class = 0;       // 0: not given
  std::uint64_t split_seed = 1;
};

/// Adds --dataset, --data and what image files need.
inline void add_dataset_options(CLI::App& app, DataOptions& options) {
  app.add_option("--dataset", options.dataset,
                 "mnist, fashion-mnist, glyphs (built in), images (a folder per class), celeba, or "
                 "packed (written by iotsl data pack)")
      ->capture_default_str();
  app.add_option("--data", options.folder,
                 "Folder with the files, or its parent; default: $IOTSL_DATA, else ./data");
  const auto image = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->group("Images");
  };
  image("--image-size", options.image_size,
        "Scale images to SIDE or HEIGHTxWIDTH; celeba: 128; images: the size that all files have");
  image("--channels", options.channels, "3: colour (default), 1: grey")
      ->check(CLI::IsMember({1, 3}));
  app.add_flag("--center-crop", options.center_crop,
               "Before scaling cut out the largest centred part of the target's shape")
      ->group("Images");
  image("--test-fraction", options.test_fraction,
        "images without train/ and test/: part of each class to test; default 0.2")
      ->check(CLI::Range(0.0001, 0.9999));
  image("--per-class", options.per_class,
        "celeba: images of each class, a tenth of them to test; default 10000")
      ->check(CLI::Range(2, 1000000));
  image("--split-seed", options.split_seed, "Draws which images test")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 53))
      ->capture_default_str();
}

/// Adds --devices, --partition, --seed and --limit-train.
inline void add_partition_options(CLI::App& app, DataOptions& options) {
  app.add_option("--devices", options.devices, "Number of devices")->capture_default_str();
  app.add_option("--partition", options.partition,
                 "iid, classes:C, classes-random:C, random:A|B|C, dirichlet:ALPHA or table:FILE; "
                 "only table leaves out classes")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of everything random")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 53))
      ->capture_default_str();
  app.add_option(
         "--limit-train", options.limit_train,
         "Training samples over all devices at most (but one of each class that a device holds); 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

/// Draws the partition of a training set.
inline data::Manifest draw_manifest(const DataOptions& options, const data::Dataset& train) {
  const data::PartitionSpec spec = expect(data::parse_partition(options.partition));
  data::Partition partition = expect(data::make_partition(
      spec, train.labels, train.classes, options.devices, options.seed, options.limit_train));
  return data::make_manifest(train, spec, std::move(partition),
                             static_cast<std::int64_t>(options.seed));
}

}  // namespace iotsl::tool
