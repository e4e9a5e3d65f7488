#include "host/images/image_sets.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "host/files/staged_folder.hpp"
#include "host/images/face_sets.hpp"
#include "host/images/name_form.hpp"
#include "host/run/stop_request.hpp"
#include "iotsl/core/files/file_kind.hpp"
#include "iotsl/core/text.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/data/idx_sets/known_files.hpp"

namespace iotsl::tool {
namespace {

/// Image options mean nothing to the other sets: to take them silently would mislead.
Result<void> check_image_options(const DataOptions& o) {
  const auto only = [&](const char* option, const auto& value, const char* sets) {
    return failure(ErrorCode::usage, option, value, ": only for --dataset ", sets, ", not for ",
                   o.dataset);
  };
  if (o.dataset != "celeba" && o.dataset != "faces" && o.per_class != 0)
    return only("--per-class ", o.per_class, "celeba and faces");
  if (o.dataset != "images" && o.test_fraction != 0)
    return only("--test-fraction ", o.test_fraction, "images");
  if (o.dataset != "idx" && o.classes != 0) return only("--classes ", o.classes, "idx");
  if (o.dataset == "faces" && !o.folder.empty())
    return failure(ErrorCode::usage, "--data ", o.folder,
                   ": --dataset faces is drawn, it has no files");
  if (is_image_set(o)) return {};
  constexpr const char* both = "images and celeba";
  if (o.skip_bad) return only("--skip-bad", "", both);
  if (o.channels != 0) return only("--channels ", o.channels, both);
  if (o.center_crop) return only("--center-crop", "", both);
  if (takes_image_size(o)) return {};
  constexpr const char* all = "images, celeba and faces";
  if (!o.image_size.empty()) return only("--image-size ", o.image_size, all);
  if (o.split_seed != DataOptions{}.split_seed) return only("--split-seed ", o.split_seed, all);
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
    return data::list_image_folder(o.folder, held_out, name_form);
  }
  std::string tried;
  for (const std::string& folder : data::detail::dataset_folders("celeba", o.folder)) {
    if (!data::find_celeba_list(folder).empty())
      return data::list_celeba(folder, o.per_class == 0 ? data::celeba_per_class : o.per_class,
                               o.split_seed);
    tried += concat(tried.empty() ? "" : ", ", folder);
  }
  return failure(ErrorCode::data, "celeba: no ", data::celeba_list_names[0], " or .csv in ", tried,
                 "; give --data DIR or set IOTSL_DATA");
}

/// The files of a set and what they are brought to.
struct ImageSource {
  data::ImageList list;
  ImageFit fit;
  bool resize = false;  ///< otherwise every file must have the size of `size_of`
  std::string size_of;

  Index sample_elems() const { return fit.channels * fit.size.height * fit.size.width; }
};

/// Every bad file by its name, the first twenty of them.
std::string list_bad(const std::vector<data::BadFile>& bad) {
  constexpr std::size_t most = 20;
  std::string out;
  for (std::size_t i = 0; i < std::min(most, bad.size()); ++i)
    out += concat(i == 0 ? "" : "\n  ", escaped(bad[i].path), ": ", escaped(bad[i].why));
  if (bad.size() > most) out += concat("\n  and ", bad.size() - most, " more");
  return out;
}

Failure bad_failure(const std::vector<data::BadFile>& bad) {
  return failure(ErrorCode::data, list_bad(bad),
                 bad.size() == 1
                     ? "; --skip-bad leaves it out"
                     : concat("\n", bad.size(), " bad files; --skip-bad leaves them out"));
}

/// Takes bad files out of the list. A class must keep images of both parts.
Result<void> leave_out(data::ImageList& list, std::span<const data::BadFile> bad) {
  const auto is_bad = [&](const data::ImageFile& file) {
    return std::any_of(bad.begin(), bad.end(),
                       [&](const data::BadFile& other) { return other.path == file.path; });
  };
  for (const data::Split split : {data::Split::train, data::Split::test}) {
    std::vector<data::ImageFile>& files = split == data::Split::train ? list.train : list.test;
    std::erase_if(files, is_bad);
    for (std::size_t c = 0; c < list.class_names.size(); ++c)
      if (std::none_of(files.begin(), files.end(), [&](const auto& f) { return f.label == c; }))
        return failure(ErrorCode::data, "--skip-bad: class '", list.class_names[c], "' keeps no ",
                       split == data::Split::train ? "training" : "test", " image");
  }
  return {};
}

/// One file, brought to the size of the set. Another size than the first file's is no fault of the
/// file: it ends everything, and --skip-bad does not leave it out.
struct Decoded {
  std::vector<std::uint8_t> planes;
  std::string why_bad;
  Result<void> fits = {};
};

Decoded load_file(const ImageSource& source, const std::string& path) {
  const auto image = decode_image(path, source.fit.channels);
  if (!image) return {{}, image.failure().message.substr(escaped(path).size() + 2)};
  const ImageSize& size = source.fit.size;
  if (!source.resize && image->size != size)
    return {{},
            {},
            failure(ErrorCode::data, path, ": ", image->size.height, " x ", image->size.width,
                    " pixels, but ", source.size_of, " has ", size.height, " x ", size.width,
                    "; give --image-size to bring all to one size")};
  return {fit_image(*image, source.fit), {}};
}

/// Gives the planes of every good file to `take`, in order, and the others to `bad`.
Result<void> decode_files(const std::vector<data::ImageFile>& files, const ImageSource& source,
                          std::vector<data::BadFile>& bad,
                          const std::function<Result<void>(ByteSpan)>& take) {
  constexpr std::size_t at_once = 64;
  for (std::size_t begin = 0; begin < files.size(); begin += at_once) {
    if (stop_requested())
      return failure(ErrorCode::stopped,
                     "stopped; nothing was written, the same command begins again");
    const std::size_t count = std::min(at_once, files.size() - begin);
    std::vector<Decoded> decoded(count);
    parallel_for(static_cast<Index>(count), [&](Index i) {
      const auto place = static_cast<std::size_t>(i);
      decoded[place] = load_file(source, files[begin + place].path);
    });
    for (std::size_t i = 0; i < count; ++i) {
      if (!decoded[i].fits) return decoded[i].fits;
      if (!decoded[i].why_bad.empty()) {
        bad.push_back({files[begin + i].path, decoded[i].why_bad});
      } else if (const Result<void> taken = take(decoded[i].planes); !taken) {
        return taken;
      }
    }
  }
  return {};
}

/// Looks at every file of both parts. Bad ones are left out where the user wants that, else the
/// failure names them all.
Result<void> check_files(ImageSource& source, bool skip_bad) {
  std::vector<data::BadFile>& bad = source.list.bad;
  const auto nothing = [](ByteSpan) { return Result<void>(); };
  for (const data::Split split : {data::Split::train, data::Split::test})
    if (const auto done = decode_files(source.list.part(split), source, bad, nothing); !done)
      return done;
  if (bad.empty()) return {};
  if (!skip_bad) return bad_failure(bad);
  if (const Result<void> rest = leave_out(source.list, bad); !rest) return rest;
  source.list.notes.push_back(
      concat(bad.size(), bad.size() == 1 ? " file" : " files", " left out:\n  ", list_bad(bad)));
  return {};
}

/// What was left aside is said once, however often a command loads the set.
void print_notes(const ImageSource& source) {
  static std::vector<std::string> said;
  for (const std::string& note : source.list.notes) {
    if (std::find(said.begin(), said.end(), note) != said.end()) continue;
    std::fprintf(stderr, "%s: %s\n", source.list.name.c_str(), note.c_str());
    said.push_back(note);
  }
}

/// What to say after a bad file was met in one part.
Failure all_bad(ImageSource source) {
  const Result<void> checked = check_files(source, false);
  return checked ? failure(ErrorCode::data, "a file changed while it was read") : checked.failure();
}

Result<ImageSource> open_source(const DataOptions& o) {
  if (const Result<void> good = check_image_options(o); !good) return good.failure();
  auto list = list_files(o);
  if (!list) return list.failure();
  ImageSource out{std::move(*list), {}, true, {}};
  out.fit.channels = o.channels == 0 ? 3 : o.channels;
  out.fit.center_crop = o.center_crop;
  const std::string size = o.image_size.empty() && o.dataset == "celeba" ? "128" : o.image_size;
  if (!size.empty()) {
    const auto parsed = parse_image_size(size);
    if (!parsed) return parsed.failure();
    out.fit.size = *parsed;
  } else {
    if (o.center_crop) return failure(ErrorCode::usage, "--center-crop: needs --image-size");
    // The size of the first file that can be read.
    out.resize = false;
    for (const data::ImageFile& file : out.list.train) {
      const auto image = decode_image(file.path, out.fit.channels);
      if (!image) continue;
      out.fit.size = image->size;
      out.size_of = file.path;
      break;
    }
  }
  // Files that are all good are decoded once, and looked at while that is done.
  if (o.skip_bad || !out.list.bad.empty() || (!out.resize && out.size_of.empty()))
    if (const auto checked = check_files(out, o.skip_bad); !checked) return checked.failure();
  print_notes(out);
  return out;
}

Result<data::Dataset> decode_set(const ImageSource& source, data::Split split) {
  const std::vector<data::ImageFile>& files = source.list.part(split);
  const auto count = static_cast<Index>(files.size());
  if (const auto small = check_in_memory(source.list.name, count, source.sample_elems()); !small)
    return small.failure();
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
  std::vector<data::BadFile> bad;
  const Result<void> done = decode_files(files, source, bad, [&](ByteSpan planes) {
    out.pixels.insert(out.pixels.end(), planes.begin(), planes.end());
    return Result<void>();
  });
  if (!done) return done.failure();
  if (!bad.empty()) return all_bad(source);
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
    std::vector<data::BadFile> bad;
    const Result<void> done = decode_files(
        files, source, bad, [&](ByteSpan planes) { return writer.add_pixels(planes); });
    if (!done) return done.failure();
    if (!bad.empty()) return all_bad(source);
    for (const data::ImageFile& file : files) writer.add_label(file.label);
    auto part = writer.finish();
    if (!part) return part.failure();
    card.part(split) = std::move(*part);
  }
  if (const auto done = data::save_pack_card(folder, card); !done) return done.failure();
  return card;
}

/// Adds to a failure of the sets that devices can read too what only this program knows.
Failure explained(const DataOptions& options, Failure why) {
  // A failure of a file begins with its name.
  const std::string path = why.message.substr(0, why.message.find(": "));
  const std::string begin = read_beginning(path);
  const std::string_view kind = foreign_kind(bytes_of(std::string_view(begin)));
  if (!kind.empty() && !path.ends_with(".gz"))
    return failure(ErrorCode::data, path, ": is ", kind, "; expected an idx file");
  if (data::is_other_idx_set(options.dataset)) return why;
  const bool known = std::find(data::dataset_names.begin(), data::dataset_names.end(),
                               options.dataset) != data::dataset_names.end();
  if (!known)
    return failure(
        ErrorCode::usage, "--dataset ", options.dataset,
        ": expected mnist, fashion-mnist, glyphs, faces, images, celeba, packed, qmnist, idx or "
        "emnist-letters, -digits, -balanced, -byclass, -bymerge, -mnist");
  // Where files were not found: what there is instead.
  std::string there;
  int named = 0;
  for (const std::string& folder : data::detail::dataset_folders(options.dataset, options.folder))
    for (const std::string& name : list_folder(folder)) {
      const std::string lower = data::detail::lower_case(name);
      const bool near = lower.find("train") != lower.npos || lower.find("mnist") != lower.npos ||
                        lower.find("t10k") != lower.npos || lower.ends_with(".zip");
      if (!near || ++named > 6) continue;
      there += concat(there.empty() ? "" : ", ", escaped(join_path(folder, name)));
    }
  if (!there.empty() && why.message.find(": no ") != std::string::npos)
    why.message += concat("; there is: ", there);
  return why;
}

}  // namespace

Result<void> check_in_memory(const std::string& set, Index count, Index bytes_each) {
  constexpr Index max_bytes = Index{2} << 30;
  if (count > max_bytes / bytes_each)
    return failure(ErrorCode::data, "--dataset ", set, ": ", count, " images of ", bytes_each,
                   " bytes are more than ", max_bytes,
                   "; write them once with iotsl data pack, then give --dataset packed");
  return {};
}

Result<data::Dataset> load_set(const DataOptions& options, data::Split split, bool pixels) {
  if (is_image_set(options)) {
    const auto source = open_source(options);
    if (!source) return source.failure();
    return decode_set(*source, split);
  }
  if (const Result<void> good = check_image_options(options); !good) return good.failure();
  if (options.dataset == "faces") return load_faces(options, split, pixels);
  if (data::is_other_idx_set(options.dataset)) {
    auto other = data::load_other_idx_set(options.dataset, options.folder, split, options.classes);
    if (!other) return explained(options, other.failure());
    return other;
  }
  auto set = data::load_dataset(options.dataset, options.folder, split, nullptr, pixels);
  if (!set) return explained(options, set.failure());
  if (const auto known = data::check_known_files(*set, split); !known) return known.failure();
  return set;
}

namespace {

bool is_pack_entry(const std::string&, const std::string& name) {
  if (name == data::pack_card_name) return true;
  for (const data::Split split : {data::Split::train, data::Split::test})
    for (const char* what : {"images", "labels"})
      if (name == data::detail::pack_path("", split, what)) return true;
  return false;
}

/// What `write` puts into a folder beside, as `folder`.
Result<data::PackCard> publish_pack(
    const std::string& folder,
    const std::function<Result<data::PackCard>(const std::string&)>& write) {
  catch_stop_signals();
  auto staged = StagedFolder::begin(folder, is_pack_entry);
  if (!staged) return staged.failure();
  auto card = write(staged->path());
  if (!card) return card;
  if (const Result<void> done = staged->publish(); !done) return done.failure();
  ::unlink(join_path(folder, lock_name).c_str());  // only runs are taken up again
  return card;
}

}  // namespace

Result<data::PackCard> pack_set(const DataOptions& options, const std::string& folder,
                                bool overwrite) {
  if (file_exists(folder)) return failure(ErrorCode::usage, "--out ", folder, ": is a file");
  // A run's lock is of the same name as that of a pack.
  if (file_exists(join_path(folder, "config.json")))
    return failure(ErrorCode::usage, "--out ", folder, ": is a run folder; choose another");
  for (const std::string& name : list_folder(folder))
    if (is_pack_entry(folder, name) && !overwrite)
      return failure(ErrorCode::usage, "--out ", folder, ": holds ", name,
                     " already; choose another folder or give --overwrite");
  if (is_image_set(options))
    return publish_pack(folder, [&](const std::string& place) -> Result<data::PackCard> {
      const auto source = open_source(options);
      if (!source) return source.failure();
      return pack_images(*source, place);
    });
  if (options.dataset == "faces") {
    if (const Result<void> good = check_image_options(options); !good) return good.failure();
    return publish_pack(folder, [&](const std::string& at) { return pack_faces(options, at); });
  }
  const auto train = load_set(options, data::Split::train);
  if (!train) return train.failure();
  const auto test = load_set(options, data::Split::test);
  if (!test) return test.failure();
  return publish_pack(folder, [&](const std::string& place) -> Result<data::PackCard> {
    if (const auto done = data::save_packed(place, *train, *test); !done) return done.failure();
    return data::load_pack_card(place);
  });
}

}  // namespace iotsl::tool
