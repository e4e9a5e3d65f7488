#pragma once
// The functions of <cmath> that the engine uses, under the same names. <cmath> itself costs every
// translation unit a tenth of the engine's compile time, for Bessel functions and their like.

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

namespace scalar_math {

inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline long double sqrt(long double x) { return __builtin_sqrtl(x); }
inline float exp(float x) { return __builtin_expf(x); }
inline double exp(double x) { return __builtin_exp(x); }
inline long double exp(long double x) { return __builtin_expl(x); }
inline float log(float x) { return __builtin_logf(x); }
inline double log(double x) { return __builtin_log(x); }
inline long double log(long double x) { return __builtin_logl(x); }
inline float tanh(float x) { return __builtin_tanhf(x); }
inline double tanh(double x) { return __builtin_tanh(x); }
inline long double tanh(long double x) { return __builtin_tanhl(x); }
inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
inline long double abs(long double x) { return __builtin_fabsl(x); }
inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline long double fma(long double a, long double b, long double c) {
  return __builtin_fmal(a, b, c);
}
inline double log1p(double x) { return __builtin_log1p(x); }
inline double expm1(double x) { return __builtin_expm1(x); }
inline float erfc(float x) { return __builtin_erfcf(x); }
inline double erfc(double x) { return __builtin_erfc(x); }
inline long double erfc(long double x) { return __builtin_erfcl(x); }
inline double floor(double x) { return __builtin_floor(x); }
inline double ceil(double x) { return __builtin_ceil(x); }
inline double trunc(double x) { return __builtin_trunc(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x) != 0; }
inline double sin(double x) { return __builtin_sin(x); }
inline double cos(double x) { return __builtin_cos(x); }
inline double atan2(double y, double x) { return __builtin_atan2(y, x); }
inline double pow(double x, double y) { return __builtin_pow(x, y); }

}  // namespace scalar_math

IOTSL_NAMESPACE_END
