#pragma once
// Who a server is and whom it lets in: its key and the allow-list, in one folder. Commands change
// the list while a server runs; it looks at the file and takes the change up.

#include "iotsl/net/identity/allow_list.hpp"
#include "iotsl/net/identity/key_file.hpp"
#include "iotsl/net/tls/context.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class ServerCredentials {
 public:
  /// Makes folder and key where they are missing.
  static Result<ServerCredentials> open(const std::string& path) {
    Result<IdentityFolder> folder = IdentityFolder::make(path);
    if (!folder) return folder.failure();
    // Two commands at once must not make two keys.
    const Result<FileLock> lock = folder->lock();
    if (!lock) return lock.failure();
    Result<PrivateKey> key = read_or_make_key(*folder, "server.key");
    if (!key) return key.failure();
    Result<TlsContext> context = TlsContext::make(TlsRole::server, *key);
    if (!context) return context.failure();
    ServerCredentials out(std::move(*folder), std::move(*context), key->pin());
    const Result<void> loaded = out.load();
    if (!loaded) return loaded.failure();
    return out;
  }

  const TlsContext& context() const { return context_; }
  const Pin& pin() const { return pin_; }
  const AllowList& list() const { return list_; }
  std::string list_path() const { return folder_.path_of(list_name); }

  /// Looks whether the list's file is another one than before, and loads it; true where it was. A
  /// file that cannot be read leaves the list as it is, and is told once.
  Result<bool> refresh() {
    const FileStamp now = stamp();
    if (now == seen_) return false;
    const Result<void> loaded = load();
    if (!loaded) {
      seen_ = now;
      return loaded.failure();
    }
    return true;
  }

  /// Changes the list on the disk, whatever others have made of it meanwhile. `apply(list)` says
  /// whether it may be; where it says no, nothing is written.
  template <class Apply>
  Result<void> change(const Apply& apply) {
    const Result<FileLock> lock = folder_.lock();
    if (!lock) return lock.failure();
    const Result<void> loaded = load();
    if (!loaded) return loaded;
    AllowList changed = list_;
    const Result<void> applied = apply(changed);
    if (!applied) return applied;
    std::string text = changed.text();
    const Result<void> written = folder_.write(list_name, text);
    PrivateKey::wipe(text.data(), text.size());
    if (!written) return written;
    list_ = std::move(changed);
    seen_ = stamp();
    return {};
  }
  /// Enrols the key `pin`, see AllowList::enroll.
  Result<std::string> enroll(const Sha256Digest& token_id, const Sha256Digest& proof,
                             const Sha256Digest& exporter, const Pin& pin) {
    Result<std::string> name = failure(ErrorCode::other, "not enrolled");
    const Result<void> done = change([&](AllowList& list) -> Result<void> {
      name = list.enroll(token_id, proof, exporter, pin);
      return name ? Result<void>{} : name.failure();
    });
    if (!done) return done.failure();
    return name;
  }
  /// A device has joined with the key `pin`, see AllowList::settle.
  Result<bool> settle(const Pin& pin) {
    AllowList settled = list_;
    if (!settled.settle(pin)) return false;
    const Result<void> done = change([&](AllowList& list) -> Result<void> {
      list.settle(pin);
      return {};
    });
    if (!done) return done.failure();
    return true;
  }

 private:
  static constexpr std::string_view list_name = "devices.json";

  ServerCredentials(IdentityFolder folder, TlsContext context, const Pin& pin)
      : folder_(std::move(folder)), context_(std::move(context)), pin_(pin) {}

  FileStamp stamp() const { return FileStamp::of(list_path()); }
  Result<void> load() {
    const FileStamp now = stamp();
    if (now == FileStamp{}) {
      if (seen_ != FileStamp{}) return failure(ErrorCode::data, list_path(), ": has gone");
      return {};
    }
    Result<std::string> text = folder_.read(list_name);
    if (!text) return text.failure();
    Result<AllowList> list = AllowList::parse(*text);
    PrivateKey::wipe(text->data(), text->size());
    if (!list) return failure(ErrorCode::data, list_path(), ": ", list.failure().message);
    list_ = std::move(*list);
    seen_ = now;
    return {};
  }

  IdentityFolder folder_;
  TlsContext context_;
  Pin pin_;
  AllowList list_;
  FileStamp seen_;
};

}  // namespace net
IOTSL_NAMESPACE_END
