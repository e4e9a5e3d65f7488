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

/// The values of a file's tensor as one of the engine. A failure where they are not of type T or
/// have more dimensions than a tensor.
template <class T>
Result<Tensor<T>> tensor_of(const SafeTensor& from) {
  if (from.dtype != dtype_of<T>() || from.shape.size() > max_dims)
    return failure(ErrorCode::data, "tensor '", from.name, "' is ", dtype_name(from.dtype), " of ",
                   from.shape.size(), " dimensions, expected ", dtype_name(dtype_of<T>()), " of ",
                   max_dims, " at most");
  Shape shape;
  for (const std::int64_t extent : from.shape) shape.push_back(extent);
  if (!shape.has_at_most(Shape::max_elements))
    return failure(ErrorCode::data, "tensor '", from.name, "' has extents for more than ",
                   Shape::max_elements, " values");
  Tensor<T> out = Tensor<T>::uninitialized(shape);
  if (!from.bytes.empty()) std::memcpy(out.mutable_data(), from.bytes.data(), from.bytes.size());
  return out;
}

namespace detail {

template <class T>
SafeTensor view_of(const StateEntry<T>& entry) {
  if (entry.kind == StateKind::counter)
    return safe_tensor(entry.name, {}, entry.counter->data(), 1);
  return safe_tensor(entry.name, entry.tensor);
}

inline std::string describe_tensor(const SafeTensor& t) {
  std::string out = concat(std::string(dtype_name(t.dtype)), " [");
  for (std::size_t d = 0; d < t.shape.size(); ++d) out += concat(d == 0 ? "" : ",", t.shape[d]);
  return out + "]";
}

template <class T>
std::vector<SafeTensor> views_of(const std::vector<StateEntry<T>>& entries) {
  std::vector<SafeTensor> out;
  for (const StateEntry<T>& entry : entries) out.push_back(view_of(entry));
  return out;
}

}  // namespace detail

/// Views of all state, named `features.0.weight` and so on; valid while the model lives. Like all
/// functions here it takes any model with visit_state, such as Sequential or GeneratorNet.
template <class Model>
std::vector<SafeTensor> state_views(const Model& model) {
  return detail::views_of(state_entries<typename Model::Scalar>(model));
}

/// What is done with tensors that the model lacks.
enum class ExtraTensors { refuse, ignore };

namespace detail {

template <class T>
Result<void> load_entries(std::vector<StateEntry<T>> entries, const SafeTensors& file,
                          ExtraTensors extra) {
  std::vector<const SafeTensor*> found;
  for (const auto& entry : entries) {
    const SafeTensor expected = view_of(entry);
    const SafeTensor* given = file.find(expected.name);
    if (given == nullptr)
      return failure(ErrorCode::data, "the file has no tensor '", expected.name, "'");
    if (given->dtype != expected.dtype || given->shape != expected.shape)
      return failure(ErrorCode::data, "tensor '", expected.name, "' is ", describe_tensor(*given),
                     ", the model expects ", describe_tensor(expected));
    found.push_back(given);
  }
  if (extra == ExtraTensors::refuse && found.size() != file.tensors.size())
    for (const SafeTensor& given : file.tensors) {
      const auto same = [&](const auto& entry) { return entry.name == given.name; };
      if (std::none_of(entries.begin(), entries.end(), same))
        return failure(ErrorCode::data, "the model has no tensor '", given.name, "'");
    }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const ByteSpan from = found[i]->bytes;
    if (entries[i].counter)
      std::memcpy(entries[i].counter->data(), from.data(), from.size());
    else
      std::memcpy(entries[i].tensor.mutable_data(), from.data(), from.size());
  }
  return {};
}

}  // namespace detail

/// Takes over the state of a file. Refused, with the tensor's name and without a change: a tensor
/// that is missing or of another type or shape, and, unless ignored, one that the model lacks.
template <class Model>
Result<void> load_state(const Model& model, const SafeTensors& file,
                        ExtraTensors extra = ExtraTensors::refuse) {
  return detail::load_entries(state_entries<typename Model::Scalar>(model), file, extra);
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
