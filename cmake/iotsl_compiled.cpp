// The one unit of iotsl::compiled; config.hpp tells what IOTSL_EMIT_ENGINE does.
#include "iotsl/gan/wgan_gp.hpp"
#include "iotsl/iotsl.hpp"
#include "iotsl/ops/bfloat16.hpp"
