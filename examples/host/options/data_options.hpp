#pragma once
// The options that choose data, shared by the subcommands.

#include "host/options/option_list.hpp"
#include "iotsl/data/idx_sets/other_sets.hpp"
#include "iotsl/data/manifest.hpp"

namespace iotsl::tool {

struct DataOptions {
  std::string dataset = "mnist";
  std::string folder;
  Index devices = 5;
  std::string partition = "iid";
  std::uint64_t seed = 1;
  Index limit_train = 0, limit_test = 0;  // 0: all
  double validation = 0;                  // fraction of the training set; 0: none
  bool draws_partition = true;            // false: each device knows its samples by itself

  // Of image files only.
  std::string image_size;  // empty: the files' own, 128 for CelebA
  Index channels = 0;      // 0: 3
  bool center_crop = false;
  double test_fraction = 0;  // 0: not given
  Index per_class = 0;       // 0: not given
  std::uint64_t split_seed = 1;
  bool skip_bad = false;

  Index classes = 0;  // of --dataset idx; 0: not given
};

/// Whether the set consists of image files.
inline bool is_image_set(const DataOptions& options) {
  return options.dataset == "images" || options.dataset == "celeba";
}

/// Whether the images of the set come in any size that is asked for.
inline bool takes_image_size(const DataOptions& options) {
  return is_image_set(options) || options.dataset == "faces";
}

/// Whether devices cannot read the set as it is, but only what iotsl data pack makes of it.
inline bool needs_packing(const DataOptions& options) {
  return takes_image_size(options) || data::is_other_idx_set(options.dataset);
}

/// --dataset, --data and what image files need.
template <class Options, class List>
void list_dataset_options(Options& o, List& list) {
  list.option(
      "dataset", o.dataset,
      "mnist, fashion-mnist, glyphs (built in), faces (built in, CelebA's layout), images (a folder "
      "per class), celeba, packed (written by iotsl data pack), emnist-letters, -digits, "
      "-balanced, -byclass, -bymerge or -mnist, qmnist, or idx (MNIST's file names, with "
      "--classes)");
  list.given("data", o.folder,
             "Folder with the files, or its parent; default: $IOTSL_DATA, else ./data");
  list.given("classes", o.classes,
             "idx: number of classes; a weights file that does not describe itself: default 10",
             between(Index{2}, data::max_classes));
  list.begin_group("Images");
  list.given(
      "image-size", o.image_size,
      "Scale images to SIDE or HEIGHTxWIDTH; celeba and faces: 128; images: the size that all "
      "files have");
  list.given("channels", o.channels, "3: colour (default), 1: grey", CLI::IsMember({1, 3}));
  list.flag("center-crop", o.center_crop,
            "Before scaling cut out the largest centred part of the target's shape");
  list.given("test-fraction", o.test_fraction,
             "images without train/ and test/: part of each class to test; default 0.2",
             between(0.0001, 0.9999));
  list.given(
      "per-class", o.per_class,
      "celeba and faces: images of each class, a tenth of them to test; default 10000 and 1000",
      between(2, 1000000));
  list.option("split-seed", o.split_seed, "Draws which images test; faces: all of them",
              between(std::uint64_t{0}, std::uint64_t{1} << 53), takes_image_size(o));
  list.flag("skip-bad", o.skip_bad, "Leave out files that are no images or are damaged");
  list.end_group();
}

/// --devices, --partition, --seed, --limit-train and --validation.
template <class Options, class List>
void list_partition_options(Options& o, List& list) {
  list.option("devices", o.devices, "Number of devices");
  list.option(
      "partition", o.partition,
      "iid, classes:C, classes-random:C, random:A|B|C, dirichlet:ALPHA or table:FILE; only table "
      "leaves out classes",
      {}, o.draws_partition);
  list.option("seed", o.seed, "Seed of everything random",
              between(std::uint64_t{0}, std::uint64_t{1} << 53));
  list.option("limit-train", o.limit_train,
              "Training samples over all devices at most (but one of each class that a device "
              "holds); 0: no limit",
              zero_or_more(), o.draws_partition);
  list.given("validation", o.validation,
             "Part of each class of the training set that no device gets: the server holds it and "
             "chooses by it, never by the test set; default 0: nothing is chosen, the last "
             "evaluation counts",
             between(0.0, data::most_validation));
}

inline void add_dataset_options(CLI::App& app, DataOptions& options) {
  CommandLine list(app);
  list_dataset_options(options, list);
}
inline void add_partition_options(CLI::App& app, DataOptions& options) {
  CommandLine list(app);
  list_partition_options(options, list);
}

/// Draws the partition of a training set, and before it the validation part.
inline data::Manifest draw_manifest(const DataOptions& options, const data::Dataset& train) {
  const data::PartitionSpec spec = expect(data::parse_partition(options.partition));
  data::PartitionWithValidation drawn = expect(
      data::partition_with_validation(spec, train.labels, train.classes, options.devices,
                                      options.seed, options.limit_train, options.validation));
  return data::make_manifest(train, spec, std::move(drawn.partition),
                             static_cast<std::int64_t>(options.seed), std::move(drawn.validation));
}

}  // namespace iotsl::tool
