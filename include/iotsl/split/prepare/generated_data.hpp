#pragma once
// Samples that generators make: the server's data set for pre-training, and what a device adds to
// its own. All of it is a function of generators, plan and seeds alone.

#include "iotsl/gan/generator_file.hpp"
#include "iotsl/gan/sample.hpp"
#include "iotsl/net/messages.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Samples of one class that one generator makes.
struct GenerationEntry {
  std::uint32_t device = 0;  ///< whose generator it is
  std::uint32_t label = 0;   ///< `class` in the file
  std::uint64_t count = 0;
  std::uint64_t seed = 0;  ///< of their latents

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("device", self.device);
    f("class", self.label);
    f("count", self.count);
    f("seed", self.seed);
  }
};

/// The generation log of Algorithm 1: what the data set for pre-training is made of.
struct GenerationLog {
  std::string format = "iotsl-generation-1";
  std::vector<GenerationEntry> entries;

  std::uint64_t samples() const {
    std::uint64_t sum = 0;
    for (const GenerationEntry& entry : entries) sum += entry.count;
    return sum;
  }
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("entries", self.entries);
  }
};

/// For each device the classes and counts of its histogram ([device][class]), as far as its
/// generator was trained on the class (`trained`, likewise).
inline GenerationLog plan_generation(const std::vector<std::vector<std::uint64_t>>& histograms,
                                     const std::vector<std::vector<std::uint64_t>>& trained,
                                     std::uint64_t seed) {
  GenerationLog out;
  for (std::size_t d = 0; d < histograms.size(); ++d)
    for (std::size_t c = 0; c < histograms[d].size(); ++c) {
      if (histograms[d][c] == 0 || trained[d][c] == 0) continue;
      const auto words = Random(seed, Stream::generation, static_cast<std::uint32_t>(d)).block(c);
      // 53 bits, which every JSON reader keeps.
      const std::uint64_t own = ((std::uint64_t{words[0]} << 32) | words[1]) >> 11;
      out.entries.push_back(
          {static_cast<std::uint32_t>(d), static_cast<std::uint32_t>(c), histograms[d][c], own});
    }
  return out;
}

/// Most memory that the images for pre-training may take. They are a data set like the devices' own
/// together: twenty million of MNIST's size.
inline constexpr std::uint64_t max_generated_bytes = std::uint64_t{16} << 30;

/// Whether the log's images fit into max_generated_bytes. The counts come from the devices.
inline Result<void> check_generation(const GenerationLog& log, const ImageSpec& images) {
  const auto each = static_cast<std::uint64_t>(images.channels * images.height * images.width_px) +
                    sizeof(data::Label);
  const std::uint64_t most = max_generated_bytes / each;
  std::uint64_t sum = 0;
  for (const GenerationEntry& entry : log.entries) {
    const std::uint64_t room = ~std::uint64_t{0} - sum;
    sum += std::min(entry.count, room);
  }
  if (sum <= most) return {};
  return failure(ErrorCode::data, "pre-training: the devices' classes ask for ", sum,
                 " generated images of ", each, " bytes, at most ", most, " fit into the limit of ",
                 max_generated_bytes >> 30, " GiB");
}

/// Makes room for `count` more samples, so that the set grows to its size in one step.
inline void reserve_samples(data::Dataset& set, std::uint64_t count) {
  const auto more = static_cast<std::size_t>(count);
  set.pixels.reserve(set.pixels.size() + more * static_cast<std::size_t>(set.sample_elems()));
  set.labels.reserve(set.labels.size() + more);
}

/// Carries out the log. `load(device)` gives the Result of a device's generator; each is asked for
/// once. `images` of every generator and of the set.
template <class Load>
Result<data::Dataset> generate_dataset(const GenerationLog& log, const ImageSpec& images,
                                       const Load& load) {
  const Result<void> fits = check_generation(log, images);
  if (!fits) return fits.failure();
  data::Dataset out = gan::empty_set("generated", images);
  reserve_samples(out, log.samples());
  for (std::size_t i = 0; i < log.entries.size();) {
    const std::uint32_t device = log.entries[i].device;
    Result<gan::GeneratorFile> generator = load(device);
    if (!generator) return generator.failure();
    for (; i < log.entries.size() && log.entries[i].device == device; ++i) {
      const GenerationEntry& entry = log.entries[i];
      gan::append_generated(out, generator->net, Index{entry.label},
                            static_cast<Index>(entry.count), generator->source(entry.seed));
    }
  }
  return out;
}

/// A device's own samples (numbers in `own`), then what the plan adds to them. `generators` in the
/// order of the plan.
inline data::Dataset complete_dataset(const data::Dataset& own, std::span<const Index> samples,
                                      const net::ImputePlan& plan,
                                      const std::vector<gan::GeneratorFile>& generators) {
  data::Dataset out = data::select_samples(own, samples);
  std::uint64_t added = 0;
  for (const net::ImputePlan::Entry& entry : plan.entries) added += entry.count;
  reserve_samples(out, added);
  for (const net::ImputePlan::Entry& entry : plan.entries) {
    const gan::GeneratorFile& generator = generators[entry.generator];
    gan::append_generated(out, generator.net, Index{entry.label}, static_cast<Index>(entry.count),
                          generator.source(entry.seed));
  }
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
