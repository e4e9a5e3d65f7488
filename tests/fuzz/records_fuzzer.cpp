// What runs, devices and tools keep as JSON.

#include "bench/report/report.hpp"
#include "fuzz/json_check.hpp"
#include "host/run/model_card.hpp"
#include "iotsl/generators/card.hpp"
#include "iotsl/impute/plan.hpp"
#include "iotsl/privacy/ledger.hpp"
#include "iotsl/split/audit/audit_report.hpp"
#include "iotsl/split/records/checkpoint.hpp"
#include "iotsl/split/records/preparation_record.hpp"

namespace records_fuzzer {
namespace {

using namespace iotsl;
using iotsl::fuzz::Bytes;
using iotsl::fuzz::bytes_from;
using iotsl::fuzz::chosen;
using iotsl::fuzz::expect;
using iotsl::fuzz::record_seed;
using iotsl::fuzz::require;

// Plain records: the first byte says which.

struct RecordCheck {
  void (*check)(ByteSpan text);
  Bytes (*seed)();
};

Bytes checkpoint_seed() {
  split::CheckpointRecord record;
  record.barrier = {3, 30, split::begin_report({.devices = 5}, 1, 2, 20)};
  record.barrier.report.device_name = "pi-1";
  record.barrier.report.epochs[0].add(0.5, 32, 10, 4);
  record.barrier.report.costs[0] = {5, 6};
  record.seconds = 1.0 / 3;
  return record_seed(record);
}
split::PreparationRecord preparation() {
  split::PreparationRecord record;
  split::GeneratorRecord generator;
  generator.present = true;
  generator.sha256 = generator.data_fingerprint = std::string(64, 'a');
  generator.label_counts = {3, 0};
  generator.origin = "trained";
  generator.passed = {0};
  record.generators = {generator, {}};
  record.struck = {{1, 2}};
  record.pretraining.test_class_accuracy = {0.5, 0.25};
  record.planned = true;
  record.devices = {{3, {1}, 4, 5}, {}};
  return record;
}
impute::GenerationLog generation_log() {
  impute::GenerationLog log;
  log.generators = {{true, 0.5}, {}};
  log.entries = {{0, 1, 20, 3, 40}};
  log.struck = {{1, 0}};
  return log;
}
generators::GeneratorSettings settings(generators::GeneratorKind kind) {
  generators::GeneratorSettings out;
  out.kind = kind;
  return out;
}
split::SmashedAudit audit() {
  split::SmashedAudit out;
  out.rows = {{.cut = "pool1", .wire = WireCoding::int8, .values = 3, .bytes = 4}};
  return out;
}

/// preparation.json has sums beside the record, which a record of large numbers must have too.
void check_preparation(ByteSpan text) {
  const Result<split::PreparationRecord> record = split::parse_preparation(text_of(text));
  if (!record) return;
  fuzz::check_record(*record);
  const Json written = split::to_json(*record);
  require(expect(parse_json(to_text(written)), "what is written") == written,
          "a record changes in its text");
  for (const split::GeneratorRecord& each : record->generators)
    require(each.data_fingerprint.empty() || each.data_fingerprint == to_hex(each.fingerprint()),
            "a fingerprint is read as another one");
}

const RecordCheck record_checks[] = {
    {&fuzz::check_record_text<split::RunNumbers>,
     [] {
       return record_seed(split::RunNumbers{1, 2, 3, 4});
     }},
    {&fuzz::check_record_text<split::CheckpointRecord>, &checkpoint_seed},
    {&check_preparation, [] { return bytes_from(to_text(split::to_json(preparation()))); }},
    {&fuzz::check_record_text<impute::GenerationLog>, [] { return record_seed(generation_log()); }},
    {&fuzz::check_record_text<generators::GeneratorSettings>,
     [] { return record_seed(settings(generators::GeneratorKind::net)); }},
    {&fuzz::check_record_text<generators::GeneratorSettings>,
     [] { return record_seed(settings(generators::GeneratorKind::moments)); }},
    {&fuzz::check_record_text<split::SmashedAudit>, [] { return record_seed(audit()); }},
    {&fuzz::check_record_text<net::EpochCost>,
     [] {
       return record_seed(net::EpochCost{1, 2});
     }},
};

void run_records(ByteSpan input) {
  if (!input.empty()) record_checks[input[0] % std::size(record_checks)].check(input.subspan(1));
}
std::vector<Bytes> record_seeds() {
  std::vector<Bytes> out;
  for (std::size_t i = 0; i < std::size(record_checks); ++i)
    out.push_back(chosen(static_cast<std::uint8_t>(i), record_checks[i].seed()));
  return out;
}

// Generator cards

generators::GeneratorCard card(generators::GeneratorKind kind, privacy::PrivacyMode mode) {
  generators::GeneratorCard out;
  out.images = {.height = 12, .width = 10, .classes = 3};
  out.dataset = "test";
  out.class_names = {"a", "b", "c"};
  out.label_counts = out.trained_counts = {5, 0, 7};
  out.settings = settings(kind);
  out.settings.privacy.mode = out.privacy.mode = mode;
  out.quality.checked = true;
  out.quality.classes = {0, 2};
  out.quality.class_accuracy = out.quality.class_informedness = {0.5, 1};
  out.quality.class_held_out = {2, 3};
  return out;
}
void run_card(ByteSpan input) {
  const Result<Json> json = parse_json(text_of(input));
  if (!json) return;
  const auto read = parse_json_fields<generators::GeneratorCard>(*json);
  if (!read || !generators::check_card(*read)) return;
  fuzz::check_record(*read);
  if (read->settings.kind == generators::GeneratorKind::net)
    require(lay_out(gan::generator_spec(read->settings.net, read->images)).cost().parameters <=
                max_generator_parameters,
            "a card asks for more than a generator may have");
  else
    require(moments::check_settings(read->settings.moments).ok(), "settings are not looked at");
  for (const double v : {read->settings.net.lr, read->settings.net.penalty,
                         read->settings.net.average, read->settings.moments.mu})
    require(std::isfinite(v), "a setting is NaN or Inf");
}
std::vector<Bytes> card_seeds() {
  using generators::GeneratorKind;
  using privacy::PrivacyMode;
  return {record_seed(card(GeneratorKind::net, PrivacyMode::off)),
          record_seed(card(GeneratorKind::moments, PrivacyMode::off)),
          record_seed(card(GeneratorKind::moments, PrivacyMode::moments)),
          record_seed(card(GeneratorKind::net, PrivacyMode::gswgan))};
}

// Plans, the ledger, the bench's report, the card of a net

void run_plan(ByteSpan input) {
  const Result<impute::Plan> plan = impute::parse_plan(text_of(input));
  if (!plan) return;
  const std::string text = to_text(impute::to_json(*plan));
  require(expect(impute::parse_plan(text), "what was written") == *plan,
          "a plan changes when it is written");
  for (const impute::DevicePlan& device : plan->devices)
    for (const impute::PlanEntry& entry : device.entries)
      require(entry.count > 0 || device.class_size == 0, "a plan adds ", entry.count, " samples");
}
std::vector<Bytes> plan_seeds() {
  impute::Plan plan;
  impute::DevicePlan first, second;
  first.counts = {10, 10, 0};
  first.class_size = 10;
  first.missing = {2};
  first.partners = {{1, true, std::string(impute::tie_break_names[0])}};
  first.entries = {{.generator = 1, .label = 2, .count = 10, .seed = 5}};
  second.device = 1;
  second.counts = {0, 10, 10};
  second.class_size = 10;
  second.missing = {0};
  second.partners = {{0, true, std::string(impute::tie_break_names[0])}};
  second.entries = {{.generator = 0, .label = 0, .count = 10, .seed = 6}};
  plan.devices = {first, second};
  const std::string text = to_text(impute::to_json(plan));
  expect(impute::parse_plan(text), "the seed");
  return {bytes_from(text)};
}

void run_ledger(ByteSpan input) {
  static fuzz::MemoryFile file;
  const Result<privacy::Ledger> ledger = privacy::read_ledger(file.fill(input));
  if (!ledger) return;
  fuzz::check_record(*ledger);
  for (const privacy::Release& each : ledger->releases)
    require(std::isfinite(each.noise_multiplier) && std::isfinite(each.sampling_rate) &&
                each.noise_multiplier > 0 && each.steps >= 1,
            "a release that nobody can account for");
  require(ledger->current().size() <= ledger->releases.size(), "more composes than there is");
}
std::vector<Bytes> ledger_seeds() {
  privacy::Ledger ledger;
  ledger.releases = {{"a", privacy::PrivacyMode::moments, 2, 1, 1, 1, false, false},
                     {"b", privacy::PrivacyMode::gswgan, 1, 0.5, 0.25, 100, true, true, "B"}};
  return {record_seed(ledger), record_seed(privacy::Ledger{})};
}

void run_bench_report(ByteSpan input) {
  const Result<bench::Report> report = bench::parse_report(text_of(input));
  if (!report) return;
  fuzz::check_record(*report);
  for (const bench::Row& row : report->rows)
    require(std::isfinite(row.flops_per_second()) || row.flops > 1e300 || row.seconds.median < 1,
            "a speed that is none");
}
std::vector<Bytes> bench_report_seeds() {
  bench::Report report;
  report.targets = {"avx2"};
  report.warnings = {"warm"};
  report.rows = {{.name = "device_step/n32", .threads = 2, .seconds = {3, 2, 4, 1}, .flops = 1e9}};
  return {record_seed(report)};
}

void run_model_card(ByteSpan input) {
  const Result<tool::ModelCard> read = tool::parse_model_card(std::string(text_of(input)));
  if (!read) return;
  const std::string text = to_text(tool::to_json(*read));
  const tool::ModelCard again = expect(tool::parse_model_card(text), "what was written");
  require(to_text(tool::to_json(again)) == text, "a card changes when it is written");
}
std::vector<Bytes> model_card_seeds() {
  tool::ModelCard out;
  out.spec.images = {1, 28, 28, 2};
  out.dataset = "mnist";
  out.class_names = {"a", "b"};
  return {bytes_from(to_text(tool::to_json(out)))};
}

const fuzz::Registration registration{
    {"records", 2500, &run_records, &record_seeds},
    {"generator_card", 3500, &run_card, &card_seeds},
    {"impute_plan", 1500, &run_plan, &plan_seeds},
    {"privacy_ledger", 1000, &run_ledger, &ledger_seeds},
    {"bench_report", 2500, &run_bench_report, &bench_report_seeds},
    {"model_card", 800, &run_model_card, &model_card_seeds},
};

}  // namespace
}  // namespace records_fuzzer
