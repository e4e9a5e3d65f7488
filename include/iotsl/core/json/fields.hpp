#pragma once
// Structures in and out as JSON objects. A structure lists its members once,
//   template <class Self, class Fields>
//   static void json_fields(Self& self, Fields& f) { f("key", self.member); }
// and JsonWriter and JsonReader go through that list. f.later("key", self.member) is a member that
// files of earlier versions do not have: it keeps its default where it is missing.

#include <type_traits>
#include <utility>

#include "iotsl/core/json/json.hpp"
#include "iotsl/core/named_enum.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

template <class V>
struct IsVector : std::false_type {};
template <class E>
struct IsVector<std::vector<E>> : std::true_type {};

}  // namespace detail

/// Unsigned members must be below 2^63; doubles must be finite and come back bit by bit;
/// enumerations are written by their names.
class JsonWriter {
 public:
  template <class V>
  void operator()(const char* key, const V& value) {
    object_[key] = to_value(value);
  }
  template <class V>
  void later(const char* key, const V& value) {
    (*this)(key, value);
  }
  Json take() { return std::move(object_); }

 private:
  template <class V>
  static Json to_value(const V& value) {
    if constexpr (detail::IsVector<V>::value) {
      Json out = Json::array();
      for (const auto& element : value) out.push_back(to_value(element));
      return out;
    } else if constexpr (std::is_class_v<V> && !std::is_same_v<V, std::string>) {
      JsonWriter inner;
      V::json_fields(value, inner);
      return inner.take();
    } else if constexpr (NamedEnum<V>) {
      return Json(to_string(value));
    } else {
      return Json(value);
    }
  }
  Json object_ = Json::object();
};

/// The first member that is missing, of another type or out of range is in status().
class JsonReader {
 public:
  explicit JsonReader(const Json& object) : object_(object) {}

  template <class V>
  void operator()(const char* key, V& out) {
    if (!status_) return;
    const Result<const Json*> member = get_member(object_, key);
    if (!member)
      status_ = member.failure();
    else
      read(key, **member, out);
  }
  template <class V>
  void later(const char* key, V& out) {
    if (!object_.is_object() || object_.find(key) != nullptr) (*this)(key, out);
  }
  const Result<void>& status() const { return status_; }

 private:
  template <class V>
  void read(const char* key, const Json& json, V& out) {
    if constexpr (detail::IsVector<V>::value) {
      if (!json.is_array()) return wrong(key, "an array", json);
      out.clear();
      for (const Json& element : json.as_array()) read(key, element, out.emplace_back());
    } else if constexpr (std::is_same_v<V, std::string>) {
      if (!json.is_string()) return wrong(key, "a string", json);
      out = json.as_string();
      if (!is_printable(out) && status_)
        status_ = failure(ErrorCode::data, "key '", key, "' has a control character in its text");
    } else if constexpr (std::is_same_v<V, bool>) {
      if (!json.is_bool()) return wrong(key, "true or false", json);
      out = json.as_bool();
    } else if constexpr (std::is_floating_point_v<V>) {
      if (!json.is_number()) return wrong(key, "a number", json);
      out = json.as_double();
    } else if constexpr (NamedEnum<V>) {
      if (!json.is_string()) return wrong(key, "a string", json);
      const auto found = find_named<V>(json.as_string());
      if (found)
        out = *found;
      else
        status_ = failure(ErrorCode::data, "key '", key, "' is '", json.as_string(), "', expected ",
                          list_names<V>());
    } else if constexpr (std::is_integral_v<V>) {
      if (!json.is_int() || json.as_int() < 0 || !std::in_range<V>(json.as_int()))
        return wrong(key, "an integer in range", json);
      out = static_cast<V>(json.as_int());
    } else {
      if (!json.is_object()) return wrong(key, "an object", json);
      JsonReader inner(json);
      V::json_fields(out, inner);
      if (!inner.status() && status_) status_ = inner.status();
    }
  }
  void wrong(const char* key, const char* wanted, const Json& found) {
    if (status_) status_ = detail::wrong_member(key, wanted, found);
  }

  const Json& object_;
  Result<void> status_;
};

template <class S>
Json to_json_fields(const S& structure) {
  JsonWriter writer;
  S::json_fields(structure, writer);
  return writer.take();
}

template <class S>
Result<S> parse_json_fields(const Json& object) {
  S out;
  JsonReader reader(object);
  S::json_fields(out, reader);
  if (!reader.status()) return reader.status().failure();
  return out;
}

IOTSL_NAMESPACE_END
