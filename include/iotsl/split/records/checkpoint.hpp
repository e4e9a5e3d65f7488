#pragma once
// What a run leaves on disk so that it can go on: barriers with both halves and their optimiser
// state, the last two and the chosen one, and the number of times that the server has begun. At the
// end the joined net with torchvision's names.

#include "iotsl/core/failpoint.hpp"
#include "iotsl/core/files/container.hpp"
#include "iotsl/core/json/fields.hpp"
#include "iotsl/measure/bytes.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/nn/state.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/split/halves/state_part.hpp"
#include "iotsl/split/protocol/turn_report.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

inline constexpr const char* model_name = "model.safetensors";
inline constexpr const char* run_numbers_name = "session.json";
inline constexpr const char* checkpoint_folder = "checkpoints";
inline constexpr const char* best_checkpoint_name = "best.iotsl";
inline constexpr const char* checkpoint_kind = "checkpoint";

/// Numbers that must never be used twice in a run, whatever is lost.
struct RunNumbers {
  std::uint64_t run = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t fence = 0;               ///< of the last grant
  std::uint32_t round = 0;               ///< that it was for; method fedavg
  std::vector<std::string> places = {};  ///< names of the devices in the order of turns, once known

  friend bool operator==(const RunNumbers&, const RunNumbers&) = default;
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("run", self.run);
    f("incarnation", self.incarnation);
    f("fence", self.fence);
    f.later("round", self.round);
    f.later("places", self.places);
  }
};

/// Costs of a turn that the machine does not know.
struct TurnCosts {
  net::Microseconds wall_us = 0;     ///< from TURN_GRANT to TURN_DONE, without writing barriers
  net::Microseconds barrier_us = 0;  ///< writing barriers
  std::uint64_t bytes_up = 0, bytes_down = 0;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("wall_us", self.wall_us);
    f("barrier_us", self.barrier_us);
    f("bytes_up", self.bytes_up);
    f("bytes_down", self.bytes_down);
  }
};

/// A barrier with what the books stand at.
struct CheckpointRecord {
  BarrierRecord barrier;
  std::uint64_t front_steps = 0, back_steps = 0;  ///< of the optimisers
  std::uint64_t metrics_bytes = 0;                ///< length of metrics.jsonl
  measure::ByteBill bill;                         ///< all that was sent so far
  std::uint64_t bytes_up = 0, bytes_down = 0;
  TurnCosts turn;  ///< of the turn that the barrier lies in
  double seconds = 0;
  /// Device epochs behind which the front was trained again, of method cache; 0: it was not.
  std::uint64_t unfrozen_after = 0;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("barrier", self.barrier);
    f("front_steps", self.front_steps);
    f("back_steps", self.back_steps);
    f("metrics_bytes", self.metrics_bytes);
    f("bill", self.bill);
    f("bytes_up", self.bytes_up);
    f("bytes_down", self.bytes_down);
    f("turn", self.turn);
    f("seconds", self.seconds);
    f.later("unfrozen_after", self.unfrozen_after);
  }
};

/// What a checkpoint holds of a net in training. The optimisers are those of the front and of the
/// back, or one for the whole net.
struct TrainingState {
  Sequential<float>& joined;
  std::vector<Optimizer<float>*> optimizers;
  std::vector<StatePart> more = {};
};

namespace detail {

inline ContainerLimits checkpoint_limits() { return {.max_file_bytes = std::uint64_t{16} << 30}; }
inline std::string barrier_name(std::uint64_t id) {
  std::string number = std::to_string(id);
  return concat("barrier-", std::string(number.size() < 8 ? 8 - number.size() : 0, '0'), number,
                ".iotsl");
}
/// Ids of the barriers in a folder, rising.
inline Result<std::vector<std::uint64_t>> barrier_ids(const std::string& folder) {
  const Result<std::vector<std::string>> names = read_folder(folder);
  if (!names) return names.failure();
  std::vector<std::uint64_t> out;
  for (const std::string& name : *names) {
    if (name.size() < 15 || name.compare(0, 8, "barrier-") != 0) continue;
    const std::uint64_t id = std::strtoull(name.c_str() + 8, nullptr, 10);
    if (name == barrier_name(id)) out.push_back(id);
  }
  std::sort(out.begin(), out.end());
  return out;
}
/// Removes all but the last two.
inline void remove_old_barriers(const std::string& folder) {
  const Result<std::vector<std::uint64_t>> ids = barrier_ids(folder);
  for (std::size_t i = 0; ids && i + 2 < ids->size(); ++i)
    ::unlink(join_path(folder, barrier_name((*ids)[i])).c_str());
}

/// Weights, buffers, counters, optimiser slots, and what else belongs to the run.
inline std::vector<StatePart> state_parts(const TrainingState& state) {
  std::vector<StatePart> out;
  const auto add = [&](std::string name, Tensor<float>& t) {
    out.push_back({std::move(name), reinterpret_cast<std::uint8_t*>(t.mutable_data()),
                   sizeof(float) * static_cast<std::size_t>(t.size())});
  };
  for (StateEntry<float>& entry : state_entries<float>(state.joined)) {
    if (entry.counter)
      out.push_back({"model/" + entry.name, reinterpret_cast<std::uint8_t*>(entry.counter->data()),
                     sizeof(std::int64_t)});
    else
      add("model/" + entry.name, entry.tensor);
  }
  for (const Optimizer<float>* optimizer : state.optimizers)
    for (const NamedTensor<float>& slot : optimizer->state()) {
      Tensor<float> tensor = slot.tensor;  // the same values
      add("optimizer/" + slot.name, tensor);
    }
  out.insert(out.end(), state.more.begin(), state.more.end());
  return out;
}

}  // namespace detail

inline Result<void> write_run_numbers(const std::string& out, const RunNumbers& record) {
  return write_file_atomic(join_path(out, run_numbers_name),
                           to_text(to_json_fields(record), 2) + "\n");
}
inline Result<RunNumbers> read_run_numbers(const std::string& out) {
  const std::string path = join_path(out, run_numbers_name);
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.failure();
  const Result<Json> json = parse_json(*text);
  if (!json) return failure(ErrorCode::data, path, ": ", json.failure().message);
  Result<RunNumbers> record = parse_json_fields<RunNumbers>(*json);
  if (!record) return failure(ErrorCode::data, path, ": ", record.failure().message);
  return record;
}

/// Whether the run in `out` has come as far as having a number, or even a turn's barrier.
inline Result<bool> has_begun(const std::string& out) {
  const Result<bool> numbers = look_for_file(join_path(out, run_numbers_name));
  if (!numbers || *numbers) return numbers;
  const auto ids = detail::barrier_ids(join_path(out, checkpoint_folder));
  if (!ids) return ids.failure();
  return !ids->empty() && ids->back() > 0;
}

/// Writes barrier `record.barrier.id` of the run in `out` and removes all but the last two. Free
/// space is checked first; a power cut leaves the old files or the new one, never half of it.
inline Result<void> write_checkpoint(const std::string& out, const TrainingState& state,
                                     const CheckpointRecord& record) {
  const std::string folder = join_path(out, checkpoint_folder);
  if (const Result<void> made = create_folders(folder); !made) return made;
  remove_leftovers(folder, "");  // each as large as a barrier
  const std::string text = to_text(to_json_fields(record));
  std::vector<Section> sections{{"record", iotsl::bytes_of(std::string_view(text))}};
  for (const StatePart& part : detail::state_parts(state))
    sections.push_back({part.name, ByteSpan(part.data, part.bytes)});
  const std::uint64_t id = record.barrier.id;
  const Result<void> written =
      save_container(join_path(folder, detail::barrier_name(id)), checkpoint_kind, sections);
  IOTSL_FAILPOINT("server.barrier.saved");
  if (written) detail::remove_old_barriers(folder);
  return written;
}

/// Remembers barrier `id` as the one that the run is reported by, however long it goes on.
inline Result<void> keep_best(const std::string& out, std::uint64_t id) {
  const std::string folder = join_path(out, checkpoint_folder);
  return link_file(join_path(folder, detail::barrier_name(id)),
                   join_path(folder, best_checkpoint_name));
}

namespace detail {

inline Result<CheckpointRecord> read_record(const std::string& path, const Container& file) {
  const auto wrong = [&](const Failure& why) {
    return failure(ErrorCode::data, path, ": ", why.message);
  };
  const Result<ByteSpan> text = file.section("record");
  if (!text) return wrong(text.failure());
  const Result<Json> json = parse_json(text_of(*text));
  if (!json) return wrong(json.failure());
  Result<CheckpointRecord> record = parse_json_fields<CheckpointRecord>(*json);
  return record ? std::move(record) : wrong(record.failure());
}

/// What `read` makes of the newest barrier of the run in `out` that it takes, by its path.
template <class Read>
Result<CheckpointRecord> read_newest(const std::string& out, const Read& read) {
  const std::string folder = join_path(out, checkpoint_folder);
  const Result<std::vector<std::uint64_t>> ids = barrier_ids(folder);
  if (!ids) return ids.failure();
  // Who wrote the newest may have died before its name was on the disk.
  const Result<void> synced = ids->empty() ? Result<void>{} : iotsl::detail::sync_folder(folder);
  if (!synced) return synced.failure();
  Failure why = failure(ErrorCode::data, folder, ": has no barrier to go on from");
  for (auto id = ids->rbegin(); id != ids->rend(); ++id) {
    Result<CheckpointRecord> record = read(join_path(folder, barrier_name(*id)));
    if (record || record.failure().code == ErrorCode::other) return record;
    why = record.failure();
  }
  return why;
}

/// Copies the first sections after the record into `parts`: all of them, or none.
inline Result<void> copy_parts(const Container& file, const std::vector<StatePart>& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i + 1 >= file.sections.size())
      return failure(ErrorCode::data, "has no tensor '", parts[i].name, "'");
    const Section& section = file.sections[i + 1];
    if (section.name != parts[i].name || section.bytes.size() != parts[i].bytes)
      return failure(ErrorCode::data, "tensor '", section.name, "' of ", section.bytes.size(),
                     " bytes, the run has '", parts[i].name, "' of ", parts[i].bytes);
  }
  for (std::size_t i = 0; i < parts.size(); ++i)
    std::memcpy(parts[i].data, file.sections[i + 1].bytes.data(), parts[i].bytes);
  return {};
}

}  // namespace detail

/// Reads a checkpoint into `state`, which keeps its old values where the file is refused.
inline Result<CheckpointRecord> read_checkpoint(const std::string& path,
                                                const TrainingState& state) {
  const Result<Container> file = load_container(path, checkpoint_kind, detail::checkpoint_limits());
  if (!file) return file.failure();
  const auto wrong = [&](const auto&... what) {
    return failure(ErrorCode::data, path, ": ", what...);
  };
  Result<CheckpointRecord> record = detail::read_record(path, *file);
  if (!record) return record;
  const std::vector<StatePart> parts = detail::state_parts(state);
  if (file->sections.size() != parts.size() + 1)
    return wrong(file->sections.size() - 1, " tensors, the run has ", parts.size());
  if (const Result<void> copied = detail::copy_parts(*file, parts); !copied)
    return wrong(copied.failure().message);
  const std::uint64_t steps[] = {record->front_steps, record->back_steps};
  for (std::size_t i = 0; i < state.optimizers.size(); ++i)
    state.optimizers[i]->set_steps(static_cast<std::int64_t>(steps[i]));
  return record;
}

/// Barrier `id` of the run in `out`.
inline Result<CheckpointRecord> read_checkpoint(const std::string& out, std::uint64_t id,
                                                const TrainingState& state) {
  return read_checkpoint(join_path(join_path(out, checkpoint_folder), detail::barrier_name(id)),
                         state);
}

/// The newest barrier of the run in `out` that verifies. What is damaged is passed over: the one
/// before it is as good a state of the run.
inline Result<CheckpointRecord> read_newest_checkpoint(const std::string& out,
                                                       const TrainingState& state) {
  return detail::read_newest(out,
                             [&](const std::string& path) { return read_checkpoint(path, state); });
}
/// What it says of the run, before there is a state to read it into.
inline Result<CheckpointRecord> read_newest_record(const std::string& out) {
  return detail::read_newest(out, [](const std::string& path) -> Result<CheckpointRecord> {
    const Result<Container> file =
        load_container(path, checkpoint_kind, detail::checkpoint_limits());
    return file ? detail::read_record(path, *file) : file.failure();
  });
}

/// Reads the weights that the run in `out` is reported by (see keep_best) into `joined`, which
/// keeps its old ones where the file is refused.
inline Result<CheckpointRecord> read_best_model(const std::string& out, Sequential<float>& joined) {
  const std::string path = join_path(join_path(out, checkpoint_folder), best_checkpoint_name);
  const Result<Container> file = load_container(path, checkpoint_kind, detail::checkpoint_limits());
  if (!file) return file.failure();
  Result<CheckpointRecord> record = detail::read_record(path, *file);
  if (!record) return record;
  const Result<void> copied = detail::copy_parts(*file, detail::state_parts({joined, {}}));
  if (!copied) return failure(ErrorCode::data, path, ": ", copied.failure().message);
  return record;
}

/// Writes the weights alone, for `predict` and for a strict load_state_dict.
inline Result<void> write_model(const std::string& folder, const Sequential<float>& joined) {
  return save_safetensors(join_path(folder, model_name), state_views(joined));
}

}  // namespace split
IOTSL_NAMESPACE_END
