#include "host/files/folder_lock.hpp"

#include <sys/file.h>

namespace iotsl::tool {
namespace {

/// This process, as another one will name it.
std::string own_description() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  const Result<std::string> found = read_text_file("/proc/self/cmdline");
  std::string command = found ? *found : std::string("iotsl");
  while (!command.empty() && command.back() == '\0') command.pop_back();
  std::replace(command.begin(), command.end(), '\0', ' ');
  return concat("process ", static_cast<long>(::getpid()), " on ", host, ": ", command, "\n");
}

bool is_file_at(int fd, const std::string& path) {
  struct stat open {
  }, named{};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

}  // namespace

Result<FolderLock> FolderLock::take(const std::string& folder) {
  const std::string path = join_path(folder, lock_name);
  for (;;) {
    iotsl::detail::Descriptor file(iotsl::detail::open_retrying(path, O_RDWR | O_CREAT, 0666));
    if (!file.ok())
      return iotsl::detail::file_failure(ErrorCode::other, path, "cannot open", errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK)
        return iotsl::detail::file_failure(ErrorCode::other, path, "cannot lock", errno);
      const Result<std::string> text = read_text_file(path, 4096);
      std::string holder = text && !text->empty() ? *text : std::string("another process");
      while (!holder.empty() && holder.back() == '\n') holder.pop_back();
      return failure(ErrorCode::usage, folder, ": is in use by ", holder);
    }
    // The folder may have given way to another one between the opening and the lock.
    if (!is_file_at(file.get(), path)) continue;
    const std::string text = own_description();
    if (::ftruncate(file.get(), 0) != 0 || !iotsl::detail::write_all(file.get(), bytes_of(text)))
      return iotsl::detail::file_failure(ErrorCode::other, path, "cannot write", errno);
    FolderLock out;
    out.file_ = std::move(file);
    return out;
  }
}

}  // namespace iotsl::tool
