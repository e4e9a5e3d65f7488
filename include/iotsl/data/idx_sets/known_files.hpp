#pragma once
// The published files of MNIST and Fashion-MNIST bear the same names: their hashes tell them apart.

#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// A part of a set whose files are known.
struct KnownPart {
  std::string_view name;
  Split split;
  std::string_view sha256;  ///< as Dataset::sha256
};

inline constexpr std::array<KnownPart, 4> known_parts = {{
    {"mnist", Split::train, "c5097fdd51cfdbe7695fd9df3612695696864b5c424f58d843ffdc5d335e9914"},
    {"mnist", Split::test, "18489308deedfe2f7bd3a11e599a597126f161d991b1ffcffb71642aa76f7f62"},
    {"fashion-mnist", Split::train,
     "d9ef4273af5c2e360155dad0c06bd939447bf37a6620db007d69fc79e4732045"},
    {"fashion-mnist", Split::test,
     "30214f3fe91405cb8ea60b11ecf0914a65dd6a6ca8e13c13a62eb434f2d9fe56"},
}};

/// A failure where the set has the files of another known part than its name and `split` say.
inline Result<void> check_known_files(const Dataset& set, Split split) {
  for (const KnownPart& known : known_parts) {
    if (set.sha256 != known.sha256 || (set.name == known.name && split == known.split)) continue;
    return failure(ErrorCode::data, "--dataset ", set.name, ": the files of its ",
                   split_name(split), " part are those of ", known.name, ", ",
                   split_name(known.split), " part (sha256 ", set.sha256, ")");
  }
  return {};
}

}  // namespace data
IOTSL_NAMESPACE_END
