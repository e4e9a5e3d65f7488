#pragma once
// Labelled images in memory: bytes as they are in the files, turned into floats batch by batch.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iotsl/core/hash.hpp"
#include "iotsl/core/heap_sort.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// A class number. Sixteen bits, because a set may have max_classes classes.
using Label = std::uint16_t;
inline constexpr Index max_classes = 4096;  ///< as on the wire

/// The part that is learned from, or the part that is tested on.
enum class Split { train, test };

/// "train" or "test".
inline const char* split_name(Split split) { return split == Split::train ? "train" : "test"; }

/// Images and labels. When only some samples of a file were asked for, these are numbered anew from
/// 0.
struct Dataset {
  std::string name;
  Index channels = 1;
  Index height = 0;
  Index width = 0;
  Index classes = 0;
  std::vector<std::string> class_names;  ///< empty where class_name(name, label) knows them
  std::vector<std::uint8_t> pixels;      ///< N, C, H, W; empty where only labels were asked for
  std::vector<Label> labels;             ///< N
  Index full_size = 0;       ///< samples in the whole set, also when only some were kept
  bool center_crop = false;  ///< how image files were fitted; a later image must be fitted alike
  std::string sha256;        ///< of the whole set: idx image file, then idx label file, unpacked
  std::string path;          ///< of the idx image file; empty where there is none

  Index size() const { return static_cast<Index>(labels.size()); }
  Index sample_elems() const { return channels * height * width; }
  std::span<const std::uint8_t> sample(Index i) const {
    const auto elems = static_cast<std::size_t>(sample_elems());
    const auto begin = static_cast<std::size_t>(i) * elems;
    if (i < 0 || begin + elems > pixels.size()) fail_sample(i);
    return std::span(pixels).subspan(begin, elems);
  }

 private:
  [[noreturn]] IOTSL_COLD void fail_sample(Index i) const {
    if (pixels.empty()) fail("dataset: ", name, " was loaded without its pixels");
    fail("dataset: ", name, " has no pixels of sample ", i);
  }
};

/// Whether the two parts of a set have images of one shape and the same classes: a net that is
/// trained on one is judged on the other.
inline Result<void> check_same_shape(const Dataset& train, const Dataset& test) {
  const std::string where = test.path.empty() ? test.name : test.path;
  if (test.channels != train.channels || test.height != train.height || test.width != train.width)
    return failure(ErrorCode::data, where, ": test images of ", test.channels, "x", test.height,
                   "x", test.width, ", training images have ", train.channels, "x", train.height,
                   "x", train.width);
  if (test.classes != train.classes || test.class_names != train.class_names)
    return failure(ErrorCode::data, where, ": test images of ", test.classes, " classes, not the ",
                   train.classes, " of the training images");
  return {};
}

/// What a label means: "7", or "ankle boot".
inline std::string class_name(std::string_view dataset, Index label) {
  constexpr std::array<std::string_view, 10> fashion = {
      "t-shirt", "trouser", "pullover", "dress", "coat",
      "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};
  if (dataset == "fashion-mnist" && label >= 0 && label < 10)
    return std::string(fashion[static_cast<std::size_t>(label)]);
  return std::to_string(label);
}
/// The name that the set has for a class, else the one of its data set.
inline std::string class_name(const Dataset& set, Index label) {
  const auto place = static_cast<std::size_t>(label);
  return place < set.class_names.size() ? set.class_names[place] : class_name(set.name, label);
}

/// Samples per class.
inline std::vector<Index> class_counts(std::span<const Label> labels, Index classes) {
  std::vector<Index> counts(static_cast<std::size_t>(classes), 0);
  for (Label label : labels) {
    if (label >= classes) fail("class_counts: label ", label, " of ", classes, " classes");
    ++counts[label];
  }
  return counts;
}

/// Samples per class among those with these numbers. Raises an Error where a number or a label is
/// out of range.
inline std::vector<std::uint64_t> count_labels(const Dataset& set, std::span<const Index> samples) {
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(set.classes));
  for (const Index i : samples) {
    if (i < 0 || i >= set.size())
      fail("count_labels: sample ", i, " of ", set.name, ", which has ", set.size());
    const Label label = set.labels[static_cast<std::size_t>(i)];
    if (label >= set.classes) fail("count_labels: label ", label, " of ", set.classes, " classes");
    ++counts[label];
  }
  return counts;
}

/// A name for samples of a set, which whoever has the set can compute apart: SHA-256 over the hash
/// of the whole set and the samples' numbers in it.
inline Sha256Digest fingerprint(const std::string& set_sha256, std::span<const Index> samples) {
  Sha256 hash;
  hash.update(set_sha256).update(bytes_of(samples.data(), samples.size()));
  return hash.digest();
}

/// Puts the samples with these numbers into `pixels` [n,C,H,W], as value / 255 in [0,1], and
/// `labels` [n]. Raises an Error where a number is out of range.
inline void copy_batch(const Dataset& set, std::span<const Index> samples, float* pixels,
                       std::int32_t* labels) {
  for (const Index i : samples) {
    if (i < 0 || i >= set.size())
      fail("copy_batch: sample ", i, " of ", set.name, ", which has ", set.size());
    for (const std::uint8_t value : set.sample(i)) *pixels++ = static_cast<float>(value) / 255.0f;
    *labels++ = set.labels[static_cast<std::size_t>(i)];
  }
}

/// 0, 1, ... count-1: the numbers of all samples.
inline std::vector<Index> count_up(Index count) {
  std::vector<Index> out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<Index>(i);
  return out;
}

/// Random order of `values` (Fisher and Yates, from the end). Uses the numbers
/// `first` to `first` + values.size() of `random`.
template <class V>
void shuffle_values(std::span<V> values, const Random& random, std::uint64_t first = 0) {
  for (std::size_t i = values.size(); i > 1; --i)
    std::swap(values[i - 1], values[static_cast<std::size_t>(random.below(first + i - 1, i))]);
}

/// A set like this one, still without samples. Its memory is not copied.
inline Dataset empty_like(const Dataset& set) {
  return {.name = set.name,
          .channels = set.channels,
          .height = set.height,
          .width = set.width,
          .classes = set.classes,
          .class_names = set.class_names,
          .pixels = {},
          .labels = {},
          .full_size = set.full_size,
          .center_crop = set.center_crop,
          .sha256 = set.sha256,
          .path = set.path};
}

/// The samples with these numbers, in this order.
inline Dataset select_samples(const Dataset& set, std::span<const Index> samples) {
  Dataset out = empty_like(set);
  out.pixels.reserve(samples.size() * static_cast<std::size_t>(set.sample_elems()));
  out.labels.reserve(samples.size());
  for (const Index i : samples) {
    if (i < 0 || i >= set.size())
      fail("select_samples: sample ", i, " of ", set.name, ", which has ", set.size());
    const auto pixels = set.sample(i);
    out.pixels.insert(out.pixels.end(), pixels.data(), pixels.data() + pixels.size());
    out.labels.push_back(set.labels[static_cast<std::size_t>(i)]);
  }
  return out;
}

namespace detail {
/// The numbers of all samples in the random order from which limits take the first.
inline std::vector<Index> limit_order(const Dataset& set, std::uint64_t seed) {
  std::vector<Index> order = count_up(set.size());
  constexpr std::uint32_t limit_step = 0xFFFFFFFFu;  // away from the rounds that loaders use
  shuffle_values(std::span(order), Random(seed, Stream::shuffle, limit_step));
  return order;
}
}  // namespace detail

/// Draws the part of a test set that a run uses (--limit-test, --test-per-class): the same in every
/// run, so that seeds differ in what they train and not in what they are tested on.
inline constexpr std::uint64_t test_part_seed = 1;

/// At most `count` samples, drawn by `seed`, in the order of the set. Not simply the
/// first ones: the first half of MNIST's test set is easier than the second.
inline Dataset limit_samples(const Dataset& set, Index count, std::uint64_t seed) {
  if (count >= set.size()) return set;
  std::vector<Index> chosen = detail::limit_order(set, seed);
  chosen.resize(static_cast<std::size_t>(std::max<Index>(0, count)));
  heap_sort(chosen);
  return select_samples(set, chosen);
}

/// At most `most[c]` samples of every class c, drawn by `seed`, in the order of the set.
inline Dataset limit_per_class(const Dataset& set, std::vector<Index> most, std::uint64_t seed) {
  if (static_cast<Index>(most.size()) != set.classes)
    fail("limit_per_class: ", most.size(), " limits, the set has ", set.classes, " classes");
  std::vector<Index> chosen;
  for (const Index i : detail::limit_order(set, seed))
    if (most[set.labels[static_cast<std::size_t>(i)]]-- > 0) chosen.push_back(i);
  heap_sort(chosen);
  return select_samples(set, chosen);
}

namespace detail {
/// Type codes of idx files.
inline constexpr std::uint8_t idx_bytes = 0x08, idx_shorts = 0x0B;

/// Header of an idx file: zeros, the type, dimensions; then the extents, big endian.
inline std::vector<std::uint8_t> idx_header(std::uint8_t type,
                                            std::initializer_list<Index> extents) {
  std::vector<std::uint8_t> out{0, 0, type, static_cast<std::uint8_t>(extents.size())};
  for (const Index extent : extents)
    for (int shift = 24; shift >= 0; shift -= 8)
      out.push_back(static_cast<std::uint8_t>(extent >> shift));
  return out;
}

/// Images of one channel have three dimensions, as in MNIST's files, others four: N, C, H, W.
inline std::vector<std::uint8_t> idx_image_header(Index count, Index channels, Index height,
                                                  Index width) {
  if (channels == 1) return idx_header(idx_bytes, {count, height, width});
  return idx_header(idx_bytes, {count, channels, height, width});
}

/// Labels are bytes, and big-endian numbers of two bytes where there are more than 256 classes.
inline std::uint8_t idx_label_type(Index classes) { return classes > 256 ? idx_shorts : idx_bytes; }
inline std::vector<std::uint8_t> idx_labels(std::span<const Label> labels, Index classes) {
  std::vector<std::uint8_t> out;
  for (const Label label : labels) {
    if (classes > 256) out.push_back(static_cast<std::uint8_t>(label >> 8));
    out.push_back(static_cast<std::uint8_t>(label));
  }
  return out;
}
}  // namespace detail

/// SHA-256 of the set written as two idx files, one after the other. For idx sets this is what
/// `zcat images.gz labels.gz | sha256sum` prints.
inline std::string idx_sha256(const Dataset& set) {
  Sha256 hash;
  hash.update(detail::idx_image_header(set.size(), set.channels, set.height, set.width));
  hash.update(set.pixels);
  hash.update(detail::idx_header(detail::idx_label_type(set.classes), {set.size()}));
  hash.update(detail::idx_labels(set.labels, set.classes));
  return to_hex(hash.digest());
}

/// How the values of an image follow each other: plane by plane, or pixel by pixel as in most image
/// libraries.
enum class PixelOrder { chw, hwc };

/// What make_dataset and image_tensor must know of their pixels.
struct ImageLayout {
  Index channels = 1, height = 0, width = 0;
  Index classes = 0;  ///< 0: one more than the highest label
  PixelOrder order = PixelOrder::chw;
};

/// Raises an Error where an extent is below 1, or an image has more values than a tensor.
inline void check_layout(const char* caller, const ImageLayout& layout) {
  if (layout.channels < 1 || layout.height < 1 || layout.width < 1)
    fail(caller, ": images of ", layout.channels, "x", layout.height, "x", layout.width,
         "; expected at least 1 each");
  Shape{layout.channels, layout.height, layout.width}.elements();  // an Error where they overflow
}

/// A set of images that a program has in memory: `pixels` are N images one after another, `labels`
/// are N. Raises an Error where their sizes do not match or a label is out of range.
inline Dataset make_dataset(std::vector<std::uint8_t> pixels, std::vector<Label> labels,
                            const ImageLayout& layout) {
  const auto& [channels, height, width, classes, order] = layout;
  check_layout("make_dataset", layout);
  if (labels.empty()) fail("make_dataset: no labels");
  Dataset out;
  out.name = "own";
  out.channels = channels;
  out.height = height;
  out.width = width;
  out.full_size = static_cast<Index>(labels.size());
  if (static_cast<Index>(pixels.size()) != out.full_size * out.sample_elems())
    fail("make_dataset: ", pixels.size(), " bytes of pixels; ", labels.size(), " images of ",
         channels, "x", height, "x", width, " have ", out.full_size * out.sample_elems());
  const Index highest = *std::max_element(labels.begin(), labels.end());
  out.classes = classes == 0 ? highest + 1 : classes;
  if (highest >= out.classes || out.classes > max_classes)
    fail("make_dataset: label ", highest, " of ", out.classes,
         " classes; expected labels from 0, and ", max_classes, " classes at most");
  if (order == PixelOrder::hwc && channels > 1) {
    std::vector<std::uint8_t> planes(pixels.size());
    const Index area = height * width;
    for (Index n = 0; n < out.full_size; ++n)
      for (Index i = 0; i < area; ++i)
        for (Index c = 0; c < channels; ++c)
          planes[static_cast<std::size_t>((n * channels + c) * area + i)] =
              pixels[static_cast<std::size_t>((n * area + i) * channels + c)];
    pixels = std::move(planes);
  }
  out.pixels = std::move(pixels);
  out.labels = std::move(labels);
  out.sha256 = idx_sha256(out);
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
