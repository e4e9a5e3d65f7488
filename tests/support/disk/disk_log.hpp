#pragma once
// What a program asks of the disk below one folder, in order, and what it promises meanwhile.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "iotsl/core/files/file.hpp"
#include "support/disk/file_calls.hpp"

namespace iotsl::test {

using FileBytes = std::vector<std::uint8_t>;

/// One change, sync or promise. Files are numbered: a file keeps its number under every name.
struct DiskOp {
  enum class Kind {
    make_file,
    make_folder,
    rename,
    link,
    unlink,
    write,
    resize,
    sync_file,
    sync_folder,
    promise
  };
  Kind kind;
  std::string path = {},
              second = {};  ///< relative to the folder; of a promise: what, and its value
  int file = -1;
  std::uint64_t at = 0;  ///< of a write: its offset; of a resize: the new size
  FileBytes bytes = {};
};

/// Files and folders by their paths, relative to the folder that they are in.
struct FolderContent {
  std::map<std::string, FileBytes> files;
  std::vector<std::string> folders;  ///< those above first

  static FolderContent of(const std::string& root) {
    FolderContent out;
    if (!folder_exists(root)) return out;
    for (const auto& each : std::filesystem::recursive_directory_iterator(root)) {
      const std::string name = each.path().lexically_relative(root).string();
      if (each.is_directory())
        out.folders.push_back(name);
      else
        out.files[name] = read_file(each.path().string()).value();
    }
    std::sort(out.folders.begin(), out.folders.end());
    return out;
  }
  /// Makes `root` hold this and nothing else.
  void put(const std::string& root) const {
    std::filesystem::remove_all(root);
    std::filesystem::create_directories(root);
    for (const std::string& each : folders)
      std::filesystem::create_directory(join_path(root, each));
    for (const auto& [name, bytes] : files) {
      const int fd = ::open(join_path(root, name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      REQUIRE(fd >= 0);
      REQUIRE(iotsl::detail::write_all(fd, bytes));
      ::close(fd);
    }
  }
};

/// Records what this thread does below a folder, while it is watched. Syncs are recorded and not
/// made: what is wanted is their place.
class DiskLog : public FileWatcher {
 public:
  /// The folder as it is now counts as synced. `folder` itself is there already.
  explicit DiskLog(const std::string& folder)
      : root_(folder + "/"), start_(FolderContent::of(folder)) {
    for (const auto& [name, bytes] : start_.files) files_[name] = count_++;
  }
  const FolderContent& start() const { return start_; }
  /// The first files are those of start(), in their order.
  const std::vector<DiskOp>& ops() const { return ops_; }

  /// From here on this holds whatever happens: `what` of a crash is its last value.
  void promise(const std::string& what, const std::string& value) {
    look_at_maps();
    ops_.push_back({.kind = DiskOp::Kind::promise, .path = what, .second = value});
  }

  Verdict before(const FileEvent& event) override {
    look_at_maps();
    if (event.call == FileCall::close) open_.erase(event.fd);
    if (event.call == FileCall::sync) {
      const auto found = open_.find(event.fd);
      if (found == open_.end()) return {};
      if (found->second.file < 0)
        ops_.push_back({.kind = DiskOp::Kind::sync_folder, .path = found->second.name});
      else
        ops_.push_back({.kind = DiskOp::Kind::sync_file, .file = found->second.file});
      return {Verdict::pretend};
    }
    if (event.call == FileCall::sync_map) {
      const auto found = maps_.find(event.memory);
      if (found == maps_.end()) return {};
      ops_.push_back({.kind = DiskOp::Kind::sync_file, .file = found->second.file});
      return {Verdict::pretend};
    }
    if (event.call == FileCall::unmap) maps_.erase(event.memory);
    return {};
  }

  void after(const FileEvent& event, std::int64_t result) override {
    using Kind = DiskOp::Kind;
    switch (event.call) {
      case FileCall::open: {
        std::string name;
        if (!is_below(event.path, name)) return;
        const bool folder = (event.flags & O_DIRECTORY) != 0;
        if (!folder && !files_.contains(name)) {
          files_[name] = count_++;
          ops_.push_back({.kind = Kind::make_file, .path = name, .file = files_[name]});
        } else if (!folder && (event.flags & O_TRUNC) != 0) {
          ops_.push_back({.kind = Kind::resize, .file = files_[name]});
        }
        open_[static_cast<int>(result)] = {folder ? -1 : files_[name], name};
        return;
      }
      case FileCall::write: {
        const auto found = open_.find(event.fd);
        if (found == open_.end()) return;
        const std::int64_t at =
            event.offset >= 0 ? event.offset : ::lseek(event.fd, 0, SEEK_CUR) - result;
        const auto* first = static_cast<const std::uint8_t*>(event.memory);
        ops_.push_back({.kind = Kind::write,
                        .file = found->second.file,
                        .at = static_cast<std::uint64_t>(at),
                        .bytes = FileBytes(first, first + result)});
        return;
      }
      case FileCall::resize:
      case FileCall::reserve: {
        std::string name;
        if (event.path != nullptr && is_below(event.path, name))
          ops_.push_back({.kind = Kind::resize, .file = files_.at(name), .at = event.bytes});
        const auto found = open_.find(event.fd);
        if (event.path == nullptr && found != open_.end())
          ops_.push_back({.kind = Kind::resize, .file = found->second.file, .at = event.bytes});
        return;
      }
      case FileCall::rename: {
        std::string from, to;
        if (!is_below(event.path, from) || !is_below(event.second, to)) return;
        // Two names of one file: nothing happens.
        if (files_.contains(to) && files_[to] == files_.at(from)) return;
        files_[to] = files_.at(from);
        files_.erase(from);
        ops_.push_back({.kind = Kind::rename, .path = from, .second = to, .file = files_[to]});
        return;
      }
      case FileCall::link: {
        std::string from, to;
        if (!is_below(event.path, from) || !is_below(event.second, to)) return;
        files_[to] = files_.at(from);
        ops_.push_back({.kind = Kind::link, .path = to, .file = files_[to]});
        return;
      }
      case FileCall::unlink: {
        std::string name;
        if (!is_below(event.path, name)) return;
        files_.erase(name);
        ops_.push_back({.kind = Kind::unlink, .path = name});
        return;
      }
      case FileCall::make_folder: {
        std::string name;
        if (is_below(event.path, name)) ops_.push_back({.kind = Kind::make_folder, .path = name});
        return;
      }
      case FileCall::map: {
        const auto found = open_.find(event.fd);
        if (found == open_.end() || (event.flags & MAP_SHARED) == 0) return;
        const auto* memory = reinterpret_cast<const std::uint8_t*>(result);
        maps_[memory] = {found->second.file, FileBytes(memory, memory + event.bytes)};
        return;
      }
      default:
        return;
    }
  }

 private:
  struct Open {
    int file;  ///< -1: a folder
    std::string name;
  };
  struct Map {
    int file;
    FileBytes seen;
  };

  bool is_below(const char* path, std::string& name) const {
    const std::string_view text = path;
    if (std::string(text) + "/" == root_) return name.clear(), true;
    if (!text.starts_with(root_)) return false;
    name = text.substr(root_.size());
    return true;
  }

  /// What was written to mapped files since the last look, page by page.
  void look_at_maps() {
    constexpr std::size_t page = 4096;
    for (auto& [memory, map] : maps_) {
      const auto* now = static_cast<const std::uint8_t*>(memory);
      for (std::size_t at = 0; at < map.seen.size(); at += page) {
        const std::size_t bytes = std::min(page, map.seen.size() - at);
        if (std::memcmp(now + at, map.seen.data() + at, bytes) == 0) continue;
        std::memcpy(map.seen.data() + at, now + at, bytes);
        ops_.push_back({.kind = DiskOp::Kind::write,
                        .file = map.file,
                        .at = at,
                        .bytes = FileBytes(now + at, now + at + bytes)});
      }
    }
  }

  std::string root_;
  FolderContent start_;
  std::map<std::string, int> files_;
  std::map<int, Open> open_;
  std::map<const void*, Map> maps_;
  std::vector<DiskOp> ops_;
  int count_ = 0;
};

}  // namespace iotsl::test
