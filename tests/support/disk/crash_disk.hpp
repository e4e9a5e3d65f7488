#pragma once
// The disk below a folder as a power cut or a kill may leave it.
//
// A file's bytes are on the disk once the file was synced, a name once its folder was. Of what came
// after that, each name shows any of its states since, whatever the others show; each write is
// there, or not, or a beginning of it, or some of its sectors; a file that has grown has any of its
// sizes, with zeros or what the disk held before where nothing was written. That is more than any
// one file system does, and what POSIX lets all of them do. A kill leaves all that was asked for.

#include <optional>

#include "iotsl/core/random.hpp"
#include "support/disk/disk_log.hpp"

namespace iotsl::test {

/// Numbers for the images of a crash.
class CrashDraws {
 public:
  CrashDraws(std::uint64_t seed, std::uint64_t image)
      : random_(seed, Stream::user), at_(image << 24) {}
  /// Below `count`.
  std::uint64_t below(std::uint64_t count) { return random_.below(at_++, count); }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  Random random_;
  std::uint64_t at_;
};

class CrashDisk {
 public:
  /// Before the first operation.
  explicit CrashDisk(const DiskLog& log) : ops_(log.ops()) {
    for (const auto& [name, bytes] : log.start().files) {
      names_[name] = {static_cast<int>(files_.size())};
      files_.push_back({bytes, {}});
    }
    for (const std::string& each : log.start().folders) names_[each] = {folder};
  }

  /// The next operation was asked for; false behind the last one.
  bool advance() {
    if (at_ == ops_.size()) return false;
    const DiskOp& op = ops_[at_++];
    using Kind = DiskOp::Kind;
    switch (op.kind) {
      case Kind::make_file:
        files_.resize(std::max(files_.size(), static_cast<std::size_t>(op.file) + 1));
        set(op.path, op.file);
        break;
      case Kind::make_folder:
        set(op.path, folder);
        break;
      case Kind::rename:
        set(op.second, op.file);
        set(op.path, nothing);
        break;
      case Kind::link:
        set(op.path, op.file);
        break;
      case Kind::unlink:
        set(op.path, nothing);
        break;
      case Kind::write:
      case Kind::resize:
        file(op).pending.push_back(&op);
        break;
      case Kind::sync_file:
        for (const DiskOp* each : file(op).pending) apply(file(op).bytes, *each);
        file(op).pending.clear();
        break;
      case Kind::sync_folder:
        for (auto& [name, states] : names_)
          if (parent(name) == op.path) states.erase(states.begin(), states.end() - 1);
        break;
      case Kind::promise:
        promised_[op.path] = op.second;
        break;
    }
    return true;
  }
  /// What was promised under that name before the crash.
  std::optional<std::string> promised(const std::string& what) const {
    const auto found = promised_.find(what);
    return found == promised_.end() ? std::nullopt : std::optional(found->second);
  }

  /// All that was asked for; of the last write a beginning, where it is one.
  FolderContent after_kill(CrashDraws& draws) const {
    FolderContent out;
    for (const auto& [name, states] : names_) show(out, name, states.back());
    for (auto& [name, bytes] : out.files) {
      const File& source = files_[static_cast<std::size_t>(names_.at(name).back())];
      bytes = source.bytes;
      for (const DiskOp* each : source.pending) {
        const bool last = each == &ops_[at_ - 1] && each->kind == DiskOp::Kind::write;
        if (!last) apply(bytes, *each);
        if (last) apply_part(bytes, *each, draws.below(each->bytes.size() + 1));
      }
    }
    return out;
  }

  /// What may be left of it all.
  FolderContent after_power_cut(CrashDraws& draws) const {
    FolderContent out;
    std::map<int, FileBytes> drawn;  // a file is the same under each of its names
    for (const auto& [name, states] : names_) {
      const int state = states[static_cast<std::size_t>(draws.below(states.size()))];
      if (!show(out, name, state)) continue;
      if (state < 0) continue;
      if (!drawn.contains(state))
        drawn[state] = torn(files_[static_cast<std::size_t>(state)], draws);
      out.files[name] = drawn[state];
    }
    return out;
  }

 private:
  static constexpr int nothing = -1, folder = -2;
  static constexpr std::size_t sector = 512;
  struct File {
    FileBytes bytes;                     ///< that are on the disk
    std::vector<const DiskOp*> pending;  ///< writes and sizes since
  };

  File& file(const DiskOp& op) { return files_[static_cast<std::size_t>(op.file)]; }
  void set(const std::string& name, int state) {
    std::vector<int>& states = names_[name];
    if (states.empty()) states.push_back(nothing);
    states.push_back(state);
  }
  static std::string parent(const std::string& name) {
    const std::size_t slash = name.rfind('/');
    return slash == name.npos ? std::string() : name.substr(0, slash);
  }
  /// False for what lies in a folder that is not there. Folders come before what is in them.
  static bool show(FolderContent& out, const std::string& name, int state) {
    const std::string above = parent(name);
    if (!above.empty() &&
        std::find(out.folders.begin(), out.folders.end(), above) == out.folders.end())
      return false;
    if (state == folder) out.folders.push_back(name);
    if (state >= 0) out.files[name];
    return true;
  }

  static void apply_part(FileBytes& bytes, const DiskOp& op, std::size_t count) {
    const auto at = static_cast<std::size_t>(op.at);
    if (count == 0) return;
    if (bytes.size() < at + count) bytes.resize(at + count);
    std::memcpy(bytes.data() + at, op.bytes.data(), count);
  }
  static void apply(FileBytes& bytes, const DiskOp& op) {
    if (op.kind == DiskOp::Kind::resize)
      bytes.resize(static_cast<std::size_t>(op.at));
    else
      apply_part(bytes, op, op.bytes.size());
  }

  static FileBytes torn(const File& source, CrashDraws& draws) {
    FileBytes out = source.bytes;
    if (source.pending.empty()) return out;
    const bool in_order = draws.one_in(2);  // up to a point everything, then nothing
    const std::size_t end = static_cast<std::size_t>(draws.below(source.pending.size() + 1));
    for (std::size_t i = 0; i < source.pending.size(); ++i) {
      const DiskOp& op = *source.pending[i];
      if (in_order ? i < end : draws.one_in(2)) {
        apply(out, op);
        continue;
      }
      if (op.kind == DiskOp::Kind::resize || (in_order && i > end)) continue;
      switch (draws.below(4)) {
        case 0:  // a beginning
          apply_part(out, op, static_cast<std::size_t>(draws.below(op.bytes.size() + 1)));
          break;
        case 1:  // some sectors
          for (std::size_t at = 0; at < op.bytes.size(); at += sector)
            if (draws.one_in(2)) apply_piece(out, op, at, std::min(sector, op.bytes.size() - at));
          break;
        case 2:  // the size only, with what the disk held before
          grow(out, op, draws.one_in(2) ? 0 : static_cast<std::uint8_t>(draws.below(256)));
          break;
        default:
          break;
      }
    }
    return out;
  }
  static void apply_piece(FileBytes& bytes, const DiskOp& op, std::size_t from, std::size_t count) {
    const std::size_t at = static_cast<std::size_t>(op.at) + from;
    if (bytes.size() < at + count) bytes.resize(at + count);
    std::memcpy(bytes.data() + at, op.bytes.data() + from, count);
  }
  static void grow(FileBytes& bytes, const DiskOp& op, std::uint8_t fill) {
    const std::size_t size = static_cast<std::size_t>(op.at) + op.bytes.size();
    if (bytes.size() < size) bytes.resize(size, fill);
  }

  const std::vector<DiskOp>& ops_;
  std::size_t at_ = 0;
  std::vector<File> files_;
  std::map<std::string, std::vector<int>> names_;  ///< states since the last sync, that one first
  std::map<std::string, std::string> promised_;
};

}  // namespace iotsl::test
