// iotsl data partition | show | image | pack

#include <cstdio>
#include <memory>

#include "host/images/image_sets.hpp"
#include "host/options/output_file.hpp"

namespace iotsl::tool {
namespace {

struct DataCommandOptions {
  DataOptions data;
  std::string manifest;
  std::string out = "manifest.json";
  bool test = false;
  Index index = 0;
  bool overwrite = false;
};

void print_manifest(const data::Manifest& manifest) {
  std::printf("%s, %s, seed %lld: samples per device and class\n%s", manifest.dataset.c_str(),
              manifest.partition.c_str(), static_cast<long long>(manifest.seed),
              data::format_counts(manifest.counts, manifest.unused,
                                  static_cast<Index>(manifest.validation.size()))
                  .c_str());
}

void partition(const DataCommandOptions& options) {
  check_output(options.out, options.overwrite, text_output);
  const data::Dataset train = expect(load_set(options.data, data::Split::train, false));
  const data::Manifest manifest = draw_manifest(options.data, train);
  expect(data::check_device_samples(manifest));
  make_output_folder(options.out);
  expect(data::save_manifest(options.out, manifest));
  print_manifest(manifest);
  std::printf("written to %s\n", options.out.c_str());
}

void show(const DataCommandOptions& options) {
  if (!options.manifest.empty()) {
    print_manifest(expect(data::load_manifest(options.manifest)));
    return;
  }
  for (const data::Split split : {data::Split::train, data::Split::test}) {
    const data::Dataset set = expect(load_set(options.data, split));
    std::printf("%s %s: %ld samples of %ldx%ldx%ld\n", set.name.c_str(), data::split_name(split),
                static_cast<long>(set.size()), static_cast<long>(set.channels),
                static_cast<long>(set.height), static_cast<long>(set.width));
    const std::vector<Index> counts = data::class_counts(set.labels, set.classes);
    for (std::size_t c = 0; c < counts.size(); ++c)
      std::printf("  %-12s %6ld\n", data::class_name(set, static_cast<Index>(c)).c_str(),
                  static_cast<long>(counts[c]));
  }
}

void image(const DataCommandOptions& options) {
  check_output(options.out, options.overwrite, picture_output);
  const data::Split split = options.test ? data::Split::test : data::Split::train;
  const data::Dataset set = expect(load_set(options.data, split));
  if (options.index < 0 || options.index >= set.size())
    fail_command(ErrorCode::usage, "--index ", options.index, ": ", set.name, " ",
                 data::split_name(split), " has samples 0 to ", set.size() - 1);
  make_output_folder(options.out);
  expect(write_png(options.out, set.sample(options.index).data(), set.channels, set.height,
                   set.width));
  std::printf("%s: sample %ld, class %s\n", options.out.c_str(), static_cast<long>(options.index),
              data::class_name(set, set.labels[static_cast<std::size_t>(options.index)]).c_str());
}

void pack(const DataCommandOptions& options) {
  const data::PackCard card = expect(pack_set(options.data, options.out, options.overwrite));
  std::printf(
      "%s: %s, %ld training and %ld test images of %ldx%ldx%ld, %zu classes\n"
      "use it with --dataset packed --data %s\n",
      options.out.c_str(), card.name.c_str(), static_cast<long>(card.train.samples),
      static_cast<long>(card.test.samples), static_cast<long>(card.channels),
      static_cast<long>(card.height), static_cast<long>(card.width), card.class_names.size(),
      options.out.c_str());
}

}  // namespace

void add_data_command(CLI::App& app) {
  auto options = std::make_shared<DataCommandOptions>();
  CLI::App* data = app.add_subcommand("data", "Partition a data set over devices, or look at one");
  data->require_subcommand(1);
  CLI::App* split = data->add_subcommand("partition", "Draw a partition and write its manifest");
  add_dataset_options(*split, options->data);
  add_partition_options(*split, options->data);
  split->add_option("--out", options->out, "Manifest to write")->capture_default_str();
  add_overwrite_option(*split, options->overwrite);
  split->callback([options] { partition(*options); });
  CLI::App* look = data->add_subcommand("show", "Samples per class of a set or a manifest");
  look->add_option("manifest", options->manifest, "A manifest; without it, the data set");
  add_dataset_options(*look, options->data);
  CLI::Option* manifest = look->get_option("manifest");
  for (CLI::Option* of_set : look->get_options())
    if (of_set != manifest && of_set != look->get_help_ptr()) manifest->excludes(of_set);
  look->callback([options] { show(*options); });
  CLI::App* png = data->add_subcommand("image", "Write one sample as a PNG file");
  add_dataset_options(*png, options->data);
  png->add_option("--index", options->index, "Number of the sample")->capture_default_str();
  png->add_flag("--test", options->test, "From the test set");
  png->add_option("--out", options->out, "File to write")->required();
  add_overwrite_option(*png, options->overwrite);
  png->callback([options] { image(*options); });
  CLI::App* packed =
      data->add_subcommand("pack", "Decode a set once, into a folder that devices can read");
  add_dataset_options(*packed, options->data);
  packed->add_option("--out", options->out, "Folder to write")->required();
  add_overwrite_option(*packed, options->overwrite);
  packed->callback([options] { pack(*options); });
}

}  // namespace iotsl::tool
