#include "host/files/staged_folder.hpp"

#include <cstdio>
#include <filesystem>

namespace iotsl::tool {
namespace {

constexpr const char* unfinished = ".unfinished";

/// Without links and trailing slashes, so that "beside it" means something.
std::string real_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path out = std::filesystem::weakly_canonical(path, error);
  std::string text = error || path.empty() ? path : out.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

void remove_tree(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

Result<void> move_entry(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  return iotsl::detail::file_failure(ErrorCode::other, from, "cannot be moved", errno);
}

/// Whether folders can be made and renamed beside this one.
bool can_stand_beside(const std::string& place) {
  const std::string parent = iotsl::detail::parent_folder(place);
  struct stat own {
  }, above{};
  if (::stat(place.c_str(), &own) != 0) return true;
  if (::access(parent.c_str(), W_OK | X_OK) != 0) return false;
  return ::stat(parent.c_str(), &above) == 0 && own.st_dev == above.st_dev;
}

}  // namespace

std::vector<std::string> missing_folders(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string folder = path.substr(0, end);
    if (!folder_exists(folder)) out.push_back(folder);
    if (end == std::string::npos) return out;
  }
}

std::string StagedFolder::path_for(const std::string& place) {
  const std::string real = real_path(place);
  return can_stand_beside(real) ? real + unfinished : join_path(real, unfinished);
}

Result<StagedFolder> StagedFolder::begin(
    const std::string& place,
    std::function<bool(const std::string& folder, const std::string& name)> is_own) {
  StagedFolder out;
  out.place_ = real_path(place);
  out.is_own_ = std::move(is_own);
  const std::string path = path_for(place);
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0) {
    // Left by a process that was killed; one that is alive holds its lock.
    if (S_ISDIR(there.st_mode)) {
      const Result<FolderLock> free = FolderLock::take(path);
      if (!free) return free.failure();
    }
    remove_tree(path);
  }
  out.made_ = missing_folders(iotsl::detail::parent_folder(path));
  if (const Result<void> made = create_folders(path); !made) return made.failure();
  auto lock = FolderLock::take(path);
  if (!lock) return lock.failure();
  out.lock_ = std::move(*lock);
  out.path_ = path;
  return out;
}

StagedFolder::~StagedFolder() {
  if (path_.empty()) return;
  if (done_) ::unlink(path_.c_str());  // the second name
  if (done_ || left_) return;
  remove_tree(path_);
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) ::rmdir(folder->c_str());
}

void StagedFolder::swap(StagedFolder& other) noexcept {
  std::swap(place_, other.place_);
  std::swap(path_, other.path_);
  std::swap(made_, other.made_);
  std::swap(is_own_, other.is_own_);
  std::swap(done_, other.done_);
  std::swap(lock_, other.lock_);
  std::swap(left_, other.left_);
}

bool StagedFolder::gives_way(const std::string& folder, const std::string& name) const {
  return name != lock_name && name != unfinished && is_own_(folder, name);
}

Result<void> StagedFolder::publish() {
  if (!staged()) return {};
  Result<void> done;
  if (!folder_exists(place_))
    done = move_entry(path_, place_);
  else if (iotsl::detail::parent_folder(path_) != place_)
    done = exchange();
  else
    done = move_entries();
  if (!done) return done;
  done_ = true;
  // Whoever writes on knows the folder by the name that it began with.
  if (::symlink(place_.c_str(), path_.c_str()) != 0)
    return iotsl::detail::file_failure(ErrorCode::other, path_, "cannot make link", errno);
  return iotsl::detail::sync_folder(iotsl::detail::parent_folder(place_));
}

/// One step, so that at every moment the old or the new folder stands there whole.
Result<void> StagedFolder::exchange() {
  std::error_code error;
  const bool inside = real_path(".") == place_;  // a shell may stand in it: the folder has to stay
  if (inside ||
      ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place_.c_str(), RENAME_EXCHANGE) != 0)
    return move_entries();
  // The old folder is now under path_: what cannot be moved out of it stays there.
  left_ = true;
  for (const std::string& name : list_folder(path_))
    if (name != lock_name && !gives_way(path_, name) &&
        !std::filesystem::exists(join_path(place_, name), error))
      if (const Result<void> moved = move_entry(join_path(path_, name), join_path(place_, name));
          !moved)
        return moved;
  remove_tree(path_);
  return {};
}

/// Where folders cannot change places: the old entries make room for the new ones.
Result<void> StagedFolder::move_entries() {
  const std::string old = join_path(place_, ".replaced");
  if (const Result<void> made = create_folders(old); !made) return made;
  for (const std::string& name : list_folder(place_))
    if (name != ".replaced" && gives_way(place_, name))
      if (const Result<void> moved = move_entry(join_path(place_, name), join_path(old, name));
          !moved)
        return moved;
  for (const std::string& name : list_folder(path_))
    if (name != lock_name)
      if (const Result<void> moved = move_entry(join_path(path_, name), join_path(place_, name));
          !moved)
        return moved;
  remove_tree(old);
  remove_tree(path_);
  return {};
}

}  // namespace iotsl::tool
