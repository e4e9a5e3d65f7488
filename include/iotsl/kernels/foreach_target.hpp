// simd/foreach_target.hpp for the families of the engine: nothing but the macros where another unit
// of the program compiles them. No include guard.

#include "iotsl/simd/target.hpp"

#if IOTSL_LINK_ENGINE
#undef IOTSL_TARGET_INCLUDE
#else
#include "iotsl/simd/foreach_target.hpp"
#endif
