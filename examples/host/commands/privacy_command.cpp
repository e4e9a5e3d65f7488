// iotsl privacy epsilon | plan | show; audit is in privacy_audit_command.cpp

#include <cstdio>
#include <memory>

#include "host/commands/command.hpp"
#include "host/files/json_file.hpp"
#include "host/report/privacy_report.hpp"
#include "iotsl/core/json/json.hpp"
#include "iotsl/generators/generator_file.hpp"
#include "iotsl/privacy/calibrate.hpp"
#include "iotsl/privacy/ledger.hpp"
#include "iotsl/privacy/statement.hpp"
#include "iotsl/privacy/tight/tight_accountant.hpp"

namespace iotsl::tool {
namespace {

using privacy::Adjacency;
using privacy::Mechanism;

struct PrivacyCommandOptions {
  std::vector<double> mus, noise_multipliers, sampling_rates;
  std::vector<std::uint64_t> steps;
  bool sample_revealed = false;
  double delta = 0, epsilon = 0;
  std::string adjacency = "zero-out";
  bool json = false;
};

/// Ends with a failure of a library's check, whose text begins with the name of a field:
/// noise_multiplier is the option --noise-multiplier.
void expect_option(const Result<void>& checked) {
  if (checked) return;
  std::string text = checked.failure().message;
  for (std::size_t i = 0; i < text.size() && text[i] != ' '; ++i)
    if (text[i] == '_') text[i] = '-';
  fail_command(ErrorCode::usage, "--", text);
}

Adjacency adjacency_of(const PrivacyCommandOptions& o) {
  return o.adjacency == "replace-one" ? Adjacency::replace_one : Adjacency::zero_out;
}

/// The value of mechanism `i` in a list that has one for each, or is empty.
template <class V>
V value_of(const char* option, const std::vector<V>& values, std::size_t i, std::size_t count,
           V other) {
  if (values.empty()) return other;
  if (values.size() != count)
    fail_command(ErrorCode::usage, option, ": ", values.size(),
                 " values, expected as many as --noise-multiplier has: ", count);
  return values[i];
}

std::vector<Mechanism> mechanisms_of(const PrivacyCommandOptions& o) {
  std::vector<Mechanism> out;
  constexpr privacy::Range mu_range{1 / privacy::noise_multiplier_range.high,
                                    1 / privacy::noise_multiplier_range.low};
  for (const double mu : o.mus) {
    if (!mu_range.contains(mu))
      fail_command(ErrorCode::usage, "--mu ", mu, ": expected ", mu_range);
    out.push_back({.noise_multiplier = 1 / mu});
  }
  const std::size_t count = o.noise_multipliers.size();
  for (std::size_t i = 0; i < count; ++i)
    out.push_back({.noise_multiplier = o.noise_multipliers[i],
                   .sampling_rate = value_of("--sampling-rate", o.sampling_rates, i, count, 1.0),
                   .steps = value_of("--steps", o.steps, i, count, std::uint64_t{1}),
                   .sample_revealed = o.sample_revealed});
  for (const Mechanism& m : out) expect_option(check(m));
  return out;
}

/// What both accountants say.
struct Counted {
  privacy::RenyiEpsilon renyi;
  double tight;
};

Counted count(const std::vector<Mechanism>& mechanisms, Adjacency adjacency, double delta) {
  return {renyi_epsilon(mechanisms, adjacency, delta), tight_epsilon(mechanisms, adjacency, delta)};
}

/// Five digits, never below the value.
std::string five_digits(double value) { return privacy::rounded_up(value, 5); }

void add_counted(Json& out, const Counted& counted) {
  out["epsilon_rdp"] = counted.renyi.epsilon;
  out["epsilon_tight"] = counted.tight;
  out["order"] = counted.renyi.order;
  out["order_at_limit"] = counted.renyi.order_at_limit;
}

void print_counted(const PrivacyCommandOptions& o, const Counted& counted) {
  std::printf("epsilon %s at delta %g, %s\n", five_digits(counted.tight).c_str(), o.delta,
              o.adjacency.c_str());
  std::printf("        %s by Renyi divergences, order %g%s\n",
              five_digits(counted.renyi.epsilon).c_str(), counted.renyi.order,
              counted.renyi.order_at_limit ? ", the last one looked at" : "");
}

void epsilon(const PrivacyCommandOptions& o) {
  const std::vector<Mechanism> mechanisms = mechanisms_of(o);
  if (mechanisms.empty())
    fail_command(ErrorCode::usage, "privacy epsilon: expected --noise-multiplier or --mu");
  expect_option(privacy::check_delta(o.delta));
  const Counted counted = count(mechanisms, adjacency_of(o), o.delta);
  if (!o.json) return print_counted(o, counted);
  Json out = Json::object();
  add_counted(out, counted);
  out["delta"] = o.delta;
  out["adjacency"] = o.adjacency;
  Json list = Json::array();
  for (const Mechanism& m : mechanisms) {
    Json entry = Json::object();
    entry["noise_multiplier"] = m.noise_multiplier;
    entry["sampling_rate"] = m.sampling_rate;
    entry["steps"] = m.steps;
    entry["sample_revealed"] = m.sample_revealed;
    list.push_back(entry);
  }
  out["mechanisms"] = list;
  std::printf("%s\n", to_text(out, 2).c_str());
}

/// The setting for the target: first by the small accountant, in no time, then from there by the
/// tight one.
Mechanism planned(const PrivacyCommandOptions& o, Mechanism m) {
  const Adjacency adjacency = adjacency_of(o);
  const auto tight = [&] { return tight_epsilon({&m, 1}, adjacency, o.delta); };
  const auto small = [&] { return renyi_epsilon({&m, 1}, adjacency, o.delta).epsilon; };
  if (o.steps.empty()) {
    const auto with = [&](const auto& accountant) {
      return [&](std::uint64_t steps) { return m.steps = steps, accountant(); };
    };
    const auto guess = privacy::steps_for(o.epsilon, 1, with(small));
    m.steps =
        expect(privacy::steps_for(o.epsilon, guess ? guess->setting : 1, with(tight))).setting;
  } else {
    const auto with = [&](const auto& accountant) {
      return [&](double multiplier) { return m.noise_multiplier = multiplier, accountant(); };
    };
    const auto guess = privacy::noise_multiplier_for(o.epsilon, 1, with(small));
    m.noise_multiplier =
        expect(privacy::noise_multiplier_for(o.epsilon, guess ? guess->setting : 1, with(tight)))
            .setting;
  }
  return m;
}

void plan(const PrivacyCommandOptions& o) {
  if (o.steps.empty() == o.noise_multipliers.empty())
    fail_command(
        ErrorCode::usage,
        "privacy plan: expected --steps, to find the noise multiplier, or --noise-multiplier, "
        "to find the steps");
  Mechanism m;
  m.sample_revealed = o.sample_revealed;
  if (!o.steps.empty()) m.steps = o.steps[0];
  if (!o.noise_multipliers.empty()) m.noise_multiplier = o.noise_multipliers[0];
  if (!o.sampling_rates.empty()) m.sampling_rate = o.sampling_rates[0];
  expect_option(check(m));
  if (!privacy::epsilon_range.contains(o.epsilon))
    fail_command(ErrorCode::usage, "--epsilon ", o.epsilon, ": expected ", privacy::epsilon_range);
  expect_option(privacy::check_delta(o.delta));
  m = planned(o, m);
  const Counted counted = count({m}, adjacency_of(o), o.delta);
  if (o.json) {
    Json out = Json::object();
    out["noise_multiplier"] = m.noise_multiplier;
    out["sampling_rate"] = m.sampling_rate;
    out["steps"] = m.steps;
    add_counted(out, counted);
    out["epsilon_target"] = o.epsilon;
    out["delta"] = o.delta;
    out["adjacency"] = o.adjacency;
    std::printf("%s\n", to_text(out, 2).c_str());
    return;
  }
  std::printf("noise multiplier %g, sampling rate %g, steps %llu\n", m.noise_multiplier,
              m.sampling_rate, static_cast<unsigned long long>(m.steps));
  print_counted(o, counted);
}

/// What a run's folder says of it.
void show_run(const std::string& folder, bool json) {
  if (!file_exists(join_path(folder, split::preparation_name)))
    fail_command(ErrorCode::data, folder, ": has no ", split::preparation_name,
                 "; expected the folder of a run of --method iotsl or cache");
  const split::PreparationRecord record = expect(split::read_preparation(folder));
  const std::string path = join_path(folder, "config.json");
  const Json config = read_json_object(path);
  const auto says = [&](const char* option, std::string_view value) {
    const Json* const given = config.find(option);
    return given != nullptr && given->is_string() && given->as_string() == value;
  };
  const RunPromise promise{&record, says("generator-only", "on"), says("method", "cache")};
  if (json)
    std::printf("%s\n", to_text(privacy_json(promise), 2).c_str());
  else
    std::fputs(format_privacy(promise).c_str(), stdout);
}

void show_ledger(const std::string& path, double delta, bool json) {
  expect_option(privacy::check_delta(delta));
  const privacy::Ledger ledger = expect(privacy::read_ledger(path));
  const std::vector<privacy::Release> composing = ledger.current();
  const privacy::PrivacyLoss all = privacy::compose(composing, delta);
  if (json) {
    Json out = to_json_fields(ledger);
    out["all_releases"] = to_json_fields(all);
    out["delta"] = delta;
    std::printf("%s\n", to_text(out, 2).c_str());
    return;
  }
  std::printf(
      "%s: %zu releases, of which %zu compose: epsilon %s at delta %g, %s where an image is "
      "replaced\n",
      path.c_str(), ledger.releases.size(), composing.size(),
      privacy::rounded_up(all.epsilon).c_str(), delta,
      privacy::rounded_up(all.epsilon_replace_one).c_str());
  for (const privacy::Release& each : ledger.releases)
    std::printf("  %s  %s, noise multiplier %g, sampling rate %g, %llu steps%s\n",
                each.id.substr(0, 16).c_str(), to_string(each.mode), each.noise_multiplier,
                each.sampling_rate, static_cast<unsigned long long>(each.steps),
                each.new_data ? "; new data" : "");
}

/// A generator file, a run's folder, or a ledger.
void show(const std::string& path, double delta, bool json) {
  if (folder_exists(path)) return show_run(path, json);
  if (!file_exists(path)) fail_command(ErrorCode::data, path, ": no such file or folder");
  const Result<generators::GeneratorFile> file = generators::load_generator(path);
  if (file && json)
    std::printf("%s\n", to_text(to_json_fields(file->card.privacy), 2).c_str());
  else if (file)
    std::fputs(describe(file->card.privacy).c_str(), stdout);
  else if (parse_json(expect(read_text_file(path))))
    show_ledger(path, delta, json);
  else
    fail_command(file.failure().code, file.failure().message,
                 "; expected a generator file, a run folder or a ledger");
}

void add_common(CLI::App& command, PrivacyCommandOptions& o) {
  command.add_option("--delta", o.delta, "Chance that the promise of epsilon may fail")->required();
  command
      .add_option(
          "--adjacency", o.adjacency,
          "zero-out: one record contributes nothing; replace-one: one record is another one")
      ->check(CLI::IsMember({"zero-out", "replace-one"}))
      ->capture_default_str();
  command.add_flag("--sample-revealed", o.sample_revealed,
                   "Who sees the output also sees which records a step has used");
  command.add_flag("--json", o.json, "Print one JSON object");
}

}  // namespace

void add_privacy_command(CLI::App& app) {
  CLI::App* privacy =
      app.add_subcommand("privacy", "Count differential privacy: epsilon of a mechanism, and back");
  privacy->require_subcommand(1);
  const char* multiplier_text =
      "Standard deviation of the noise over the L2 sensitivity under the adjacency";
  const char* rate_text = "Chance that a record takes part in a step; default 1";
  {
    auto o = std::make_shared<PrivacyCommandOptions>();
    CLI::App* command = privacy->add_subcommand(
        "epsilon",
        "The epsilon of Gaussian steps; several values of an option are several mechanisms");
    command->add_option("--noise-multiplier", o->noise_multipliers, multiplier_text);
    command->add_option("--sampling-rate", o->sampling_rates, rate_text)
        ->needs("--noise-multiplier");
    command->add_option("--steps", o->steps, "Steps; default 1")->needs("--noise-multiplier");
    command->add_option("--mu", o->mus, "A Gaussian mechanism by its mu: sensitivity over noise");
    add_common(*command, *o);
    command->callback([o] { epsilon(*o); });
  }
  {
    auto o = std::make_shared<PrivacyCommandOptions>();
    CLI::App* command = privacy->add_subcommand(
        "plan",
        "The noise multiplier for given steps, or the steps for a given one, within an epsilon");
    command->add_option("--epsilon", o->epsilon, "What must not be exceeded")->required();
    command->add_option("--steps", o->steps, "Find the noise multiplier for so many steps")
        ->expected(1);
    command->add_option("--noise-multiplier", o->noise_multipliers, "Find the steps for it")
        ->expected(1);
    command->add_option("--sampling-rate", o->sampling_rates, rate_text)->expected(1);
    add_common(*command, *o);
    command->callback([o] { plan(*o); });
  }
  {
    struct ShowOptions {
      std::string path;
      double delta = 1e-5;
      bool json = false;
    };
    auto o = std::make_shared<ShowOptions>();
    CLI::App* command = privacy->add_subcommand(
        "show", "What a generator file, a run folder or a device's ledger promises");
    command->add_option("path", o->path, "The file or folder")->required();
    command->add_option("--delta", o->delta, "Of a ledger")->capture_default_str();
    command->add_flag("--json", o->json, "Print one JSON object");
    command->callback([o] { show(o->path, o->delta, o->json); });
  }
  add_privacy_audit_command(*privacy);
}

}  // namespace iotsl::tool
