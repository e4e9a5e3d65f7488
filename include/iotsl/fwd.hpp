#pragma once
// Names only, for headers that mention the engine's types without using them.

#include <cstdint>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

using Index = std::int64_t;

class Shape;
class Error;
enum class ErrorCode;
struct Failure;
template <class V>
class Result;

template <class T>
class Tensor;
template <class T>
struct NamedTensor;
struct ForwardMode;
template <class T>
class Sequential;

struct OptimizerOptions;
template <class T>
class Optimizer;

IOTSL_NAMESPACE_END
