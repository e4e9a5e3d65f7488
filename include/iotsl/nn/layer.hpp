#pragma once
// What a layer is: any type with a `type` and a forward(). A chain keeps it behind a table of
// functions, so that nobody else has to know it; README.md here shows how to write one.

#include <concepts>
#include <cstdint>
#include <cstring>
#include <typeinfo>
#include <utility>

#include "iotsl/nn/layer_cost.hpp"
#include "iotsl/nn/layer_fields.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN

/// A layer of tensors of T. Needed, of a type L that can be copied (a copy shares the parameters):
///
///   static constexpr const char* type                  its name in files, on the wire, in tables
///   Tensor<T> forward(Tensor<T> x)                     or forward(Tensor<T> x, const ForwardMode&)
///
/// Given where the layer differs from what is said here:
///
///   void visit_fields(F& f)                            what it is built from; none (see
///                                                      LayerFields, which F is)
///   void visit_state(V& v)                             parameters, buffers, counters with their
///                                                      shapes; none (see StateList, which V is)
///   Result<Shape> output_shape(const Shape& x) const   that of x
///   LayerCost cost(const Shape& x) const               one operation and four bytes per output
///   void initialize(std::uint64_t seed, std::uint32_t number)
///                                                      parameters keep visit_state()'s values
///   std::uint32_t place                                is set to the layer's number, where it
///                                                      needs one in forward()
///   Tensor<T> forward_through(Tensor<T> x, const ForwardMode&, LayersBehind<T> behind,
///                             std::size_t& taken)      forward() of itself and of the next `taken`
///                                                      layers of the chain, where that is less
///                                                      work; forward(), and 0
///
/// output_shape() and cost() must be functions of the fields alone: they are asked before the state
/// has memory, about shapes that a peer has chosen. A layer that holds others gives leaves(),
/// set_place() and output_shape(x, most_values) as well; nn/branch.hpp has two.
template <class L, class T>
concept LayerOf = requires(L l, Tensor<T> x, const ForwardMode& mode) {
  { L::type } -> std::convertible_to<const char*>;
  requires requires {
    { l.forward(std::move(x), mode) } -> std::same_as<Tensor<T>>;
  } || requires {
    { l.forward(std::move(x)) } -> std::same_as<Tensor<T>>;
  };
}
&&std::copy_constructible<L>;

template <class T>
struct NamedLayer;

/// The layers of a chain that follow one of them.
template <class T>
class LayersBehind {
 public:
  LayersBehind(const NamedLayer<T>* first, std::size_t count) : first_(first), count_(count) {}
  /// Layer i behind this one, or null where it is of another type or there is none.
  template <class L>
  const L* get_if(std::size_t i) const {
    return i < count_ ? first_[i].layer.template get_if<L>() : nullptr;
  }

 private:
  const NamedLayer<T>* first_;
  std::size_t count_;
};

/// What a layer is to a chain. Null where the type leaves it to the default.
template <class T>
struct LayerInfo {
  const char* type;
  const std::type_info* cpp_type;  ///< null where the compiler has none (-fno-rtti)
  void* (*make)();  ///< with the fields' defaults and no state; null: cannot be made from fields
  void* (*copy)(const void* layer);
  void (*destroy)(void* layer);
  Tensor<T> (*forward)(void* layer, Tensor<T> x, const ForwardMode& mode);
  Tensor<T> (*forward_through)(void* layer, Tensor<T> x, const ForwardMode& mode,
                               LayersBehind<T> behind, std::size_t& taken);
  Result<Shape> (*output_shape)(const void* layer, const Shape& x, Index most_values);
  LayerCost (*cost)(const void* layer, const Shape& x);
  void (*visit_fields)(void* layer, LayerFields<T>& fields);
  void (*visit_state)(void* layer, StateList<T>& list);
  void (*initialize)(void* layer, std::uint64_t seed, std::uint32_t number);
  void (*set_place)(void* layer, std::uint32_t number);
  std::uint32_t (*leaves)(const void* layer);
};

namespace detail {

// A member of a known name that cannot be called as the table does would be passed over in silence.
template <class T, class L>
constexpr void check_members() {
  static_assert(
      !requires { &L::output_shape; } ||
          requires(const L& l, const Shape& x) { l.output_shape(x); } ||
          requires(const L& l, const Shape& x) { l.output_shape(x, Index{}); },
      "a layer's output_shape must be: Result<Shape> output_shape(const Shape&) const");
  static_assert(
      !requires { &L::cost; } || requires(const L& l, const Shape& x) { l.cost(x); },
      "a layer's cost must be: LayerCost cost(const Shape&) const");
  static_assert(
      !requires { &L::visit_state; } || requires(L & l, StateList<T> & v) { l.visit_state(v); },
      "a layer's visit_state must take a StateList of the layer's T, or any V&");
  static_assert(
      !requires { &L::visit_fields; } || requires(L & l, LayerFields<T> & f) { l.visit_fields(f); },
      "a layer's visit_fields must take LayerFields of the layer's T, or any F&");
  static_assert(
      !requires { &L::initialize; } ||
          requires(L & l) { l.initialize(std::uint64_t{}, std::uint32_t{}); },
      "a layer's initialize must be: void initialize(std::uint64_t, std::uint32_t)");
}

template <class T, class L>
constexpr LayerInfo<T> make_layer_info() {
  check_members<T, L>();
  LayerInfo<T> info{};
  info.type = L::type;
#if defined(__cpp_rtti)
  info.cpp_type = &typeid(L);
#endif
  if constexpr (std::default_initializable<L>) info.make = []() -> void* { return new L(); };
  info.copy = [](const void* l) -> void* { return new L(*static_cast<const L*>(l)); };
  info.destroy = [](void* l) { delete static_cast<L*>(l); };
  info.forward = [](void* l, Tensor<T> x, const ForwardMode& mode) {
    if constexpr (requires(L & layer) { layer.forward(std::move(x), mode); })
      return static_cast<L*>(l)->forward(std::move(x), mode);
    else
      return static_cast<L*>(l)->forward(std::move(x));
  };
  if constexpr (requires(L & l, Tensor<T> x, const ForwardMode& m, LayersBehind<T> b,
                         std::size_t& n) { l.forward_through(std::move(x), m, b, n); })
    info.forward_through = [](void* l, Tensor<T> x, const ForwardMode& mode, LayersBehind<T> behind,
                              std::size_t& taken) {
      return static_cast<L*>(l)->forward_through(std::move(x), mode, behind, taken);
    };
  if constexpr (requires(const L& l, const Shape& x) { l.output_shape(x, Index{}); })
    info.output_shape = [](const void* l, const Shape& x, Index most) -> Result<Shape> {
      return static_cast<const L*>(l)->output_shape(x, most);
    };
  else if constexpr (requires(const L& l, const Shape& x) { l.output_shape(x); })
    info.output_shape = [](const void* l, const Shape& x, Index) -> Result<Shape> {
      return static_cast<const L*>(l)->output_shape(x);
    };
  if constexpr (requires(const L& l, const Shape& x) { l.cost(x); })
    info.cost = [](const void* l, const Shape& x) { return static_cast<const L*>(l)->cost(x); };
  if constexpr (requires(L & l, LayerFields<T> & f) { l.visit_fields(f); })
    info.visit_fields = [](void* l, LayerFields<T>& f) { static_cast<L*>(l)->visit_fields(f); };
  if constexpr (requires(L & l, StateList<T> & v) { l.visit_state(v); })
    info.visit_state = [](void* l, StateList<T>& v) { static_cast<L*>(l)->visit_state(v); };
  if constexpr (requires(L & l) { l.initialize(std::uint64_t{}, std::uint32_t{}); })
    info.initialize = [](void* l, std::uint64_t seed, std::uint32_t number) {
      static_cast<L*>(l)->initialize(seed, number);
    };
  if constexpr (requires(L & l) { l.set_place(std::uint32_t{}); })
    info.set_place = [](void* l, std::uint32_t n) { static_cast<L*>(l)->set_place(n); };
  else if constexpr (requires(L & l) { l.place = std::uint32_t{}; })
    info.set_place = [](void* l, std::uint32_t n) { static_cast<L*>(l)->place = n; };
  if constexpr (requires(const L& l) { l.leaves(); })
    info.leaves = [](const void* l) -> std::uint32_t { return static_cast<const L*>(l)->leaves(); };
  return info;
}

}  // namespace detail

/// The table of a layer of type L.
template <class T, class L>
inline constexpr LayerInfo<T> layer_info = detail::make_layer_info<T, L>();

/// A layer of any type. A copy is the same layer: it shares the parameters.
template <class T>
class AnyLayer {
 public:
  template <class L>
  requires(!std::same_as<L, AnyLayer> && LayerOf<L, T>) AnyLayer(L layer)
      : info_(&layer_info<T, L>), layer_(new L(std::move(layer))) {}
  /// One of that type with the defaults of its fields and without memory for its state.
  explicit AnyLayer(const LayerInfo<T>& info) : info_(&info), layer_(info.make()) {}

  AnyLayer(const AnyLayer& other) : info_(other.info_), layer_(other.info_->copy(other.layer_)) {}
  AnyLayer(AnyLayer&& other) noexcept
      : info_(other.info_), layer_(std::exchange(other.layer_, nullptr)) {}
  AnyLayer& operator=(const AnyLayer& other) { return *this = AnyLayer(other); }
  AnyLayer& operator=(AnyLayer&& other) noexcept {
    AnyLayer taken(std::move(other));
    std::swap(info_, taken.info_);
    std::swap(layer_, taken.layer_);
    return *this;
  }
  ~AnyLayer() {
    if (layer_ != nullptr) info_->destroy(layer_);
  }

  const char* type() const { return info_->type; }
  const LayerInfo<T>& info() const { return *info_; }
  /// The layer itself, or null where it is of another type.
  template <class L>
  const L* get_if() const {
    return is_of<L>() ? static_cast<const L*>(layer_) : nullptr;
  }

  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) const {
    return info_->forward(layer_, std::move(x), mode);
  }
  /// forward() of this layer and of the next `taken` of the chain that it is in.
  Tensor<T> forward_through(Tensor<T> x, const ForwardMode& mode, LayersBehind<T> behind,
                            std::size_t& taken) const {
    if (info_->forward_through != nullptr)
      return info_->forward_through(layer_, std::move(x), mode, behind, taken);
    taken = 0;
    return forward(std::move(x), mode);
  }
  /// A failure where the layer does not take x, or where it or one within it gives more than
  /// `most_values` values.
  Result<Shape> output_shape(const Shape& x, Index most_values = Shape::max_elements) const {
    Result<Shape> y = x;
    if (info_->output_shape != nullptr) y = info_->output_shape(layer_, x, most_values);
    if (y && !y->has_at_most(most_values))
      return failure(ErrorCode::usage, type(), ": x ", x, " gives ", *y, ", more than ",
                     most_values, " values");
    return y;
  }
  /// For one sample; raises an Error where the layer does not take x.
  LayerCost cost(const Shape& x) const {
    if (info_->cost != nullptr) return info_->cost(layer_, x);
    const Shape y = output_shape(x).value();
    StateList<T> state;
    visit_state(state);
    std::erase_if(state.entries, [](const auto& e) { return e.kind != StateKind::parameter; });
    return {static_cast<Index>(count_values(state)), detail::elements_per_sample(y),
            detail::activation_bytes(y)};
  }
  void visit_fields(LayerFields<T>& fields) const {
    if (info_->visit_fields != nullptr) info_->visit_fields(layer_, fields);
  }
  void visit_state(StateList<T>& list) const {
    if (info_->visit_state != nullptr) info_->visit_state(layer_, list);
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    if (info_->initialize != nullptr) info_->initialize(layer_, seed, number);
  }
  void set_place(std::uint32_t number) {
    if (info_->set_place != nullptr) info_->set_place(layer_, number);
  }
  /// Layers that hold no others: itself, or those within it.
  std::uint32_t leaves() const { return info_->leaves != nullptr ? info_->leaves(layer_) : 1; }

 private:
  template <class L>
  bool is_of() const {
    if (info_ == &layer_info<T, L>) return true;
#if defined(__cpp_rtti)  // each shared library may have a table of its own for the same type
    return info_->cpp_type != nullptr && *info_->cpp_type == typeid(L) && has_linkage(typeid(L));
#else
    return false;
#endif
  }
  /// Of a type without, clang gives two of one name as the same. In the ABI's names an anonymous
  /// namespace is _GLOBAL__N_, and what is local to a static function stands behind ZL.
  static bool has_linkage(const std::type_info& type) {
    return std::strstr(type.name(), "_GLOBAL__N_") == nullptr &&
           std::strstr(type.name(), "ZL") == nullptr;
  }

  const LayerInfo<T>* info_;
  void* layer_;
};

/// A layer of a chain with its name there.
template <class T>
struct NamedLayer {
  std::string name;  ///< as in torchvision: `features.0`
  AnyLayer<T> layer;

  const char* type() const { return layer.type(); }
  Result<Shape> output_shape(const Shape& x, Index most_values = Shape::max_elements) const {
    const Result<Shape> y = layer.output_shape(x, most_values);
    if (y) return y;
    return failure(y.failure().code, "layer '", name, "': ", y.failure().message);
  }
  LayerCost cost(const Shape& x) const { return layer.cost(x); }
};

IOTSL_NAMESPACE_END
