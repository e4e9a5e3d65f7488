#pragma once
// A name for a device's samples that says nothing of them.

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/hash.hpp"
#include "iotsl/privacy/secure_random.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// 32 random bytes that stand for the samples with this fingerprint: drawn once, then kept in
/// `folder`, which is made where it is missing, and which only its owner should read. Other samples
/// have others.
inline Result<Sha256Digest> data_id(const std::string& folder, const Sha256Digest& fingerprint) {
  const Result<void> made = create_folders(folder);
  if (!made) return made.failure();
  const std::string name = concat("data-id-", to_hex(fingerprint).substr(0, 16));
  const std::string path = join_path(folder, name);
  Sha256Digest out{};
  const Result<bool> there = look_for_file(path);
  if (!there) return there.failure();
  if (*there) {
    const Result<std::vector<std::uint8_t>> kept = read_file(path, out.size());
    if (!kept) return kept.failure();
    if (kept->size() != out.size())
      return failure(ErrorCode::data, path, ": has ", kept->size(), " bytes, expected ",
                     out.size());
    std::copy(kept->begin(), kept->end(), out.begin());
    return out;
  }
  remove_leftovers(folder, name);  // of a start that died with this file
  Result<SecureRandom> random = SecureRandom::from_system();
  if (!random) return random.failure();
  for (std::size_t i = 0; i < out.size(); i += sizeof(std::uint64_t))
    store_le(out.data() + i, random->word());
  const Result<void> written = write_file_atomic(path, ByteSpan(out));
  if (!written) return written.failure();
  return out;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
