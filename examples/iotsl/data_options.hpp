#pragma once
// The options that choose data, shared by the subcommands.

#include "command.hpp"
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
};

/// Adds --dataset and --data.
inline void add_dataset_options(CLI::App& app, DataOptions& options) {
  app.add_option("--dataset", options.dataset, "mnist, fashion-mnist or glyphs (built in)")
      ->capture_default_str();
  app.add_option("--data", options.folder,
                 "Folder with the files, or its parent; default: $IOTSL_DATA, else ./data");
}

/// Adds --devices, --partition, --seed and --limit-train.
inline void add_partition_options(CLI::App& app, DataOptions& options) {
  app.add_option("--devices", options.devices, "Number of devices")->capture_default_str();
  app.add_option("--partition", options.partition,
                 "iid, classes:C, random:A|B|C, dirichlet:ALPHA or table:FILE")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of everything random")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 53))
      ->capture_default_str();
  app.add_option("--limit-train", options.limit_train,
                 "Training samples over all devices at most; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

/// Draws the partition of a training set.
inline data::Manifest draw_manifest(const DataOptions& options, const data::Dataset& train) {
  const data::PartitionSpec spec = expect(data::parse_partition(options.partition));
  data::Partition partition =
      expect(data::make_partition(spec, train.labels, train.classes, options.devices, options.seed,
                                  options.limit_train));
  return data::make_manifest(train, spec, std::move(partition),
                             static_cast<std::int64_t>(options.seed));
}

}  // namespace iotsl::tool
