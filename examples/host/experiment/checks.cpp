#include "host/experiment/checks.hpp"

#include <algorithm>

#include "host/experiment/results.hpp"
#include "host/files/json_file.hpp"
#include "host/options/generator_options.hpp"
#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {
namespace {

/// What is said of generators must mean something to the curves.
void check_generator_options(const CLI::App& command, const ExperimentSpec& spec,
                             const GeneratorOptions& o) {
  const bool own = std::any_of(spec.curves.begin(), spec.curves.end(),
                               [](const CurveSpec& curve) { return !curve.generator.empty(); });
  if (!own) return check_net_options(command, o);
  if (!o.kind.empty())
    fail_command(ErrorCode::usage, as_given(command, "--generator"), ": ", spec.name,
                 " compares kinds of generators, each has a curve");
  if (!o.privacy.empty() && chosen_mode(o) != privacy::PrivacyMode::moments)
    fail_command(ErrorCode::usage, as_given(command, "--privacy"), ": the private generators of ",
                 spec.name, " are moments");
  for (const char* option : {"--clip", "--critics"})
    if (command.count(option) > 0)
      fail_command(ErrorCode::usage, as_given(command, option), ": the private generators of ",
                   spec.name, " are moments, which have none");
}

/// What no run of the figure would take is refused, as a run by itself refuses it. Of all its
/// curves: with fewer by --curves the same options go on.
void check_options_are_used(const CLI::App& command, const Experiment& e) {
  const ExperimentSpec& spec = *find_experiment(e.spec->name);
  const auto any = [&](const auto& is) {
    return std::any_of(spec.curves.begin(), spec.curves.end(), is);
  };
  const auto refuse = [&](bool unused, std::string_view why,
                          std::initializer_list<const char*> options) {
    for (const char* option : options)
      if (unused && command.count(option) > 0)
        fail_command(ErrorCode::usage, as_given(command, option), ": ", why);
  };
  const auto makes = [](const CurveSpec& c) { return has_generators(c.method); };
  const auto takes_shared = [&](const CurveSpec& c) { return makes(c) && c.generator.empty(); };
  const auto is_private = [](const CurveSpec& c) { return !c.generator.empty() && c.epsilon > 0; };
  refuse(!any(makes), concat("no curve of ", spec.name, " has generators"),
         {"--generator", "--privacy", "--epsilon", "--delta", "--noise-multiplier", "--clip",
          "--critics", "--gan-preset", "--gan", "--gan-width", "--gan-iterations",
          "--pretrain-iterations"});
  refuse(!any([&](const CurveSpec& c) { return makes(c) && c.pretrain; }),
         concat("no curve of ", spec.name, " is pre-trained"), {"--pretrain-iterations"});
  refuse(!any(takes_shared) && !any(is_private), "none of the curves is private",
         {"--privacy", "--epsilon", "--noise-multiplier", "--delta"});
  refuse(!any(is_private) && chosen_mode(e.common.generator) == privacy::PrivacyMode::off,
         "does nothing with --privacy off", {"--delta"});
  const ExperimentSizes& sizes = e.scale == Scale::quick ? spec.quick : spec.paper;
  refuse(sizes.threshold_mnist == 0 && sizes.threshold_fashion == 0,
         concat(spec.name, " has no threshold"), {"--threshold"});
  refuse(spec.test_per_class > 0,
         concat(spec.name, " takes ", spec.test_per_class, " test images of each class"),
         {"--limit-test"});
  refuse(e.common.transport == "none", "with --transport none there is no network", {"--link"});
}

/// What the files of runs could not say, and a page of another experiment.
void check_place(const Experiment& e) {
  if (std::any_of(e.out.begin(), e.out.end(), [](unsigned char c) { return c < 0x20; }))
    fail_command(ErrorCode::usage, "--out ", escaped(e.out), ": has a control character");
  const std::string path = join_path(e.out, results_name);
  if (e.overwrite || !file_exists(path)) return;
  const Json results = read_json_object(path);
  const Json* was = results.find("experiment");
  if (was != nullptr && was->is_string() && was->as_string() != e.spec->name)
    fail_command(ErrorCode::usage, "--out ", e.out, ": holds ", was->as_string(),
                 "; choose another folder or give --overwrite");
}

}  // namespace

void check_experiment(const CLI::App& command, const Experiment& experiment) {
  check_generator_options(command, *experiment.spec, experiment.common.generator);
  check_options_are_used(command, experiment);
  check_place(experiment);
}

}  // namespace iotsl::tool
