#pragma once
// Label histograms of the devices, and what is wrong with them: the paper's section IV-C, where a
// device that misses a class of the union, or holds one in far smaller number than its others, is
// called defective.

#include <cmath>
#include <string>
#include <vector>

#include "iotsl/data/count_table.hpp"

IOTSL_NAMESPACE_BEGIN
namespace impute {

using data::max_class_count;

/// A class is scarce where a device holds less than this part of its mean class size.
inline constexpr double default_scarce = 0.5;

/// What a device lacks; both lists ascend. Together they are the paper's set L'.
struct Defects {
  std::vector<Index> missing;  ///< classes of the union of which the device holds no sample
  std::vector<Index> scarce;   ///< classes held, but far fewer than its others

  bool none() const { return missing.empty() && scarce.empty(); }
};

/// Whether the table [device][class] is one of histograms: every device with the same number of
/// classes, and some with samples. Who has none takes no part: nothing is given or received. It may
/// come from peers or from a file.
inline Result<void> check_histograms(const data::CountTable& histograms) {
  if (histograms.empty()) return failure(ErrorCode::data, "label histograms: no device");
  const std::size_t classes = histograms.front().size();
  bool any = false;
  for (std::size_t d = 0; d < histograms.size(); ++d) {
    const std::vector<Index>& row = histograms[d];
    if (row.size() != classes)
      return failure(ErrorCode::data, "label histograms: device ", d, " has ", row.size(),
                     " classes, device 0 has ", classes);
    for (std::size_t c = 0; c < classes; ++c) {
      if (row[c] < 0 || row[c] > max_class_count)
        return failure(ErrorCode::data, "label histograms: device ", d, " has ", row[c],
                       " samples of class ", c, ", expected 0 to ", max_class_count);
      any |= row[c] > 0;
    }
  }
  if (!any) return failure(ErrorCode::data, "label histograms: no device has a sample");
  return {};
}

/// The table of histograms as LABEL_HIST carries them, checked.
inline Result<data::CountTable> make_histograms(
    const std::vector<std::vector<std::uint64_t>>& devices) {
  data::CountTable out;
  for (const std::vector<std::uint64_t>& device : devices) {
    std::vector<Index>& row = out.emplace_back();
    for (const std::uint64_t count : device) {
      if (count > static_cast<std::uint64_t>(max_class_count))
        return failure(ErrorCode::data, "label histograms: device ", out.size() - 1, " has ", count,
                       " samples of class ", row.size(), ", expected 0 to ", max_class_count);
      row.push_back(static_cast<Index>(count));
    }
  }
  const Result<void> good = check_histograms(out);
  if (!good) return good.failure();
  return out;
}

/// The classes of which any device holds a sample, ascending: the paper's L.
inline std::vector<Index> union_of_classes(const data::CountTable& histograms) {
  std::vector<Index> out;
  const std::size_t classes = histograms.empty() ? 0 : histograms.front().size();
  for (std::size_t c = 0; c < classes; ++c)
    for (const std::vector<Index>& row : histograms)
      if (row[c] > 0) {
        out.push_back(static_cast<Index>(c));
        break;
      }
  return out;
}

/// Mean number of samples over the classes that the device holds; 0 where it holds none.
inline double mean_class_size(const std::vector<Index>& counts) {
  Index sum = 0, held = 0;
  for (const Index n : counts) {
    sum += n;
    held += n > 0;
  }
  return held == 0 ? 0.0 : static_cast<double>(sum) / static_cast<double>(held);
}

/// The size up to which a class is filled: the mean class size, rounded.
inline Index target_class_size(const std::vector<Index>& counts) {
  return static_cast<Index>(std::floor(mean_class_size(counts) + 0.5));
}

/// What a device with these counts lacks of the classes in `all`. A class is scarce below `scarce`
/// (0 to 1) of the device's mean class size; 0: none is. Who has no samples lacks nothing.
inline Defects find_defects(const std::vector<Index>& counts, const std::vector<Index>& all,
                            double scarce = default_scarce) {
  const double mean = mean_class_size(counts);
  const Index target = target_class_size(counts);
  Defects out;
  if (mean == 0) return out;
  for (const Index c : all) {
    const Index held = counts[static_cast<std::size_t>(c)];
    if (held == 0)
      out.missing.push_back(c);
    else if (static_cast<double>(held) < scarce * mean && held < target)
      out.scarce.push_back(c);
  }
  return out;
}

}  // namespace impute
IOTSL_NAMESPACE_END
