// Every state that a power cut or a kill may leave of a run's folder: each must be the old one or
// the new one, nothing that was promised is missing, and the run goes on from it to the same end.

#include <doctest/doctest.h>

#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"
#include "support/disk/check_images.hpp"
#include "support/temporary_folder.hpp"

namespace crash_images_test {

using namespace tiny;
using namespace fragile;
using namespace iotsl::test;

namespace {

/// Weights and optimisers, whatever else there is.
std::string digest(const std::vector<StatePart>& parts) {
  Sha256 out;
  for (const StatePart& part : parts) out.update(part.name).update(ByteSpan(part.data, part.bytes));
  return to_hex(out.digest());
}
std::string digest(const Container& file) {
  Sha256 out;
  for (const Section& each : file.sections)
    if (each.name != "record") out.update(each.name).update(each.bytes);
  return to_hex(out.digest());
}

RunConfig server_config() {
  RunConfig out = config();
  out.training.epochs = 3;
  out.training.local_epochs = 1;
  out.barriers = {.steps = 2, .seconds = 0};
  out.offline_seconds = 0;
  return out;
}

/// A run whose disk was logged.
struct LoggedRun {
  RunConfig config;
  TwoDevices data;
  TemporaryFolder folder;
  DiskLog log{folder.path};
  std::string expected;
  /// The states that were ever given a barrier's name, by their ids.
  std::map<std::uint64_t, std::string> states;

  explicit LoggedRun(RunConfig of) : config(std::move(of)) {
    config.out = folder / "run";
    FragileRun run(config, data.train, data.test, data.samples);
    run.set_observer([this](Seen seen, std::size_t, const net::Message* message) {
      if (seen == Seen::server_sends) promise(*message);
    });
    {
      const WatchFiles watch(log);
      const auto summary = run.run(Fault::none, 0);
      REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
      expected = history(*summary);
    }
    CrashDisk disk(log);
    const std::string begin = "run/checkpoints/barrier-";
    for (const DiskOp& op : log.ops()) {
      disk.advance();
      if (op.kind != DiskOp::Kind::rename || !op.second.starts_with(begin)) continue;
      CrashDraws none(0, 0);
      const FolderContent now = disk.after_kill(none);
      const auto file = parse_container(ByteSpan(now.files.at(op.second)), checkpoint_kind);
      REQUIRE(file.ok());
      states[std::strtoull(op.second.c_str() + begin.size(), nullptr, 10)] = digest(*file);
    }
    REQUIRE(states.size() > 4);
  }

  /// What nobody may have heard in vain.
  void promise(const net::Message& message) {
    if (message.type == net::MessageType::barrier_committed) {
      const auto said = net::decode<net::BarrierCommitted>(message.payload).value();
      log.promise("barrier", std::to_string(said.id));
    }
    if (message.type == net::MessageType::turn_grant) {
      const auto said = net::decode<net::TurnGrant>(message.payload).value();
      log.promise("fence", std::to_string(said.key.fence));
    }
  }

  /// Takes the run in `out` up as a server does, and lets it go.
  std::string look_at(const CrashDisk& disk, const std::string& out) const {
    const auto least = [&](const char* what) {
      return std::strtoull(disk.promised(what).value_or("0").c_str(), nullptr, 10);
    };
    const auto begun = has_begun(out);
    if (!begun) return begun.failure().message;
    if (!*begun)
      return least("fence") == 0 && least("barrier") == 0 ? "" : "a run that has begun is gone";
    RunConfig again = config;
    again.out = out;
    again.resume = true;
    SplitModel model = build_split_model(again).value();
    FrontHalf front(model.front, handed_over_optimizer(again), again.seed);
    BackHalf back(model.back, again.training.optimizer, again.seed);
    const TrainingState state{model.joined, {&front.optimizer(), &back.optimizer()}};
    RunRecorder recorder(again, {}, data.test);
    const auto opened = recorder.open(state);
    if (!opened) return "cannot go on: " + opened.failure().message.substr(out.size());
    if (opened->id < least("barrier")) return "a barrier that was committed is gone";
    const auto known = states.find(opened->id);
    if (known == states.end() || known->second != digest(split::detail::state_parts(state)))
      return "a state that the run never had";
    if (recorder.numbers().fence < least("fence")) return "a fence could be given twice";
    const std::string best = out + "/checkpoints/best.iotsl";
    if (!file_exists(best)) return "";
    const auto kept = load_container(best, checkpoint_kind);
    if (!kept) return "best.iotsl is damaged";
    for (const auto& [id, each] : states)
      if (each == digest(*kept)) return "";
    return "best.iotsl is a state that the run never had";
  }

  /// Goes on to the end.
  std::string go_on(const std::string& out) const {
    RunConfig again = config;
    again.out = out;
    again.resume = has_begun(out).value();
    FragileRun run(again, data.train, data.test, data.samples);
    const auto summary = run.run(Fault::none, 0);
    if (!summary) return "does not go on: " + summary.failure().message;
    return history(*summary) == expected ? "" : "ends with other weights or metrics";
  }
};

/// Method cache: generators, plan, pre-trained weights and the samples that the server keeps, in
/// files that are mapped into memory.
RunConfig cached_config() {
  RunConfig out = iotsl_config();
  out.method = Method::cached;
  out.training.frozen_front = true;
  out.training.local_epochs = 1;
  out.training.epochs = 4;
  out.preparation.generator.kind = generators::GeneratorKind::moments;
  out.barriers = {.steps = 2, .seconds = 0};
  out.offline_seconds = 0;
  return out;
}

/// Writes a file in place of another one, synced before it gets its name, or not.
void replace_file(const std::string& path, const FileBytes& bytes, bool synced) {
  const std::string temporary = path + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(iotsl::detail::write_all(fd, bytes));
  if (synced) REQUIRE(::fsync(fd) == 0);
  ::close(fd);
  REQUIRE(::rename(temporary.c_str(), path.c_str()) == 0);
  REQUIRE(iotsl::detail::sync_folder(iotsl::detail::parent_folder(path)).ok());
}

}  // namespace

TEST_CASE("crash images: what is not synced before it gets its name is found torn") {
  for (const bool synced : {true, false}) {
    const TemporaryFolder folder;
    const FileBytes before(3000, 1), after(5000, 2);
    REQUIRE(write_file_atomic(folder / "a", ByteSpan(before)).ok());
    DiskLog log(folder.path);
    {
      const WatchFiles watch(log);
      replace_file(folder / "a", after, synced);
      log.promise("new", "1");
    }
    CrashDisk disk(log);
    std::size_t old_ones = 0, new_ones = 0, others = 0;
    for (std::uint64_t image = 0; disk.advance();)
      for (int i = 0; i < 100; ++i) {
        CrashDraws draws(3, image++);
        const FolderContent left = disk.after_power_cut(draws);
        const FileBytes& found = left.files.at("a");
        ++(found == before ? old_ones : found == after ? new_ones : others);
        if (found != after) CHECK((!synced || !disk.promised("new")));
      }
    CHECK(old_ones > 100);
    CHECK(new_ones > 50);
    CHECK((others > 50) == !synced);
    CHECK((others == 0) == synced);
  }
}

TEST_CASE("crash images: of a run of method cache") {
  const LoggedRun run(cached_config());
  check_images(
      "method cache", run.log,
      [&](const CrashDisk&, const std::string& image, std::size_t) {
        return run.go_on(image + "/run");
      },
      20);
}

TEST_CASE("crash images: of a server's run") {
  const LoggedRun run(server_config());
  check_images("server", run.log,
               [&](const CrashDisk& disk, const std::string& image, std::size_t number) {
                 const std::string out = image + "/run";
                 const std::string found = run.look_at(disk, out);
                 return !found.empty() || number % 40 != 0 ? found : run.go_on(out);
               });
}

}  // namespace crash_images_test
