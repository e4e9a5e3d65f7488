#pragma once
// One golden file: its metadata, its tensors and which of them have been used. README.md describes
// the format. Whatever is wrong with a file is an Error whose text says so.

#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "iotsl/core/json/json.hpp"
#include "iotsl/core/tensor.hpp"
#include "iotsl/nn/safetensors.hpp"
#include "support/double_instances.hpp"

namespace golden {

using iotsl::concat;
using iotsl::fail;
using iotsl::Index;
using iotsl::Json;
using iotsl::Shape;
using iotsl::Tensor;

using Names = std::vector<std::string>;

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

class Case {
 public:
  explicit Case(const std::string& path) {
    auto loaded = iotsl::load_safetensors(path);
    if (!loaded) fail(loaded.failure().message);
    file_ = std::move(*loaded);
    op_ = text("op");
    if (op_.empty()) fail("no 'op' in the metadata");
    const std::string format = text("format");
    if (!format.empty() && format != "iotsl-golden-1")
      fail("format '", format, "', expected iotsl-golden-1");
    parse_attributes();
  }

  const std::string& op() const { return op_; }

  /// True if any expected value is stored in double: then the case is run in double as well.
  bool is_double() const {
    for (const iotsl::SafeTensor& tensor : file_.tensors)
      if (tensor.dtype == iotsl::DType::f64) return true;
    return false;
  }

  /// What is allowed between the expected tensor `name` and a run in T.
  template <class T>
  Tolerance tolerance(const std::string& name) const {
    constexpr bool in_float = sizeof(T) == sizeof(float);
    // Rounding grows over training steps: a net of many layers on a small batch is chaotic.
    const bool steps = op_.find("train") != std::string::npos || op_ == "model";
    const Tolerance in_single = steps ? Tolerance{2e-2, 2e-3} : Tolerance{2e-4, 2e-5};
    const Tolerance in_double = steps ? Tolerance{1e-6, 1e-8} : Tolerance{1e-9, 1e-11};
    if (in_float && is_double()) {
      return {number("rtol_float", std::max(in_single.relative, number("rtol", 0))),
              number("atol_float", std::max(in_single.absolute, number("atol", 0)))};
    }
    const Tolerance usual = in_float ? in_single : in_double;
    Tolerance out{number("rtol", usual.relative), number("atol", usual.absolute)};
    // An expected value that is stored in float is no better than float.
    const iotsl::SafeTensor* tensor = file_.find(name);
    if (tensor != nullptr && tensor->dtype == iotsl::DType::f32)
      out.relative = std::max(out.relative, 1e-6);
    return out;
  }

  // --- tensors ---
  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  /// The first of `names` that the file has; empty where it has none.
  std::string first_of(const Names& names) const {
    for (const std::string& name : names)
      if (has(name)) return name;
    return {};
  }
  template <class T>
  Tensor<T> tensor(const std::string& name) {
    const iotsl::SafeTensor& stored = use(name);
    Shape shape;
    for (std::int64_t extent : stored.shape) shape.push_back(extent);
    Tensor<T> out = Tensor<T>::uninitialized(shape);
    switch (stored.dtype) {
      case iotsl::DType::f32:
        convert<float>(stored, out.mutable_data());
        break;
      case iotsl::DType::f64:
        convert<double>(stored, out.mutable_data());
        break;
      case iotsl::DType::i64:
        convert<std::int64_t>(stored, out.mutable_data());
        break;
      case iotsl::DType::i32:
        convert<std::int32_t>(stored, out.mutable_data());
        break;
      case iotsl::DType::u8:
        convert<std::uint8_t>(stored, out.mutable_data());
        break;
      default:
        fail("tensor '", name, "' is ", dtype_name(stored.dtype));
    }
    return out;
  }
  std::vector<std::int32_t> labels(const std::string& name) {
    const iotsl::SafeTensor& stored = use(name);
    std::vector<std::int32_t> out(stored.bytes.size() /
                                  static_cast<std::size_t>(iotsl::dtype_bytes(stored.dtype)));
    switch (stored.dtype) {
      case iotsl::DType::i64:
        convert<std::int64_t>(stored, out.data());
        break;
      case iotsl::DType::i32:
        convert<std::int32_t>(stored, out.data());
        break;
      case iotsl::DType::u8:
        convert<std::uint8_t>(stored, out.data());
        break;
      default:
        fail("tensor '", name, "' holds labels and is ", dtype_name(stored.dtype),
             ", expected I64, I32 or U8");
    }
    return out;
  }
  /// Names that begin with `prefix`, without it.
  Names names_with(const std::string& prefix) const {
    Names out;
    for (const iotsl::SafeTensor& tensor : file_.tensors)
      if (tensor.name.starts_with(prefix)) out.push_back(tensor.name.substr(prefix.size()));
    return out;
  }

  // --- attributes ---
  /// Null where none of the names is given.
  const Json* attribute(const Names& names) {
    for (const std::string& name : names) {
      used_attributes_.insert(name);
      if (const Json* value = attributes_.find(name)) return value->is_null() ? nullptr : value;
    }
    return nullptr;
  }
  double real(const Names& names, double otherwise) {
    const Json* value = attribute(names);
    return value != nullptr ? to_real(names, *value) : otherwise;
  }
  Index integer(const Names& names, Index otherwise) {
    const Json* value = attribute(names);
    return value != nullptr ? to_integer(names, *value) : otherwise;
  }
  bool boolean(const Names& names, bool otherwise) {
    const Json* value = attribute(names);
    if (value == nullptr) return otherwise;
    if (value->is_bool()) return value->as_bool();
    return to_real(names, *value) != 0;
  }
  std::string string(const Names& names, const std::string& otherwise) {
    const Json* value = attribute(names);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) bad_attribute(names, "a text");
    return value->as_string();
  }
  /// An integer or a list of integers; empty where it is not given.
  std::vector<Index> integers(const Names& names) {
    const Json* value = attribute(names);
    if (value == nullptr) return {};
    if (!value->is_array()) return {to_integer(names, *value)};
    std::vector<Index> out;
    for (const Json& element : value->as_array()) out.push_back(to_integer(names, element));
    return out;
  }
  struct Pair {
    Index h, w;
  };
  /// One integer for both directions, [h, w], or the two attributes NAME_h and NAME_w.
  Pair pair(const Names& names, Pair otherwise) {
    const std::vector<Index> list = integers(names);
    if (list.size() > 2) bad_attribute(names, "an integer or a pair");
    if (!list.empty()) return {list.front(), list.back()};
    Names h, w;
    for (const std::string& name : names) {
      h.push_back(name + "_h");
      w.push_back(name + "_w");
    }
    return {integer(h, otherwise.h), integer(w, otherwise.w)};
  }
  /// Raises an Error if the attribute is given with a value that the engine does not have.
  void only(const std::string& name, const Json& supported) {
    const Json* value = attribute({name});
    if (value != nullptr && to_text(*value) != to_text(supported))
      fail("attribute '", name, "' is ", to_text(*value), ", only ", to_text(supported),
           " is supported");
  }

  /// Raises an Error for an attribute or a tensor that nothing has asked for.
  void check_all_used() const {
    for (const iotsl::JsonMember& member : attributes_.as_object())
      if (!used_attributes_.contains(member.key))
        fail("attribute '", member.key, "' is not one of ", op_);
    for (const iotsl::SafeTensor& tensor : file_.tensors)
      if (!used_tensors_.contains(tensor.name))
        fail("tensor '", tensor.name, "' is not one of ", op_);
  }

 private:
  std::string text(const std::string& key) const {
    const std::string* value = file_.find_metadata(key);
    return value != nullptr ? *value : std::string();
  }
  double number(const std::string& key, double otherwise) const {
    const std::string value = text(key);
    if (value.empty()) return otherwise;
    char* end = nullptr;
    const double out = std::strtod(value.c_str(), &end);
    if (end == value.c_str() || *end != '\0' || !(out >= 0))
      fail("metadata '", key, "' is '", value, "', expected a number of at least 0");
    return out;
  }

  void parse_attributes() {
    const std::string attrs = text("attrs");
    attributes_ = Json::object();
    if (attrs.empty()) return;
    auto parsed = iotsl::parse_json(attrs);
    if (!parsed) fail("attrs: ", parsed.failure().message);
    if (!parsed->is_object()) fail("attrs is not a JSON object");
    attributes_ = std::move(*parsed);
  }

  const iotsl::SafeTensor& use(const std::string& name) {
    const iotsl::SafeTensor* stored = file_.find(name);
    if (stored == nullptr) fail("tensor '", name, "' is missing");
    if (stored->shape.size() > static_cast<std::size_t>(iotsl::max_dims))
      fail("tensor '", name, "' has ", stored->shape.size(), " dimensions, at most ",
           iotsl::max_dims, " are supported");
    used_tensors_.insert(name);
    return *stored;
  }
  template <class Stored, class Out>
  static void convert(const iotsl::SafeTensor& stored, Out* out) {
    const auto values = stored.copy_values<Stored>();
    for (Stored value : *values) *out++ = static_cast<Out>(value);
  }

  [[noreturn]] void bad_attribute(const Names& names, const char* expected) const {
    fail("attribute '", names.front(), "' must be ", expected);
  }
  double to_real(const Names& names, const Json& value) const {
    if (!value.is_number()) bad_attribute(names, "a number");
    return value.as_double();
  }
  Index to_integer(const Names& names, const Json& value) const {
    const double out = value.is_bool() ? (value.as_bool() ? 1 : 0) : to_real(names, value);
    if (out != std::floor(out)) bad_attribute(names, "an integer");
    return static_cast<Index>(out);
  }

  iotsl::SafeTensors file_;
  std::string op_;
  Json attributes_;
  std::set<std::string> used_tensors_;
  std::set<std::string> used_attributes_;
};

/// Compares with the expected tensor `name`: |difference| <= absolute + relative * largest expected
/// magnitude, everywhere. The text of a problem is added to `problems`.
template <class T>
void compare(Case& file, const std::string& name, const Tensor<T>& actual, Names& problems) {
  const Tensor<double> expected = file.tensor<double>(name);
  if (!(expected.shape() == actual.shape())) {
    problems.push_back(concat(name, ": shape ", actual.shape(), ", expected ", expected.shape()));
    return;
  }
  double largest = 0;
  for (double value : expected.values()) largest = std::max(largest, std::abs(value));
  const Tolerance tolerance = file.tolerance<T>(name);
  const double bound = tolerance.absolute + tolerance.relative * largest;
  for (Index i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(static_cast<double>(actual.data()[i]) - expected.data()[i]);
    if (difference <= bound) continue;
    problems.push_back(concat(name, "[", i, "]: ", static_cast<double>(actual.data()[i]),
                              ", expected ", expected.data()[i], "; difference ", difference,
                              ", allowed ", bound));
    return;
  }
}

}  // namespace golden
