#pragma once
// A model's state as PyTorch names it: parameters, running statistics and `num_batches_tracked`, in
// the order of `state_dict()`. In and out as safetensors.

#include "iotsl/core/hash.hpp"
#include "iotsl/nn/safetensors.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN

/// One tensor as safetensors sees it; the values stay where they are.
template <class T>
SafeTensor safe_tensor(const std::string& name, const Tensor<T>& tensor) {
  std::vector<std::int64_t> shape;
  for (int d = 0; d < tensor.rank(); ++d) shape.push_back(tensor.shape()[d]);
  return safe_tensor(name, std::move(shape), tensor.data(),
                     static_cast<std::size_t>(tensor.size()));
}

namespace detail {

template <class T>
struct StateViews {
  std::string prefix;
  std::vector<SafeTensor> views;

  void parameter(const char* name, Tensor<T>& t) { views.push_back(safe_tensor(prefix + name, t)); }
  void buffer(const char* name, Tensor<T>& t) { parameter(name, t); }
  void counter(const char* name, Counter& c) {
    views.push_back(safe_tensor(prefix + name, {}, c.data(), 1));
  }
};

/// Checks on the first pass, copies on the second, so that a refused file changes nothing.
template <class T>
struct StateReader {
  std::string prefix;
  const SafeTensors& file;
  bool copy;
  std::size_t found = 0;
  Result<void> status = {};

  void parameter(const char* name, Tensor<T>& t) {
    if (const SafeTensor* entry = check(safe_tensor(prefix + name, t)))
      std::memcpy(t.mutable_data(), entry->bytes.data(), entry->bytes.size());
  }
  void buffer(const char* name, Tensor<T>& t) { parameter(name, t); }
  void counter(const char* name, Counter& c) {
    if (const SafeTensor* entry = check(safe_tensor(prefix + name, {}, c.data(), 1)))
      std::memcpy(c.data(), entry->bytes.data(), entry->bytes.size());
  }

 private:
  static std::string describe(const SafeTensor& t) {
    std::string out = concat(std::string(dtype_name(t.dtype)), " [");
    for (std::size_t d = 0; d < t.shape.size(); ++d) out += concat(d == 0 ? "" : ",", t.shape[d]);
    return out + "]";
  }
  const SafeTensor* check(const SafeTensor& expected) {
    if (!status) return nullptr;
    const SafeTensor* entry = file.find(expected.name);
    if (entry == nullptr) {
      status = failure(ErrorCode::data, "the file has no tensor '", expected.name, "'");
    } else if (entry->dtype != expected.dtype || entry->shape != expected.shape) {
      status = failure(ErrorCode::data, "tensor '", expected.name, "' is ", describe(*entry),
                       ", the model expects ", describe(expected));
    }
    ++found;
    return status && copy ? entry : nullptr;
  }
};

}  // namespace detail

/// Views of all state, named `features.0.weight` and so on; valid while the model lives. Like all
/// functions here it takes any model with visit_state, such as Sequential or GeneratorNet.
template <class Model>
std::vector<SafeTensor> state_views(const Model& model) {
  detail::StateViews<typename Model::Scalar> all;
  model.visit_state(all);
  return std::move(all.views);
}

enum class ExtraTensors { refuse, ignore };

/// Takes over the state of a file. Refused, with the tensor's name and without a change: a tensor
/// that is missing or of another type or shape, and, unless ignored, one that the model lacks.
template <class Model>
Result<void> load_state(const Model& model, const SafeTensors& file,
                        ExtraTensors extra = ExtraTensors::refuse) {
  for (const bool copy : {false, true}) {
    detail::StateReader<typename Model::Scalar> reader{.prefix = {}, .file = file, .copy = copy};
    model.visit_state(reader);
    if (!reader.status) return reader.status;
    if (extra == ExtraTensors::refuse && reader.found != file.tensors.size()) {
      const std::vector<SafeTensor> known = state_views(model);
      for (const SafeTensor& entry : file.tensors) {
        const auto same = [&](const SafeTensor& view) { return view.name == entry.name; };
        if (std::none_of(known.begin(), known.end(), same))
          return failure(ErrorCode::data, "the model has no tensor '", entry.name, "'");
      }
    }
  }
  return {};
}

/// SHA-256 over name, shape and bytes of all state in order.
template <class Model>
std::string state_sha256(const Model& model) {
  Sha256 hash;
  for (const SafeTensor& view : state_views(model)) {
    hash.update(view.name).update(bytes_of(view.shape.data(), view.shape.size()));
    hash.update(view.bytes);
  }
  return to_hex(hash.digest());
}

IOTSL_NAMESPACE_END
