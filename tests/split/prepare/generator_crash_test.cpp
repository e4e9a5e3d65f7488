// Every state that a power cut or a kill may leave of a device's folder while it trains its
// generator: the training goes on from where it was last saved, and the ledger knows of every noise
// that was ever drawn for what has left. Also of the ledger alone, with releases of several
// trainings.

#include "iotsl/privacy/ledger.hpp"
#include "split/prepare/preparation_fixture.hpp"
#include "support/disk/check_images.hpp"
#include "support/temporary_folder.hpp"

namespace generator_crash_test {

using namespace tiny;
using namespace iotsl::test;

namespace {

Setting setting(generators::GeneratorKind kind, privacy::PrivacySettings privacy) {
  Setting s;
  generators::GeneratorSettings& g = s.config.preparation.generator;
  g.kind = kind;
  g.net.iterations = 3;
  g.privacy = privacy;
  REQUIRE(generators::apply_privacy(g).ok());
  return s;
}

DeviceFiles files_in(const std::string& folder) {
  DeviceFiles out;
  out.state = folder + "/state";
  out.keep_ledger_in_state();
  out.save_every = 0;
  return out;
}

std::size_t number(const std::optional<std::string>& promised) {
  return std::strtoull(promised.value_or("0").c_str(), nullptr, 10);
}

/// Trains to the end with a log of the disk, then from every image of it.
void check_training(const char* what, const Setting& s, std::size_t rarer) {
  const bool is_private = s.config.preparation.generator.privacy.is_private();
  const TemporaryFolder folder;
  const DeviceFiles files = files_in(folder.path);
  DiskLog log(folder.path);
  std::size_t steps = 0;
  {
    const WatchFiles watch(log);
    GeneratorWork work(s.train, s.samples[0], s.task(0), files);
    for (bool last = false; !last;) {
      const Result<bool> done = work.step();
      REQUIRE_MESSAGE(done.ok(), done.failure().message);
      last = *done;
      log.promise("steps", std::to_string(++steps));
      if (is_private) log.promise("entered", privacy::read_ledger(files.ledger)->releases.at(0).id);
    }
    const TrainedGenerator made = work.finish();
    log.promise("left", sha256_hex(ByteSpan(made.file.data(), made.file.size())));
  }
  const std::string whole = is_private ? "" : sha256_hex(train_generator(s, 0).file);
  check_images(
      what, log,
      [&](const CrashDisk& disk, const std::string& image, std::size_t) -> std::string {
        const DeviceFiles again = files_in(image);
        const auto entered = disk.promised("entered"), left = disk.promised("left");
        const auto before = privacy::read_ledger(again.ledger);
        if (!before) return "the ledger cannot be read";
        if (entered && before->find(*entered) == nullptr) return "the ledger has lost a release";
        GeneratorWork work(s.train, s.samples[0], s.task(0), again);
        std::size_t taken = 0;
        for (bool last = false; !last; ++taken) {
          const Result<bool> done = work.step();
          if (!done) return "does not go on: " + done.failure().message.substr(0, 200);
          last = *done;
        }
        // A finished one is found in one step.
        if (taken + number(disk.promised("steps")) > steps + (left ? 1 : 0))
          return "steps that were saved are done again";
        const TrainedGenerator made = work.finish();
        const std::string sha = sha256_hex(ByteSpan(made.file.data(), made.file.size()));
        if (!is_private) return sha == whole ? "" : "ends with another generator";
        if (left && sha != *left) return "another generator leaves than the one that has left";
        const auto after = privacy::read_ledger(again.ledger);
        if (!after || after->releases.empty()) return "a generator has left without an entry";
        if (entered && after->releases.size() != 1) return "one training is counted twice";
        const auto card = generators::parse_generator(made.file).value().card.privacy;
        return card.releases == after->releases.size() ? ""
                                                       : "the card does not say what was spent";
      },
      rarer);
}

}  // namespace

TEST_CASE("crash images: of a device that trains a net") {
  check_training("generator, a net", setting(generators::GeneratorKind::net, {}), 5);
}
TEST_CASE("crash images: of a device that trains private moments") {
  check_training("generator, private moments",
                 setting(generators::GeneratorKind::moments,
                         {.mode = privacy::PrivacyMode::moments, .epsilon = 10}),
                 1);
}
TEST_CASE("crash images: of a device that trains a private net with several critics") {
  check_training(
      "generator, a private net",
      setting(generators::GeneratorKind::net,
              {.mode = privacy::PrivacyMode::gswgan, .noise_multiplier = 1.07, .critics = 3}),
      5);
}

TEST_CASE("crash images: of a ledger with several releases") {
  const TemporaryFolder folder;
  DiskLog log(folder.path);
  const auto enter = [](const std::string& place, const std::string& id) {
    privacy::Release release;
    release.id = id;
    release.mode = privacy::PrivacyMode::moments;
    release.noise_multiplier = release.noise_multiplier_replace_one = 5;
    return privacy::enter_release(place + "/state/ledger.json", release, 1e-5, 1e6);
  };
  const std::string ids[] = {"a", "b", "c", "d", "e"};
  {
    const WatchFiles watch(log);
    REQUIRE(create_folders(folder / "state").ok());
    for (std::size_t i = 0; i < std::size(ids); ++i) {
      REQUIRE(enter(folder.path, ids[i]).ok());
      log.promise("entered", std::to_string(i + 1));
    }
  }
  check_images("ledger", log,
               [&](const CrashDisk& disk, const std::string& image, std::size_t) -> std::string {
                 REQUIRE(create_folders(image + "/state").ok());
                 const auto kept = privacy::read_ledger(image + "/state/ledger.json");
                 if (!kept) return "cannot be read";
                 const std::size_t least = number(disk.promised("entered"));
                 if (kept->releases.size() < least || kept->releases.size() > least + 1)
                   return "an entry is missing";
                 for (std::size_t i = 0; i < kept->releases.size(); ++i)
                   if (kept->releases[i].id != ids[i]) return "another entry";
                 const auto next = enter(image, "next");
                 return next && next->releases.size() == kept->releases.size() + 1
                            ? ""
                            : "nothing can be entered any more";
               });
}

}  // namespace generator_crash_test
