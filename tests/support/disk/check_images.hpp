#pragma once
// Looks at many images of a crash, one after the other. IOTSL_CRASH_IMAGES: how many of each kind,
// 100 unless told; a campaign takes 10,000.

#include <cstdlib>

#include "support/disk/crash_disk.hpp"
#include "support/temporary_folder.hpp"

namespace iotsl::test {

inline std::size_t images_wanted() {
  const char* const given = std::getenv("IOTSL_CRASH_IMAGES");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 100;
}

/// Looks at images of what was logged, spread over its operations: one of `rarer` of those wanted.
/// `check(disk, folder, number)` gives what is wrong with an image that was put into `folder`;
/// empty: nothing.
template <class Check>
void check_images(const std::string& what, const DiskLog& log, const Check& check,
                  std::size_t rarer = 1) {
  const std::size_t images = images_wanted() / rarer;
  const TemporaryFolder place;
  const std::string folder = place / "image";
  const std::size_t ops = log.ops().size();
  REQUIRE(ops > 10);
  CrashDisk disk(log);
  std::map<std::string, std::size_t> wrong;
  std::size_t made = 0, kills = 0;
  for (std::size_t at = 0; disk.advance(); ++at) {
    for (; made < images * (at + 1) / ops; ++made) {
      CrashDraws draws(1, made);
      const bool kill = draws.one_in(4);
      (kill ? disk.after_kill(draws) : disk.after_power_cut(draws)).put(folder);
      if (kill) ++kills;
      NoSyncs quick;
      const WatchFiles watch(quick);
      const std::string found = check(disk, folder, made);
      if (!found.empty() && wrong[found]++ == 0)
        MESSAGE(concat(what, ": image ", made, kill ? ", a kill" : ", a power cut",
                       " after operation ", at, ": ", found));
    }
  }
  std::size_t bad = 0;
  for (const auto& [why, count] : wrong) bad += count;
  MESSAGE(concat(what, ": ", made, " images, ", kills, " of them kills, of ", ops, " operations; ",
                 bad, " wrong"));
  CHECK(made == images);
  CHECK_MESSAGE(bad == 0, what);
}

}  // namespace iotsl::test
