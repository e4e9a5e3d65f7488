#pragma once
// Errors. A programming error (a wrong shape, an unknown name) is an `Error`, thrown by `fail`.
// Whatever comes from a peer, a file or the network is a `Result<T>`, in every build.

#include <concepts>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

/// A programming error. The text names the operation, what was given and what was expected.
class Error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// The memory budget or the system has no more memory. The text gives the bytes asked for.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

/// Called with the text of an error when the build has no exceptions; abort() follows.
using ErrorHandler = void (*)(const char* message);

namespace detail {
inline ErrorHandler& error_handler() {
  static ErrorHandler handler = nullptr;
  return handler;
}
inline void append(std::string& out, std::string_view text) { out.append(text); }
inline void append(std::string& out, const std::string& text) { out.append(text); }
inline void append(std::string& out, const char* text) { out.append(text); }
inline void append(std::string& out, char c) { out.push_back(c); }
inline void append(std::string& out, bool b) { out.append(b ? "true" : "false"); }
inline void append(std::string& out, double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", v);
  out.append(text);
}
inline void append(std::string& out, float v) { append(out, static_cast<double>(v)); }
template <class V>
requires std::is_integral_v<V>
void append(std::string& out, V v) { out.append(std::to_string(v)); }
// Types with a `to_string(v)` found by argument-dependent lookup, such as Shape.
template <class V>
requires requires(const V& v) {
  { to_string(v) } -> std::convertible_to<std::string>;
}
void append(std::string& out, const V& v) { out.append(to_string(v)); }

template <class V>
void append_value(std::string& out, const void* value) {
  append(out, *static_cast<const V*>(value));
}
inline void append_text(std::string& out, const void* text) {
  out.append(static_cast<const char*>(text));
}
/// One value of a text. How it is appended is compiled once for its type, not for every text.
struct TextPart {
  const void* value;
  void (*append)(std::string& out, const void* value);

  template <class V>
  TextPart(const V& v) : value(&v), append(&append_value<V>) {}
  TextPart(const char* text) : value(text), append(&append_text) {}
};
inline std::string join(const TextPart* parts, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) parts[i].append(out, parts[i].value);
  return out;
}
}  // namespace detail

/// Joins values into one text: `concat("x has ", 3, " rows")`.
template <class... Parts>
std::string concat(const Parts&... parts) {
  const detail::TextPart list[] = {parts...};
  return detail::join(list, sizeof...(Parts));
}

/// Of a build without exceptions, for a program that wants to leave in its own way; null: none.
inline void set_error_handler(ErrorHandler handler) { detail::error_handler() = handler; }

namespace detail {
template <class E>
[[noreturn]] IOTSL_COLD inline void raise(std::string message) {
#if IOTSL_EXCEPTIONS
  throw E(std::move(message));
#else
  if (ErrorHandler handler = error_handler()) handler(message.c_str());
  std::fprintf(stderr, "iotsl: %s\n", message.c_str());
  std::abort();
#endif
}
}  // namespace detail

/// Raises an `Error` with the joined text.
template <class... Parts>
[[noreturn]] IOTSL_COLD void fail(const Parts&... parts) {
  detail::raise<Error>(concat(parts...));
}

/// What kind of thing went wrong outside the program. The programs turn it into an exit code.
/// `stopped`: by the user, and able to go on.
enum class ErrorCode { other, usage, network, data, stopped };

/// Why a `Result` has no value.
struct Failure {
  ErrorCode code = ErrorCode::other;
  std::string message;
};

/// A value, or the reason why there is none. Not a std::variant, which takes five times as long to
/// compile for each V.
template <class V>
class [[nodiscard]] Result {
 public:
  Result(V value) : value_(std::move(value)), ok_(true) {}
  Result(Failure failure) : failure_(std::move(failure)), ok_(false) {}
  Result(const Result& other) requires std::copy_constructible<V> : ok_(other.ok_) {
    if (ok_)
      new (&value_) V(other.value_);
    else
      new (&failure_) Failure(other.failure_);
  }
  Result(Result&& other) noexcept : ok_(other.ok_) { take(other); }
  Result& operator=(const Result& other) requires std::copy_constructible<V> {
    return *this = Result(other);
  }
  Result& operator=(Result&& other) noexcept {
    Result taken(std::move(other));
    destroy();
    ok_ = taken.ok_;
    take(taken);
    return *this;
  }
  ~Result() { destroy(); }

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }

  V& value() & {
    check();
    return value_;
  }
  const V& value() const& {
    check();
    return value_;
  }
  V&& value() && {
    check();
    return std::move(value_);
  }
  V& operator*() & { return value(); }
  const V& operator*() const& { return value(); }
  V* operator->() { return &value(); }
  const V* operator->() const { return &value(); }

  /// Only where !ok().
  const Failure& failure() const { return failure_; }

 private:
  void check() const {
    if (!ok_) fail(failure_.message);
  }
  void take(Result& other) {
    if (ok_)
      new (&value_) V(std::move(other.value_));
    else
      new (&failure_) Failure(std::move(other.failure_));
  }
  void destroy() {
    if (ok_)
      value_.~V();
    else
      failure_.~Failure();
  }

  union {
    V value_;
    Failure failure_;
  };
  bool ok_;
};

/// Success without a value, or a failure.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : failure_(std::move(failure)), ok_(false) {}
  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  const Failure& failure() const { return failure_; }

 private:
  Failure failure_;
  bool ok_ = true;
};

/// Builds a `Failure`: `return failure(ErrorCode::data, path, ": offset ", n, ": ...")`.
template <class... Parts>
IOTSL_COLD Failure failure(ErrorCode code, const Parts&... parts) {
  return Failure{code, concat(parts...)};
}

IOTSL_NAMESPACE_END
