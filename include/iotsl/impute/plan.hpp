#pragma once
// The plan of imputation: for every device what it lacks and which generator fills it with how many
// samples. A file that people can read (`impute_plan.json`) and a table for the log.

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/fields.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/impute/pairing.hpp"

IOTSL_NAMESPACE_BEGIN
namespace impute {

/// Samples of one class that a device generates.
struct PlanEntry {
  Index generator = 0;     ///< the device whose generator makes them
  Index label = 0;         ///< `class` in the file
  Index count = 0;         ///< samples
  std::uint64_t seed = 0;  ///< of their latents

  friend bool operator==(const PlanEntry&, const PlanEntry&) = default;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("generator", self.generator);
    f("class", self.label);
    f("count", self.count);
    f("seed", self.seed);
  }
};

/// A generator that a device receives, and why this one: see Partner.
struct PlanPartner {
  Index generator = 0;
  bool superset = false;
  std::string tie;  ///< of tie_break_names

  friend bool operator==(const PlanPartner&, const PlanPartner&) = default;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("generator", self.generator);
    f("superset", self.superset);
    f("tie", self.tie);
  }
};

/// One device; without defects it has no entries. The lists of classes ascend.
struct DevicePlan {
  Index device = 0;
  std::vector<Index> counts;       ///< samples held, per class
  Index class_size = 0;            ///< its mean class size, rounded: what classes are filled up to
  std::vector<Index> missing;      ///< classes of the union that it does not hold
  std::vector<Index> scarce;       ///< classes far smaller than its others
  std::vector<Index> left_scarce;  ///< those of them that nobody else's generator can give
  std::vector<PlanPartner> partners;  ///< in the order in which they were chosen
  std::vector<PlanEntry> entries;     ///< by class

  bool defective() const { return !missing.empty() || !scarce.empty(); }
  /// The generators it is to receive, ascending.
  std::vector<Index> generators() const {
    std::vector<Index> out;
    for (const PlanEntry& entry : entries) out.push_back(entry.generator);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }
  /// Samples it is to generate.
  Index added() const {
    Index sum = 0;
    for (const PlanEntry& entry : entries) sum += entry.count;
    return sum;
  }

  friend bool operator==(const DevicePlan&, const DevicePlan&) = default;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("device", self.device);
    f("counts", self.counts);
    f("class_size", self.class_size);
    f("missing", self.missing);
    f("scarce", self.scarce);
    f("left_scarce", self.left_scarce);
    f("partners", self.partners);
    f("entries", self.entries);
  }
};

inline constexpr std::string_view plan_format = "iotsl-impute-plan-2";

/// {format, scarce_below, devices: [{device, counts, class_size, missing, scarce, left_scarce,
/// partners: [{generator, superset, tie}], entries: [{generator, class, count, seed}]}]}; every
/// device in order.
struct Plan {
  double scarce_below = default_scarce;  ///< part of the mean class size
  std::vector<DevicePlan> devices;

  friend bool operator==(const Plan&, const Plan&) = default;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("scarce_below", self.scarce_below);
    f("devices", self.devices);
  }
};

struct PlanOptions {
  double scarce = default_scarce;  ///< 0 to 1; 0: only missing classes are filled
  std::uint64_t seed = 1;          ///< of the run
};

namespace detail {

/// A function of the run's seed, the device and the class; 53 bits, which every JSON reader keeps.
inline std::uint64_t entry_seed(std::uint64_t seed, Index device, Index label) {
  const auto words = Random(seed, Stream::imputation, static_cast<std::uint32_t>(device))
                         .block(static_cast<std::uint64_t>(label));
  return ((std::uint64_t{words[0]} << 32) | words[1]) >> 11;
}

inline Result<void> check_scarce(double scarce) {
  if (scarce >= 0 && scarce <= 1) return {};
  return failure(ErrorCode::usage, "--scarce ", scarce, ": expected 0 to 1");
}

/// That the log is one of these devices and classes.
inline Result<void> check_log_fits(const GenerationLog& log, const data::CountTable& histograms) {
  if (log.generators.size() != histograms.size())
    return failure(ErrorCode::data, "generation log: of ", log.generators.size(),
                   " generators, there are ", histograms.size(), " devices");
  for (const GenerationEntry& entry : log.entries)
    if (entry.device >= histograms.size() || entry.label >= histograms.front().size())
      return failure(ErrorCode::data, "generation log: class ", entry.label, " of device ",
                     entry.device, ", there are ", histograms.size(), " devices and ",
                     histograms.front().size(), " classes");
  return {};
}

}  // namespace detail

/// Plans the imputation of devices with these histograms ([device][class]) by what `log`, made from
/// the same, says of their generators. Every class of L' is filled up to the device's mean class
/// size. A scarce class that no other generator can give stays as it is and is listed; a missing
/// one is a failure that names the device and the classes.
inline Result<Plan> make_plan(const data::CountTable& histograms, const GenerationLog& log,
                              const PlanOptions& options = {}) {
  if (Result<void> good = detail::check_scarce(options.scarce); !good) return good.failure();
  if (Result<void> good = check_histograms(histograms); !good) return good.failure();
  if (Result<void> good = detail::check_log_fits(log, histograms); !good) return good.failure();
  const Offers offers(log, histograms.front().size(), options.scarce);
  const std::vector<Index> all = union_of_classes(histograms);

  Plan plan{.scarce_below = options.scarce, .devices = {}};
  for (const std::vector<Index>& counts : histograms) {
    DevicePlan device;
    device.device = static_cast<Index>(plan.devices.size());
    device.counts = counts;
    device.class_size = target_class_size(counts);
    Defects open = find_defects(counts, all, options.scarce);
    device.missing = open.missing;
    device.scarce = open.scarce;
    std::erase_if(open.scarce, [&](Index c) {
      if (offers.anybody_gives(device.device, c)) return false;
      device.left_scarce.push_back(c);
      return true;
    });
    const Result<std::vector<Partner>> partners =
        find_partners(offers, device.device, std::move(open));
    if (!partners) return partners.failure();
    for (const Partner& partner : *partners) {
      device.partners.push_back(
          {partner.generator, partner.superset,
           std::string(tie_break_names[static_cast<std::size_t>(partner.tie)])});
      for (const Index c : partner.classes)
        device.entries.push_back({.generator = partner.generator,
                                  .label = c,
                                  .count = device.class_size - counts[static_cast<std::size_t>(c)],
                                  .seed = detail::entry_seed(options.seed, device.device, c)});
    }
    std::sort(device.entries.begin(), device.entries.end(),
              [](const PlanEntry& a, const PlanEntry& b) { return a.label < b.label; });
    plan.devices.push_back(std::move(device));
  }
  return plan;
}

inline Json to_json(const Plan& plan) {
  Json out = Json::object();
  out["format"] = plan_format;
  const Json fields = to_json_fields(plan);
  for (const JsonMember& member : fields.as_object()) out[member.key] = member.value;
  return out;
}

namespace detail {

/// Whether the partners are those of the entries, for reasons that there are.
inline Result<void> check_partners(const DevicePlan& device) {
  const auto wrong = [&](const auto&... parts) {
    return failure(ErrorCode::data, "device ", device.device, ": partners ", parts...);
  };
  std::vector<Index> generators;
  for (const PlanPartner& partner : device.partners) {
    generators.push_back(partner.generator);
    if (std::find(tie_break_names.begin(), tie_break_names.end(), partner.tie) ==
        tie_break_names.end())
      return wrong("has tie '", partner.tie, "'");
    if (!partner.superset) continue;
    const auto gives = [&](Index c) {
      const auto of_class = [&](const PlanEntry& entry) {
        return entry.label == c && entry.generator == partner.generator;
      };
      return std::any_of(device.entries.begin(), device.entries.end(), of_class);
    };
    if (generators.size() > 1 || !std::all_of(device.missing.begin(), device.missing.end(), gives))
      return wrong("calls generator ", partner.generator,
                   " a superset, which does not give all that is missing");
  }
  std::sort(generators.begin(), generators.end());
  if (generators != device.generators()) return wrong("are not the generators of the entries");
  return {};
}

/// Whether the plan is one that make_plan() can give for the counts in it, for some generators.
inline Result<void> check_plan(const Plan& plan) {
  const auto bad = [](const auto&... parts) { return failure(ErrorCode::data, parts...); };
  if (Result<void> good = check_scarce(plan.scarce_below); !good)
    return bad("scarce_below is not 0 to 1");
  data::CountTable histograms;
  for (const DevicePlan& device : plan.devices) histograms.push_back(device.counts);
  if (Result<void> good = check_histograms(histograms); !good) return bad(good.failure().message);
  const std::vector<Index> all = union_of_classes(histograms);
  const auto devices = static_cast<Index>(plan.devices.size());
  for (Index d = 0; d < devices; ++d) {
    const DevicePlan& device = plan.devices[static_cast<std::size_t>(d)];
    const auto wrong = [&](const auto&... parts) { return bad("device ", d, ": ", parts...); };
    if (device.device != d) return wrong("its number is ", device.device);
    if (device.class_size != target_class_size(device.counts))
      return wrong("class_size is ", device.class_size, ", the counts give ",
                   target_class_size(device.counts));
    const Defects defects = find_defects(device.counts, all, plan.scarce_below);
    if (device.missing != defects.missing) return wrong("missing does not follow from the counts");
    if (device.scarce != defects.scarce) return wrong("scarce does not follow from the counts");
    std::vector<Index> open = defects.missing;
    open.insert(open.end(), defects.scarce.begin(), defects.scarce.end());
    std::sort(open.begin(), open.end());
    for (const Index c : device.left_scarce) {
      if (!std::binary_search(defects.scarce.begin(), defects.scarce.end(), c))
        return wrong("class ", c, " in left_scarce is not scarce");
      const auto at = std::lower_bound(open.begin(), open.end(), c);
      if (at == open.end() || *at != c) return wrong("class ", c, " is twice in left_scarce");
      open.erase(at);
    }
    for (std::size_t e = 0; e < device.entries.size(); ++e) {
      const PlanEntry& entry = device.entries[e];
      if (e >= open.size() || entry.label != open[e])
        return wrong("entries[", e, "] is for class ", entry.label, ", expected ",
                     e < open.size() ? concat("class ", open[e]) : "no further entry");
      if (entry.generator >= devices || entry.generator == d)
        return wrong("entries[", e, "] takes the generator of device ", entry.generator,
                     ", expected another of ", devices, " devices");
      const Index count = device.class_size - device.counts[static_cast<std::size_t>(entry.label)];
      if (entry.count != count)
        return wrong("entries[", e, "] is of ", entry.count, " samples, expected ", count);
    }
    if (device.entries.size() != open.size())
      return wrong("class ", open[device.entries.size()], " has no entry");
    if (Result<void> good = check_partners(device); !good) return good;
  }
  return {};
}

}  // namespace detail

/// Reads the text of a plan. Refused: other formats or keys, and whatever does not follow from the
/// counts in it.
inline Result<Plan> parse_plan(std::string_view text) {
  const auto bad = [](const auto&... parts) {
    return failure(ErrorCode::data, "imputation plan: ", parts...);
  };
  const Result<Json> json = parse_json(text);
  if (!json) return bad(json.failure().message);
  const Result<std::string> format = get_string(*json, "format");
  if (!format) return bad(format.failure().message);
  if (*format != plan_format) return bad("format is '", *format, "', expected '", plan_format, "'");
  Result<Plan> plan = parse_json_fields<Plan>(*json);
  if (!plan) return bad(plan.failure().message);
  if (const Result<void> good = detail::check_plan(*plan); !good)
    return bad(good.failure().message);
  if (!(to_json(*plan) == *json)) return bad("has other keys, or in another order, than a plan");
  return plan;
}

inline Result<Plan> load_plan(const std::string& path) {
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.failure();
  Result<Plan> plan = parse_plan(*text);
  if (!plan) return failure(plan.failure().code, path, ": ", plan.failure().message);
  return plan;
}

inline Result<void> save_plan(const std::string& path, const Plan& plan) {
  return write_file_atomic(path, to_text(to_json(plan), 1) + "\n");
}

/// The plan as text for people, a line per device: what it holds of each class, `+n` where n
/// samples are to be generated, then from which generators, for which classes, and why; `*` marks a
/// scarce class that nobody else can give.
inline std::string format_plan(const Plan& plan) {
  constexpr std::size_t width = 11;
  std::string out;
  const auto cell = [&](std::string_view text) {
    out.append(width > text.size() ? width - text.size() : 1, ' ').append(text);
  };
  out.append("device");
  const std::size_t classes = plan.devices.empty() ? 0 : plan.devices.front().counts.size();
  for (std::size_t c = 0; c < classes; ++c) cell(std::to_string(c));
  out.append("   generators (classes: rule)\n");
  for (const DevicePlan& device : plan.devices) {
    const std::string name = std::to_string(device.device);
    out.append(name).append(name.size() < 6 ? 6 - name.size() : 0, ' ');
    for (std::size_t c = 0; c < classes; ++c) {
      const auto label = static_cast<Index>(c);
      std::string text = std::to_string(device.counts[c]);
      for (const PlanEntry& entry : device.entries)
        if (entry.label == label)
          text = concat(device.counts[c] == 0 ? "" : text, "+", entry.count);
      if (std::binary_search(device.left_scarce.begin(), device.left_scarce.end(), label))
        text += "*";
      cell(text);
    }
    out.append("   ");
    if (device.partners.empty()) out.append(device.defective() ? "none" : "complete");
    for (std::size_t i = 0; i < device.partners.size(); ++i) {
      const PlanPartner& partner = device.partners[i];
      out.append(concat(i == 0 ? "" : ", ", partner.generator, " ("));
      bool first = true;
      for (const PlanEntry& entry : device.entries)
        if (entry.generator == partner.generator) {
          out.append(concat(first ? "" : " ", entry.label));
          first = false;
        }
      out.append(partner.superset ? ": superset" : ": cover");
      out.append(partner.tie.empty() ? ")" : concat(", ", partner.tie, ")"));
    }
    out.push_back('\n');
  }
  return out;
}

}  // namespace impute
IOTSL_NAMESPACE_END
