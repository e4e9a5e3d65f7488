#pragma once
// Drawing tables of counts until every class of the set is on some device. A class that nobody
// holds is never learned and cannot be generated: on MNIST each one costs a tenth of the test
// accuracy.

#include "iotsl/core/random.hpp"
#include "iotsl/data/partition/spec.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

namespace detail {

// Each kind of partition has its own step of the partition's random stream.
enum PartitionStep : std::uint32_t {
  deal_step = 0,  // and one more per class
  iid_step = 1u << 16,
  classes_step,
  random_step,
  dirichlet_step,  // and one more per draw
  classes_random_step = 1u << 17,
  validation_step = 1u << 18,  // and one more per class
};

inline CountTable empty_table(Index devices, Index classes) {
  return CountTable(static_cast<std::size_t>(devices),
                    std::vector<Index>(static_cast<std::size_t>(classes), 0));
}

/// Whole numbers one after the other from a place of a random stream on.
class DrawnNumbers {
 public:
  explicit DrawnNumbers(const Random& random) : random_(random) {}
  /// Uniform in [0, bound).
  std::size_t below(std::size_t bound) {
    return static_cast<std::size_t>(random_.below(next_++, static_cast<std::uint64_t>(bound)));
  }
  /// Uniform in [low, high].
  Index between(Index low, Index high) {
    return low + static_cast<Index>(below(static_cast<std::size_t>(high - low + 1)));
  }

 private:
  Random random_;
  std::uint64_t next_ = 0;
};

/// A table of counts, and how many draws before it left a class without a device.
struct DrawnTable {
  CountTable counts;
  Index redraws = 0;
};

/// "1, 5", of those classes that no device holds although the set has samples of them.
inline std::string names_of_nobody(const CountTable& counts, const std::vector<Index>& available) {
  std::string out;
  for (const Index c : classes_of_nobody(counts))
    if (available[static_cast<std::size_t>(c)] > 0) out += concat(out.empty() ? "" : ", ", c);
  return out;
}

/// Calls `draw()`, which gives a table from the next numbers of its stream, until a table holds
/// every class of which there are samples. At most `draws` times, then a failure that names the
/// classes which nobody has.
template <class Draw>
Result<DrawnTable> draw_until_covered(const PartitionSpec& spec,
                                      const std::vector<Index>& available, Index draws,
                                      const Draw& draw) {
  std::string nobody;
  Index devices = 0;
  for (Index redraws = 0; redraws < draws; ++redraws) {
    CountTable counts = draw();
    nobody = names_of_nobody(counts, available);
    if (nobody.empty()) return DrawnTable{std::move(counts), redraws};
    devices = static_cast<Index>(counts.size());
  }
  const std::string which =
      draws == 1 ? concat("leaves class ", nobody, " to none of ", devices, " devices")
                 : concat("each of ", draws, " draws leaves a class to none of ", devices,
                          " devices, the last one class ", nobody);
  return bad_partition(spec, which, "; take more devices or another partition");
}

}  // namespace detail
}  // namespace data
IOTSL_NAMESPACE_END
