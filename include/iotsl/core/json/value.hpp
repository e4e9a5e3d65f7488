#pragma once
// A JSON value and typed access to its members. Text in and out is core/json/json.hpp.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/text.hpp"

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
/// fraction and exponent and fits is kept as an exact int64; every other number is a double. Not a
/// std::variant, whose templates every translation unit that includes the engine would compile.
class Json {
 public:
  Json() {}
  Json(const Json& other) { construct(other); }
  Json(Json&& other) noexcept { construct(std::move(other)); }
  // By value: of `json["copy"] = json` the copy is made before the member is there.
  Json& operator=(Json other) noexcept {
    destroy();
    construct(std::move(other));
    return *this;
  }
  ~Json() { destroy(); }
  Json(std::nullptr_t) {}
  Json(std::same_as<bool> auto v) : type_(Type::boolean), bool_(v) {}
  /// Raises an Error where an unsigned value does not fit int64: a double would lose its last
  /// digits.
  template <std::integral V>
  requires(!std::same_as<V, bool>) Json(V v)
      : type_(Type::integer), int_(static_cast<std::int64_t>(v)) {
    if (!std::in_range<std::int64_t>(v))
      fail("json: integer ", v, " does not fit 64 bits with sign");
  }
  Json(std::floating_point auto v) : type_(Type::number), double_(static_cast<double>(v)) {}
  Json(const char* v) : Json(std::string(v)) {}
  Json(std::string_view v) : Json(std::string(v)) {}
  Json(std::string v);
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

  bool is_null() const { return type_ == Type::null; }
  bool is_bool() const { return type_ == Type::boolean; }
  bool is_number() const { return is_stored_int() || type_ == Type::number; }
  bool is_string() const { return type_ == Type::string; }
  bool is_array() const { return type_ == Type::array; }
  bool is_object() const { return type_ == Type::object; }
  /// A number whose exact value is an int64. A double counts up to 2^53, where it is still exact.
  bool is_int() const {
    if (is_stored_int()) return true;
    return type_ == Type::number && scalar_math::abs(double_) <= 9007199254740992.0 &&
           double_ == scalar_math::trunc(double_);
  }

  /// The value as this type; raises an Error where it has another one.
  bool as_bool() const {
    if (!is_bool()) wrong_type("a boolean");
    return bool_;
  }
  std::int64_t as_int() const {
    if (!is_int()) wrong_type("an integer");
    return is_stored_int() ? int_ : static_cast<std::int64_t>(double_);
  }
  double as_double() const {
    if (!is_number()) wrong_type("a number");
    return is_stored_int() ? static_cast<double>(int_) : double_;
  }
  const std::string& as_string() const {
    if (!is_string()) wrong_type("a string");
    return string_;
  }
  const JsonArray& as_array() const {
    if (!is_array()) wrong_type("an array");
    return array_;
  }
  const JsonObject& as_object() const {
    if (!is_object()) wrong_type("an object");
    return object_;
  }

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
  bool is_stored_int() const { return type_ == Type::integer; }

  /// Same types and values; the order of members counts. Numbers compare by value.
  friend bool operator==(const Json& a, const Json& b);

 private:
  enum class Type { null, boolean, integer, number, string, array, object };

  [[noreturn]] IOTSL_COLD void wrong_type(const char* wanted) const {
    fail("json: expected ", wanted, ", found ", type_name());
  }
  /// Makes a null a copy of `other`, or what can be moved from it.
  template <class Source>
  void construct(Source&& other);
  void destroy() noexcept;

  Type type_ = Type::null;
  union {
    bool bool_;
    std::int64_t int_;
    double double_;
    std::string string_;
    JsonArray array_;
    JsonObject object_;
  };
};

inline Json::Json(std::string v) : type_(Type::string), string_(std::move(v)) {}
inline Json::Json(JsonArray v) : type_(Type::array), array_(std::move(v)) {}
inline Json::Json(JsonObject v) : type_(Type::object), object_(std::move(v)) {}
inline Json Json::array() { return Json(JsonArray{}); }
inline Json Json::object() { return Json(JsonObject{}); }

template <class Source>
void Json::construct(Source&& other) {
  switch (other.type_) {
    case Type::null:
      break;
    case Type::boolean:
      bool_ = other.bool_;
      break;
    case Type::integer:
      int_ = other.int_;
      break;
    case Type::number:
      double_ = other.double_;
      break;
    case Type::string:
      new (&string_) std::string(std::forward<Source>(other).string_);
      break;
    case Type::array:
      new (&array_) JsonArray(std::forward<Source>(other).array_);
      break;
    case Type::object:
      new (&object_) JsonObject(std::forward<Source>(other).object_);
      break;
  }
  type_ = other.type_;
}

inline void Json::destroy() noexcept {
  if (is_string()) string_.~basic_string();
  if (is_array()) array_.~vector();
  if (is_object()) object_.~vector();
  type_ = Type::null;
}

inline const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const JsonMember& member : object_)
    if (member.key == key) return &member.value;
  return nullptr;
}

inline Json& Json::operator[](std::string_view key) {
  if (is_null()) *this = object();
  if (!is_object()) wrong_type("an object");
  for (JsonMember& member : object_)
    if (member.key == key) return member.value;
  object_.push_back({std::string(key), Json()});
  return object_.back().value;
}

inline void Json::push_back(Json element) {
  if (is_null()) *this = array();
  if (!is_array()) wrong_type("an array");
  array_.push_back(std::move(element));
}

inline std::size_t Json::size() const {
  return is_array() ? array_.size() : is_object() ? object_.size() : 0;
}

inline const char* Json::type_name() const {
  if (is_int()) return "integer";
  constexpr const char* names[] = {"null",   "boolean", "integer", "number",
                                   "string", "array",   "object"};
  return names[static_cast<std::size_t>(type_)];
}

/// Deep comparison; members in the same order.
inline bool operator==(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  if (a.type_ != b.type_) return false;
  if (a.is_bool()) return a.bool_ == b.bool_;
  if (a.is_string()) return a.string_ == b.string_;
  if (a.is_array()) return a.array_ == b.array_;
  return a.is_null() || a.object_ == b.object_;
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
