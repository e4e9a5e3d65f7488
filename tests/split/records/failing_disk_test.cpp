// Every call to the disk and every allocation fails once, with every error that it may give: the
// old state stays, the error says where and why, and the next try goes on.

#include <doctest/doctest.h>

#include "iotsl/privacy/data_id.hpp"
#include "iotsl/privacy/ledger.hpp"
#include "iotsl/split/records/quarantine_file.hpp"
#include "split/prepare/preparation_fixture.hpp"
#include "split/runs/fragile_run.hpp"
#include "support/disk/failing_calls.hpp"
#include "support/temporary_folder.hpp"

namespace failing_disk_test {

using namespace tiny;
using namespace fragile;
using namespace iotsl::test;

namespace {

/// A net in training, at one of two states.
struct Net {
  SplitModel model = build_split_model(config()).value();
  FrontHalf front{model.front, config().training.optimizer, 1};
  BackHalf back{model.back, config().training.optimizer, 1};

  TrainingState state() { return {model.joined, {&front.optimizer(), &back.optimizer()}}; }
  void become(std::uint64_t seed) { model.joined.initialize(seed); }
  std::string sha() const { return state_sha256(model.joined); }
};

CheckpointRecord record(std::uint64_t id) {
  CheckpointRecord out;
  out.barrier.id = id;
  return out;
}

void tell(const char* what, const FailureCounts& counts) {
  MESSAGE(
      concat(what, ": ", counts.calls, " calls failed, ", counts.errors, " ended with an error"));
  CHECK(counts.errors > 3);
}

/// Barrier 1 is on the disk, barrier 2 is to be written.
struct Saving {
  TemporaryFolder place;
  std::string folder = place / "run";
  Net net, read;
  std::string old_sha, new_sha;
  Saving() {
    net.become(1);
    old_sha = net.sha();
    net.become(2);
    new_sha = net.sha();
  }
  void begin() {
    std::filesystem::remove_all(folder);
    net.become(1);
    REQUIRE(write_checkpoint(folder, net.state(), record(1)).ok());
    REQUIRE(write_run_numbers(folder, {.run = 1, .fence = 1}).ok());
    REQUIRE(keep_best(folder, 1).ok());
    net.become(2);
  }
  Result<void> save() {
    Result<void> done = write_checkpoint(folder, net.state(), record(2));
    if (done) done = keep_best(folder, 2);
    if (done) done = write_run_numbers(folder, {.run = 1, .fence = 2});
    return done;
  }
  std::string look(bool saved) {
    read.become(3);
    const auto newest = read_newest_checkpoint(folder, read.state());
    if (!newest) return newest.failure().message;
    const bool is_new = newest->barrier.id == 2;
    if (read.sha() != (is_new ? new_sha : old_sha)) return "a mixture";
    const auto numbers = read_run_numbers(folder);
    if (!numbers) return numbers.failure().message;
    if (saved && !(is_new && numbers->fence == 2)) return "saved, and not there";
    const auto best = read_checkpoint(folder + "/checkpoints/best.iotsl", read.state());
    if (!best) return best.failure().message;
    if (saved && best->barrier.id != 2) return "not the best";
    if (saved)
      for (const std::string& name : list_folder(folder + "/checkpoints"))
        if (name.find(".tmp") != name.npos) return "left: " + name;
    return "";
  }
};

}  // namespace

TEST_CASE("failing disk: a checkpoint is saved, or the old one stays") {
  Saving it;
  tell("saving a checkpoint", fail_every_call(
                                  it.place.path, [&] { it.begin(); }, [&] { return it.save(); },
                                  [&](bool done) { return it.look(done); }, 19));
}

TEST_CASE("failing memory: a checkpoint is saved, or the old one stays") {
  Saving it;
  tell("saving a checkpoint, allocations",
       fail_every_allocation([&] { it.begin(); }, [&] { return it.save(); },
                             [&](bool done) { return it.look(done); }, 23));
}

TEST_CASE("failing disk and memory: what is not read whole changes nothing") {
  Saving it;
  it.begin();
  REQUIRE(it.save().ok());
  Net into;
  into.become(3);
  const std::string before = into.sha();
  const auto begin = [&] { into.become(3); };
  const auto load = [&] { return read_newest_checkpoint(it.folder, into.state()); };
  // A barrier that cannot be read for damage is passed over.
  const auto look = [&](bool done) -> std::string {
    const std::string now = into.sha();
    if (!done) return now == before ? "" : "a load that failed has changed the net";
    return now == it.new_sha || now == it.old_sha ? "" : "a mixture";
  };
  FailureCounts counts = fail_every_call(it.place.path, begin, load, look);
  MESSAGE(concat("reading a checkpoint: ", counts.calls, " calls failed, ", counts.errors,
                 " ended with an error"));
  CHECK(counts.calls > 10);
  tell("reading a checkpoint, allocations", fail_every_allocation(begin, load, look, 23));
  begin();
  REQUIRE(load().ok());
  CHECK(into.sha() == it.new_sha);
}

TEST_CASE("failing disk: the ledger forgets nothing, and what is not in it does not leave") {
  const TemporaryFolder place;
  const std::string path = place / "state/ledger.json";
  const auto enter = [&](const char* id) -> Result<void> {
    privacy::Release release;
    release.id = id;
    release.mode = privacy::PrivacyMode::moments;
    release.noise_multiplier = release.noise_multiplier_replace_one = 5;
    const auto entered = privacy::enter_release(path, release, 1e-5, 1e6);
    if (!entered) return entered.failure();
    return entered->find(id) != nullptr ? Result<void>{} : failure(ErrorCode::other, "not in it");
  };
  const auto begin = [&] {
    std::filesystem::remove_all(place / "state");
    REQUIRE(create_folders(place / "state").ok());
    REQUIRE(enter("old").ok());
  };
  const auto look = [&](bool done) -> std::string {
    const auto ledger = privacy::read_ledger(path);
    if (!ledger) return ledger.failure().message;
    if (ledger->find("old") == nullptr) return "an old entry is gone";
    return done && ledger->find("new") == nullptr ? "released, and not in the ledger" : "";
  };
  tell("the ledger", fail_every_call(
                         place.path, begin, [&] { return enter("new"); }, look));
  tell("the ledger, allocations", fail_every_allocation(
                                      begin, [&] { return enter("new"); }, look, 7));
}

TEST_CASE("failing disk: nobody leaves the quarantine by it, and a name for data stays") {
  const TemporaryFolder place;
  const std::string folder = place / "run";
  QuarantinedDevice first, second;
  first.reason = second.reason = "NaN";
  second.device = 1;
  const auto begin = [&] {
    std::filesystem::remove_all(folder);
    REQUIRE(create_folders(folder).ok());
    REQUIRE(QuarantineBook::open(folder, false, 2)->add(first).ok());
  };
  const auto put_aside = [&]() -> Result<void> {
    Result<QuarantineBook> book = QuarantineBook::open(folder, true, 2);
    if (!book) return book.failure();
    return book->names(1) ? Result<void>{} : book->add(second);
  };
  const auto look = [&](bool done) -> std::string {
    const auto record = read_quarantine(folder);
    if (!record) return record.failure().message;
    const std::vector<QuarantinedDevice>& list = record->devices;
    if (list.empty() || !(list[0] == first)) return "the first one is gone";
    return list.size() == 2 || !done ? "" : "the second one is not there";
  };
  tell("quarantine", fail_every_call(place.path, begin, put_aside, look));

  const Sha256Digest fingerprint{};
  const Sha256Digest known = privacy::data_id(place / "id", fingerprint).value();
  const auto named = fail_every_call(
      place.path, [] {}, [&] { return privacy::data_id(place / "id", fingerprint); },
      [&](bool) {
        return privacy::data_id(place / "id", fingerprint).value() == known ? "" : "another name";
      });
  CHECK(named.errors > 4);
}

TEST_CASE("failing disk: a device's training goes on where it was last saved") {
  Setting s;
  s.config.preparation.generator.kind = generators::GeneratorKind::net;
  s.config.preparation.generator.net.iterations = 3;
  const std::string whole = sha256_hex(ByteSpan(train_generator(s, 0).file));
  const TemporaryFolder place;
  DeviceFiles files;
  files.state = place / "state";
  files.save_every = 0;
  std::size_t taken = 0;
  const auto begin = [&] {
    std::filesystem::remove_all(files.state);
    GeneratorWork work(s.train, s.samples[0], s.task(0), files);
    for (int i = 0; i < 2; ++i) REQUIRE(work.step().value() == false);
  };
  const auto train = [&]() -> Result<void> {
    GeneratorWork work(s.train, s.samples[0], s.task(0), files);
    for (taken = 1;; ++taken) {
      const Result<bool> last = work.step();
      if (!last) return last.failure();
      if (!*last) continue;
      return sha256_hex(ByteSpan(work.finish().file)) == whole
                 ? Result<void>{}
                 : failure(ErrorCode::other, "another generator");
    }
  };
  // Where a sector of the state is lost it begins again.
  FailureCounts counts = fail_every_call(
      place.path, begin, train,
      [&](bool done) -> std::string { return done && taken > 3 ? "began again" : ""; }, 41);
  tell("a training", counts);
}

TEST_CASE("failing disk: a server's run ends with the reason and goes on to the same end") {
  const TwoDevices data;
  const TemporaryFolder place;
  RunConfig config = tiny::config();
  config.training.epochs = 2;
  config.training.local_epochs = 1;
  config.barriers = {.steps = 2, .seconds = 0};
  config.offline_seconds = 0;
  config.out = place / "run";
  const auto run = [&]() -> Result<RunSummary> {
    RunConfig now = config;
    const Result<bool> begun = has_begun(config.out);
    if (!begun) return begun.failure();
    now.resume = *begun;
    FragileRun fragile_run(now, data.train, data.test, data.samples);
    return fragile_run.run(Fault::none, 0);
  };
  std::string expected, ended;
  {
    const auto summary = run();
    REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
    expected = history(*summary);
  }
  tell("a server's run", fail_every_call(
                             place.path, [&] { std::filesystem::remove_all(config.out); },
                             [&]() -> Result<void> {
                               const auto summary = run();
                               if (!summary) return summary.failure();
                               ended = history(*summary);
                               return {};
                             },
                             [&](bool done) -> std::string {
                               return !done || ended == expected ? "" : "another end";
                             },
                             199));
}

}  // namespace failing_disk_test
