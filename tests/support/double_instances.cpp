#define TEST_EMIT_DOUBLE
#include "support/double_instances.hpp"
