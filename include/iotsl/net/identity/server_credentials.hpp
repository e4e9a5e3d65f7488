#pragma once
// Who a server is and whom it lets in: its key and the allow-list, in one folder. Commands change
// both while a server runs; it looks at the files and takes the change up.
//
// Another key waits in a file of its own until every device accepts it; then it takes the place of
// the first. A device learns of it in a session of the key that it trusts already.

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
    const Result<PrivateKey> made = read_or_make_key(*folder, key_name);
    if (!made) return made.failure();
    ServerCredentials out(std::move(*folder));
    const Result<bool> keys = out.refresh_keys();
    if (!keys) return keys.failure();
    const Result<void> loaded = out.load();
    if (!loaded) return loaded.failure();
    return out;
  }

  /// Whether the folder has a server's key already.
  static bool are_in(const std::string& path) {
    return file_exists(join_path(path, std::string(key_name)));
  }

  const TlsContext& context() const { return *context_; }
  const Pin& pin() const { return pin_; }
  /// Of the key that is to follow, where there is one.
  const std::optional<Pin>& next_pin() const { return next_pin_; }
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

  // Another key, in the order of its steps.

  /// Makes one, unless one waits already.
  Result<void> prepare_next_key() {
    const Result<FileLock> lock = folder_.lock();
    if (!lock) return lock.failure();
    const Result<PrivateKey> key = read_or_make_key(folder_, next_key_name);
    if (!key) return key.failure();
    const Result<bool> seen = refresh_keys();
    return seen ? Result<void>{} : seen.failure();
  }
  /// The device with the key `device` accepts the key that waits.
  Result<void> keep_next_key(const Pin& device) {
    if (!next_pin_ || list_.keeps_server_key(device, *next_pin_)) return {};  // said again
    return change([&](AllowList& list) -> Result<void> {
      list.keep_server_key(device, *next_pin_);
      return {};
    });
  }
  /// Takes the key that waits, once no device is a stranger to it, or `anyway`. True where it has.
  Result<bool> take_next_key(bool anyway = false) {
    if (!next_pin_ || (!anyway && !list_.strangers_to(*next_pin_).empty())) return false;
    {
      const Result<FileLock> lock = folder_.lock();
      if (!lock) return lock.failure();
      // What others have made of the files meanwhile.
      const Result<bool> seen = refresh_keys();
      if (!seen) return seen.failure();
      const Result<void> loaded = load();
      if (!loaded) return loaded.failure();
      if (!next_pin_) return *seen;  // another process was first
      if (!anyway && !list_.strangers_to(*next_pin_).empty()) return *seen;
      const Result<void> moved = folder_.move(next_key_name, key_name);
      if (!moved) return moved.failure();
    }
    const Result<bool> taken = refresh_keys();
    if (!taken) return taken.failure();
    return true;
  }
  /// Looks whether the files of the keys are others than before; true where the server has another
  /// key now. Sessions that were made keep theirs.
  Result<bool> refresh_keys() {
    const FileStamp now = FileStamp::of(folder_.path_of(key_name));
    const FileStamp next = FileStamp::of(folder_.path_of(next_key_name));
    if (now == key_seen_ && next == next_seen_) return false;
    key_seen_ = now;  // one that cannot be used is told once
    next_seen_ = next;
    next_pin_.reset();
    if (next != FileStamp{}) {
      const Result<PrivateKey> key = read_key(folder_, next_key_name);
      if (!key) return key.failure();
      next_pin_ = key->pin();
    }
    const Result<PrivateKey> key = read_key(folder_, key_name);
    if (!key) return key.failure();
    if (context_ && key->pin() == pin_) return false;
    Result<TlsContext> context = TlsContext::make(TlsRole::server, *key);
    if (!context) return context.failure();
    const bool is_another = context_.has_value();
    context_ = std::move(*context);
    pin_ = key->pin();
    return is_another;
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
  static constexpr std::string_view list_name = "devices.json", key_name = "server.key",
                                    next_key_name = "server.key.next";

  explicit ServerCredentials(IdentityFolder folder) : folder_(std::move(folder)) {}

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
  std::optional<TlsContext> context_;
  Pin pin_{};
  std::optional<Pin> next_pin_;
  FileStamp key_seen_, next_seen_;
  AllowList list_;
  FileStamp seen_;
};

}  // namespace net
IOTSL_NAMESPACE_END
