// The one unit of iotsl::compiled; config.hpp tells what IOTSL_EMIT_ENGINE does.
#include "iotsl/iotsl.hpp"
