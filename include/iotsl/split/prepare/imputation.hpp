#pragma once
// Algorithm 2 at the server: the plan of imputation, and what each device is sent to complete its
// data.

#include "iotsl/impute/plan.hpp"
#include "iotsl/split/prepare/generated_data.hpp"
#include "iotsl/split/prepare/generator_store.hpp"
#include "iotsl/split/protocol/server/server_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class Imputation {
 public:
  /// `generators` must outlive this.
  Imputation(const RunConfig& config, const RunHooks& hooks, const GeneratorStore& generators)
      : out_(config.out),
        options_{.scarce = config.preparation.scarce, .seed = config.seed},
        hooks_(hooks),
        generators_(generators) {}

  bool planned() const { return planned_; }
  /// What each device is sent; empty before there is a plan.
  const std::vector<ImputationRecord>& records() const { return records_; }
  /// Takes up what an earlier start has planned.
  void take_up(bool planned, std::vector<ImputationRecord> records) {
    planned_ = planned;
    records_ = std::move(records);
  }

  /// The plan of an earlier start, or one for devices with these histograms ([device][class]),
  /// with partners from the generation log. True where it was made now.
  Result<bool> plan(const std::vector<std::vector<std::uint64_t>>& histograms,
                    const impute::GenerationLog& log) {
    if (planned_) {
      const Result<void> loaded = load();
      if (loaded) return false;
      hooks_.note(concat(loaded.failure().message, "; the plan is made again"));
    }
    const Result<void> made = make(histograms, log);
    if (!made) return made.failure();
    return true;
  }

  /// After plan(): of each device.
  std::vector<ImputationOrder> orders() const {
    std::vector<ImputationOrder> out(generators_.records().size());
    for (std::size_t d = 0; d < plan_.devices.size(); ++d)
      if (const net::ImputePlan plan = plan_of(d); !plan.entries.empty())
        out[d] = {sha256(net::encode(plan)), records_[d].added};
    return out;
  }
  /// IMPUTE_PLAN and a GEN_DOWNLOAD for each of its generators.
  Result<std::vector<net::Message>> messages(std::size_t device) const {
    const net::ImputePlan plan = plan_of(device);
    std::vector<net::Message> out{net::make_message(plan)};
    for (const net::ImputePlan::Generator& wanted : plan.generators) {
      const Result<std::vector<std::uint8_t>> file = generators_.bytes(wanted.device);
      if (!file) return file.failure();
      net::GenDownload download;
      download.device = wanted.device;
      download.file = *file;
      out.push_back(net::make_message(download));
    }
    return out;
  }
  /// The device's samples (numbers in `set`) with what the plan adds; nothing where they are
  /// complete.
  Result<std::optional<data::Dataset>> completed(std::size_t device, const data::Dataset& set,
                                                 std::span<const Index> samples) const {
    std::optional<data::Dataset> out;
    const net::ImputePlan plan = plan_of(device);
    if (plan.entries.empty()) return out;
    std::vector<generators::GeneratorFile> files;
    for (const net::ImputePlan::Generator& wanted : plan.generators) {
      Result<generators::GeneratorFile> file = generators_.load(wanted.device);
      if (!file) return file.failure();
      files.push_back(std::move(file).value());
    }
    out = complete_dataset(set, samples, plan, files);
    return out;
  }

 private:
  std::string path() const { return join_path(out_, impute_plan_name); }

  Result<void> make(const std::vector<std::vector<std::uint64_t>>& histograms,
                    const impute::GenerationLog& log) {
    const Result<data::CountTable> counts = impute::make_histograms(histograms);
    if (!counts) return counts.failure();
    Result<impute::Plan> plan = impute::make_plan(*counts, log, options_);
    if (!plan) return plan.failure();
    plan_ = std::move(plan).value();
    hooks_.note(concat("imputation: samples held and added, per device and class\n",
                       impute::format_plan(plan_)));
    records_.clear();
    for (std::size_t d = 0; d < plan_.devices.size(); ++d) records_.push_back(cost_of(d));
    if (!out_.empty()) {
      const Result<void> written = impute::save_plan(path(), plan_);
      if (!written) return written;
    }
    planned_ = true;
    return {};
  }
  Result<void> load() {
    if (out_.empty()) return {};
    Result<impute::Plan> plan = impute::load_plan(path());
    if (!plan) return plan.failure();
    if (plan->devices.size() != records_.size())
      return failure(ErrorCode::data, path(), ": is of ", plan->devices.size(),
                     " devices, the run has ", records_.size());
    plan_ = std::move(plan).value();
    return {};
  }

  ImputationRecord cost_of(std::size_t device) const {
    ImputationRecord out;
    const net::ImputePlan plan = plan_of(device);
    if (plan.entries.empty()) return out;
    out.added = static_cast<std::uint64_t>(plan_.devices[device].added());
    out.bytes_down = net::header_bytes + net::encode(plan).size();
    for (const net::ImputePlan::Generator& each : plan.generators) {
      out.generators.push_back(each.device);
      out.values += generators_.records()[each.device].values;
      const Result<std::vector<std::uint8_t>> file = generators_.bytes(each.device);
      if (file)
        out.bytes_down += net::transfer_bytes(net::MessageType::gen_download,
                                              net::GenDownload::overhead_bytes + file->size(), 0);
    }
    return out;
  }

  /// The plan as the device is sent it; without entries where its data is complete.
  net::ImputePlan plan_of(std::size_t device) const {
    net::ImputePlan out;
    if (device >= plan_.devices.size()) return out;
    const std::vector<Index> ids = plan_.devices[device].generators();
    for (const Index id : ids) {
      net::ImputePlan::Generator& generator = out.generators.emplace_back();
      generator.device = static_cast<std::uint32_t>(id);
      generator.sha256 = generators_.digest(static_cast<std::size_t>(id));
    }
    for (const impute::PlanEntry& entry : plan_.devices[device].entries) {
      const auto place = std::lower_bound(ids.begin(), ids.end(), entry.generator) - ids.begin();
      out.entries.push_back({static_cast<std::uint32_t>(place),
                             static_cast<std::uint32_t>(entry.label),
                             static_cast<std::uint64_t>(entry.count), entry.seed});
    }
    return out;
  }

  std::string out_;
  impute::PlanOptions options_;
  RunHooks hooks_;
  const GeneratorStore& generators_;
  impute::Plan plan_;
  bool planned_ = false;
  std::vector<ImputationRecord> records_;
};

}  // namespace split
IOTSL_NAMESPACE_END
