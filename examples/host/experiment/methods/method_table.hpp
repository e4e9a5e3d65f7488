#pragma once
// The experiment `table`: every method on the same data.

#include "host/experiment/table.hpp"

namespace iotsl::tool {

ExperimentSpec method_table();

}  // namespace iotsl::tool
