#pragma once
// Weights that other programs have saved, as this engine's models expect them: names without the
// prefixes of wrappers, values as F32, counters that older or trimmed files lack.

#include "iotsl/core/files/file_kind.hpp"
#include "iotsl/nn/state.hpp"
#include "iotsl/nn/state_check.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

/// IEEE binary16 as float; bfloat16 is the upper half of a float.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half} >> 15 << 31;
  const std::uint32_t exponent = half >> 10 & 31u;
  std::uint32_t fraction = half & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  // Subnormal: fraction x 2^-24, which a float holds exactly.
  const float value = static_cast<float>(fraction) * 0x1p-24f;
  return sign != 0 ? -value : value;
}
inline float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

inline bool is_float_type(DType type) {
  return type == DType::f16 || type == DType::bf16 || type == DType::f32 || type == DType::f64;
}

/// The tensor's values as those of a net of T, which become its bytes; they lie in `storage`.
template <class T>
void convert_floats(SafeTensor& tensor, std::vector<std::uint8_t>& storage) {
  const std::size_t width = static_cast<std::size_t>(dtype_bytes(tensor.dtype));
  const std::size_t count = tensor.bytes.size() / width;
  storage.resize(count * sizeof(T));
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* at = tensor.bytes.data() + i * width;
    T value = 0;
    if (tensor.dtype == DType::f64)
      value = static_cast<T>(std::bit_cast<double>(load_le<std::uint64_t>(at)));
    else if (tensor.dtype == DType::f32)
      value = static_cast<T>(std::bit_cast<float>(load_le<std::uint32_t>(at)));
    else if (tensor.dtype == DType::f16)
      value = static_cast<T>(half_to_float(load_le<std::uint16_t>(at)));
    else
      value = static_cast<T>(bfloat_to_float(load_le<std::uint16_t>(at)));
    std::memcpy(storage.data() + i * sizeof(T), &value, sizeof(T));
  }
  tensor.dtype = dtype_of<T>();
  tensor.bytes = storage;
}

/// Bytes of what a wrapper has put before a name: "module.", "_orig_mod." or "model."; 0: nothing.
inline std::size_t wrapper_prefix(std::string_view name) {
  for (const std::string_view prefix : {"module.", "_orig_mod.", "model."})
    if (name.starts_with(prefix)) return prefix.size();
  return 0;
}

}  // namespace detail

/// A file's tensors as the model names and types them. What looks into `memory` and into the file
/// must not outlive them.
struct AdaptedState {
  SafeTensors state;
  std::vector<std::vector<std::uint8_t>> memory;  ///< of converted tensors
};

/// Strips prefixes of wrappers (DataParallel, torch.compile, a module that holds the net), turns
/// F16, BF16, F32 and F64 into the model's type, and sets `num_batches_tracked` to 0 where the file
/// has none, which no prediction needs. A failure where two names become one.
template <class Model>
Result<AdaptedState> adapt_state(const Model& model, const SafeTensors& file) {
  using Scalar = typename Model::Scalar;
  AdaptedState out;
  const std::vector<SafeTensor> expected = state_views(model);
  const auto is_expected = [&](std::string_view name) {
    return std::any_of(expected.begin(), expected.end(),
                       [&](const SafeTensor& view) { return view.name == name; });
  };
  for (SafeTensor tensor : file.tensors) {
    // One wrapper after the other: the net's own names may begin so.
    while (!is_expected(tensor.name) && detail::wrapper_prefix(tensor.name) > 0)
      tensor.name.erase(0, detail::wrapper_prefix(tensor.name));
    if (out.state.find(tensor.name) != nullptr)
      return failure(ErrorCode::data, "the file has tensor '", tensor.name,
                     "' twice, once with a prefix");
    if (detail::is_float_type(tensor.dtype) && tensor.dtype != dtype_of<Scalar>())
      detail::convert_floats<Scalar>(tensor, out.memory.emplace_back());
    out.state.tensors.push_back(std::move(tensor));
  }
  for (const SafeTensor& view : expected) {
    if (!view.name.ends_with("num_batches_tracked") || out.state.find(view.name) != nullptr)
      continue;
    std::vector<std::uint8_t>& zero = out.memory.emplace_back(view.bytes.size(), std::uint8_t{0});
    out.state.tensors.push_back({view.name, view.dtype, view.shape, zero});
  }
  return out;
}

/// The first tensors of a file, for a message: "4 tensors: 'a' F32 [2,3], 'b' ..., ...".
inline std::string describe_tensors(const SafeTensors& file, std::size_t most = 4) {
  std::string out = concat(file.tensors.size(), file.tensors.size() == 1 ? " tensor" : " tensors");
  for (std::size_t i = 0; i < std::min(most, file.tensors.size()); ++i)
    out += concat(i == 0 ? ": '" : ", '", file.tensors[i].name, "' ",
                  detail::describe_tensor(file.tensors[i]));
  return out + (file.tensors.size() > most ? ", ..." : "");
}

/// load_safetensors; a failure names the kind of a file that a download has brought instead.
inline Result<SafeTensors> load_foreign_safetensors(const std::string& path) {
  Result<SafeTensors> file = load_safetensors(path);
  if (file) return file;
  const std::string begin = read_beginning(path);
  // A header of less than 4 GiB: the file is one of safetensors, whatever its length looks like.
  if (begin.size() >= 8 && begin.compare(4, 4, std::string(4, '\0')) == 0) return file;
  const std::string_view kind = foreign_kind(bytes_of(std::string_view(begin)));
  if (kind.empty()) return file;
  return failure(ErrorCode::data, path, ": is ", kind, "; expected a safetensors file");
}

/// load_state after adapt_state, then check_state. A failure says what the file has.
template <class Model>
Result<void> load_foreign_state(const Model& model, const SafeTensors& file) {
  const auto adapted = adapt_state(model, file);
  if (!adapted) return adapted.failure();
  const Result<void> loaded = load_state(model, adapted->state);
  if (loaded) return check_state(model);
  return failure(loaded.failure().code, loaded.failure().message, "; the file has ",
                 describe_tensors(file));
}

IOTSL_NAMESPACE_END
