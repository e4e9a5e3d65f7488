#include "host/files/run_folder.hpp"

#include <filesystem>

#include "host/report/run_report.hpp"
#include "host/run/model_card.hpp"
#include "iotsl/core/local_time.hpp"
#include "iotsl/data/packed.hpp"
#include "iotsl/split/records/checkpoint.hpp"
#include "iotsl/split/records/quarantine_file.hpp"
#include "iotsl/split/records/smashed_caches.hpp"

namespace iotsl::tool {
namespace {

/// Whether a run leaves an entry of that name.
bool is_run_entry(const std::string& folder, const std::string& name) {
  for (const std::string_view own :
       {std::string_view("config.json"), std::string_view(model_card_name), run_inputs_name,
        std::string_view("manifest.json"), std::string_view("metrics.jsonl"),
        std::string_view(split::run_numbers_name), std::string_view(split::model_name),
        summary_name, std::string_view(split::preparation_name),
        std::string_view(split::generation_log_name), std::string_view(split::pretrained_name),
        std::string_view(split::impute_plan_name), std::string_view(split::checkpoint_folder),
        std::string_view(split::generator_folder), std::string_view(split::cache_folder),
        std::string_view(split::quarantine_name), std::string_view(split::quarantine_lock_name)})
    // A file that was being written when its process ended bears the name with an ending.
    if (name == own || name.starts_with(concat(own, ".tmp."))) return true;
  if (name == "data") return file_exists(join_path(join_path(folder, name), data::pack_card_name));
  return name.starts_with("device-") && name.ends_with(".log");
}

std::vector<std::string> run_entries(const std::string& folder) {
  std::vector<std::string> out;
  for (const std::string& name : list_folder(folder))
    if (is_run_entry(folder, name)) out.push_back(name);
  return out;
}

void remove_run(const std::string& folder) {
  std::error_code ignored;
  for (const std::string& name : run_entries(folder))
    std::filesystem::remove_all(join_path(folder, name), ignored);
}

/// Whether work would be lost with what the run has left so far.
bool has_progress(const std::string& folder) {
  for (const std::string_view result : {summary_name, std::string_view(split::model_name)})
    if (file_exists(join_path(folder, result))) return true;
  const auto barriers = split::detail::barrier_ids(join_path(folder, split::checkpoint_folder));
  if (!barriers || (!barriers->empty() && barriers->back() > 0)) return true;
  for (const std::string& name : list_folder(split::training_folder(folder)))
    if (name.starts_with("generator-") || name.starts_with("device-")) return true;
  // Who is put aside is told how the run goes on once a device is released.
  const Result<split::QuarantineRecord> aside = split::read_quarantine(folder);
  if (!aside || !aside->devices.empty()) return true;
  const Result<split::PreparationRecord> made = split::read_preparation(folder);
  if (!made) return false;
  return std::any_of(
      made->generators.begin(), made->generators.end(),
      [](const split::GeneratorRecord& each) { return each.present && each.origin != "given"; });
}

/// A folder that cannot be listed looks empty, and what is written there may not last.
void check_permissions(const char* option, const std::string& folder) {
  if (!folder_exists(folder) || ::access(folder.c_str(), R_OK | W_OK | X_OK) == 0) return;
  fail_command(ErrorCode::usage, option, " ", folder,
               ": a run has to read and write in its folder, and has no permission to ",
               ::access(folder.c_str(), W_OK | X_OK) == 0 ? "read" : "write");
}

}  // namespace

RunFolder::RunFolder(RunOptions& options) {
  if (!options.resume.empty()) {
    check_permissions("--resume", options.resume);
    place_ = options.resume;
    lock_ = expect(FolderLock::take(place_));
    kept_ = true;
    return;
  }
  choose_place(options);
  take(options);
}

/// A name that nobody else has: whoever makes the folder has it.
void RunFolder::choose_place(RunOptions& options) {
  if (!options.out.empty()) {
    place_ = options.out;
    made_ = missing_folders(place_);
    if (file_exists(place_)) fail_command(ErrorCode::usage, "--out ", place_, ": is a file");
    if (const Result<void> done = create_folders(place_); !done)
      fail_command(ErrorCode::usage, "--out ", place_, ": ", done.failure().message);
    check_permissions("--out", place_);
    return;
  }
  made_ = missing_folders("runs");
  expect(create_folders("runs"));
  const std::string name =
      concat("runs/", local_time("%Y%m%d-%H%M%S"), "-", options.data.dataset, "-", options.method);
  for (int number = 1; place_.empty(); ++number) {
    const std::string candidate = number == 1 ? name : concat(name, "-", number);
    if (::mkdir(candidate.c_str(), 0777) == 0)
      place_ = candidate;
    else if (errno != EEXIST)
      throw CommandFailure{
          iotsl::detail::file_failure(ErrorCode::other, candidate, "cannot make folder", errno)};
  }
  made_.push_back(place_);
  options.out = place_;
}

void RunFolder::take(const RunOptions& options) {
  lock_ = expect(FolderLock::take(place_));
  remove_leftovers(place_, "config.json");  // of a start that died with its first file
  const std::vector<std::string> held = run_entries(place_);
  fresh_ = held.empty();
  if (fresh_) return;
  if (!file_exists(join_path(place_, "config.json")))
    fail_command(ErrorCode::usage, "--out ", place_, ": is no run folder, but holds ", held[0],
                 ", which a run would replace; choose another folder");
  if (!options.overwrite)
    fail_command(ErrorCode::usage, "--out ", place_,
                 ": holds a run already; choose another folder or give --overwrite");
  if (!has_progress(place_)) return remove_run(place_);
  // Of an earlier --overwrite that was stopped after hours of training, but before a barrier.
  // A link of that name is a second name of this run, left by a process that was killed.
  std::error_code ignored;
  if (const std::string left = StagedFolder::path_for(place_);
      !std::filesystem::is_symlink(left, ignored) && has_progress(left))
    fail_command(ErrorCode::usage, "--overwrite: ", left,
                 " holds what an interrupted run has done; go on with --resume ", left,
                 ", or remove it");
  staged_ = expect(StagedFolder::begin(place_, is_run_entry));
}

RunFolder::~RunFolder() {
  if (kept_) return;
  if (staged_.staged()) {
    if (has_progress(staged_.path())) staged_.leave();
    return;
  }
  if (!fresh_ || has_progress(place_)) return;
  remove_run(place_);
  if (!made_.empty() || list_folder(place_).size() == 1)
    ::unlink(join_path(place_, lock_name).c_str());
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) ::rmdir(folder->c_str());
}

Result<void> RunFolder::keep() {
  kept_ = true;
  return staged_.publish();
}

Failure RunFolder::close(Failure why) {
  const bool waits = staged_.staged(), done = has_progress(path());
  if (why.code == ErrorCode::stopped && !waits) kept_ = true;
  if (!waits) return why;
  const std::string earlier = concat("the earlier run in ", place_, " is as it was");
  if (why.code == ErrorCode::stopped)
    return failure(done ? ErrorCode::stopped : ErrorCode::other,
                   "stopped before the first barrier; ", earlier,
                   done ? concat("; go on with the new one by --resume ", path()) : "");
  why.message += concat("; ", earlier);
  if (done) why.message += concat(", what the new one has done so far is in ", path());
  return why;
}

}  // namespace iotsl::tool
