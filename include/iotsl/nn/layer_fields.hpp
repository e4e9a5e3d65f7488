#pragma once
// The fields of a layer: what it is built from. A layer lists them once, in visit_fields(); the
// list gives the JSON of a file and of the wire, the checks of what is read, and the text of a
// summary.

#include <span>
#include <string>
#include <vector>

#include "iotsl/core/json/value.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
struct LayerInfo;
template <class T>
class Sequential;

/// The types of layer that a program can build.
template <class T>
using LayerTypes = std::span<const LayerInfo<T>* const>;

/// What a description of layers may ask for.
struct LayerLimits {
  Index state_values = Index{1} << 32;  ///< parameters and buffers of all layers
  Index values = Index{1} << 32;        ///< of one layer's output for one sample
  std::size_t layers = 4096;            ///< with all that are nested
  std::size_t depth = 8;                ///< of layers within layers
  std::size_t name_bytes = 120;         ///< of a full name, such as `layer1.0.conv1`
};

/// What the parts of a description share while they are read.
template <class T>
struct LayerReading {
  LayerTypes<T> known;
  LayerLimits limits;
  double state_values = 0;  ///< so far
  std::size_t layers = 0;   ///< so far
  std::size_t depth = 0;    ///< of the chain in hand
  std::string prefix = {};  ///< of the names in the chain in hand
  bool located = false;     ///< the failure says which layer it is about
};

namespace detail {
template <class T>
Json write_layers(const Sequential<T>& chain, std::vector<const LayerInfo<T>*>* types = nullptr);
template <class T>
Result<void> read_layers(const Json& list, Sequential<T>& chain, LayerReading<T>& reading);
}  // namespace detail

/// Takes the fields of one layer out, or reads them in. What is read is checked: a field that is
/// missing keeps its default, which must be in range too; one that the layer does not have is
/// refused.
template <class T>
class LayerFields {
 public:
  /// Adds to the members of `json`, and to `types` those of the layers within the layer.
  explicit LayerFields(Json json = Json::object(),
                       std::vector<const LayerInfo<T>*>* types = nullptr)
      : json_(std::move(json)), types_(types) {}
  /// Reads from the members of `from` after the first `skip`.
  LayerFields(const Json& from, std::size_t skip, LayerReading<T>& reading)
      : from_(&from), reading_(&reading), used_(skip) {}

  /// least <= value <= most
  void integer(const char* key, Index& value, Index least, Index most) {
    if (const Json* member = next(key)) read_integer(key, *member, value);
    check_integer(key, value, least, most);
    if (from_ == nullptr) put(key, value);
  }
  /// Rows and columns, each as integer() takes it: `"stride": [2, 2]`.
  void pair(const char* key, Index& rows, Index& columns, Index least, Index most) {
    if (const Json* member = next(key)) {
      if (member->is_array() && member->size() == 2) {
        read_integer(key, member->as_array()[0], rows);
        read_integer(key, member->as_array()[1], columns);
      } else {
        wrong(key, "two integers", *member);
      }
    }
    check_integer(key, rows, least, most);
    check_integer(key, columns, least, most);
    if (from_ == nullptr) put(key, JsonArray{rows, columns});
  }
  /// least <= value < limit
  void real(const char* key, double& value, double least, double limit) {
    if (const Json* member = next(key)) {
      if (member->is_number())
        value = member->as_double();
      else
        wrong(key, "a number", *member);
    }
    if (from_ != nullptr && !(value >= least && value < limit))
      refuse("field '", key, "' is ", value, ", expected at least ", least, " and below ", limit);
    if (from_ == nullptr) put(key, value);
  }
  void flag(const char* key, bool& value) {
    if (const Json* member = next(key)) {
      if (member->is_bool())
        value = member->as_bool();
      else
        wrong(key, "true or false", *member);
    }
    if (from_ == nullptr) put(key, value);
  }
  /// Layers within the layer. `prefix` stands before their names.
  void layers(const char* key, Sequential<T>& chain, const char* prefix = "") {
    if (from_ == nullptr) {
      put(key, detail::write_layers(chain, types_));
    } else if (const Json* member = next(key)) {
      const std::string outer = reading_->prefix;
      reading_->prefix += prefix;
      const Result<void> read = detail::read_layers(*member, chain, *reading_);
      reading_->prefix = outer;
      if (!read && status_) status_ = read;
    }
  }

  /// The members, where they were taken out.
  Json take() { return std::move(json_); }
  /// The first thing that was wrong, where they were read.
  Result<void> finish() const {
    if (!status_ || used_ == from_->size()) return status_;  // no key is there twice
    for (const JsonMember& member : from_->as_object())
      if (!is_known(member.key)) return failure(ErrorCode::data, "has no field '", member.key, "'");
    return {};
  }

 private:
  [[gnu::noinline]] const Json* next(const char* key) {
    if (from_ == nullptr) return nullptr;
    known_.push_back(key);
    const Json* member = from_->find(key);
    if (member != nullptr) ++used_;
    return status_ ? member : nullptr;
  }
  [[gnu::noinline]] void put(const char* key, Json value) {
    if (json_.find(key) != nullptr)
      fail("layer: field '", key, "' is given twice, or named as what every layer has");
    json_[key] = std::move(value);
  }
  bool is_known(std::string_view key) const {
    for (const char* known : known_)
      if (key == known) return true;
    return key == "name" || key == "type";
  }
  [[gnu::noinline]] void read_integer(const char* key, const Json& member, Index& value) {
    if (member.is_int())
      value = member.as_int();
    else
      wrong(key, "an integer", member);
  }
  [[gnu::noinline]] void check_integer(const char* key, Index value, Index least, Index most) {
    if (from_ == nullptr || (value >= least && value <= most)) return;
    if (from_->find(key) == nullptr)
      refuse("field '", key, "' is missing, expected ", least, " to ", most);
    else
      refuse("field '", key, "' is ", value, ", expected ", least, " to ", most);
  }
  IOTSL_COLD void wrong(const char* key, const char* wanted, const Json& found) {
    refuse("field '", key, "' must be ", wanted, ", found ", found.type_name());
  }
  template <class... Parts>
  IOTSL_COLD void refuse(const Parts&... parts) {
    if (status_) status_ = failure(ErrorCode::data, parts...);
  }

  Json json_;
  std::vector<const LayerInfo<T>*>* types_ = nullptr;
  const Json* from_ = nullptr;
  LayerReading<T>* reading_ = nullptr;
  std::size_t used_ = 0;
  std::vector<const char*> known_;
  Result<void> status_;
};

IOTSL_NAMESPACE_END
