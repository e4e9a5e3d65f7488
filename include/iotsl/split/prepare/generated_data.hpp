#pragma once
// Samples that generators make: the server's data set for pre-training, and what a device adds to
// its own. All of it is a function of generators, plan and seeds alone.

#include "iotsl/gan/sample.hpp"
#include "iotsl/generators/generator_file.hpp"
#include "iotsl/impute/generation_log.hpp"
#include "iotsl/moments/ensemble.hpp"
#include "iotsl/net/messages/messages.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Most memory that the images for pre-training may take. They are a data set like the devices' own
/// together: twenty million of MNIST's size.
inline constexpr std::uint64_t max_generated_bytes = std::uint64_t{16} << 30;

/// Whether the log's images fit into max_generated_bytes. The counts come from the devices.
inline Result<void> check_generation(const impute::GenerationLog& log, const ImageSpec& images) {
  const auto each = static_cast<std::uint64_t>(images.channels * images.height * images.width) +
                    sizeof(data::Label);
  const std::uint64_t most = max_generated_bytes / each;
  std::uint64_t sum = 0;
  for (const impute::GenerationEntry& entry : log.entries) {
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

namespace detail {

/// Appends what the log asks of moments: images that all their devices agree on, which are better
/// than those of each device alone.
inline Result<void> append_agreed(data::Dataset& out,
                                  const std::vector<impute::GenerationEntry>& entries,
                                  const std::vector<moments::Release>& releases) {
  if (entries.empty()) return {};
  const Result<moments::Ensemble> all = moments::Ensemble::of(releases);
  if (!all) return all.failure();
  for (const impute::GenerationEntry& entry : entries)
    all->append(out, Index{entry.label}, static_cast<Index>(entry.count), entry.seed,
                static_cast<std::uint32_t>(entry.device));
  return {};
}

}  // namespace detail

/// Carries out the log: the nets' images in its order, then those of moments. `load(device)` gives
/// the Result of a device's generator; each is asked for once. `images` of every generator and of
/// the set.
template <class Load>
Result<data::Dataset> generate_dataset(const impute::GenerationLog& log, const ImageSpec& images,
                                       const Load& load) {
  const Result<void> fits = check_generation(log, images);
  if (!fits) return fits.failure();
  data::Dataset out = gan::empty_set("generated", images);
  reserve_samples(out, log.samples());
  std::vector<impute::GenerationEntry> of_moments;
  std::vector<moments::Release> releases;
  for (std::size_t i = 0; i < log.entries.size();) {
    const std::uint32_t device = log.entries[i].device;
    Result<generators::GeneratorFile> file = load(device);
    if (!file) return file.failure();
    const moments::Generator* moments = file->generator.moments();
    if (moments != nullptr) releases.push_back(moments->release());
    for (; i < log.entries.size() && log.entries[i].device == device; ++i) {
      const impute::GenerationEntry& entry = log.entries[i];
      if (moments != nullptr)
        of_moments.push_back(entry);
      else
        file->append(out, Index{entry.label}, static_cast<Index>(entry.count), entry.seed);
    }
  }
  const Result<void> agreed = detail::append_agreed(out, of_moments, releases);
  if (!agreed) return agreed.failure();
  return out;
}

/// A device's own samples (numbers in `own`), then what the plan adds to them. `generators` in the
/// order of the plan.
inline data::Dataset complete_dataset(const data::Dataset& own, std::span<const Index> samples,
                                      const net::ImputePlan& plan,
                                      const std::vector<generators::GeneratorFile>& generators) {
  data::Dataset out = data::select_samples(own, samples);
  std::uint64_t added = 0;
  for (const net::ImputePlan::Entry& entry : plan.entries) added += entry.count;
  reserve_samples(out, added);
  for (const net::ImputePlan::Entry& entry : plan.entries) {
    generators[entry.generator].append(out, Index{entry.label}, static_cast<Index>(entry.count),
                                       entry.seed);
  }
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
