#pragma once
// A private key in a file of an identity folder: one line, `ed25519 ` and 64 hexadecimal digits.

#include "iotsl/net/identity/folder.hpp"
#include "iotsl/net/tls/private_key.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

namespace detail {
inline constexpr std::string_view key_line_begin = "ed25519 ";
}

inline Result<void> write_key(const IdentityFolder& folder, std::string_view name,
                              const PrivateKey& key) {
  Result<PrivateKey::Seed> seed = key.seed();
  if (!seed) return seed.failure();
  std::string line = concat(detail::key_line_begin, to_hex(*seed), "\n");
  const Result<void> written = folder.write(name, line);
  PrivateKey::wipe(line.data(), line.size());
  PrivateKey::wipe(seed->data(), seed->size());
  return written;
}

inline Result<PrivateKey> read_key(const IdentityFolder& folder, std::string_view name) {
  Result<std::string> line = folder.read(name);
  if (!line) return line.failure();
  PrivateKey::Seed seed{};
  std::string_view digits = *line;
  bool good = digits.starts_with(detail::key_line_begin) && digits.ends_with('\n');
  if (good) {
    digits.remove_prefix(detail::key_line_begin.size());
    digits.remove_suffix(1);
    good = parse_hex(digits, seed);
  }
  PrivateKey::wipe(line->data(), line->size());
  if (!good) return failure(ErrorCode::data, folder.path_of(name), ": is no key file");
  Result<PrivateKey> key = PrivateKey::from_seed(seed);
  PrivateKey::wipe(seed.data(), seed.size());
  return key;
}

/// The key of that name; made where there is none.
inline Result<PrivateKey> read_or_make_key(const IdentityFolder& folder, std::string_view name) {
  if (folder.has(name)) return read_key(folder, name);
  Result<PrivateKey> key = PrivateKey::generate();
  if (!key) return key;
  const Result<void> written = write_key(folder, name, *key);
  if (!written) return written.failure();
  return key;
}

}  // namespace net
IOTSL_NAMESPACE_END
