#pragma once
// The records of a run's device epochs. Where the run has a folder, memory does not grow with them:
// each is a line of metrics.jsonl, and all are read again at the end.

#include <map>

#include "iotsl/core/failpoint.hpp"
#include "iotsl/measure/chosen_point.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class EpochBooks {
 public:
  /// The place and data that a device had in its newest turn.
  struct Turn {
    std::uint32_t device = 0;
    std::uint64_t samples = 0;
  };

  /// `folder`: of the run. Without one the records stay in memory.
  explicit EpochBooks(const std::string& folder)
      : path_(folder.empty() ? std::string() : join_path(folder, "metrics.jsonl")) {}

  /// Device epochs so far.
  std::uint64_t count() const { return count_; }
  /// Of a device by its name; null where it has had no turn.
  const Turn* newest_turn_of(const std::string& name) const {
    const auto found = turns_.find(name);
    return found == turns_.end() ? nullptr : &found->second;
  }
  std::uint64_t evaluations_without_gain() const { return plateau_.evaluations_without_gain(); }

  /// Begins with none.
  Result<void> begin() const { return write_file_atomic(path_, std::string_view()); }

  Result<void> add(const measure::EpochRecord& record) {
    note(record);
    if (path_.empty()) {
      in_memory_.push_back(record);
      return {};
    }
    const Result<void> written = measure::append_record(path_, record);
    if (!written) return written;
    IOTSL_FAILPOINT("server.turn.line");
    return {};
  }

  /// Puts what was added on the disk for good; the size of the file.
  Result<std::uint64_t> sync() const {
    const Result<void> synced = sync_file(path_);
    if (!synced) return synced.failure();
    IOTSL_FAILPOINT("server.barrier.books");
    return file_size(path_);
  }

  /// Goes back to where the file had `size` bytes, and calls `seen(record)` for each that is left.
  template <class Seen>
  Result<void> take_back(std::uint64_t size, Seen&& seen) {
    const Result<void> cut = cut_file(path_, size);
    if (!cut) return cut;
    count_ = 0;
    turns_.clear();
    plateau_ = {};
    return for_each([&](measure::EpochRecord record) {
      note(record);
      seen(record);
    });
  }

  /// All of them, from the first. Error: data, where the file has not all that were added.
  Result<std::vector<measure::EpochRecord>> all() const {
    if (path_.empty()) return in_memory_;
    std::vector<measure::EpochRecord> out;
    const Result<void> read =
        for_each([&](measure::EpochRecord record) { out.push_back(std::move(record)); });
    if (!read) return read.failure();
    if (out.size() != count_)
      return failure(ErrorCode::data, path_, ": expected the ", count_,
                     " lines that this run has written, found ", out.size());
    return out;
  }

 private:
  void note(const measure::EpochRecord& record) {
    ++count_;
    turns_[record.device_name] = {record.device, record.samples};
    plateau_.add(record);
  }
  template <class Take>
  Result<void> for_each(Take&& take) const {
    const Result<std::string> text = read_text_file(path_);
    if (!text) return text.failure();
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = std::min(text->find('\n', at), text->size());
      const auto wrong = [&](const Failure& why) {
        return failure(ErrorCode::data, path_, ": offset ", at, ": ", why.message);
      };
      const Result<Json> json = parse_json(std::string_view(*text).substr(at, end - at));
      if (!json) return wrong(json.failure());
      Result<measure::EpochRecord> record = measure::parse_record(*json);
      if (!record) return wrong(record.failure());
      take(std::move(record).value());
      at = end + 1;
    }
    return {};
  }

  std::string path_;
  std::uint64_t count_ = 0;
  std::map<std::string, Turn> turns_;
  measure::Plateau plateau_;
  std::vector<measure::EpochRecord> in_memory_;
};

}  // namespace split
IOTSL_NAMESPACE_END
