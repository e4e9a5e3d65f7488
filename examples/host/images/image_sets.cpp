#include "host/images/image_sets.hpp"

#include <cstdio>
#include <functional>

#include "host/files/staged_folder.hpp"
#include "iotsl/core/parallel.hpp"

namespace iotsl::tool {
namespace {

/// Image options mean nothing to the other sets: to take them silently would mislead.
Result<void> check_image_options(const DataOptions& o) {
  const auto only = [&](const char* option, const char* sets) {
    return failure(ErrorCode::usage, option, ": only for --dataset ", sets, ", given ", o.dataset);
  };
  if (o.dataset != "celeba" && o.per_class != 0) return only("--per-class", "celeba");
  if (o.dataset != "images" && o.test_fraction != 0) return only("--test-fraction", "images");
  if (is_image_set(o)) return {};
  if (!o.image_size.empty()) return only("--image-size", "images and celeba");
  if (o.channels != 0) return only("--channels", "images and celeba");
  if (o.center_crop) return only("--center-crop", "images and celeba");
  if (o.split_seed != DataOptions{}.split_seed) return only("--split-seed", "images and celeba");
  return {};
}

Result<data::ImageList> list_files(const DataOptions& o) {
  if (o.dataset == "images") {
    if (o.folder.empty())
      return failure(ErrorCode::usage,
                     "--dataset images: needs --data DIR, with DIR/train/<class>/ "
                     "and DIR/test/<class>/, or DIR/<class>/");
    data::HeldOut held_out{.seed = o.split_seed};
    if (o.test_fraction != 0) held_out.test_fraction = o.test_fraction;
    return data::list_image_folder(o.folder, held_out);
  }
  std::string tried;
  for (const std::string& folder : data::detail::dataset_folders("celeba", o.folder)) {
    if (file_exists(join_path(folder, data::celeba_list_name)))
      return data::list_celeba(folder, o.per_class == 0 ? data::celeba_per_class : o.per_class,
                               o.split_seed);
    tried += concat(tried.empty() ? "" : ", ", folder);
  }
  return failure(ErrorCode::data, "celeba: no ", data::celeba_list_name, " in ", tried,
                 "; give --data DIR or set IOTSL_DATA");
}

/// The files of a set and what they are brought to.
struct ImageSource {
  data::ImageList list;
  ImageFit fit;
  bool resize = false;  ///< otherwise every file must have the size of the first one

  Index sample_elems() const { return fit.channels * fit.size.height * fit.size.width; }
  const std::string& first() const { return list.train[0].path; }
};

Result<ImageSource> open_source(const DataOptions& o) {
  if (const Result<void> good = check_image_options(o); !good) return good.failure();
  auto list = list_files(o);
  if (!list) return list.failure();
  ImageSource out{std::move(*list), {}, true};
  out.fit.channels = o.channels == 0 ? 3 : o.channels;
  out.fit.center_crop = o.center_crop;
  const std::string size = o.image_size.empty() && o.dataset == "celeba" ? "128" : o.image_size;
  if (!size.empty()) {
    const auto parsed = parse_image_size(size);
    if (!parsed) return parsed.failure();
    out.fit.size = *parsed;
    return out;
  }
  if (o.center_crop) return failure(ErrorCode::usage, "--center-crop: needs --image-size");
  const auto image = decode_image(out.first(), out.fit.channels);
  if (!image) return image.failure();
  out.fit.size = image->size;
  out.resize = false;
  return out;
}

Result<std::vector<std::uint8_t>> load_file(const ImageSource& source, const std::string& path) {
  const auto image = decode_image(path, source.fit.channels);
  if (!image) return image.failure();
  const ImageSize& size = source.fit.size;
  if (!source.resize && image->size != size)
    return failure(ErrorCode::data, path, ": ", image->size.height, " x ", image->size.width,
                   " pixels, but ", source.first(), " has ", size.height, " x ", size.width,
                   "; give --image-size to bring all to one size");
  return fit_image(*image, source.fit);
}

/// Gives the planes of every file to `take`, in order.
Result<void> decode_files(const ImageSource& source, data::Split split,
                          const std::function<Result<void>(ByteSpan)>& take) {
  const std::vector<data::ImageFile>& files = source.list.part(split);
  constexpr std::size_t at_once = 64;
  for (std::size_t begin = 0; begin < files.size(); begin += at_once) {
    const std::size_t count = std::min(at_once, files.size() - begin);
    std::vector<Result<std::vector<std::uint8_t>>> decoded(count, std::vector<std::uint8_t>());
    parallel_for(static_cast<Index>(count), [&](Index i) {
      const auto place = static_cast<std::size_t>(i);
      decoded[place] = load_file(source, files[begin + place].path);
    });
    for (const auto& planes : decoded) {
      if (!planes) return planes.failure();
      if (const Result<void> taken = take(*planes); !taken) return taken;
    }
  }
  return {};
}

Result<data::Dataset> decode_set(const ImageSource& source, data::Split split) {
  const std::vector<data::ImageFile>& files = source.list.part(split);
  constexpr Index max_bytes = Index{2} << 30;
  const auto count = static_cast<Index>(files.size());
  if (count > max_bytes / source.sample_elems())
    return failure(ErrorCode::data, "--dataset ", source.list.name, ": ", count, " images of ",
                   source.sample_elems(), " bytes are more than ", max_bytes,
                   "; write them once with iotsl data pack, then give --dataset packed");
  data::Dataset out;
  out.name = source.list.name;
  out.channels = source.fit.channels;
  out.height = source.fit.size.height;
  out.width = source.fit.size.width;
  out.class_names = source.list.class_names;
  out.classes = static_cast<Index>(out.class_names.size());
  out.center_crop = source.fit.center_crop;
  out.full_size = count;
  out.pixels.reserve(static_cast<std::size_t>(count * source.sample_elems()));
  const Result<void> done = decode_files(source, split, [&](ByteSpan planes) {
    out.pixels.insert(out.pixels.end(), planes.begin(), planes.end());
    return Result<void>();
  });
  if (!done) return done.failure();
  for (const data::ImageFile& file : files) out.labels.push_back(file.label);
  out.sha256 = data::idx_sha256(out);
  return out;
}

Result<data::PackCard> pack_images(const ImageSource& source, const std::string& folder) {
  const ImageFit& fit = source.fit;
  data::PackCard card{source.list.name,
                      fit.channels,
                      fit.size.height,
                      fit.size.width,
                      fit.center_crop,
                      source.list.class_names,
                      {},
                      {}};
  for (const data::Split split : {data::Split::train, data::Split::test}) {
    const std::vector<data::ImageFile>& files = source.list.part(split);
    data::PackPartWriter writer(folder, split, card);
    if (const auto done = writer.open(static_cast<Index>(files.size())); !done)
      return done.failure();
    const Result<void> done =
        decode_files(source, split, [&](ByteSpan planes) { return writer.add_pixels(planes); });
    if (!done) return done.failure();
    for (const data::ImageFile& file : files) writer.add_label(file.label);
    auto part = writer.finish();
    if (!part) return part.failure();
    card.part(split) = std::move(*part);
  }
  if (const auto done = data::save_pack_card(folder, card); !done) return done.failure();
  return card;
}

}  // namespace

Result<data::Dataset> load_set(const DataOptions& options, data::Split split, bool pixels) {
  if (is_image_set(options)) {
    const auto source = open_source(options);
    if (!source) return source.failure();
    return decode_set(*source, split);
  }
  if (const Result<void> good = check_image_options(options); !good) return good.failure();
  return data::load_dataset(options.dataset, options.folder, split, nullptr, pixels);
}

namespace {

Result<data::PackCard> write_pack(const DataOptions& options, const std::string& folder) {
  if (is_image_set(options)) {
    const auto source = open_source(options);
    if (!source) return source.failure();
    return pack_images(*source, folder);
  }
  auto train = load_set(options, data::Split::train);
  if (!train) return train.failure();
  auto test = load_set(options, data::Split::test);
  if (!test) return test.failure();
  for (data::Dataset* set : {&*train, &*test})
    for (Index c = static_cast<Index>(set->class_names.size()); c < set->classes; ++c)
      set->class_names.push_back(data::class_name(*set, c));
  if (const auto done = data::save_packed(folder, *train, *test); !done) return done.failure();
  return data::load_pack_card(folder);
}

bool is_pack_entry(const std::string&, const std::string& name) {
  if (name == data::pack_card_name) return true;
  for (const data::Split split : {data::Split::train, data::Split::test})
    for (const char* what : {"images", "labels"})
      if (name == data::detail::pack_path("", split, what)) return true;
  return false;
}

}  // namespace

Result<data::PackCard> pack_set(const DataOptions& options, const std::string& folder,
                                bool overwrite) {
  if (file_exists(folder)) return failure(ErrorCode::usage, "--out ", folder, ": is a file");
  for (const std::string& name : list_folder(folder))
    if (is_pack_entry(folder, name) && !overwrite)
      return failure(ErrorCode::usage, "--out ", folder, ": holds ", name,
                     " already; choose another folder or give --overwrite");
  auto staged = StagedFolder::begin(folder, is_pack_entry);
  if (!staged) return staged.failure();
  auto card = write_pack(options, staged->path());
  if (!card) return card;
  if (const Result<void> done = staged->publish(); !done) return done.failure();
  ::unlink(join_path(folder, lock_name).c_str());  // only runs are taken up again
  return card;
}

}  // namespace iotsl::tool
