#include "host/experiment/table.hpp"

#include "host/experiment/methods/method_table.hpp"
#include "host/experiment/paper/specs.hpp"

namespace iotsl::tool {

std::span<const ExperimentSpec> all_experiments() {
  static const std::vector<ExperimentSpec> all{fig3(),  fig5(),       fig9(),        fig10(),
                                               fig11(), fig12(),      fig13(),       fig14(),
                                               fig15(), quickstart(), method_table()};
  return all;
}

std::span<const std::string_view> datasets_of(const ExperimentSpec& spec) {
  static constexpr std::string_view grey[] = {"mnist", "fashion-mnist", "glyphs"},
                                    faces[] = {"faces", "celeba", "packed"};
  if (spec.dataset == "faces") return faces;
  return grey;
}

const ExperimentSpec* find_experiment(std::string_view name) {
  for (const ExperimentSpec& spec : all_experiments())
    if (spec.name == name) return &spec;
  return nullptr;
}

}  // namespace iotsl::tool
