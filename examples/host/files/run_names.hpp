#pragma once
// Files of a run folder that the tool writes; the engine's names stand with what writes them.

#include <string_view>

namespace iotsl::tool {

inline constexpr std::string_view summary_name = "summary.json";    ///< of a run that has ended
inline constexpr std::string_view run_inputs_name = "inputs.json";  ///< see run_inputs.hpp

}  // namespace iotsl::tool
