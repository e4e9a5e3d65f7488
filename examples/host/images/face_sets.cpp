#include "host/images/face_sets.hpp"

#include <functional>

#include "host/images/image_sets.hpp"
#include "host/run/stop_request.hpp"
#include "iotsl/data/drawn/faces.hpp"

namespace iotsl::tool {
namespace {

Result<data::FaceSet> face_set(const DataOptions& o, data::Split split) {
  const Index of_class = o.per_class == 0 ? data::faces_per_class : o.per_class;
  const Index tested = std::max<Index>(1, of_class / 10);
  data::FaceSet out{
      .count = data::face_classes * (split == data::Split::test ? tested : of_class - tested),
      .seed = o.split_seed};
  if (!o.image_size.empty()) {
    const auto size = parse_image_size(o.image_size);
    if (!size) return size.failure();
    out.height = size->height;
    out.width = size->width;
  }
  if (const Result<void> drawn = data::check_face_set(out); !drawn)
    return failure(ErrorCode::usage, "--image-size ", o.image_size, ": ", drawn.failure().message);
  return out;
}

/// Draws all of them, some at a time.
Result<void> draw(data::Split split, const data::FaceSet& set,
                  const std::function<Result<void>(const data::Dataset&)>& take) {
  constexpr Index at_once = 256;
  for (Index begin = 0; begin < set.count; begin += at_once) {
    if (stop_requested())
      return failure(ErrorCode::stopped,
                     "stopped; nothing was written, the same command begins again");
    std::vector<Index> numbers = data::count_up(std::min(at_once, set.count - begin));
    for (Index& number : numbers) number += begin;
    if (const Result<void> taken = take(data::make_faces(split, set, &numbers)); !taken)
      return taken;
  }
  return {};
}

}  // namespace

Result<data::Dataset> load_faces(const DataOptions& options, data::Split split, bool pixels) {
  const auto set = face_set(options, split);
  if (!set) return set.failure();
  const std::vector<Index> none;
  data::Dataset out = data::make_faces(split, *set, &none);
  if (pixels)
    if (const Result<void> small = check_in_memory(out.name, set->count, out.sample_elems());
        !small)
      return small.failure();
  if (pixels) out.pixels.reserve(static_cast<std::size_t>(set->count * out.sample_elems()));
  Sha256 hash;
  hash.update(data::detail::idx_image_header(set->count, out.channels, out.height, out.width));
  const Result<void> drawn = draw(split, *set, [&](const data::Dataset& some) {
    hash.update(some.pixels);
    if (pixels) out.pixels.insert(out.pixels.end(), some.pixels.begin(), some.pixels.end());
    out.labels.insert(out.labels.end(), some.labels.begin(), some.labels.end());
    return Result<void>();
  });
  if (!drawn) return drawn.failure();
  hash.update(data::detail::idx_header(data::detail::idx_label_type(out.classes), {out.size()}));
  hash.update(data::detail::idx_labels(out.labels, out.classes));
  out.sha256 = to_hex(hash.digest());
  return out;
}

Result<data::PackCard> pack_faces(const DataOptions& options, const std::string& folder) {
  data::PackCard card;
  for (const data::Split split : {data::Split::train, data::Split::test}) {
    const auto set = face_set(options, split);
    if (!set) return set.failure();
    const std::vector<Index> none;
    const data::Dataset like = data::make_faces(split, *set, &none);
    card.name = like.name;
    card.channels = like.channels;
    card.height = like.height;
    card.width = like.width;
    card.class_names = like.class_names;
    data::PackPartWriter writer(folder, split, card);
    if (const auto done = writer.open(set->count); !done) return done.failure();
    const Result<void> drawn = draw(split, *set, [&](const data::Dataset& some) {
      for (const data::Label label : some.labels) writer.add_label(label);
      return writer.add_pixels(some.pixels);
    });
    if (!drawn) return drawn.failure();
    auto part = writer.finish();
    if (!part) return part.failure();
    card.part(split) = std::move(*part);
  }
  if (const auto done = data::save_pack_card(folder, card); !done) return done.failure();
  return card;
}

}  // namespace iotsl::tool
