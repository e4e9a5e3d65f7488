#pragma once
// The generators of a run's devices, at the server: their files, in the run's folder or in memory,
// and what is known of each. Whether a device's generator is there is known here and nowhere else.

#include <filesystem>

#include "iotsl/generators/generator_check.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/net/link/transfer_size.hpp"
#include "iotsl/split/prepare/generation.hpp"
#include "iotsl/split/records/run_config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class GeneratorStore {
 public:
  GeneratorStore(const RunConfig& config, const RunHooks& hooks)
      : out_(config.out),
        given_(config.preparation.generators),
        dataset_(config.dataset),
        class_names_(config.class_names),
        takes_foreign_(config.preparation.foreign_generators),
        images_(config.model.images),
        file_limit_(generators::generator_file_limit(config.preparation.generator, images_)),
        privacy_(config.preparation.generator.privacy),
        max_epsilon_(config.preparation.max_epsilon),
        hooks_(hooks),
        records_(static_cast<std::size_t>(config.devices)),
        files_(records_.size()),
        digests_(records_.size()) {}

  /// Of each device.
  const std::vector<GeneratorRecord>& records() const { return records_; }
  bool has(std::size_t device) const { return records_[device].present; }
  /// SHA-256 of a device's file.
  const Sha256Digest& digest(std::size_t device) const { return digests_[device]; }

  /// Makes the folder of a new run.
  Result<void> create() const {
    return out_.empty() ? Result<void>{} : create_folders(join_path(out_, generator_folder));
  }

  /// Takes up what an earlier start has kept. A file that is missing or damaged counts as not
  /// there: its device is asked for it once more.
  Result<void> take_up(std::vector<GeneratorRecord> kept) {
    if (kept.size() != records_.size())
      return failure(ErrorCode::data, join_path(out_, preparation_name), ": has ", kept.size(),
                     " generators, the run has ", records_.size(), " devices");
    records_ = std::move(kept);
    for (std::size_t d = 0; d < records_.size(); ++d) {
      if (!records_[d].present) continue;
      const Result<std::vector<std::uint8_t>> file = bytes(d);
      records_[d].present = file.ok();
      if (file) digests_[d] = sha256(*file);
      if (!file) hooks_.note(concat(file.failure().message, "; it is taken or asked for again"));
    }
    return {};
  }

  /// Devices whose generator is to be taken from --generators. Fails where the folder has none and
  /// there was none before.
  Result<std::vector<std::size_t>> find_given() const {
    std::vector<std::size_t> out;
    if (given_.empty()) return out;
    Result<std::vector<std::size_t>> given = find_generators(given_, records_.size());
    if (!given) {
      for (std::size_t d = 0; d < records_.size(); ++d)
        if (has(d)) return out;
      return given;
    }
    for (const std::size_t d : *given)
      if (!has(d)) out.push_back(d);
    return out;
  }
  Result<void> take_given(std::size_t device) {
    const std::string path = join_path(given_, generator_name(device));
    const Result<std::vector<std::uint8_t>> file = read_file(path);
    if (!file) return file.failure();
    const auto wrong = [&](const Failure& why) {
      return failure(why.code, path, ": ", why.message);
    };
    const Result<generators::GeneratorFile> generator = generators::parse_generator(*file);
    if (!generator) return wrong(generator.failure());
    const Result<void> ours = check_origin(generator->card);
    if (!ours) return wrong(ours.failure());
    Result<GeneratorRecord> made = describe(*generator, *file);
    if (!made) return wrong(made.failure());
    made->origin = "given";
    made->bytes_up = upload_bytes(file->size());
    take_costs(*made);
    return keep(device, std::move(made).value(), *file);
  }
  /// Whether a generator of --generators fits its device, which has these samples per class.
  Result<void> check_given(std::size_t device,
                           const std::vector<std::uint64_t>& label_counts) const {
    if (records_[device].origin != "given") return {};
    const Result<generators::GeneratorFile> file = load(device);
    if (!file) return file.failure();
    const Result<void> fits = generators::check_generator_fits(*file, images_, label_counts);
    if (!fits) return failure(fits.failure().code, "device ", device, ": ", fits.failure().message);
    note_differences(concat("device ", device, ": the generator that was given"), *file,
                     label_counts);
    return {};
  }

  /// Checks a device's generator; what is known of it. `fingerprint` of the data that the device
  /// holds, `label_counts` of these.
  Result<GeneratorRecord> check(const Sha256Digest& fingerprint,
                                const std::vector<std::uint64_t>& label_counts,
                                const net::GenUpload& upload) const {
    const Result<generators::GeneratorFile> file = generators::parse_generator(upload.file);
    if (!file) return file.failure();
    const Result<void> fits = generators::check_generator_fits(*file, images_, label_counts);
    if (!fits) return fits.failure();
    if (upload.brought) {
      const Result<void> ours = check_origin(file->card);
      if (!ours) return ours.failure();
      note_differences("a generator that was brought", *file, label_counts);
    }
    Result<GeneratorRecord> made = describe(*file, upload.file);
    if (!made) return made.failure();
    made->data_fingerprint = to_hex(fingerprint);
    made->origin = upload.brought ? "brought" : "trained";
    made->seconds_training = static_cast<double>(upload.cost.compute_us) * 1e-6;
    made->peak_memory_bytes = upload.cost.peak_memory_bytes;
    made->bytes_up = upload_bytes(upload.file.size());
    return made;
  }
  /// What has travelled of the generators that are kept: bytes of the messages, and on the wire.
  std::pair<std::uint64_t, std::uint64_t> uploaded() const {
    std::pair<std::uint64_t, std::uint64_t> out{0, 0};
    for (std::size_t d = 0; d < records_.size(); ++d) {
      if (!has(d) || records_[d].origin == "given") continue;
      std::error_code none;
      const auto file =
          out_.empty() ? files_[d].size() : std::filesystem::file_size(path_of(d), none);
      if (none) continue;
      out.first += net::GenUpload::overhead_bytes + file;
      out.second += records_[d].bytes_up;
    }
    return out;
  }
  /// Keeps a generator that was found good.
  Result<void> keep(std::size_t device, GeneratorRecord made, ByteSpan file) {
    if (out_.empty()) {
      files_[device].assign(file.begin(), file.end());
    } else {
      const Result<void> written = write_file_atomic(path_of(device), file);
      if (!written) return written;
    }
    records_[device] = std::move(made);
    digests_[device] = sha256(file);
    return {};
  }

  /// The file as it was kept.
  Result<std::vector<std::uint8_t>> bytes(std::size_t device) const {
    if (out_.empty()) return files_[device];
    Result<std::vector<std::uint8_t>> file = read_file(path_of(device));
    if (file && sha256_hex(*file) != records_[device].sha256)
      return failure(ErrorCode::data, path_of(device), ": is not the file that ", preparation_name,
                     " names");
    return file;
  }
  Result<generators::GeneratorFile> load(std::size_t device) const {
    const Result<std::vector<std::uint8_t>> file = bytes(device);
    if (!file) return file.failure();
    return generators::parse_generator(*file);
  }

 private:
  /// What the upload of a file of so many bytes takes on the wire.
  static std::uint64_t upload_bytes(std::size_t file) {
    return net::transfer_bytes(net::MessageType::gen_upload, net::GenUpload::overhead_bytes + file,
                               0);
  }

  /// Takes over what a given generator has cost in the run that it is from. A generator file says
  /// nothing of clocks; the preparation.json beside the folder of --generators does.
  void take_costs(GeneratorRecord& given) const {
    const Result<PreparationRecord> before = read_preparation(join_path(given_, ".."));
    if (before)
      for (const GeneratorRecord& each : before->generators) {
        if (each.sha256 != given.sha256) continue;
        given.seconds_training = each.seconds_training;
        given.peak_memory_bytes = each.peak_memory_bytes;
        return;
      }
    hooks_.note(concat("--generators ", given_, ": no ", preparation_name,
                       " beside it knows how long the training of a generator took; the full sum "
                       "counts 0 s for it"));
  }

  std::string path_of(std::size_t device) const {
    return join_path(join_path(out_, generator_folder), generator_name(device));
  }
  void note_differences(const std::string& which, const generators::GeneratorFile& file,
                        const std::vector<std::uint64_t>& label_counts) const {
    const std::string text = generators::generator_differences(file.card, dataset_, label_counts);
    if (!text.empty()) hooks_.note(concat(which, " ", text));
  }

  Result<void> check_origin(const generators::GeneratorCard& card) const {
    if (takes_foreign_) return {};
    return generators::check_generator_origin(card, dataset_, class_names_);
  }

  /// What the file says of itself.
  Result<GeneratorRecord> describe(const generators::GeneratorFile& file, ByteSpan bytes) const {
    if (bytes.size() > file_limit_)
      return failure(ErrorCode::usage, "the generator file has ", bytes.size(),
                     " bytes; one of the run's settings has at most ", file_limit_);
    GeneratorRecord out;
    out.present = true;
    out.sha256 = sha256_hex(bytes);
    out.label_counts = file.card.label_counts;
    keep_quality(out, file.card.quality);
    out.values = file.generator.values();
    out.privacy = file.card.privacy;
    const Result<void> promise = check_promise(out.privacy);
    if (!promise) return promise.failure();
    return out;
  }

  /// Whether a generator promises what the run asks of it.
  Result<void> check_promise(const privacy::PrivacyCard& card) const {
    if (privacy_.is_private() && card.mode != privacy_.mode)
      return failure(ErrorCode::usage, "the generator's privacy is of mode ", card.mode,
                     ", the run asks for ", privacy_.mode);
    const double epsilon = privacy::promised_epsilon(card);
    // The run's own target holds for a single release; the limit for all that a device has made.
    if (privacy_.epsilon > 0 && !(card.release.epsilon <= privacy_.epsilon * (1 + 1e-9)))
      return failure(ErrorCode::usage, "the generator promises epsilon ", card.release.epsilon,
                     ", the run asks for ", privacy_.epsilon);
    if (privacy_.is_private() && card.delta > privacy_.delta)
      return failure(ErrorCode::usage, "the generator's promise is at delta ", card.delta,
                     ", the run asks for ", privacy_.delta);
    if (max_epsilon_ > 0 && !(epsilon <= max_epsilon_))
      return failure(ErrorCode::usage, "--max-epsilon ", max_epsilon_, ": the generator ",
                     card.mode == privacy::PrivacyMode::off
                         ? std::string("promises nothing")
                         : concat("and what its device has released before promise ", epsilon));
    return {};
  }

  std::string out_, given_, dataset_;
  std::vector<std::string> class_names_;
  bool takes_foreign_;
  ImageSpec images_;
  std::size_t file_limit_;
  privacy::PrivacySettings privacy_;
  double max_epsilon_;
  RunHooks hooks_;
  std::vector<GeneratorRecord> records_;
  std::vector<std::vector<std::uint8_t>> files_;  // where there is no folder
  std::vector<Sha256Digest> digests_;
};

}  // namespace split
IOTSL_NAMESPACE_END
