#pragma once
// A JSON value and typed access to its members. Text in and out is core/json.hpp.

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/core/text.hpp"

// Where g++ 12 inlines a variant's move it warns of alternatives that are not there as
// uninitialised.
#if defined(__GNUC__)
#define IOTSL_JSON_NOINLINE __attribute__((noinline))
#else
#define IOTSL_JSON_NOINLINE
#endif

IOTSL_NAMESPACE_BEGIN

class Json;
/// One member of an object. A template only because Json, which it holds, holds it in turn.
template <class Value>
struct BasicJsonMember {
  std::string key;
  Value value;
  friend bool operator==(const BasicJsonMember& a, const BasicJsonMember& b) {
    return a.key == b.key && a.value == b.value;
  }
};
/// A key and its value.
using JsonMember = BasicJsonMember<Json>;
/// The elements of an array.
using JsonArray = std::vector<Json>;
/// Members in the order in which they were inserted or read.
using JsonObject = std::vector<JsonMember>;

/// null, a boolean, a number, a string, an array or an object. A number that was written without
/// fraction and exponent and fits is kept as an exact int64; every other number is a double.
class Json {
 public:
  Json() = default;
  Json(const Json&) = default;
  Json& operator=(const Json&) = default;
  IOTSL_JSON_NOINLINE Json(Json&& other) noexcept : value_(std::move(other.value_)) {}
  IOTSL_JSON_NOINLINE Json& operator=(Json&& other) noexcept {
    value_ = std::move(other.value_);
    return *this;
  }
  ~Json() = default;
  Json(std::nullptr_t) {}
  Json(std::same_as<bool> auto v) : value_(std::in_place_type<bool>, v) {}
  /// Raises an Error where an unsigned value does not fit int64: a double would lose its last
  /// digits.
  template <std::integral V>
  requires(!std::same_as<V, bool>) Json(V v)
      : value_(std::in_place_type<std::int64_t>, static_cast<std::int64_t>(v)) {
    if (!std::in_range<std::int64_t>(v))
      fail("json: integer ", v, " does not fit 64 bits with sign");
  }
  Json(std::floating_point auto v) : value_(std::in_place_type<double>, static_cast<double>(v)) {}
  Json(const char* v) : value_(std::in_place_type<std::string>, v) {}
  Json(std::string_view v) : value_(std::in_place_type<std::string>, v) {}
  Json(std::string v) : value_(std::in_place_type<std::string>, std::move(v)) {}
  Json(JsonArray v);
  Json(JsonObject v);

  static Json array();
  static Json object();
  /// An array of every element of a range: `Json::array_of(counts)`.
  template <class Range>
  static Json array_of(const Range& range) {
    Json out = array();
    for (const auto& element : range) out.push_back(Json(element));
    return out;
  }

  bool is_null() const { return value_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_number() const { return is_stored_int() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<JsonArray>(value_); }
  bool is_object() const { return std::holds_alternative<JsonObject>(value_); }
  /// A number whose exact value is an int64. A double counts up to 2^53, where it is still exact.
  bool is_int() const {
    if (is_stored_int()) return true;
    const double* d = std::get_if<double>(&value_);
    return d != nullptr && std::abs(*d) <= 9007199254740992.0 && *d == std::trunc(*d);
  }

  /// The value as this type; raises an Error where it has another one.
  bool as_bool() const { return held<bool>("a boolean"); }
  std::int64_t as_int() const {
    if (!is_int()) wrong_type("an integer");
    if (const double* d = std::get_if<double>(&value_)) return static_cast<std::int64_t>(*d);
    return *std::get_if<std::int64_t>(&value_);
  }
  double as_double() const {
    if (const auto* i = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*i);
    return held<double>("a number");
  }
  const std::string& as_string() const { return held<std::string>("a string"); }
  const JsonArray& as_array() const { return held<JsonArray>("an array"); }
  const JsonObject& as_object() const { return held<JsonObject>("an object"); }

  /// The member of that name, or null where there is none or this is no object.
  const Json* find(std::string_view key) const;
  /// The member of that name, added as null where there is none. null becomes an object.
  Json& operator[](std::string_view key);
  /// Appends to an array. null becomes an array.
  void push_back(Json element);
  /// Elements of an array or members of an object; 0 for anything else.
  std::size_t size() const;

  /// "null", "boolean", "integer", "number", "string", "array" or "object", for messages.
  const char* type_name() const;
  /// Whether text keeps this number without fraction ("3"), not as a double ("3.0").
  bool is_stored_int() const { return std::holds_alternative<std::int64_t>(value_); }

  /// Same types and values; the order of members counts. Numbers compare by value.
  friend bool operator==(const Json& a, const Json& b);

 private:
  template <class V>
  const V& held(const char* wanted) const {
    const V* v = std::get_if<V>(&value_);
    if (v == nullptr) wrong_type(wanted);
    return *v;
  }
  template <class V>
  V& held_or_new(const char* wanted) {
    if (is_null()) value_.emplace<V>();
    V* v = std::get_if<V>(&value_);
    if (v == nullptr) wrong_type(wanted);
    return *v;
  }
  [[noreturn]] IOTSL_COLD void wrong_type(const char* wanted) const {
    fail("json: expected ", wanted, ", found ", type_name());
  }

  std::variant<std::monostate, bool, std::int64_t, double, std::string, JsonArray, JsonObject>
      value_;
};

inline Json::Json(JsonArray v) : value_(std::in_place_type<JsonArray>, std::move(v)) {}
inline Json::Json(JsonObject v) : value_(std::in_place_type<JsonObject>, std::move(v)) {}
inline Json Json::array() { return Json(JsonArray{}); }
inline Json Json::object() { return Json(JsonObject{}); }

inline const Json* Json::find(std::string_view key) const {
  const JsonObject* object = std::get_if<JsonObject>(&value_);
  if (object == nullptr) return nullptr;
  for (const JsonMember& member : *object)
    if (member.key == key) return &member.value;
  return nullptr;
}

inline Json& Json::operator[](std::string_view key) {
  JsonObject& object = held_or_new<JsonObject>("an object");
  for (JsonMember& member : object)
    if (member.key == key) return member.value;
  object.push_back({std::string(key), Json()});
  return object.back().value;
}

inline void Json::push_back(Json element) {
  held_or_new<JsonArray>("an array").push_back(std::move(element));
}

inline std::size_t Json::size() const {
  if (const auto* array = std::get_if<JsonArray>(&value_)) return array->size();
  if (const auto* object = std::get_if<JsonObject>(&value_)) return object->size();
  return 0;
}

inline const char* Json::type_name() const {
  if (is_int()) return "integer";
  constexpr const char* names[] = {"null",   "boolean", "integer", "number",
                                   "string", "array",   "object"};
  return names[value_.index()];
}

/// Deep comparison; members in the same order.
inline bool operator==(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  return a.value_ == b.value_;
}

// Members of an object, checked. A failure names the key, what was expected and what was found;
// the caller puts the file's name in front.

/// The member `key` of any type.
inline Result<const Json*> get_member(const Json& object, std::string_view key) {
  if (!object.is_object())
    return failure(ErrorCode::data, "expected an object with key '", key, "', found ",
                   object.type_name());
  const Json* member = object.find(key);
  if (member == nullptr) return failure(ErrorCode::data, "key '", key, "' is missing");
  return member;
}

namespace detail {
inline Failure wrong_member(std::string_view key, const char* wanted, const Json& found) {
  return failure(ErrorCode::data, "key '", key, "' must be ", wanted, ", found ",
                 found.type_name());
}
}  // namespace detail

/// The integer under `key`; a failure where it is missing, of another type or out of range.
inline Result<std::int64_t> get_int(const Json& object, std::string_view key,
                                    std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                                    std::int64_t max = std::numeric_limits<std::int64_t>::max()) {
  auto member = get_member(object, key);
  if (!member) return member.failure();
  if (!(*member)->is_int()) return detail::wrong_member(key, "an integer", **member);
  const std::int64_t value = (*member)->as_int();
  if (value < min || value > max)
    return failure(ErrorCode::data, "key '", key, "' is ", value, ", expected ", min, " to ", max);
  return value;
}

/// True or false under `key`; a failure where it is missing or of another type.
inline Result<bool> get_bool(const Json& object, std::string_view key) {
  auto member = get_member(object, key);
  if (!member) return member.failure();
  if (!(*member)->is_bool()) return detail::wrong_member(key, "true or false", **member);
  return (*member)->as_bool();
}

/// One line of text: what files say is shown to people, and must not write on their terminals.
inline Result<std::string> get_string(const Json& object, std::string_view key) {
  auto member = get_member(object, key);
  if (!member) return member.failure();
  if (!(*member)->is_string()) return detail::wrong_member(key, "a string", **member);
  if (!is_printable((*member)->as_string()))
    return failure(ErrorCode::data, "key '", key, "' has a control character in its text");
  return (*member)->as_string();
}

/// The array under `key`; a failure where it is missing or of another type.
inline Result<const JsonArray*> get_array(const Json& object, std::string_view key) {
  auto member = get_member(object, key);
  if (!member) return member.failure();
  if (!(*member)->is_array()) return detail::wrong_member(key, "an array", **member);
  return &(*member)->as_array();
}

/// The member `key`, checked to be an object.
inline Result<const Json*> get_object(const Json& object, std::string_view key) {
  auto member = get_member(object, key);
  if (!member) return member.failure();
  if (!(*member)->is_object()) return detail::wrong_member(key, "an object", **member);
  return *member;
}

IOTSL_NAMESPACE_END

#undef IOTSL_JSON_NOINLINE
